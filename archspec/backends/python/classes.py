"""Functions that run the same program as one class, with parameters for what they differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.aligning import IDENTITY, NONE, aligned, program
from archspec.backends.python.conditions import told
from archspec.backends.python.drafts import Draft, Statement, handed_tensors
from archspec.backends.python.holes import Hole, unified
from archspec.backends.python.own_weights import Buffer
from archspec.backends.python.parameters import Parameter, Parameters
from archspec.graph import Graph
from archspec.ground.names import is_taken

_NAMES = frozenset(("self", "x", "places", "module"))  # in the code of `__init__`

LIST = "Layers"
"""What a list of layers is called that can be no `nn.Sequential`."""


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


class Classes:
    """The classes of a graph's functions, callees first."""

    def __init__(self, graph: Graph, drafts: Sequence[Draft], taken: set[str]) -> None:
        self.graph = graph
        self.drafts = list(drafts)
        self.align()
        self.taken = taken
        self.classes: dict[Hashable, Class] = {}
        self.order: list[Class] = []
        self.kinds: dict[int, Hashable] = {}
        groups: dict[Hashable, list[Draft]] = {}
        for draft in self.drafts:
            kind = self.kind(draft.index)
            self.kinds[draft.index] = kind
            groups.setdefault(kind, []).append(draft)
        self.groups = groups
        self.resolved(py.Instance(len(graph.functions) - 1))

    def align(self) -> None:
        """Make drafts of one block alike where some only leave out what others have."""
        blocks: dict[tuple[str, object], list[Draft]] = {}
        for draft in self.drafts:
            if draft.function.block:
                blocks.setdefault((draft.function.block, self.nested(draft)), []).append(draft)
        for several in blocks.values():  # callees first
            for draft in aligned(several, self.handed, self.tells):
                self.drafts[draft.index] = draft

    def handed(self, other: int, function: int) -> list[str] | None:
        """What a function calls the tensors that are handed in as arguments; None if another is not of one class with it."""
        alike = self.kind(other) == self.kind(function)
        return handed_tensors(self.drafts[function].function) if alike else None

    def tells(self, drafts: Sequence[Draft]) -> bool:
        """Whether drafts have the same layers, and conditions tell which of them leave out what."""
        for path in drafts[0].members:
            made = [draft.members[path] for draft in drafts]
            if len({self.outline(x) for x in made if x not in (NONE, IDENTITY)}) > 1:
                return False
        return _tells(drafts)

    def outline(self, made: py.Expression) -> Hashable:
        """What tells a layer from others that are not made alike."""
        if not isinstance(made, py.Instance):
            return py.key_of(made, literals=False)
        draft = self.drafts[made.function]
        inner = tuple(map(self.outline, draft.members.values())) if draft.is_chain else ()
        return self.kind(made.function), inner

    def kind(self, function: int) -> Hashable:
        """What tells a function's class from others."""
        draft = self.drafts[function]
        return *self.nested(draft), program(draft)

    def nested(self, draft: Draft) -> tuple[int, bool]:
        """How many blocks of its own name stand within each other in a function, and whether it is the model."""
        return self._depth(draft.index, draft.function.block), draft.index == len(self.graph.functions) - 1

    def _depth(self, index: int, block: str) -> int:
        within_it = {
            part.function
            for expression in self.drafts[index].members.values()
            for part in py.within(expression)
            if isinstance(part, py.Instance)
        }
        depth = max((self._depth(function, block) for function in within_it), default=0)
        return depth + (self.drafts[index].function.block == block)

    # ---------------------------------------------------------------- instances

    def resolved(self, expression: py.Expression) -> py.Expression:
        """An expression with calls of classes where functions were."""
        return py.replaced(
            expression, lambda part: self.instance(part.function) if isinstance(part, py.Instance) else None
        )

    def instance(self, function: int) -> py.Expression:
        """What makes the module that a function is."""
        draft = self.drafts[function]
        if draft.is_identity and draft.takes == 1:
            return IDENTITY
        if draft.is_chain and not draft.function.block:
            return self.sequential(draft)
        return self.of(function).made(function)

    def sequential(self, draft: Draft) -> py.Expression:
        """A list of layers as an `nn.Sequential`: by number, or by name."""
        members = {name: self.resolved(made) for name, made in draft.members.items()}
        if list(members) == [str(place) for place in range(len(members))]:
            return py.Call(py.Code("nn.Sequential"), tuple(repeated(list(members.values()))))
        if all(name.isidentifier() and not iskeyword(name) for name in members):
            named = py.Call(
                py.Code("OrderedDict"), (), tuple(py.Keyword(name, made) for name, made in members.items())
            )
        else:
            pairs = tuple(py.Listed((py.Literal(name), made)) for name, made in members.items())
            named = py.Call(py.Code("OrderedDict"), (py.Listed(pairs, "["),))
        return py.Call(py.Code("nn.Sequential"), (named,))

    def of(self, function: int) -> Class:
        """The class of a function, made when it is first asked for."""
        kind = self.kinds[function]
        if kind not in self.classes:
            drafts = self.groups[kind]
            is_model = function == len(self.graph.functions) - 1
            members = [
                {path: self.resolved(made) for path, made in draft.members.items()} for draft in drafts
            ]
            known = Parameters([draft.function for draft in drafts], promoted=not is_model)
            name = self.graph.name if is_model else self.name_of(kind)
            made = Class(self.free(name), drafts, is_model, known, is_chain=drafts[0].is_chain)
            self.classes[kind] = made
            known.taken = {*_NAMES, *self.taken}
            _unify(made, members)
            self.order.append(made)
        return self.classes[kind]

    def name_of(self, kind: Hashable) -> str:
        """The block's name; of a second class for the block, with the parameter that tells it from the first."""
        functions = [draft.function for draft in self.groups[kind]]
        block = functions[0].block or LIST
        others = [
            draft.function
            for other, drafts in self.groups.items()
            if other != kind
            for draft in drafts
            if draft.function.block == functions[0].block
        ]
        if not functions[0].block or block not in self.taken:
            return block
        for name in functions[0].arguments:
            ours = {bool(function.arguments.get(name)) for function in functions}
            theirs = {bool(function.arguments.get(name)) for function in others}
            if ours == {True} and theirs == {False}:
                return f"{block}With{_camel(name)}"
            if ours == {False} and theirs == {True}:
                return f"{block}Without{_camel(name)}"
        return block

    def free(self, name: str) -> str:
        """A name for a class that is not yet taken."""
        name = f"{name}_" if iskeyword(name) or not name.isidentifier() else name
        chosen, count = name, 2
        while chosen in self.taken:
            chosen, count = f"{name}{count}", count + 1
        self.taken.add(chosen)
        return chosen


def _unify(made: Class, members: Sequence[dict[str, py.Expression]]) -> None:
    """Write the members and the program of several drafts as one, with parameters."""
    everywhere = tuple(range(len(made.drafts)))
    for path in members[0]:
        if any(
            found[path] == IDENTITY for found in members
        ):  # which those may have as well that do not use it
            members = [{**found, path: IDENTITY} if found[path] == NONE else found for found in members]
    owned = {path: tuple(row for row in everywhere if members[row][path] != NONE) for path in members[0]}
    if made.is_chain:
        owned = {"": everywhere}
        made.members = {"": unified([_chain(found) for found in members], everywhere, "")}
    else:
        made.members = {
            path: unified([members[row][path] for row in rows], rows, path) for path, rows in owned.items()
        }
    places = [_known(made.drafts, place) for place in range(0 if made.is_chain else len(made.draft.body))]
    done = [_rows(made.drafts, place) for place in range(len(places))]
    whats = [
        unified([made.drafts[row].body[place].what for row in rows], rows, places[place].name)
        for place, rows in enumerate(done)
    ]
    parameters = made.parameters
    body = [x for x in whats if any(isinstance(part, Hole) for part in py.within(x))]
    settled = parameters.settle([*made.members.values(), *body])
    for (path, rows), x in zip(owned.items(), settled, strict=False):
        made.members[path] = parameters.written(x)
        if rows != everywhere:
            made.members[path] = py.Chosen(made.members[path], parameters.telling(rows), NONE)
    conditions = [
        None if rows == everywhere else _condition(made, rows, owned, places, done) for rows in done
    ]
    prefixed = [parameters.written(x, "self.") for x in whats]
    roots = {path.partition(".")[0] for path in made.members}
    names = {f"self.{parameter.name}": parameter.name for parameter in parameters.found}
    used = [*prefixed, *filter(None, conditions)]
    read = {part.text for x in used for part in py.within(x) if isinstance(part, py.Code)}
    # No attribute of the name of a member, or of one that each module has.
    made.kept = {name: _attribute(name, roots) for text, name in names.items() if text in read}
    held = {f"self.{name}": py.Code(f"self.{attribute}") for name, attribute in made.kept.items()}

    def kept(x: py.Expression) -> py.Expression:
        return py.replaced(x, lambda part: held.get(part.text) if isinstance(part, py.Code) else None)

    made.body = [
        replace(statement, what=kept(what), condition=condition and kept(condition))
        for statement, what, condition in zip(places, prefixed, conditions, strict=True)
    ]
    made.returns = made.draft.returns
    _without_identities(made)


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


def _tells(drafts: Sequence[Draft]) -> bool:
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


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


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
