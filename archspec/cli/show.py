"""`archspec show`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.analyses.fitting import accepted
from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Format,
    Free,
    Plugins,
    Settings,
    Spec,
    free_of,
    import_plugins,
    parse_settings,
)
from archspec.cli.outline import echo_outline
from archspec.ground.bounds import Assumption

if TYPE_CHECKING:
    from archspec.elaboration.shelf import BlockEntry
    from archspec.graph import Graph, Input, Node
    from archspec.op.initialisation import Spread


@app.command()
def show(
    spec: Spec,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    free: Free = None,
    init: Annotated[
        bool, typer.Option("--init", help="Print how each weight starts, and where that is said.")
    ] = False,
) -> None:
    """Print a model's graph: its inputs, and each step with its arguments, shape and parameters.

    Of a block, such as blocks.attention:SqueezeExcite, print what it takes.
    """
    from archspec.api import read
    from archspec.elaboration import block_named

    if (block := block_named(str(spec))) is not None:
        if init:
            raise typer.BadParameter("a block has no weights until it is applied", param_hint="--init")
        _show_block(block, format)
        return
    import_plugins(plugins)
    graph = read(spec, free=free_of(free), budget=budget, settings=parse_settings(settings))
    if init:
        _show_starts(graph, format)
        return
    if format is Format.json:
        typer.echo(graph.to_json(indent=2))
        return
    for given in graph.inputs:
        typer.echo(f"{given.name}: {given.type}{_taken(graph, given)}")
    for assumption in graph.accepts:
        if assumption != replace(assumption, multiple=1, least=1, most=None):
            typer.echo(f"  where {assumption}")
    typer.echo()
    for line in _lines(graph):
        typer.echo(line)
    typer.echo()
    echo_outline(graph)


def _show_starts(graph: Graph, format: Format) -> None:
    """How each weight starts; in text, those alike but for numbers in their names are one row."""
    from archspec.analyses.starts import starts
    from archspec.cli.tables import Table, TableFormat, print_table

    found = starts(graph)
    if format is Format.json:
        typer.echo(json.dumps([asdict(start) for start in found], indent=2))
        return
    headings = ("weight", "count", "shape", "initialisation", "values", "said")
    rows = [
        (
            start.name,
            str(len(start.names)),
            "x".join(map(str, start.shape)) or "1",
            _rounded(start.init),
            _values(start.spread, start.bounds),
            f"by {start.op}" if start.location is None else f"{start.said}, {start.location}",
        )
        for start in found
    ]
    print_table(Table(headings, rows, right=frozenset({"count"})), TableFormat.table)


def _rounded(init: str) -> str:
    """An initialisation as specs write it, its numbers to four digits."""
    text = re.sub(r"-?\d+\.\d{5,}(e-?\d+)?", lambda found: f"{float(found[0]):.4g}", init)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _values(spread: Spread, bounds: tuple[float, float] | None) -> str:
    """The values that weights start with: one number, or mean, standard deviation and bounds."""
    if not spread.std:
        return f"{spread.mean:.4g}"
    mean = f"mean {spread.mean:.4g}, " if abs(spread.mean) > 1e-12 else ""
    return f"{mean}std {spread.std:.4g}" + (f", {bounds[0]:.4g} to {bounds[1]:.4g}" if bounds else "")


def _show_block(block: BlockEntry, format: Format) -> None:
    """How a block is imported, what it takes and what it is for."""
    if format is Format.json:
        typer.echo(json.dumps(asdict(block), indent=2, ensure_ascii=False))
        return
    lines = [block.imported, "", block.signature, *(f"    {line}" for line in block.inputs)]
    if block.doc:
        lines += ["", *wrap(block.doc, 100)]
    if block.example:
        lines += ["", f"Example: {block.example}"]
    typer.echo("\n".join(lines))


def _taken(graph: Graph, given: Input) -> str:
    """Which sizes of an input are fixed, if others run, and what the ops need of those."""
    if given.uses is None:
        return ""
    fixed = sorted(use.axis for use in given.uses)
    known = [axis for axis, size in enumerate(given.type.shape) if isinstance(size, int)]
    if fixed == known:
        return ", at this size only" if known and len(known) == given.type.rank else ""
    needed = accepted(graph)
    if needed is None:
        return ", or other sizes that fit all steps" + (f", but for {_axes(fixed)}" if fixed else "")
    but = f" but for {_axes(fixed)}" if fixed else ""
    kinds: dict[str, list[int]] = {}
    for (index, axis), assumed in needed.items():
        if graph.inputs[index] is given and assumed != Assumption(assumed.name):
            kinds.setdefault(f"{assumed.needed}{'' if assumed.exact else ' (others may do)'}", []).append(
                axis
            )
    rest = "; ".join(f"{_axes(axes)} {what}" for what, axes in kinds.items())
    return f", or any other size{but}" + (f": {rest}" if rest else "")


def _axes(axes: list[int]) -> str:
    return f"ax{'is' if len(axes) == 1 else 'es'} {' and '.join(map(str, axes))}"


def _lines(graph: Graph) -> Iterator[str]:
    """The graph as text: a line for each node, indented under the blocks that made it."""
    from archspec.op import trained_values

    rows: list[tuple[str, str, str, str]] = []
    open_scopes: list[int] = [0]
    for node in graph.nodes:
        path = _scopes(graph, node)
        common = sum(1 for a, b in zip(open_scopes, path, strict=False) if a == b)
        for depth, scope in enumerate(path[common:], common):
            record, parent = graph.scopes[scope], graph.scopes[path[depth - 1]]
            name = record.name.removeprefix(f"{parent.name}." if parent.name else "")
            rows.append((f"{'  ' * (depth - 1)}{name}", record.block, "", ""))
        open_scopes = path
        here = graph.scopes[path[-1]].name
        count = 0 if node.shares else trained_values(graph.weights_of(node).values())
        label = node.name.removeprefix(f"{here}." if here else "")
        shapes = ", ".join(str(type_) for type_ in node.types)
        note = f"weights of {node.shares}" if node.shares else f"{count:,}" if count else ""
        rows.append((f"{'  ' * (len(path) - 1)}{label}", str(node.op), shapes, note))
    widths = [min(60, max((len(row[i]) for row in rows), default=0)) for i in range(3)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()


def _scopes(graph: Graph, node: Node) -> list[int]:
    """The scopes that a node stands in, outermost first."""
    path: list[int] = []
    scope: int | None = node.scope
    while scope is not None:
        path.append(scope)
        scope = graph.scopes[scope].parent
    return path[::-1]
