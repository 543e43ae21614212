"""A plan as people read it: lines that fare alike in one section, those of steps that are called alike in one row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from archspec.backends.weights.plan import FATES, Line, WeightPlan, counted
from archspec.ground.tensor import show

_MOST_ROWS = 40  # of a section
_LONGEST = 40  # letters of the details of a row

_TITLES = {
    "as it is": "loads as it is",
    "adapted": "adapted",
    "new": "stays new",
    "unused": "unused",
    "refused": "does not fit",
}

Row = tuple[str, ...]


def as_text(plan: WeightPlan) -> str:
    """The plan as aligned text."""
    parts = [f"{plan.network} from {plan.file}", *(f"  {note}" for note in plan.notes)]
    for title, rows in _sections(plan):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        parts += ["", title]
        parts += (
            "  "
            + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width).rstrip()
            for row in rows
        )
    parts += ["", _verdict(plan)]
    return "\n".join(parts)


def as_html(plan: WeightPlan) -> str:
    """The plan as a table of HTML, of which all texts are escaped."""
    rows = "".join(
        f"<tr><th colspan='4' style='text-align:left'>{escape(title)}</th></tr>"
        + "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        for title, rows in _sections(plan)
    )
    said = "<br>".join(escape(text) for text in (f"{plan.network} from {plan.file}", *plan.notes))
    return f"<table><caption>{said}</caption>{rows}</table><p>{escape(_verdict(plan))}</p>"


def _verdict(plan: WeightPlan) -> str:
    if plan.fits:
        return "fits"
    offers = dict.fromkeys(name for line in plan.wrong for name in line.offers)
    text = f"a strict load refuses it: {plan.told()}"
    if offers:
        text += f"; could be adapted with {' '.join(f'--adapt {name}' for name in offers)}"
    return text


def _sections(plan: WeightPlan) -> Iterator[tuple[str, list[Row]]]:
    """Titles, and the rows under them."""
    groups: dict[tuple[object, ...], list[Line]] = {}
    for line in sorted(plan.lines, key=lambda line: FATES.index(line.fate)):
        groups.setdefault(_section(line), []).append(line)
    for (fate, how, *_), lines in groups.items():
        title = _TITLES[str(fate)] + (f": {how}" if how else "")
        rows = [_row(alike) for alike in _alike(lines)]
        if len(rows) > _MOST_ROWS:
            cut = len(rows) - _MOST_ROWS + 1
            rows = [*rows[: _MOST_ROWS - 1], (f"... and {cut} more", *[""] * (len(rows[0]) - 1))]
        yield f"{title}  ({counted(lines)})", rows


def _section(line: Line) -> tuple[object, ...]:
    """What lines of one section have in common."""
    how = ", ".join(dict.fromkeys(change.group for change in line.changes))
    if line.fate in ("new", "unused") and line.asked:
        how = line.why
    if line.offers and line.fate == "refused":
        how = f"could be adapted with {' '.join(f'--adapt {name}' for name in line.offers)}"
    return line.fate, how


def _alike(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines of steps of one op whose names differ in numbers only, in the order of the first."""
    rows: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        rows.setdefault((_NUMBER.sub("#", line.step or _name(line)), line.kind), []).append(line)
    yield from rows.values()


_NUMBER = re.compile(r"\d+")


def _name(line: Line) -> str:
    return line.key if line.key is not None else line.sources[0]


def _row(lines: Sequence[Line]) -> Row:
    """The names of steps, how many there are of which op, the keys of their weights, and what else is to be said."""
    steps = dict.fromkeys(line.step for line in lines)
    keys = list(dict.fromkeys(_below(line) for line in lines))
    kind = lines[0].kind
    count = f"{len(steps)} x {kind}" if kind and len(steps) > 1 else kind
    shown = ", ".join(_folded(keys) if len(keys) > 6 else keys)
    if list(steps) == keys or keys == [""]:
        shown = ""
    return _ranged(steps), count, shown, _details(lines)


def _below(line: Line) -> str:
    """The key of a weight below the name of its step."""
    name = _name(line)
    return name.removeprefix(f"{line.step}.") if line.step and name != line.step else ""


def _details(lines: Sequence[Line]) -> str:
    """Shapes, what a weight was called, why it is refused, and what it holds: where it is the same, or one of a few."""
    said = dict.fromkeys(text for line in lines for text in _detail(line))
    shapes = dict.fromkeys(
        show(line.shape)
        if line.before in ((), line.shape) or line.fate == "unused"
        else f"{show(line.before)} -> {show(line.shape)}"
        for line in lines
        if line.shape or len(lines) == 1
    )
    whole = ", ".join(shapes)
    sizes = whole if len(shapes) <= 2 or len(whole) <= _LONGEST else f"{len(shapes)} shapes"
    return "; ".join(filter(None, (sizes, *said)))


def _detail(line: Line) -> Iterator[str]:
    moved = [change.told for change in line.changes if change.told]
    for told in moved:
        if told.startswith("was "):
            yield f"was {_ranged([told.removeprefix('was ').removesuffix(f'.{_below(line)}')])}"
        elif not told.startswith("from "):
            yield told
    if line.holds:
        yield f"holds {line.holds}"
    if (
        line.fate == "refused"
        and not line.offers
        and not line.why.startswith(f"has `{line.sources[0]}` of shape")
    ):
        yield line.why


def _folded(keys: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(_NUMBER.sub("#", key), []).append(key)
    return [_ranged(group) for group in groups.values()]


def _ranged(names: Iterable[str]) -> str:
    """Names that differ in numbers only as one: `layer{1-4}.{0-5}.conv{1-3}`, where each range is of all that occurs there."""
    names = list(names)
    columns = zip(*(map(int, _NUMBER.findall(name)) for name in names), strict=True)
    ranges = [_range(sorted(set(column))) for column in columns]
    parts = _NUMBER.split(names[0])
    return "".join(part + number for part, number in zip(parts, [*ranges, ""], strict=True))


def _range(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if first == last:
        return str(first)
    return f"{{{first},{last}}}" if len(numbers) == 2 and last > first + 1 else f"{{{first}-{last}}}"
