"""`archspec cost --at` with ranges: how cost grows with the parameters of a model and with the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from archspec.cli.comparison import flat, totals
from archspec.cli.points import Point
from archspec.cli.tables import TableFormat, print_table

if TYPE_CHECKING:
    from archspec.analyses.summary import Summary


def print_sweep(
    specs: list[str],
    points: list[Point],
    summary: Callable[[str, Point], Summary],
    format: TableFormat,
    plot: Path | None,
    sources: Iterable[Path] = (),
) -> None:
    """Print the totals of each model at each point, and plot them if asked to, never over one of the `sources`."""
    varied = [name for name in points[0] if len({repr(point[name]) for point in points}) > 1]
    rows: list[tuple[list[str], dict[str, Any]]] = []
    raw: list[dict[str, Any]] = []
    for spec in specs:
        for point in points:
            counted = summary(spec, point)
            name, figures = counted.graph.name, counted.figures()
            rows.append(([name, *(str(point[parameter]) for parameter in varied)], figures))
            at = {parameter: _plain(value) for parameter, value in point.items()}
            raw.append({"model": name, "at": at, "total": figures})
    table = totals(["model", *varied], rows, "sweep")
    table.raw = [{"model": row["model"], **row["at"], **flat(row["total"])} for row in raw]
    print_table(table, format, raw)
    if plot is not None:
        if not varied:
            raise typer.BadParameter("--at varies nothing", param_hint="--plot")
        from archspec.backends.plot import plot_growth

        plot_growth(table.raw, varied, plot, sources=sources)
        typer.echo(f"written to {plot}", err=True)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else str(value)
