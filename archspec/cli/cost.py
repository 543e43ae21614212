"""`archspec cost`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archspec.analyses.quantities import SUMMED
from archspec.cli.app import app
from archspec.cli.breakdown import breakdown
from archspec.cli.cost_rows import By
from archspec.cli.options import (
    BUDGET,
    Budget,
    Free,
    Plugins,
    Settings,
    free_of,
    import_plugins,
    parse_settings,
    refuse_idle,
    sources_of,
)
from archspec.cli.outline import cost_lines
from archspec.cli.points import Point, parse_points
from archspec.cli.tables import TableFormat, print_table
from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.analyses.roofline import Device
    from archspec.analyses.summary import Summary
    from archspec.graph import Graph


_SORTED_BY = [quantity.key for quantity in SUMMED]
Batch = Annotated[int, typer.Option(min=1, help="Samples in a batch.")]
CostDType = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="Precision of floating-point tensors: f32, bf16, f16 or f64; as in the spec by default.",
        show_default=False,
    ),
]


@app.command()
def cost(
    context: typer.Context,
    specs: Annotated[
        list[str], typer.Argument(metavar="SPEC", help="Paths or names of specs; several side by side.")
    ],
    by: Annotated[By, typer.Option(help="What each row stands for.")] = By.tree,
    depth: Annotated[int, typer.Option(min=1, help="Levels of the tree to show.")] = 2,
    sort: Annotated[
        str | None,
        typer.Option(metavar=f"[{'|'.join(_SORTED_BY)}]", help="Most expensive first.", show_default=False),
    ] = None,
    format: Annotated[TableFormat, typer.Option("--format", help="How to print.")] = TableFormat.table,
    batch: Batch = 1,
    dtype: CostDType = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Estimate the time on h100, h200, a100 or cpu from its peak rates.", show_default=False
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE,...",
            help="Set parameters or the batch; a range such as resolution=224:512:32 gives a row for each value.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also plot cost over --at, as .svg, .png or .pdf.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with torch's and fvcore's counts, op by op.")
    ] = False,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    free: Free = None,
) -> None:
    """Count the parameters, multiply-adds, FLOPs and memory of networks without running them.

    MACs are the multiply-adds that papers print as "FLOPs"; FLOPs are twice the MACs plus all other arithmetic.
    """
    from archspec.analyses.summary import Summary
    from archspec.api import read
    from archspec.cli.comparison import print_comparison
    from archspec.cli.sweep import print_sweep

    import_plugins(plugins)
    kept = _float_dtype(dtype)
    found = _device(device)
    if sort is not None and sort not in _SORTED_BY:
        raise typer.BadParameter(f"`{sort}` is not one of {', '.join(_SORTED_BY)}", param_hint="--sort")
    points = parse_points(at, batch)
    if plot is not None and len(points) < 2:
        raise typer.BadParameter("there is only one point; give --at a range", param_hint="--plot")
    given = parse_settings(settings)
    twice = [name for name in points[0] if name in given and name != "batch"]
    if twice:
        raise typer.BadParameter(f"`{twice[0]}` is also given by --set", param_hint="--at")
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

    def summary(spec: str, point: Point) -> Summary:
        size = point.get("batch", batch)
        changed = {name: value for name, value in point.items() if name != "batch"}
        return Summary(
            read(spec, free=free_of(free), budget=budget, settings={**given, **changed}), size, kept, found
        )

    try:
        if verify:
            from archspec.cli.verification import print_verification

            print_verification([summary(spec, points[0]).graph for spec in specs], format)
        elif len(points) > 1:
            print_sweep(specs, points, summary, format, plot, sources_of(*specs, others=plugins or []))
        elif len(specs) > 1:
            print_comparison([summary(spec, points[0]) for spec in specs], format)
        else:
            counted = summary(specs[0], points[0])
            if not counted.graph.is_sized:
                refuse_idle(
                    context,
                    "of free sizes, the costs of the whole network are formulas",
                    "by",
                    "depth",
                    "sort",
                    "device",
                )
            _print_one(counted, by, depth, sort, format)
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
        raise typer.BadParameter(f"{name} is not a floating-point dtype", param_hint="--dtype")
    return found


def _device(name: str | None) -> Device | None:
    from archspec.analyses.roofline import find_device

    try:
        return None if name is None else find_device(name)
    except Mistake as mistake:
        raise typer.BadParameter(f"{mistake.message}; {mistake.help}", param_hint="--device") from None


def _print_formulas(summary: Summary, format: TableFormat) -> None:
    """The counts of a network with free sizes, as formulas of these."""
    from archspec.analyses.formulas import formula, free_names
    from archspec.analyses.summary import Summary as Counted

    graph = summary.graph

    def counted(quantity: str) -> str:
        def count(sized: Graph) -> int:
            total = Counted(sized, summary.batch, summary.dtype).total
            return int(getattr(total, quantity))

        return formula(graph, count)

    found = {"params": f"{graph.parameters:,}", "macs": counted("macs"), "flops": counted("flops")}
    if format not in (TableFormat.table, TableFormat.json):
        raise typer.BadParameter(
            "formulas of free sizes are printed as a table or as json", param_hint="--format"
        )
    if format is TableFormat.json:
        typer.echo(json.dumps({"model": graph.name, "batch": summary.batch, **found}, indent=2))
        return
    for words, value in zip(("parameters", "multiply-adds", "FLOPs"), found.values(), strict=True):
        typer.echo(f"{words:<14} {value}")
    names = dict.fromkeys(assumed.name for assumed in free_names(graph).values())
    typer.echo(f"\nall else is counted at a size: {' '.join(f'--set {name}=224' for name in names)}")


def _print_one(summary: Summary, by: By, depth: int, sort: str | None, format: TableFormat) -> None:
    if not summary.graph.is_sized:
        _print_formulas(summary, format)
        return
    table = breakdown(summary, by, depth, sort)
    if format is TableFormat.table:
        table.notes = [*table.notes, *cost_lines(summary)]
    json_value = {
        "model": summary.graph.name,
        "batch": summary.batch,
        "total": summary.figures(),
        "rows": table.raw,
    }
    print_table(table, format, json_value)
