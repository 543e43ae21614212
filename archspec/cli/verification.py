"""`archspec cost --verify`: our counts beside those of torch and fvcore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from archspec.cli.tables import Table, TableFormat, print_table

if TYPE_CHECKING:
    from archspec.graph import Graph


def print_verification(graphs: list[Graph], format: TableFormat) -> None:
    """Print for each network what the counters say, op by op. Exit status 1 when torch's differs from ours."""
    from archspec.analyses.formatting import short
    from archspec.backends.torch_counts import compare

    agreed, values = True, []
    for graph in graphs:
        found = compare(graph)
        macs = sum(opinion.macs for opinion in found.opinions)
        same_macs, same_params = macs == found.torch_macs, graph.parameters == found.torch_params
        agreed = agreed and same_macs and same_params
        rows, raw = [], []
        for opinion in sorted(found.opinions, key=lambda o: (-o.macs, -o.flops, o.op)):
            rows.append(
                [
                    opinion.op,
                    f"x {opinion.nodes}",
                    *(
                        short(n) if n else ""
                        for n in (opinion.flops, opinion.macs, opinion.torch_macs, opinion.fvcore)
                    ),
                    _said(opinion),
                ]
            )
            raw.append({**vars(opinion), "left_out": sorted(opinion.left_out), "says": _said(opinion)})
        value: dict[str, Any] = {
            "model": graph.name,
            "macs": macs,
            "torch_macs": found.torch_macs,
            "params": graph.parameters,
            "torch_params": found.torch_params,
            "fvcore": sum(opinion.fvcore for opinion in found.opinions),
            "ops": raw,
        }
        values.append(value)
        notes = [
            f"multiply-adds  {macs:,} here, {found.torch_macs:,} in torch's counter: {_same(same_macs)}",
            f"parameters     {graph.parameters:,} here, {found.torch_params:,} in the state_dict: {_same(same_params)}",
            f"fvcore         {value['fvcore']:,} in all, and {_left_out(found.opinions)}",
        ]
        headings = ["op", "", "FLOPs", "MACs", "torch", "fvcore", "why they differ"]
        title = f"{graph.name}: our FLOPs and MACs, torch's FLOPs / 2, fvcore's count"
        table = Table(headings, rows, frozenset(headings[1:6]), raw, notes, title)
        if format is not TableFormat.json:
            print_table(table, format)
    if format is TableFormat.json:
        typer.echo(json.dumps(values if len(values) > 1 else values[0], indent=2))
    if not agreed:
        raise typer.Exit(1)


def _same(same: bool) -> str:
    return "equal" if same else "DIFFERENT"


def _said(opinion: Any) -> str:
    """Why fvcore's count is not our multiply-adds, in a few words."""
    said = []
    if opinion.macs != opinion.torch_macs:
        said.append("torch counts different multiply-adds")
    if opinion.fvcore > opinion.macs:
        said.append(
            "fvcore counts arithmetic that is no multiply-add" if opinion.macs == 0 else "fvcore counts more"
        )
    elif opinion.fvcore < opinion.macs:
        said.append("fvcore leaves it out" if not opinion.fvcore else "fvcore counts part of it")
    elif opinion.flops and not opinion.macs:
        said.append("only counted here")
    return "; ".join(said)


def _left_out(opinions: list[Any]) -> str:
    names = sorted({name.removeprefix("aten::") for opinion in opinions for name in opinion.left_out})
    return f"it does not count {', '.join(names)}" if names else "it counts every operator"
