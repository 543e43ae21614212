"""Defaults in force: the arguments that ops get unless they are given others, the layers that stand for ops, and how weights start.

Arguments fill what is not said at the op, those stated further in before those further out. A layer that stands for an op is itself
read under the rules outside of the one that says so: thus a family that lets its norm be chosen goes on to take the choice of
whoever uses it. A name of weights is given by whoever knows the block from outside, so it wins over what is said at the weight, and
one stated further out over one further in.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

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
        return any(not form.strip("*") for form in rest(self.forms, key))


class Substitute(NamedTuple):
    """A layer that stands for an op, and where that is stated."""

    layer: Any
    span: Span


@dataclass(frozen=True, eq=False)
class Defaults:
    """The defaults in force at a place: arguments of ops, starts by name and layers for ops, those stated furthest out first.

    `substitutes` has an item for each `defaults` that states some. `home` is the file (its names) of the block around that place,
    whose own defaults are among these. `stands_for` are the ops that what is around that place stands for, and where that is stated.
    """

    arguments: Mapping[type[Op], Mapping[str, Argument]] = field(default_factory=dict)
    starts: tuple[Start, ...] = ()
    home: Environment | None = None
    substitutes: tuple[Mapping[type[Op], Substitute], ...] = ()
    stands_for: Mapping[str, Span] = field(default_factory=dict)
    _entered: dict[Environment, Defaults] = field(default_factory=dict, init=False)

    def within(self, inner: Defaults) -> Defaults:
        """These, with those stated at a place further in."""
        arguments = dict(self.arguments)
        for op, own in inner.arguments.items():
            arguments[op] = {**arguments.get(op, {}), **own}
        starts, substitutes = (*self.starts, *inner.starts), (*self.substitutes, *inner.substitutes)
        return replace(self, arguments=arguments, starts=starts, substitutes=substitutes)

    def entering(self, home: Environment) -> Defaults:
        """Those in force in a block of that file: the file's own arguments of ops come in if the block around is of another."""
        if home is self.home:
            return self
        if home not in self._entered:
            made = self.within(replace(home.defaults, starts=())) if home.defaults else self
            self._entered[home] = replace(made, home=home)
        return self._entered[home]

    def below(self, name: str) -> Defaults:
        """Those in force inside of a step of that name."""
        if not self.starts:
            return self
        return self.with_starts(s for start in self.starts if (s := start.below(name)).forms)

    def with_starts(self, starts: Iterable[Start]) -> Defaults:
        """The same with other starts by name."""
        return replace(self, starts=tuple(starts))

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
        return arguments, self.starts, self.home, substitutes, tuple(self.stands_for.items())


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
