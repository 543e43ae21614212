"""Defaults in force: the arguments that ops get unless they are given others, the layers that stand for ops, how weights start, and
what is done to steps by their path.

Arguments fill what is not said at the op, those stated further in before those further out. A layer that stands for an op is itself
read under the rules outside of the one that says so: thus a family that lets its norm be chosen goes on to take the choice of
whoever uses it. A name of weights is given by whoever knows the block from outside, so it wins over what is said at the weight, and
one stated further out over one further in. So does what stands in the place of a step; what is inserted by several rules is inserted
by all. Layers that come so are read under the rules outside as well.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

from archspec.elaboration.handing import Handing
from archspec.elaboration.values import Environment, OpLayer
from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser


class Argument(NamedTuple):
    """An argument that an op gets by default, and where it is stated."""

    value: Any
    span: Span


class Start(NamedTuple):
    """How weights start whose key has one of these forms (`*` stands for any letters, dots too), and where it is stated."""

    forms: frozenset[str]
    init: Initialiser
    span: Span

    def below(self, name: str) -> Start:
        """The same for keys below a step of that name."""
        return Start(rest(self.forms, f"{name}."), self.init, self.span)

    def fits(self, key: str) -> bool:
        """Whether a weight of that key is meant."""
        return fits(self.forms, key)


class Substitute(NamedTuple):
    """A layer that stands for an op, and where that is stated."""

    layer: Any
    span: Span


@dataclass(frozen=True, eq=False, slots=True)
class Edit:
    """What is done to the steps whose path has one of these forms: layers stand in their place, behind or before them.

    `layers` are one for the place of a step, else any number of them, with the names of their steps. `level` is what the same
    `defaults` says of layers for ops. `key` is equal for edits that do the same, whichever steps below theirs they are about.
    """

    forms: frozenset[str]
    place: Literal["instead", "behind", "before"]
    layers: tuple[tuple[str | None, Any, Span], ...]
    level: Mapping[type[Op], Substitute]
    path: str
    span: Span
    key: Hashable

    def below(self, name: str) -> Edit:
        """The same for steps below a step of that name."""
        return replace(self, forms=rest(self.forms, f"{name}."))


@dataclass(frozen=True, eq=False)
class Defaults:
    """The defaults in force at a place: arguments of ops, starts by name, layers for ops and edits, those stated furthest out first.

    `substitutes` has an item for each `defaults` that states some, or edits. `home` is the file (its names) of the block around that
    place, whose own defaults are among these. `stands_for` are the ops that what is around that place stands for, and where that is
    stated.
    """

    arguments: Mapping[type[Op], Mapping[str, Argument]] = field(default_factory=dict)
    starts: tuple[Start, ...] = ()
    home: Environment | None = None
    substitutes: tuple[Mapping[type[Op], Substitute], ...] = ()
    stands_for: Mapping[str, Span] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    _entered: dict[Environment, Defaults] = field(default_factory=dict, init=False)

    def within(self, inner: Defaults) -> Defaults:
        """These, with those stated at a place further in."""
        arguments = dict(self.arguments)
        for op, own in inner.arguments.items():
            arguments[op] = {**arguments.get(op, {}), **own}
        substitutes = (*self.substitutes, *inner.substitutes)
        return replace(self, arguments=arguments, substitutes=substitutes).naming(inner)

    def naming(self, inner: Defaults) -> Defaults:
        """These, with the starts and edits that are stated further in."""
        if not inner.named:
            return self
        return replace(self, starts=(*self.starts, *inner.starts), edits=(*self.edits, *inner.edits))

    @cached_property
    def named(self) -> int:
        """How many rules go by names."""
        return len(self.starts) + len(self.edits)

    def entering(self, home: Environment) -> Defaults:
        """Those in force in a block of that file: the file's own arguments of ops come in if the block around is of another."""
        if home is self.home:
            return self
        if home not in self._entered:
            made = self.within(replace(home.defaults, starts=(), edits=())) if home.defaults else self
            self._entered[home] = replace(made, home=home)
        return self._entered[home]

    def below(self, name: str) -> Defaults:
        """Those in force inside of a step of that name."""
        if not self.named:
            return self
        starts = tuple(s for start in self.starts if (s := start.below(name)).forms)
        edits = tuple(e for edit in self.edits if (e := edit.below(name)).forms)
        return replace(self, starts=starts, edits=edits)

    def edits_of(self, name: str) -> list[Edit]:
        """What is done to the step of that name, each rule once."""
        found: dict[Hashable, Edit] = {}
        for edit in self.edits:
            if fits(edit.forms, name):
                found.setdefault(edit.key, edit)
        return list(found.values())

    def around(self, edit: Edit) -> Defaults:
        """Those in force in a layer that an edit brings: of layers for ops and of edits, those stated further out."""
        levels = len(self.substitutes)
        level = next((i for i, found in enumerate(self.substitutes) if found is edit.level), levels)
        first = next(i for i, found in enumerate(self.edits) if found.level is edit.level)
        return replace(self, substitutes=self.substitutes[:level], edits=self.edits[:first])

    def at(self, name: str) -> Hashable:
        """What tells steps of some names apart: equal where all that goes by names is about both alike."""
        inside = self.below(name)
        return inside.starts, keys(inside.edits), tuple(edit.key for edit in self.edits_of(name))

    def substitute(self, op: type[Op]) -> Substitute | None:
        """The layer that stands for an op, if another one does."""
        stated = (level[op] for level in reversed(self.substitutes) if op in level)
        return next((found for found in stated if found.layer != OpLayer(op)), None)

    def outside(self, op: type[Op], substitute: Substitute) -> Defaults:
        """Those in force in a layer that stands for an op: of the layers for ops, those stated further out."""
        level = next(i for i, level in enumerate(self.substitutes) if level.get(op) is substitute)
        stands_for = {**self.stands_for, op.__name__: substitute.span}
        return replace(self, substitutes=self.substitutes[:level], stands_for=stands_for)

    def filled(self, layer: OpLayer) -> tuple[OpLayer, dict[str, Span]]:
        """A layer with the arguments that it was not given, and where these are stated."""
        own = self.arguments.get(layer.op)
        added = {name: given for name, given in own.items() if name not in layer.arguments} if own else {}
        if not added:
            return layer, {}
        values = {name: given.value for name, given in added.items()}
        arguments = {**layer.arguments, **values}
        places = {name: given.span for name, given in added.items()}
        return OpLayer(layer.op, arguments, layer.options, layer.positional), places

    def start(self, key: str) -> Start | None:
        """How the weight of that key starts, if a name says so."""
        return next((start for start in self.starts if start.fits(key)), None)

    @cached_property
    def key(self) -> Hashable:
        """What tells defaults apart: equal where layers become the same steps."""
        handing = Handing()
        arguments = tuple(
            (op, tuple((name, handing.key(given.value), given.span) for name, given in own.items()))
            for op, own in self.arguments.items()
        )
        substitutes = tuple(
            tuple((op, handing.key(found.layer), found.span) for op, found in level.items())
            for level in self.substitutes
        )
        return (
            arguments,
            self.starts,
            self.home,
            substitutes,
            tuple(self.stands_for.items()),
            keys(self.edits),
        )


def keys(edits: Iterable[Edit]) -> Hashable:
    """What tells edits apart, with the steps that they are about."""
    return tuple((edit.forms, edit.key) for edit in edits)


def fits(forms: frozenset[str], name: str) -> bool:
    """Whether one of the forms is of the whole name."""
    return any(not form.strip("*") for form in rest(forms, name))


@lru_cache(maxsize=10_000)
def rest(forms: frozenset[str], text: str) -> frozenset[str]:
    """What may follow a text in the forms that it may begin: the rests of `*.bias` behind `fc.` are `*.bias` and `bias`."""
    for letter in text:
        found = set()
        for form in forms:
            behind = form.lstrip("*")
            if behind != form:
                found.add("*" + behind)
            if behind.startswith(letter):
                found.add(behind[1:])
        forms = frozenset(found)
    return forms


def require_possible(op: Op, key: str, start: Start) -> str:
    """The argument of an op that says how its weight of that key starts. Mistake when there is none."""
    argument = op.starts.get(key, "")
    if argument not in type(op).model_fields:
        raise Mistake(
            f"no argument of {type(op).__name__} says how its `{key}` starts, as {start.span.place} does",
            codes.ARGUMENT,
            help="make the name narrower, so that it does not fit this weight",
        )
    return argument
