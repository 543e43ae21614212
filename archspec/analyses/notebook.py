"""Costs and differences as tables of HTML, which notebooks show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice

from archspec.analyses.changes import Change
from archspec.analyses.diff import Difference
from archspec.analyses.quantities import Quantity, shown_in
from archspec.analyses.summary import Summary
from archspec.ground.errors import Mistake, SpecError

_MOST = 50  # rows of one kind
_FREE = "depends on a free size"

Row = Sequence[str]


def cost_table(summary: Summary) -> str:
    """The costs of a network, and below them those of its parts."""
    title = f"{summary.graph.name}, batch {summary.batch}"
    figures = [
        (quantity.title, text) for quantity in shown_in("comparison") if (text := _text(quantity, summary))
    ]
    return _table(title, ("", ""), figures) + _parts(summary)


def _text(quantity: Quantity, summary: Summary) -> str:
    """A quantity as tables print it; empty where there is none."""
    try:
        value = quantity.of_network(summary)
    except Mistake:
        return _FREE
    except SpecError as error:  # the nodes are too many to be listed
        return error.problems[0].message
    return "" if value is None else quantity.text(value)


def _parts(summary: Summary) -> str:
    try:
        parts = summary.parts
    except (Mistake, SpecError):
        return ""
    summed = shown_in("tree")
    rows = [
        (
            part.label,
            f"{part.count} x {part.kind}" if part.count > 1 else part.kind,
            ", ".join(map(str, part.types)),
            *(quantity.text(getattr(part.cost, quantity.key)) for quantity in summed),
        )
        for part in parts
    ]
    return _table("", ("name", "kind", "output", *(quantity.heading for quantity in summed)), _cut(rows))


def difference_table(found: Difference) -> str:
    """What differs between two networks, each part of it a row."""
    left, right = found.left.name, found.right.name
    if found.same:
        return _table(f"{left} -> {right}: the same network", (), ())
    return _table("", ("", "", left, right), _differences(found))


def _differences(found: Difference) -> Iterator[Row]:
    for name, (old, new) in found.settings.items():
        yield "setting", name, old, new
    for what, ends in (("input", found.inputs), ("output", found.outputs)):
        yield from ((what, "", old, new) for old, new in ends)
    yield from _cut([("removed", piece.name, piece.kind, "") for piece in found.removed])
    yield from _cut([("added", piece.name, "", piece.kind) for piece in found.added])
    yield from _cut([row for change in found.changed for row in _changed(change)])
    yield from _cut([("renamed", "", old, new) for old, new in found.renamed])
    if found.reshaped:
        yield "on other shapes", f"{len(found.reshaped)} steps", "", ""
    for quantity in shown_in("diff"):
        sides = found.cost[quantity.key]
        old, new = map(quantity.text, sides) if sides else (_FREE, _FREE)
        yield "cost", quantity.heading, old, new
    weights = found.weights
    yield "weights", "trained values that carry over", f"{weights.filled:,}", f"of {weights.params:,}"


def _changed(change: Change) -> Iterator[Row]:
    more = len(change.names) - 2
    names = ", ".join(change.names[:2]) + (f" and {more} more" if more > 0 else "")
    for argument, (old, new) in change.arguments.items():
        yield "changed", f"{names}: {change.kind}", f"{argument}={old}", f"{argument}={new}"
    if change.rewired:
        yield "changed", f"{names}: {change.kind}", *(f"reads {side}" for side in change.rewired)


def _cut(rows: Sequence[Row]) -> Iterator[Row]:
    yield from islice(rows, _MOST)
    if len(rows) > _MOST:
        yield ("...", f"and {len(rows) - _MOST} more")


def _table(title: str, headings: Row, rows: Iterator[Row] | Sequence[Row]) -> str:
    """A table of which all texts are escaped."""
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    head = _row("th", headings) if any(headings) else ""
    return f"<table>{caption}{head}{''.join(_row('td', row) for row in rows)}</table>"


def _row(cell: str, texts: Row) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in texts)}</tr>"
