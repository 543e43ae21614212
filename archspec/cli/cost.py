"""`archspec cost`."""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise
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
    refuse_idle,
    sources_of,
)
from archspec.cli.tables import Table, TableFormat, print_table
from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.analyses.hierarchy import Part
    from archspec.analyses.summary import Summary


class By(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What a row stands for."""

    tree = "tree"
    stage = "stage"
    block = "block"
    op = "op"
    node = "node"


class Sort(str, Enum):  # noqa: UP042
    """What rows can be sorted by, the most expensive first."""

    params = "params"
    macs = "macs"
    flops = "flops"
    activations = "activations"
    moved = "moved"


Batch = Annotated[int, typer.Option(min=1, help="How many samples a batch has.")]
CostDType = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="What real numbers are kept as: f32, bf16, f16 or f64; as in the spec unless given.",
        show_default=False,
    ),
]


@app.command()
def cost(
    context: typer.Context,
    specs: Annotated[
        list[str], typer.Argument(metavar="SPEC...", help="Paths or names of specs; several side by side.")
    ],
    by: Annotated[By, typer.Option(help="What a row stands for.")] = By.tree,
    depth: Annotated[int, typer.Option(min=1, help="How deep the tree is shown.")] = 2,
    sort: Annotated[Sort | None, typer.Option(help="Most expensive first.", show_default=False)] = None,
    format: Annotated[TableFormat, typer.Option("--format", help="How to print.")] = TableFormat.table,
    batch: Batch = 1,
    dtype: CostDType = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Estimate the time on h100, h200, a100 or cpu by its peak rates.", show_default=False
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="Other parameters, batch among them; ranges as in resolution=224:512:32 give a row for each.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw how cost grows over --at, as .svg, .png or .pdf.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the counters of torch and fvcore, op by op.")
    ] = False,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Count parameters, multiply-adds, FLOPs and memory of networks; nothing runs.

    MACs are the multiply-adds that papers print as "FLOPs"; FLOPs are twice these and all other arithmetic.
    """
    from archspec.analyses.summary import Summary
    from archspec.api import read
    from archspec.cli.sweep import parse_points, print_sweep

    import_plugins(plugins)
    kept = _float_dtype(dtype)
    _require_device(device)
    points = parse_points(at, batch)
    if plot is not None and len(points) < 2:
        raise typer.BadParameter("there is one point only; give --at a range", param_hint="--plot")
    given = parse_settings(settings)
    twice = [name for name in points[0] if name in given and name != "batch"]
    if twice:
        raise typer.BadParameter(f"`{twice[0]}` is given by --set, too", param_hint="--at")
    if at is not None and re.search(r"(^|,)\s*batch\s*=", at):
        refuse_idle(context, "--at gives the batch", "batch")
    if verify:
        idle = ("by", "depth", "sort", "batch", "dtype", "device", "plot")
        refuse_idle(context, "--verify compares the counts of one sample, op by op", *idle)
        if len(points) > 1:
            raise typer.BadParameter("--verify compares at one point only", param_hint="--at")
    elif len(points) > 1 or len(specs) > 1:
        refuse_idle(context, "each network is one row", "by", "depth", "sort")
    elif by is not By.tree:
        refuse_idle(context, "only the tree has depth", "depth")

    def summary(spec: str, point: dict[str, Any]) -> Summary:
        size = point.get("batch", batch)
        changed = {name: value for name, value in point.items() if name != "batch"}
        return Summary(read(spec, budget=budget, settings={**given, **changed}), size, kept)

    try:
        if verify:
            from archspec.cli.verification import print_verification

            print_verification([summary(spec, points[0]).graph for spec in specs], format)
        elif len(points) > 1:
            print_sweep(
                specs, points, summary, format, device, plot, sources_of(*specs, others=plugins or [])
            )
        elif len(specs) > 1:
            print_table(_side_by_side([summary(spec, points[0]) for spec in specs], device), format)
        else:
            _print_one(summary(specs[0], points[0]), by, depth, sort, format, device)
    except Mistake as mistake:
        raise mistake.at(None) from None


def _float_dtype(name: str | None) -> Any:
    from archspec.ground.tensor import TensorType
    from archspec.ground.tensor import dtype as find

    if name is None:
        return None
    try:
        found = find(name)
    except Mistake as mistake:
        raise typer.BadParameter(mistake.message, param_hint="--dtype") from None
    if not TensorType((), found).floating:
        raise typer.BadParameter(f"{name} holds no real numbers", param_hint="--dtype")
    return found


def _require_device(name: str | None) -> None:
    from archspec.analyses.roofline import find_device

    if name is not None:
        try:
            find_device(name)
        except Mistake as mistake:
            raise typer.BadParameter(f"{mistake.message}; {mistake.help}", param_hint="--device") from None


# ------------------------------------------------------------------ one network


def _print_one(
    summary: Summary, by: By, depth: int, sort: Sort | None, format: TableFormat, device: str | None
) -> None:
    table = _table(summary, by, depth, sort)
    if format is TableFormat.table:
        table.notes = [*table.notes, *_notes(summary, device)]
    json_value = {
        "model": summary.graph.name,
        "batch": summary.batch,
        "total": summary.figures(device),
        "rows": table.raw,
    }
    print_table(table, format, json_value)


def _table(summary: Summary, by: By, depth: int, sort: Sort | None) -> Table:
    from archspec.analyses.figures import percent, short, short_bytes
    from archspec.ground.tensor import show

    rows = _rows(summary, by, depth, sort)
    whole = summary.total
    counted = by in (By.block, By.op)
    shown: list[list[str]] = []
    raw: list[dict[str, Any]] = []
    seen = _fields_of(summary) if by is By.node else {}
    most = max((row.cost.macs for row in rows if row.level == 0), default=0)
    for row in rows:
        cost = row.cost
        shown.append(
            [
                "  " * row.level + row.label,
                f"x {row.count}" if row.count > 1 or counted else "",
                row.kind,
                ", ".join(show(t.shape) if t.dtype == "f32" else str(t) for t in row.types),
                short(cost.params) if cost.params else "",
                percent(cost.params, whole.params) if cost.params else "",
                short(cost.macs) if cost.macs else "",
                percent(cost.macs, whole.macs) if cost.macs else "",
                _bar(cost.macs, most) if row.level == 0 else "",
                short(cost.flops) if cost.flops else "",
                short_bytes(cost.activations) if cost.activations else "",
                seen.get(row.name, ""),
            ]
        )
        raw.append(
            {
                "name": row.name,
                "level": row.level,
                "kind": row.kind,
                "count": row.count,
                "output": [str(type_) for type_ in row.types],
                "params": cost.params,
                "buffers": cost.buffers,
                "macs": cost.macs,
                "flops": cost.flops,
                "activations": cost.activations,
                "moved": cost.moved,
                **(_seen(summary, row.name) if by is By.node else {}),
            }
        )
    headings = [
        "name",
        "",
        "what",
        "output",
        "params",
        "%",
        "MACs",
        "% ",
        "  ",
        "FLOPs",
        "activations",
        "sees",
    ]
    shown.append(
        ["total", "", "", "", short(whole.params), "", short(whole.macs), "", "", short(whole.flops),
         short_bytes(whole.activations), ""]
    )  # fmt: skip
    right = frozenset(("", "params", "%", "MACs", "% ", "FLOPs", "activations"))
    empty = {
        i
        for i, heading in enumerate(headings)
        if heading in ("", "what", "output", "sees") and not any(row[i] for row in shown)
    }
    return Table(
        [heading for i, heading in enumerate(headings) if i not in empty],
        [[cell for i, cell in enumerate(line) if i not in empty] for line in shown],
        right,
        raw,
        title=f"{summary.graph.name}, batch {summary.batch}",
        notes=["below `x N`, one of the N\n"] if _opens_repeated(rows) else [],
        last_is_total=True,
    )


def _fields_of(summary: Summary) -> dict[str, str]:
    """The receptive field of each node in a few characters; of the first input that it sees."""
    from archspec.analyses.receptive_field import described

    return {
        ref.producer: described(next(iter(fields.values())))
        for ref, fields in summary.receptive_fields.items()
        if fields and ref.output == 0
    }


def _seen(summary: Summary, node: str) -> dict[str, Any]:
    """The receptive field of a node's first output for each input of the model, axis by axis."""
    from archspec.graph import Ref

    return {
        "receptive_field": {
            given: [
                {
                    "smallest": axis.smallest if isinstance(axis.smallest, int) else str(axis.smallest),
                    "largest": axis.largest if isinstance(axis.largest, int) else str(axis.largest),
                    "whole": axis.whole,
                    "stride": float(axis.stride),
                    "padding": axis.padding,
                }
                for axis in axes
            ]
            for given, axes in summary.receptive_fields[Ref(node)].items()
        }
    }


class _Row:
    """A line of the table: what it stands for, how far it is indented, and what it costs."""

    def __init__(self, part: Part, level: int = 0, label: str = "") -> None:
        self.name, self.label, self.kind = part.name, label or part.label, part.kind
        self.count, self.cost, self.types, self.level = part.count, part.cost, part.types, level


def _rows(summary: Summary, by: By, depth: int, sort: Sort | None) -> list[_Row]:
    from archspec.analyses.hierarchy import Folding, hierarchy

    def ordered(parts: tuple[Part, ...]) -> list[Part]:
        return list(parts) if sort is None else sorted(parts, key=lambda p: -getattr(p.cost, sort.value))

    def tree(parts: tuple[Part, ...], level: int) -> list[_Row]:
        rows = []
        for part in ordered(parts):
            rows.append(_Row(part, level))
            if level + 1 < depth:
                rows += tree(part.parts, level + 1)
        return rows

    match by:
        case By.tree:
            return tree(summary.parts, 0)
        case By.stage:
            return [_Row(part) for part in ordered(summary.parts)]
        case By.node:
            unfolded = hierarchy(summary.graph, summary.nodes, folding=Folding(repeats=False))
            leaves = [part for part in _inside(unfolded) if part.node is not None]
            return [_Row(part, label=part.name) for part in ordered(tuple(leaves))]
        case By.op | By.block:
            unfolded = hierarchy(summary.graph, summary.nodes, folding=Folding(repeats=False))
            wanted = [p for p in _inside(unfolded) if p.kind and (p.node is not None) == (by is By.op)]
            return [_Row(part, label=part.name) for part in ordered(_gathered(wanted))]


def _opens_repeated(rows: list[_Row]) -> bool:
    """Whether the rows below one that stands for several show what one of these is made of."""
    return any(row.count > 1 and below.level > row.level for row, below in pairwise(rows))


def _inside(parts: tuple[Part, ...]) -> list[Part]:
    return [inner for part in parts for inner in (part, *_inside(part.parts))]


def _gathered(parts: list[Part]) -> tuple[Part, ...]:
    """One part for all of a kind, in the order of their first appearance; the kind is its name."""
    from dataclasses import replace

    from archspec.analyses.cost import total

    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(part.kind, []).append(part)
    return tuple(
        replace(
            alike[0], name=kind, kind="", types=(), count=len(alike), cost=total(part.cost for part in alike)
        )
        for kind, alike in kinds.items()
    )


def _bar(part: int, most: int, width: int = 12) -> str:
    eighths = round(8 * width * part / most) if most else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def _notes(summary: Summary, device: str | None) -> list[str]:
    from archspec.analyses.figures import short, short_bytes, short_seconds
    from archspec.analyses.receptive_field import summary as seen
    from archspec.analyses.roofline import find_device

    total, graph = summary.total, summary.graph
    kept = " + ".join(f"{short_bytes(size)} {name}" for name, size in summary.weight_bytes.items())
    lines = [
        f"parameters       {total.params:,} trained, {total.buffers:,} in buffers: {kept}",
        f"multiply-adds    {total.macs:,}; {total.flops:,} FLOPs",
        f"activations      at most {short_bytes(summary.peak.bytes)} at once"
        + (f", in {summary.peak.node}" if summary.peak.node else "")
        + f"; {short_bytes(summary.saved)} kept for a backward pass",
        f"memory traffic   {short_bytes(total.moved)}, {total.intensity:.1f} FLOPs a byte",
        f"depth            {summary.depth} weighted layers; {short(summary.paths)} paths from input to output",
    ]
    for given in graph.inputs:
        lines.append(f"receptive field  {seen(summary.receptive_fields, graph, given.name)}")
    if device is not None:
        found = find_device(device)
        seconds = summary.seconds(found)
        lines.append(
            f"estimate         {short_seconds(seconds)} on {found.name} at its peak rates; it takes longer in fact"
        )
    return lines


# ------------------------------------------------------------------ several networks


def _side_by_side(summaries: list[Summary], device: str | None) -> Table:
    from archspec.analyses.figures import short, short_bytes, short_seconds

    headings = ["model", "input", "params", "MACs", "FLOPs", "weights", "peak memory", "kept for backward", "depth", "paths"]  # fmt: skip
    rows: list[list[str]] = []
    raw: list[dict[str, Any]] = []
    for summary in summaries:
        figures = summary.figures(device)
        rows.append(
            [
                summary.graph.name,
                ", ".join(str(given.type) for given in summary.graph.inputs),
                short(figures["params"]),
                short(figures["macs"]),
                short(figures["flops"]),
                short_bytes(figures["weight_bytes"]),
                short_bytes(figures["peak_memory"]),
                short_bytes(figures["saved_memory"]),
                str(figures["depth"]),
                short(figures["paths"]),
                *([short_seconds(figures["estimated_seconds"])] if device else []),
            ]
        )
        raw.append({"model": summary.graph.name, "batch": summary.batch, "total": figures})
    if device:
        headings.append("estimate")
    return Table(headings, rows, frozenset(headings[2:]), raw)
