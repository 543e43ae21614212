"""`archspec build`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

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
    refuse_idle,
    sources_of,
)
from archspec.cli.outline import echo_outline
from archspec.cli.weight_options import (
    Adapt,
    Dtype,
    From,
    FromSettings,
    NamesAs,
    Nonfinite,
    Strict,
    WeightFiles,
    old_network,
    parse_adapt,
    refuse_idle_weights,
)
from archspec.ground import codes
from archspec.ground.atomic import require_writable
from archspec.ground.errors import SpecError

if TYPE_CHECKING:
    from archspec.backends.torch_modules import Network


class Optimise(StrEnum):
    """What a network may be optimised for."""

    inference = "inference"


@app.command()
def build(
    context: typer.Context,
    spec: Spec,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Output file (default: build/NAME.archmod).", show_default=False),
    ] = None,
    settings: Settings = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the initial weights (default: 0). Same spec and seed, same bytes.",
            show_default=False,
        ),
    ] = None,
    weights: WeightFiles = None,
    adapt: Adapt = None,
    from_: From = None,
    from_settings: FromSettings = None,
    strict: Strict = True,
    nonfinite: Nonfinite = False,
    names: NamesAs = None,
    dtype: Dtype = None,
    optimize: Annotated[
        Optimise | None,
        typer.Option(
            help="Fold, fuse and pack on loading; the module can no longer train.", show_default=False
        ),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile with torch.compile at the first run after loading.")
    ] = False,
    aot: Annotated[
        bool,
        typer.Option(
            "--aot",
            help="Also write a package compiled ahead of time, for inference; free sizes stay free.",
        ),
    ] = False,
    batch: Annotated[int, typer.Option(min=0, help="Batch size that --aot compiles for; 0 for any.")] = 1,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Build a module, with initial or given weights, as a file that archspec.load reads."""
    started = time.perf_counter()
    refuse_idle_weights(context, weights)
    if not aot:
        refuse_idle(context, "it is how many samples --aot compiles for", "batch")
    import_plugins(plugins)
    with progress() as say:
        from archspec.api import BUILT, load, read, torch_dtype
        from archspec.elaboration import locate

        say("reading the spec")
        path, model = locate(spec)
        graph = read(spec, budget=budget, settings=parse_settings(settings))
        given = (
            {}
            if not weights
            else {
                "weights": weights,
                "adapt": parse_adapt(adapt),
                "from_": old_network(from_, from_settings, budget),
                "strict": strict,
                "nonfinite": nonfinite,
                "names": names,
            }
        )
        seed = _chosen_seed(seed, weights, draws=adapt is not None or not strict)
        output = output or Path("build") / f"{'.'.join(filter(None, (path.stem, model)))}{BUILT}"
        sources = tuple(sources_of(spec, others=[*(weights or []), *(plugins or [])]))
        require_writable(output, sources=sources)
        if output.name == BUILT:
            raise SpecError.of(
                codes.SUFFIX,
                f"`{output}` has a suffix but no name",
                help=f"write to `{output.with_name(path.stem + BUILT)}`",
            )
        if output.suffix != BUILT:
            raise SpecError.of(
                codes.SUFFIX,
                f"`{output}` does not end in {BUILT}, as built modules do",
                help=f"write to `{output.with_name(output.name + BUILT)}`",
            )
        say("importing torch")
        from archspec.api.artifact import save_artifact

        if dtype is not None:
            torch_dtype(dtype)
        written = [output]
        if aot:
            from archspec.backends.torch_aot import SUFFIX, save_package
            from archspec.passes import optimize_for_inference

            say("compiling")
            written.append(output.with_suffix(SUFFIX))
            require_writable(written[-1], sources=sources)
            network = cast("Network", load(graph, seed=seed, dtype=dtype, flat=True, **given))
            save_package(optimize_for_inference(network), written[-1], batch=batch or None, sources=sources)
        say(f"{'reading' if weights else 'drawing'} {graph.parameters:,} parameters")
        module = load(graph, seed=seed, dtype=dtype, **given)
        say(f"writing {output}")
        chosen: Literal["inference"] | None = "inference" if optimize else None
        save_artifact(
            module,
            output,
            seed=seed,
            dtype=dtype or "f32",
            optimize=chosen,
            compile=compile,
            sources=sources,
        )
    echo_outline(graph)
    typer.echo(f"  time           {time.perf_counter() - started:.1f} s")
    for path in written:
        typer.echo(f"  written        {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _chosen_seed(seed: int | None, weights: list[Path] | None, *, draws: bool) -> int | None:
    """The seed to draw weights from; none where they all come from a file."""
    if weights and not draws:
        if seed is not None:
            raise typer.BadParameter("weights from a file need no seed", param_hint="--seed")
        return None
    if not -(2**63) <= (seed or 0) < 2**63:
        raise typer.BadParameter("a seed has at most 64 bits", param_hint="--seed")
    return seed or 0
