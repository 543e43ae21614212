"""`archspec draw`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Free,
    Plugins,
    Settings,
    free_of,
    import_plugins,
    parse_settings,
    progress,
    refuse_idle,
    sources_of,
)

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing
    from archspec.graph import Graph


class View(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What is drawn."""

    overview = "overview"
    block = "block"
    blocks = "blocks"
    full = "full"
    cost = "cost"
    table = "table"
    html = "html"


FORMATS = {
    "dot": "text for Graphviz and other programs, of any size",
    "svg": "scalable, for documents and the web",
    "png": "pixels",
    "pdf": "for LaTeX and print",
    "html": "a page to explore in a browser, offline",
    "tex": "the stage table, in LaTeX with booktabs",
    "md": "the stage table, in Markdown",
    "mmd": "a Mermaid flowchart, for Markdown on GitHub",
}
"""What the backends write, so that only to draw imports them."""
_FORMATS = {View.table: "md", View.html: "html"}  # of a view that is no picture, when no file says


@app.command()
def draw(
    context: typer.Context,
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="Path of an .arch file, or name of a shipped spec; :Model picks a model.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Output file (default: NAME.svg), or folder with --all. The suffix selects the format: "
            + "; ".join(f".{suffix} ({meaning})" for suffix, meaning in FORMATS.items())
            + ".",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        View,
        typer.Option(
            help="What is drawn: the stages, one block, a sheet of all blocks, every node, the stages shaded by "
            "cost, a paper's table of stages, or a page to explore in a browser."
        ),
    ] = View.overview,
    depth: Annotated[
        int | None, typer.Option(min=1, help="How many levels of blocks to open.", show_default=False)
    ] = None,
    focus: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Draw one part: a step such as layer3.0, or a block such as Bottleneck.",
        ),
    ] = "",
    shade: Annotated[
        str,
        typer.Option(metavar="QUANTITY", help="Shade boxes by their share of params, macs or memory."),
    ] = "",
    theme: Annotated[str, typer.Option(help="Colours: light, dark, or grey for print.")] = "light",
    direction: Annotated[str, typer.Option(help="Direction of flow: down, up or right.")] = "down",
    every: Annotated[
        bool,
        typer.Option("--all", help="Draw every shipped spec, into the folder -o (default: gallery)."),
    ] = False,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    free: Free = None,
) -> None:
    """Draw a network: repeats folded, shapes where they change, parameters and multiply-adds."""
    from archspec.backends.drawing import find_backend

    import_plugins(plugins)
    if bool(spec) == every:
        raise typer.BadParameter("give a spec, or --all", param_hint="SPEC")
    if every:
        refuse_idle(context, "--all draws every spec as it is", "focus", "settings", "budget")
    format = (
        output.suffix.removeprefix(".") if output is not None and not every else _FORMATS.get(view, "svg")
    )
    if format:
        backend = find_backend(format)
        refuse_idle(context, backend.reason, *backend.ignores)
    if view is View.html and format not in ("", "html"):
        raise typer.BadParameter("the view `html` is a .html file", param_hint="--output")
    options = {"depth": depth, "focus": focus, "shade": shade, "theme": theme, "direction": direction}
    if every:
        draw_all(output or Path("gallery"), view, options, plugins or [])
        return
    from archspec.api import read
    from archspec.elaboration import locate

    drawing = picture(
        read(spec, free=free_of(free), budget=budget, settings=parse_settings(settings)), view, options
    )
    path, model = locate(spec)
    if view is View.table and output is None:
        typer.echo(drawing.render(format).decode(), nl=False)
        return
    output = output or Path(f"{'.'.join(filter(None, (path.stem, model)))}.{format}")
    sources = tuple(sources_of(spec, others=plugins or []))
    drawing.save(output, folders=[path.parent], sources=sources)
    typer.echo(f"written to {output}")


def draw_all(folder: Path, view: View, options: dict[str, Any], plugins: Sequence[Path]) -> None:
    """Draw every shipped spec into a folder, each under its own name."""
    from archspec.api import read, shipped

    if view is View.table:
        raise typer.BadParameter("tables are printed one at a time", param_hint="--view")
    suffix = f".{_FORMATS.get(view, 'svg')}"
    entries = shipped()
    with progress() as tell:
        for entry in entries:
            tell(entry.name)
            picture(read(entry.name), view, options).save(
                folder / f"{entry.name}{suffix}", sources=(*plugins, *sources_of(entry.name))
            )
    typer.echo(f"{len(entries)} pictures written to {folder}")


def picture(graph: Graph, view: View, options: dict[str, Any]) -> Drawing:
    """The drawing of a graph; a page to explore starts as the overview does."""
    from archspec.api import draw as draw_graph

    return draw_graph(graph, "overview" if view is View.html else view.value, **options)
