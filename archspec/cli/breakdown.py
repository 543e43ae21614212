"""One network, broken down: the costs of its tree of blocks, or of its stages, blocks, ops or nodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from archspec.cli.cost_rows import By, Row, rows_of
from archspec.cli.tables import Table

if TYPE_CHECKING:
    from archspec.analyses.cost import Cost
    from archspec.analyses.summary import Summary


def breakdown(summary: Summary, by: By, depth: int, sort: str | None) -> Table:
    """The rows of a network with their costs, and the total."""
    rows = rows_of(summary, by, depth, sort)
    columns = [
        (heading, cells)
        for heading, cells in (*_names(rows, by), *_costs(rows, summary.total), *_fields(rows, summary, by))
        if heading not in _ONLY_IF_USED or any(cells)
    ]
    headings = [heading for heading, _ in columns]
    return Table(
        headings,
        list(zip(*(cells for _, cells in columns), strict=True)),
        right=frozenset(headings) - {"name", "kind", "output", "sees", _BAR},
        raw=[_raw(row, summary, by) for row in rows],
        title=f"{summary.graph.name}, batch {summary.batch}",
        notes=["rows under `x N` are for one of the N\n"] if _opens_repeated(rows) else [],
        last_is_total=True,
    )


def _opens_repeated(rows: list[Row]) -> bool:
    """Whether a row for several parts is followed by the contents of one of them."""
    return any(row.count > 1 and below.level > row.level for row, below in pairwise(rows))


# ------------------------------------------------------------------ columns

Column = tuple[str, list[str]]
"""A heading and its cells, the total last."""

_BAR = " "
_ONLY_IF_USED = ("", "kind", "output", "sees")


def _names(rows: list[Row], by: By) -> Iterator[Column]:
    from archspec.ground.tensor import show

    gathered = by in (By.block, By.op)
    yield "name", [*("  " * row.level + row.label for row in rows), "total"]
    yield "", [*(f"x {row.count}" if row.count > 1 or gathered else "" for row in rows), ""]
    yield "kind", [*(row.kind for row in rows), ""]
    outputs = [
        [show(type_.shape) if type_.dtype == "f32" else str(type_) for type_ in row.types] for row in rows
    ]
    yield "output", [*map(", ".join, outputs), ""]


def _costs(rows: list[Row], whole: Cost) -> Iterator[Column]:
    """A column for each quantity of the tree, with its share beside it; zeros are blank."""
    from archspec.analyses.formatting import percent
    from archspec.analyses.quantities import SUMMED

    for quantity in SUMMED:
        if "tree" not in quantity.places:
            continue
        everything: int = getattr(whole, quantity.key)
        counts: list[int] = [getattr(row.cost, quantity.key) for row in rows]
        yield (
            quantity.heading,
            [*(quantity.text(count) if count else "" for count in counts), quantity.text(everything)],
        )
        if quantity.share:
            yield "%", [*(percent(count, everything) if count else "" for count in counts), ""]
        if quantity.share == "bar":
            outer = [count if row.level == 0 else 0 for row, count in zip(rows, counts, strict=True)]
            yield _BAR, [*(_bar(count, max(outer)) for count in outer), ""]


def _bar(part: int, most: int, width: int = 12) -> str:
    eighths = round(8 * width * part / most) if most else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def _fields(rows: list[Row], summary: Summary, by: By) -> Iterator[Column]:
    """The receptive field of each node, in short, on the first input that it sees."""
    from archspec.analyses.receptive_field import described

    if by is By.node:
        sees = {
            ref.producer: described(next(iter(fields.values())))
            for ref, fields in summary.receptive_fields.items()
            if fields and ref.output == 0
        }
        yield "sees", [*(sees.get(row.name, "") for row in rows), ""]


# ------------------------------------------------------------------ for programs


def _raw(row: Row, summary: Summary, by: By) -> dict[str, Any]:
    raw = {
        "name": row.name,
        "level": row.level,
        "kind": row.kind,
        "count": row.count,
        "output": [str(type_) for type_ in row.types],
        **row.cost.as_dict(),
    }
    return raw if by is not By.node else {**raw, "receptive_field": _field(summary, row.name)}


def _field(summary: Summary, node: str) -> dict[str, Any]:
    """The receptive field of a node's first output on each input of the model, axis by axis."""
    from archspec.graph import Ref

    return {
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
