"""A graph in a few lines, which end the output of `build` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.graph import Graph


def echo_outline(graph: Graph) -> None:
    """Print name, inputs, outputs, parameters and multiply-adds."""
    from archspec.analyses.cost import macs

    try:
        multiply_adds = f"{macs(graph):,}"
    except Mistake as mistake:
        multiply_adds = mistake.message
    typer.echo(f"{graph.name}  {_first_sentence(graph.doc)}".rstrip())
    for i, given in enumerate(graph.inputs):
        typer.echo(f"  {'inputs' if i == 0 else '':<14} {given.name} {given.type}")
    for i, result in enumerate(graph.outputs):
        typer.echo(
            f"  {'outputs' if i == 0 else '':<14} {' '.join(filter(None, (result.name, str(result.type))))}"
        )
    typer.echo(f"  parameters     {graph.parameters:,}")
    typer.echo(f"  multiply-adds  {multiply_adds}")


def _first_sentence(doc: str) -> str:
    return doc.split("\n\n")[0].replace("\n", " ")
