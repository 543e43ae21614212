"""A graph in a few lines: below the output of `build` and `show`, and below the table of `cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.analyses.summary import Summary
    from archspec.graph import Graph


def echo_outline(graph: Graph) -> None:
    """Print name, inputs, outputs, parameters and multiply-adds."""
    counted = multiply_adds(graph)
    typer.echo(f"{graph.name}  {_first_sentence(graph.doc)}".rstrip())
    for i, given in enumerate(graph.inputs):
        typer.echo(f"  {'inputs' if i == 0 else '':<14} {given.name} {given.type}")
    for i, (name, type_) in enumerate(zip(graph.returns, graph.result_types, strict=True)):
        typer.echo(f"  {'outputs' if i == 0 else '':<14} {f'{name} {type_}'.strip()}")
    typer.echo(f"  parameters     {graph.parameters:,}")
    typer.echo(f"  multiply-adds  {counted if isinstance(counted, str) else f'{counted:,}'}")


def multiply_adds(graph: Graph) -> int | str:
    """The multiply-adds of a graph; of free sizes a formula, and where they cannot be counted the reason."""
    from archspec.analyses.formulas import formula
    from archspec.analyses.multiply_adds import macs

    try:
        return macs(graph) if graph.is_sized else formula(graph, macs)
    except Mistake as mistake:
        return mistake.message


def cost_lines(summary: Summary) -> list[str]:
    """The costs of a whole network in a few lines."""
    from archspec.analyses import quantities
    from archspec.analyses.formatting import plural, short, short_bytes, short_seconds
    from archspec.analyses.receptive_field import seen_by_outputs

    total, graph = summary.total, summary.graph
    kept = " + ".join(f"{short_bytes(size)} {name}" for name, size in summary.weight_bytes.items())
    counted = quantities.paths.of_network(summary)
    paths = "too many paths to count" if counted is None else f"{short(counted)} {plural(counted, 'path')}"
    lines = [
        f"parameters       {total.params:,} trained, {total.buffers:,} in buffers: {kept}",
        f"multiply-adds    {total.macs:,}; {total.flops:,} FLOPs",
        f"activations      at most {short_bytes(summary.peak.bytes)} at once"
        + (f", in {summary.peak.node}" if summary.peak.node else "")
        + f"; {short_bytes(summary.saved)} kept for a backward pass",
        f"memory traffic   {short_bytes(total.moved)}, {total.intensity:.1f} FLOPs a byte",
        f"depth            {summary.depth} weighted {plural(summary.depth, 'layer')}; "
        f"{paths} from input to output",
    ]
    for given in graph.inputs:
        lines.append(f"receptive field  {seen_by_outputs(summary.receptive_fields, graph, given.name)}")
    if summary.device is not None:
        seconds = short_seconds(summary.seconds(summary.device))
        lines.append(f"estimate         at least {seconds} on {summary.device.name} at peak rates")
    return lines


def _first_sentence(doc: str) -> str:
    return doc.split("\n\n")[0].replace("\n", " ")
