"""`archspec export`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

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
)


class ExportFormat(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What a network can be exported to."""

    python = "python"


@app.command()
def export(
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
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    free: Free = None,
) -> None:
    """Write a network as a file that runs without archspec: plain PyTorch code."""
    import_plugins(plugins)
    with progress() as say:
        from archspec.api.exporting import FORMATS
        from archspec.api.exporting import export as write
        from archspec.elaboration import locate

        name = format.value if format else "python" if output is None else None
        if output is None:
            path, model = locate(spec)
            output = Path(f"{'.'.join(filter(None, (path.stem, model)))}{FORMATS[name or 'python'].suffix}")
        say(f"writing {output}")
        write(spec, output, name, free=free_of(free), budget=budget, settings=parse_settings(settings))
    typer.echo(f"written to {output}")
