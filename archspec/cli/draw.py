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
    Plugins,
    Settings,
    import_plugins,
    parse_settings,
    progress,
    refuse_idle,
    sources_of,
)
from archspec.ground.atomic import replacing
from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.backends.graphviz import Drawing
    from archspec.cli.tables import Table
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
            help="Where to write: a .svg, .png, .pdf, .dot or .html file, NAME.svg unless given; a table as .md "
            "or .tex; with --all, a folder.",
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
        int | None, typer.Option(min=1, help="How many levels of blocks are opened.", show_default=False)
    ] = None,
    focus: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Draw only this part: a step such as layer3.0, or a block such as Bottleneck.",
        ),
    ] = "",
    shade: Annotated[
        str,
        typer.Option(metavar="QUANTITY", help="Shade boxes by their share of params, macs or memory."),
    ] = "",
    theme: Annotated[str, typer.Option(help="The colours: light, dark, or grey for print.")] = "light",
    direction: Annotated[str, typer.Option(help="Where the network leads: down, up or right.")] = "down",
    every: Annotated[
        bool,
        typer.Option("--all", help="Draw every shipped spec into the folder given with -o, or `gallery`."),
    ] = False,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Draw a network: repeats folded, shapes where they change, parameters and multiply-adds."""
    import_plugins(plugins)
    if bool(spec) == every:
        raise typer.BadParameter("give a spec, or --all", param_hint="SPEC")
    if every:
        refuse_idle(context, "--all draws all of each spec as it is", "focus", "settings", "budget")
    if view is View.table:
        refuse_idle(context, "a table is of stages", "depth", "focus", "shade", "theme", "direction")
    if view is View.html or (output is not None and output.suffix == ".html"):
        refuse_idle(context, "a page is set by the reader", "shade", "theme", "direction")
    options = {"depth": depth, "focus": focus, "shade": shade, "theme": theme, "direction": direction}
    if every:
        draw_all(output or Path("gallery"), view, options, plugins or [])
        return
    from archspec.api import read
    from archspec.elaboration import locate

    graph = read(spec, budget=budget, settings=parse_settings(settings))
    sources = tuple(sources_of(spec, others=plugins or []))
    if view is View.table:
        text = stage_table(graph, latex=output is not None and output.suffix == ".tex")
        if output is None:
            typer.echo(text)
            return
        with replacing(output, sources=sources) as file:
            file.write(f"{text}\n".encode())
    else:
        path, model = locate(spec)
        suffix = ".html" if view is View.html else ".svg"
        output = output or Path(f"{'.'.join(filter(None, (path.stem, model)))}{suffix}")
        picture(graph, view, options).save(output, folders=[path.parent], sources=sources)
    typer.echo(f"written to {output}")


def draw_all(folder: Path, view: View, options: dict[str, Any], plugins: Sequence[Path]) -> None:
    """Draw every shipped spec into a folder, each under its own name."""
    from archspec.api import read, shipped

    if view is View.table:
        raise typer.BadParameter("tables are printed one at a time", param_hint="--view")
    suffix = ".html" if view is View.html else ".svg"
    entries = shipped()
    with progress() as tell:
        for entry in entries:
            tell(entry.name)
            picture(read(entry.name), view, options).save(
                folder / f"{entry.name}{suffix}", sources=(*plugins, *sources_of(entry.name))
            )
    typer.echo(f"{len(entries)} pictures written to {folder}")


def picture(graph: Graph, view: View, options: dict[str, Any]) -> Drawing:
    """The picture of a graph; a page to explore starts as the overview does."""
    from archspec.api import draw as draw_graph

    return draw_graph(graph, "overview" if view is View.html else view.value, **options)


def stage_table(graph: Graph, *, latex: bool = False) -> str:
    """The stage table of a network in Markdown, or in LaTeX for the package booktabs; `?` where a free size decides."""
    from archspec.analyses.cost import macs
    from archspec.analyses.formatting import short
    from archspec.analyses.stages import stages
    from archspec.analyses.summary import Summary
    from archspec.cli.tables import Table, as_markdown

    try:
        macs(graph)
        counted = True
    except Mistake:  # they depend on a free size
        counted = False
    rows = [
        [
            str(i),
            s.name,
            s.operator,
            s.resolution,
            s.channels,
            str(s.layers),
            short(s.params),
            short(s.macs) if counted else "?",
        ]
        for i, s in enumerate(stages(Summary(graph)), 1)
    ]
    headings = ["stage", "name", "operator", "resolution", "channels", "layers", "params", "MACs"]
    table = Table(headings, rows, frozenset(("stage", "channels", "layers", "params", "MACs")))
    return as_latex(table) if latex else as_markdown(table)


def as_latex(table: Table) -> str:
    """A `tabular` with the rules of booktabs; what LaTeX has a use for is escaped."""
    columns = "".join("r" if heading in table.right else "l" for heading in table.headings)
    lines = [" & ".join(map(_tex, row)) + r" \\" for row in (table.headings, *table.rows)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _tex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "×": r"$\times$",
    }
    return "".join(special.get(letter, rf"\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
