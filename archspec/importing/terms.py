"""Layers and values as a spec writes them, and what is common to several.

The most special term that several are instances of has a hole wherever they differ; what stood there in each is what a
parameter of a block has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from archspec.ground.literals import written
from archspec.op import Op


@dataclass(frozen=True)
class Applied:
    """An op or a block with its arguments by name: `Conv(out=64, kernel=3)`."""

    name: str
    arguments: tuple[tuple[str, Term], ...] = ()
    block: bool = False

    def given(self) -> Mapping[str, Term]:
        """The arguments by name."""
        return dict(self.arguments)


@dataclass(frozen=True)
class Row:
    """A list of layers, some with a label: `[conv: Conv(8), ReLU]`."""

    items: tuple[tuple[str, Term], ...]


@dataclass(frozen=True)
class Repeated:
    """A list of layers several times: `3 * [Block(64)]`."""

    times: Term
    row: Term


@dataclass(frozen=True)
class Joined:
    """Lists of layers one after the other: `[First] + 3 * [Block]`."""

    parts: tuple[Term, ...]


@dataclass(frozen=True)
class Text:
    """An expression of names that are known where it stands: `4 * C`."""

    text: str


@dataclass(frozen=True)
class Hole:
    """A place where instances differ, by the number of the hole."""

    number: int


@dataclass(frozen=True)
class Runs:
    """A list of numbers, each with how often it comes in a row."""

    runs: tuple[tuple[Term, Term], ...]


@dataclass(frozen=True)
class Said:
    """A text with numbers in the places of its `{}`."""

    text: str
    numbers: tuple[Term, ...]


@dataclass(frozen=True)
class Sums:
    """A table of sums of a number for each place along each axis."""

    axes: tuple[Term, ...]


Term: TypeAlias = (
    "bool | int | float | str | tuple[Any, ...]"
    " | Applied | Row | Repeated | Joined | Text | Hole | Runs | Said | Sums | None"
)
NOTHING = Row(())


def same(a: Term, b: Term) -> bool:
    """Whether two terms are the same; 1, 1.0 and true are three."""
    return type(a) is type(b) and repr(a) == repr(b)


@dataclass
class Holes:
    """The holes of a term that several instances have in common: for each, what stands there in each instance."""

    vectors: list[tuple[Term, ...]] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def hole(self, values: Sequence[Term], hint: str, place: int | None = None) -> Hole:
        """The hole where these values stand: the same wherever they do. `place` is that of a size in a shape."""
        key = repr((tuple(values), place))
        if key not in self._numbers:
            self._numbers[key] = len(self.vectors)
            self.vectors.append(tuple(values))
            self.hints.append(hint)
            self.places.append(place)
        return Hole(self._numbers[key])


def common(terms: Sequence[Term], holes: Holes, hint: str = "") -> Term:
    """What terms have in common, with holes where they differ."""
    first = terms[0]
    if all(same(first, term) for term in terms):
        return first
    if all(isinstance(term, Applied) for term in terms):
        applied = [term for term in terms if isinstance(term, Applied)]
        names = [tuple(name for name, _ in term.arguments) for term in applied]
        if len({term.name for term in applied}) == 1 and len(set(names)) == 1:
            arguments = tuple(
                (name, common([term.given()[name] for term in applied], holes, name)) for name in names[0]
            )
            return Applied(applied[0].name, arguments, applied[0].block)
    if all(isinstance(term, Row) for term in terms):
        rows = [term for term in terms if isinstance(term, Row)]
        labels = {tuple(label for label, _ in row.items) for row in rows}
        if len(labels) == 1 and rows[0].items:
            return Row(
                tuple(
                    (label, common([row.items[i][1] for row in rows], holes, label or hint))
                    for i, (label, _) in enumerate(rows[0].items)
                )
            )
    if all(isinstance(term, Repeated) for term in terms):
        repeated = [term for term in terms if isinstance(term, Repeated)]
        if all(type(term.row) is type(repeated[0].row) for term in repeated):
            row = common([term.row for term in repeated], holes, hint)
            return Repeated(common([term.times for term in repeated], holes, "depth"), row)
    if all(isinstance(term, Joined) for term in terms):
        joined = [term for term in terms if isinstance(term, Joined)]
        if len({len(term.parts) for term in joined}) == 1:
            return Joined(
                tuple(
                    common([term.parts[i] for term in joined], holes, hint)
                    for i in range(len(joined[0].parts))
                )
            )
    if all(isinstance(term, Sums) for term in terms):
        sums = [term for term in terms if isinstance(term, Sums)]
        if len({len(term.axes) for term in sums}) == 1:
            columns = zip(*(term.axes for term in sums), strict=True)
            return Sums(tuple(common(column, holes, "places") for column in columns))
    if all(isinstance(term, Said) for term in terms):
        said = [term for term in terms if isinstance(term, Said)]
        if len({term.text for term in said}) == 1:
            columns = zip(*(term.numbers for term in said), strict=True)
            return Said(said[0].text, tuple(common(column, holes, "size") for column in columns))
    if all(isinstance(term, Runs) for term in terms):
        lists = [term.runs for term in terms if isinstance(term, Runs)]
        if len({len(runs) for runs in lists}) == 1:
            pairs = [
                tuple(
                    common([runs[i][k] for runs in lists], holes, "number" if k == 0 else "count")
                    for k in (0, 1)
                )
                for i in range(len(lists[0]))
            ]
            return Runs(tuple((pair[0], pair[1]) for pair in pairs))
    tuples = [term for term in terms if isinstance(term, tuple)]
    if len(tuples) == len(terms) and len({len(term) for term in tuples}) == 1:
        numbers = [[term[i] for term in tuples] for i in range(len(tuples[0]))]
        if all(type(number) is int for column in numbers for number in column):
            return tuple(
                column[0] if len(set(column)) == 1 else holes.hole(column, hint, place)
                for place, column in enumerate(numbers)
            )
    return holes.hole(terms, hint)


def filled(term: Term, fillings: Mapping[int, Term]) -> Term:
    """A term with terms in the place of its holes."""
    match term:
        case Hole(number):
            return fillings[number]
        case Applied(name, arguments, block):
            return Applied(name, tuple((key, filled(value, fillings)) for key, value in arguments), block)
        case Row(items):
            return Row(tuple((label, filled(item, fillings)) for label, item in items))
        case Repeated(times, row):
            return Repeated(filled(times, fillings), filled(row, fillings))
        case Runs(runs):
            return Runs(tuple((filled(value, fillings), filled(count, fillings)) for value, count in runs))
        case Said(text, numbers):
            return Said(text, tuple(filled(value, fillings) for value in numbers))
        case Sums(axes):
            return Sums(tuple(filled(axis, fillings) for axis in axes))
        case Joined(parts):
            return Joined(tuple(filled(part, fillings) for part in parts))
        case tuple():
            return tuple(filled(item, fillings) for item in term)
        case _:
            return term


def compressed(row: Row) -> Term:
    """A list in which what comes again and again is said once."""
    items = list(row.items)
    parts: list[Term] = []
    single: list[tuple[str, Term]] = []

    def flush() -> None:
        if single:
            parts.append(Row(tuple(single)))
            single.clear()

    keys = [repr(item) for item in items]
    at = 0
    while at < len(items):
        best = (0, 1)
        for period in range(1, 5):
            unit = keys[at : at + period]
            if len(unit) < period or any(items[at + i][0] for i in range(period)):
                break
            times = 1
            while keys[at + times * period : at + (times + 1) * period] == unit:
                times += 1
            if times > 1 and times * period > best[0] * best[1]:
                best = (times, period)
        times, period = best
        if times > 1:
            flush()
            parts.append(Repeated(times, Row(tuple(items[at : at + period]))))
            at += times * period
        else:
            single.append(items[at])
            at += 1
    flush()
    return parts[0] if len(parts) == 1 else Joined(tuple(parts))


def of_op(op: Op) -> Applied:
    """An op as a term, with all its arguments."""
    arguments = []
    for name in type(op).model_fields:
        value = getattr(op, name)
        arguments += list(value) if name == op.rest else [(name, value)]
    return Applied(type(op).__name__, tuple(arguments))


def weighs(layer: Term) -> bool:
    """Whether a layer may have weights."""
    if isinstance(layer, Applied) and not layer.block:
        return Op.find(layer.name).weights is not Op.weights
    if isinstance(layer, Row):
        return any(weighs(item) for _, item in layer.items)
    return True


# ------------------------------------------------------------------ as text


def shown(term: Term, positional: Mapping[str, Sequence[str]] | None = None) -> str:
    """A term as a spec writes it, without arguments at their defaults. `positional` has blocks' parameters in order."""
    match term:
        case Text(text):
            return text
        case Applied():
            return _call(term, positional or {})
        case Row(items):
            listed = ", ".join(
                f"{label_shown(label)}: {shown(item, positional)}" if label else shown(item, positional)
                for label, item in items
            )
            return f"[{listed}]"
        case Repeated(times, row):
            return f"{_factor(times)} * {shown(row, positional)}"
        case Runs(runs):
            return " + ".join(
                f"[{shown(value)}]" if count == 1 else f"{_factor(count)} * [{shown(value)}]"
                for value, count in runs
            )
        case Said(text, numbers):
            return text.format(*(shown(value) for value in numbers))
        case Sums(axes):
            return f"outer_sum([{', '.join(map(shown, axes))}])"
        case Joined(parts):
            return " + ".join(shown(part, positional) for part in parts)
        case tuple():
            return f"[{', '.join(shown(item, positional) for item in term)}]"
        case float():
            return number(term)
        case _:
            return written(term)


def number(value: float) -> str:
    """A real number as people write it."""
    text = repr(value)
    return text.replace("e-0", "e-").replace("e+", "e") if "e" in text else text


def _factor(times: Term) -> str:
    text = shown(times)
    return text if text.replace("_", "").isalnum() else f"({text})"


def label_shown(label: str) -> str:
    """A label as it stands before a colon."""
    return label if label.isidentifier() and label not in KEYWORDS else f'"{label}"'


KEYWORDS = {
    "if", "else", "elif", "for", "in", "and", "or", "not", "true", "false", "none", "return", "input", "block", "model",
    "def", "from", "import", "as", "weight", "buffer", "constant", "shared", "defaults", "require", "claims", "free", "names",
}  # fmt: skip


def _call(term: Applied, positional: Mapping[str, Sequence[str]]) -> str:
    if term.block:
        order = positional.get(term.name, ())
        given = term.given()
        first = [shown(given[name], positional) for name in order if name in given]
        rest = [f"{name}={shown(value, positional)}" for name, value in term.arguments if name not in order]
        listed = first + rest
        return f"{term.name}({', '.join(listed)})" if listed else term.name
    op = Op.find(term.name)
    first, rest = [], []
    leading = True
    for name, value in term.arguments:
        if name not in op.model_fields:
            rest.append(f"{name}={shown(value, positional)}")
            continue
        declared = op.model_fields[name]
        default = not declared.is_required() and same(value, declared.get_default(call_default_factory=True))
        if default:
            leading = False
        elif name in op.by_position() and (declared.is_required() or leading) and not rest:
            first.append(shown(value, positional))
        else:
            rest.append(f"{name}={shown(value, positional)}")
    listed = first + rest
    return f"{term.name}({', '.join(listed)})" if listed else term.name
