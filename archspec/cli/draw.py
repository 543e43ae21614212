"""`archspec draw`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, Settings, Spec, import_plugins, parse_settings
from archspec.errors import Mistake


class View(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What is drawn."""

    overview = "overview"
    block = "block"
    full = "full"


@app.command()
def draw(
    spec: Spec,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where to write: a .svg, .png, .pdf or .dot file; NAME.svg unless given.",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        View, typer.Option(help="What is drawn: the stages, one block, or every node.")
    ] = View.overview,
    depth: Annotated[
        int | None, typer.Option(min=1, help="How many levels of blocks are opened.", show_default=False)
    ] = None,
    focus: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Draw only this part: a step such as layer3.0, or a block such as Bottleneck.",
        ),
    ] = "",
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Draw a network with Graphviz: repeats folded, shapes where they change, parameters and multiply-adds."""
    from archspec.api import draw as draw_graph
    from archspec.api import read
    from archspec.elaborate import locate

    import_plugins(plugins)
    graph = read(spec, budget=budget, **parse_settings(settings))
    path, model = locate(spec)
    output = output or Path(f"{'.'.join(filter(None, (path.stem, model)))}.svg")
    try:
        drawing = draw_graph(graph, view.value, depth=depth, focus=focus)
    except Mistake as mistake:
        raise mistake.at(None) from None
    drawing.save(output)
    typer.echo(f"written to {output}")
