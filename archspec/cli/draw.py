"""`archspec draw`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, Settings, Spec, import_plugins, parse_settings
from archspec.errors import Mistake
from archspec.writing import replacing

if TYPE_CHECKING:
    from archspec.cli.tables import Table
    from archspec.graph import Graph


class View(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What is drawn."""

    overview = "overview"
    block = "block"
    full = "full"
    table = "table"


@app.command()
def draw(
    spec: Spec,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where to write: a .svg, .png, .pdf or .dot file, NAME.svg unless given; a table as .md or .tex.",
            show_default=False,
        ),
    ] = None,
    view: Annotated[
        View,
        typer.Option(help="What is drawn: the stages, one block, every node, or a paper's table of stages."),
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
    if view is View.table:
        try:
            text = stage_table(graph, latex=output is not None and output.suffix == ".tex")
        except Mistake as mistake:
            raise mistake.at(None) from None
        if output is None:
            typer.echo(text)
            return
        with replacing(output) as file:
            file.write(f"{text}\n".encode())
        typer.echo(f"written to {output}")
        return
    path, model = locate(spec)
    output = output or Path(f"{'.'.join(filter(None, (path.stem, model)))}.svg")
    try:
        drawing = draw_graph(graph, view.value, depth=depth, focus=focus)
    except Mistake as mistake:
        raise mistake.at(None) from None
    drawing.save(output)
    typer.echo(f"written to {output}")


def stage_table(graph: Graph, *, latex: bool = False) -> str:
    """The stage table of a network in Markdown, or in LaTeX for the package booktabs."""
    from archspec.analyses.figures import short
    from archspec.analyses.stages import stages
    from archspec.analyses.summary import Summary
    from archspec.cli.tables import Table, as_markdown

    rows = [
        [str(i), s.name, s.operator, s.resolution, s.channels, str(s.layers), short(s.params), short(s.macs)]
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
