"""Several networks side by side: a row each, with their totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from archspec.cli.tables import Table, TableFormat, print_table

if TYPE_CHECKING:
    from archspec.analyses.quantities import Place
    from archspec.analyses.summary import Summary


def print_comparison(summaries: Iterable[Summary], format: TableFormat) -> None:
    """Print networks side by side."""
    rows: list[tuple[list[str], dict[str, Any]]] = []
    raw: list[dict[str, Any]] = []
    for summary in summaries:
        name, inputs, figures = summary.graph.name, summary.graph.inputs, summary.figures()
        rows.append(([name, ", ".join(str(given.type) for given in inputs)], figures))
        raw.append({"model": name, "batch": summary.batch, "total": figures})
    table = totals(["model", "input"], rows, "comparison")
    table.raw = [{"model": row["model"], "batch": row["batch"], **flat(row["total"])} for row in raw]
    print_table(table, format, raw)


def totals(first: Sequence[str], rows: Sequence[tuple[list[str], dict[str, Any]]], place: Place) -> Table:
    """A row for each network: the cells of the `first` columns, then the quantities that this place shows."""
    from archspec.analyses.quantities import shown_in

    columns = [
        quantity for quantity in shown_in(place) if all(quantity.key in figures for _, figures in rows)
    ]
    cells = [
        [*head, *(quantity.text(figures[quantity.key]) for quantity in columns)] for head, figures in rows
    ]
    headings = [*first, *(quantity.heading for quantity in columns)]
    return Table(headings, cells, right=frozenset(headings) - {"model", "input"})


def flat(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures that fit in a cell."""
    return {key: value for key, value in figures.items() if not isinstance(value, dict)}
