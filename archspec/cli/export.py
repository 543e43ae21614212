"""`archspec export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Free,
    Plugins,
    Settings,
    Spec,
    free_of,
    import_plugins,
    parse_settings,
    progress,
    refuse_idle,
)
from archspec.cli.weight_options import Dtype, WeightFiles


class ExportFormat(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What a network can be exported to."""

    python = "python"
    onnx = "onnx"
    pt2 = "pt2"
    safetensors = "safetensors"


@app.command()
def export(
    context: typer.Context,
    spec: Spec,
    format: Annotated[
        ExportFormat | None,
        typer.Option(
            help="What to write (default: what the output's suffix says, else python).", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Output file (default: NAME and the suffix).", show_default=False
        ),
    ] = None,
    settings: Settings = None,
    batch: Annotated[
        int | None,
        typer.Option(min=0, help="Batch size of onnx and pt2; 0, the default, for any.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the initial weights (default: 0).", show_default=False),
    ] = None,
    weights: WeightFiles = None,
    dtype: Dtype = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    free: Free = None,
) -> None:
    """Write a network as a file that runs without archspec: plain PyTorch code, ONNX, a program of torch.export, or its weights."""
    import_plugins(plugins)
    with progress() as say:
        from archspec.api.exporting import FORMATS, format_of
        from archspec.api.exporting import export as write
        from archspec.elaboration import locate

        name = format.value if format else "python" if output is None else None
        if output is None:
            path, model = locate(spec)
            output = Path(f"{'.'.join(filter(None, (path.stem, model)))}{FORMATS[name or 'python'].suffix}")
        form = FORMATS[format_of(output, name)]
        refuse_idle(context, f"the file is {form.meaning}", *form.no_use_for)
        given: dict[str, Any] = {
            "batch": batch or None,
            "seed": seed,
            "weights": weights or None,
            "dtype": dtype,
        }
        if free is not None:
            given["free"] = free_of(free)
        if budget != BUDGET:
            given["budget"] = budget
        say(f"writing {output}")
        write(
            spec,
            output,
            name,
            settings=parse_settings(settings),
            **{option: value for option, value in given.items() if value is not None},
        )
    typer.echo(f"written to {output}")
