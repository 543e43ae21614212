"""`archspec build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Plugins,
    Settings,
    Spec,
    import_plugins,
    parse_settings,
    progress,
)
from archspec.cli.summary import echo_summary


@app.command()
def build(
    spec: Spec,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write; build/NAME.archmod unless given.", show_default=False
        ),
    ] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights: same spec and seed, same bytes.")] = 0,
    dtype: Annotated[
        str, typer.Option(help="Floating-point type of the weights: f32, f16, bf16 or f64.")
    ] = "f32",
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Build a module with fresh weights and write it to a file that archspec.load reads."""
    started = time.perf_counter()
    import_plugins(plugins)
    with progress() as say:
        from archspec.api import load, read, torch_dtype
        from archspec.elaborate import locate

        say("reading the spec")
        path, model = locate(spec)
        graph = read(spec, budget=budget, **parse_settings(settings))
        _require_valid_seed(seed)
        output = output or Path("build") / f"{'.'.join(filter(None, (path.stem, model)))}.archmod"
        say("importing torch")
        from archspec.artifact import save_artifact

        torch_dtype(dtype)
        say(f"drawing {graph.parameters:,} parameters")
        module = load(graph, seed=seed, dtype=dtype)
        say(f"writing {output}")
        save_artifact(module, output, seed=seed, dtype=dtype)
    echo_summary(graph)
    typer.echo(f"  time           {time.perf_counter() - started:.1f} s")
    typer.echo(f"  written        {output} ({output.stat().st_size / 1e6:.1f} MB)")


def _require_valid_seed(seed: int) -> None:
    if not -(2**63) <= seed < 2**63:
        raise typer.BadParameter("a seed has at most 64 bits", param_hint="--seed")
