"""Functions that run the same program written as one, with parameters and conditions for what they differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.aligning import IDENTITY, NONE
from archspec.backends.python.conditions import told
from archspec.backends.python.drafts import Draft, Statement
from archspec.backends.python.holes import Hole, unified
from archspec.backends.python.own_weights import Buffer
from archspec.backends.python.parameters import Parameter, Parameters
from archspec.ground.names import is_taken


@dataclass
class Class:
    """A class of the file: its functions' drafts, then what is written for all of them."""

    name: str
    drafts: list[Draft]
    is_model: bool
    parameters: Parameters
    members: dict[str, py.Expression] = field(default_factory=dict)
    body: list[Statement] = field(default_factory=list)
    returns: tuple[py.Expression, ...] = ()
    is_chain: bool = False
    kept: dict[str, str] = field(default_factory=dict)
    """The parameters that `forward` reads, and the attributes that hold them."""

    @property
    def draft(self) -> Draft:
        """One that takes all that any of them takes."""
        return max(self.drafts, key=lambda draft: len(draft.function.inputs))

    @property
    def required(self) -> int:
        """How many tensors each of them takes."""
        return min(len(draft.function.inputs) for draft in self.drafts)

    def row(self, function: int) -> int:
        """The place of a function among its drafts."""
        return next(place for place, draft in enumerate(self.drafts) if draft.index == function)

    def made(self, function: int) -> py.Expression:
        """The call that makes an instance for a function."""
        row = self.row(function)
        positional: list[py.Expression] = []
        keywords: list[py.Keyword] = []
        for parameter in self.ordered:
            value = parameter.values[row]
            expression = value if isinstance(value, py.Expression) else py.Literal(value, parameter.name)
            plain = parameter.default is ... and not keywords
            if plain and (parameter.order[0] == 0 or len(positional) < 2) and parameter.annotation == "int":
                positional.append(expression)
            else:
                keywords.append(py.Keyword(parameter.name, expression, parameter.default))
        return py.Call(py.Code(self.name), tuple(positional), tuple(keywords))

    @property
    def ordered(self) -> list[Parameter]:
        """Its parameters, those with defaults last."""
        return sorted(self.parameters.found, key=lambda p: (p.default is not ..., p.order))


def unify(made: Class, members: Sequence[dict[str, py.Expression]]) -> None:
    """Write the members and the program of several drafts as one, with parameters."""
    rows = tuple(range(len(made.drafts)))
    count = 0 if made.is_chain else len(made.draft.body)
    statements = [_known(made.drafts, place) for place in range(count)]
    done = [_rows(made.drafts, place) for place in range(count)]
    whats = [
        unified([made.drafts[row].body[place].what for row in having], having, statements[place].name)
        for place, having in enumerate(done)
    ]
    holed = [x for x in whats if any(isinstance(part, Hole) for part in py.within(x))]
    owned = {"": rows} if made.is_chain else _unified_members(made, members)
    if made.is_chain:
        made.members = {"": unified([_chain(found) for found in members], rows, "")}
    parameters = made.parameters
    settled = parameters.settle([*made.members.values(), *holed])
    for (path, having), x in zip(owned.items(), settled, strict=False):
        made.members[path] = parameters.written(x)
        if having != rows:
            made.members[path] = py.Chosen(made.members[path], parameters.telling(having), NONE)
    made.body = [
        replace(
            statement,
            what=parameters.written(what, "self."),
            condition=None if having == rows else _condition(made, having, owned, statements, done),
        )
        for statement, what, having in zip(statements, whats, done, strict=True)
    ]
    made.returns = made.draft.returns
    _together(made)
    _keep(made)
    _without_identities(made)


def _unified_members(made: Class, members: Sequence[dict[str, py.Expression]]) -> dict[str, tuple[int, ...]]:
    """Write each member as one, and tell which drafts have it: an identity those may have as well that do not use it."""
    owned: dict[str, tuple[int, ...]] = {}
    for path in members[0]:
        given = [found[path] for found in members]
        if IDENTITY in given:
            given = [IDENTITY if x == NONE else x for x in given]
        owned[path] = tuple(row for row, x in enumerate(given) if x != NONE)
        made.members[path] = unified([given[row] for row in owned[path]], owned[path], path)
    return owned


def _together(made: Class) -> None:
    """See to it that what is left out together does not stand for each other, nor anything for what only such steps read."""
    by_number = {number: statement for statement in made.body for number in statement.gives}
    body: list[Statement] = []
    for statement in made.body:
        instead = statement.instead
        while isinstance(instead, py.Value) and instead.number in by_number:
            other = by_number[instead.number]
            if other.condition != statement.condition:
                break
            instead = other.instead
        body.append(replace(statement, instead=instead))
        by_number.update(dict.fromkeys(statement.gives, body[-1]))
    for place, statement in enumerate(body):
        others = [x for s in body if s.condition != statement.condition for x in s.reads]
        read = {
            x.number
            for reader in (*others, *made.returns)
            for x in py.within(reader)
            if isinstance(x, py.Value)
        }
        if statement.condition is not None and read.isdisjoint(statement.gives):
            body[place] = replace(statement, instead=NONE)
    made.body = body


def _keep(made: Class) -> None:
    """Make attributes of the parameters that the program reads, which are named as no member, and nothing that each module has."""
    used = [x for statement in made.body for x in (statement.what, statement.condition) if x is not None]
    read = {part.text for x in used for part in py.within(x) if isinstance(part, py.Code)}
    roots = {path.partition(".")[0] for path in made.members}
    for parameter in made.parameters.found:
        if f"self.{parameter.name}" in read:
            made.kept[parameter.name] = _attribute(parameter.name, roots)
    held = {f"self.{name}": py.Code(f"self.{attribute}") for name, attribute in made.kept.items()}

    def named(x: py.Expression) -> py.Expression:
        return py.replaced(x, lambda part: held.get(part.text) if isinstance(part, py.Code) else None)

    made.body = [
        replace(
            statement,
            what=named(statement.what),
            condition=statement.condition and named(statement.condition),
        )
        for statement in made.body
    ]


def _rows(drafts: Sequence[Draft], place: int) -> tuple[int, ...]:
    """The drafts that do not leave out a statement."""
    return tuple(row for row, draft in enumerate(drafts) if draft.body[place].instead is None)


def _known(drafts: Sequence[Draft], place: int) -> Statement:
    """A statement, as one of those that leave it out has it, if any does."""
    found = (draft.body[place] for draft in drafts)
    return next((statement for statement in found if statement.instead is not None), drafts[0].body[place])


def _by_input(drafts: Sequence[Draft], rows: Sequence[int]) -> int | None:
    """The input that just these drafts have."""
    counts = [len(draft.function.inputs) for draft in drafts]
    wanted = [row in rows for row in range(len(drafts))]
    return next((k for k in range(min(counts), max(counts)) if [n > k for n in counts] == wanted), None)


def tells(drafts: Sequence[Draft]) -> bool:
    """Whether there are conditions for all that some drafts leave out."""
    functions = [draft.function for draft in drafts]
    steps = {_rows(drafts, place) for place in range(len(drafts[0].body))}
    members = {
        tuple(row for row, draft in enumerate(drafts) if draft.members[path] != NONE)
        for path in drafts[0].members
    }
    needed = members | {rows for rows in steps if _by_input(drafts, rows) is None}
    return all(
        told(functions, [row in rows for row in range(len(drafts))]) is not None
        for rows in needed
        if len(rows) < len(drafts)
    )


def _condition(
    made: Class,
    rows: tuple[int, ...],
    owned: Mapping[str, tuple[int, ...]],
    places: Sequence[Statement],
    done: Sequence[tuple[int, ...]],
) -> py.Expression:
    """What tells whether some rows do a statement: an input that is there, a layer that is there, or parameters."""
    given = _by_input(made.drafts, rows)
    if given is not None:
        return py.Operation("is not", (py.Value(given), NONE))
    layers = [
        layer.path
        for statement, others in zip(places, done, strict=True)
        for layer in py.within(statement.what)
        if others == rows and isinstance(layer, py.Member) and owned[layer.path] == rows
    ]
    buffers = {
        path for path, x in made.members.items() if isinstance(x, py.Chosen) and isinstance(x.then, Buffer)
    }
    plain = isinstance(made.parameters.told(rows).condition, py.Code)
    if layers and buffers.isdisjoint(layers) and (len({*layers}) == 1 or not plain):
        return py.Operation("is not", (py.Member(layers[-1]), NONE))
    return made.parameters.telling(rows, "self.")


def _attribute(name: str, members: set[str]) -> str:
    """An attribute for a parameter that is neither a member nor one that each module has."""
    while name in members or is_taken(name):
        name += "_"
    return name


def _chain(members: dict[str, py.Expression]) -> py.Expression:
    return py.Call(py.Code("super().__init__"), tuple(repeated(list(members.values()))))


def _without_identities(made: Class) -> None:
    """Leave out members that are identities, and their steps."""
    called = [
        s.what.what.path
        for s in made.body
        if isinstance(s.what, py.Call) and isinstance(s.what.what, py.Member)
    ]
    read = [x.path for s in made.body for x in py.within(s.what) if isinstance(x, py.Member)]
    idle = {
        path
        for path, x in made.members.items()
        if py.key_of(x) == py.key_of(IDENTITY) and path in called and read.count(path) == called.count(path)
    }
    if not idle or made.is_chain:
        return
    values: dict[int, py.Expression] = {}
    body = []
    for statement in made.body:
        what = statement.what
        if isinstance(what, py.Call) and isinstance(what.what, py.Member) and what.what.path in idle:
            values[statement.gives[0]] = py.renumbered(what.arguments[0], values)
            continue
        instead = statement.instead and py.renumbered(statement.instead, values)
        body.append(replace(statement, what=py.renumbered(what, values), instead=instead))
    made.body = body
    made.returns = tuple(py.renumbered(x, values) for x in made.returns)
    made.members = {path: x for path, x in made.members.items() if path not in idle}


def repeated(items: Sequence[py.Expression]) -> list[py.Expression]:
    """A list of expressions, those that repeat as comprehensions."""
    keys: list[Any] = [py.key_of(item) for item in items]
    made: list[py.Expression] = []
    place = 0
    while place < len(items):
        best = (1, 1)  # period, times
        for period in (1, 2, 3, 4):
            times = 1
            while keys[place : place + period] == keys[place + times * period : place + (times + 1) * period]:
                times += 1
                if place + times * period > len(items):
                    break
            if times > 1 and period * times > best[0] * best[1]:
                best = period, times
        period, times = best
        if times > 1:
            made.append(py.Repeated(tuple(items[place : place + period]), py.Literal(times, "count")))
        else:
            made.append(items[place])
        place += period * times
    return made


def counts(made: Class) -> Counter[int]:
    """How often each value of a class's program is read."""
    found: Counter[int] = Counter()
    for expression in (*(x for statement in made.body for x in statement.reads), *made.returns):
        found.update(part.number for part in py.within(expression) if isinstance(part, py.Value))
    return found
