"""Expressions of several functions as one, with holes where these differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.backends.python import expressions as py


@dataclass(frozen=True, slots=True)
class Hole(py.Expression):
    """A place where some rows have other literals; `rows` are those that have any, `values` theirs."""

    rows: tuple[int, ...]
    values: tuple[Any, ...]
    role: str
    default: Any = ...
    near: str = ""

    @property
    def shape(self) -> tuple[object, ...]:
        """Rows and values."""
        return "hole", self.rows, repr(self.values), self.role

    @property
    def is_constant(self) -> bool:
        """Whether all rows have the same."""
        return all(alike(value, self.values[0]) for value in self.values)


@dataclass(frozen=True, slots=True)
class Choice(py.Expression):
    """A place where rows have one of two expressions: `rows` those that have the first."""

    rows: tuple[int, ...]
    then: py.Expression
    other: py.Expression
    near: str
    all_rows: tuple[int, ...]
    given: tuple[py.Expression, ...]
    """What each of all rows has."""

    @property
    def parts(self) -> tuple[py.Expression, ...]:
        """Both."""
        return self.then, self.other

    def with_parts(self, parts: tuple[py.Expression, ...]) -> py.Expression:
        """Others."""
        return Choice(self.rows, parts[0], parts[1], self.near, self.all_rows, self.given)

    @property
    def shape(self) -> tuple[object, ...]:
        """Which rows have the first."""
        return "choice", self.rows


@dataclass(frozen=True, slots=True)
class Given(py.Expression):
    """A place where rows differ in more: each is given its own expression."""

    rows: tuple[int, ...]
    values: tuple[py.Expression, ...]
    near: str

    @property
    def shape(self) -> tuple[object, ...]:
        """Rows and expressions."""
        return "given", self.rows, tuple(map(py.key_of, self.values))


def unified(
    given: Sequence[py.Expression], rows: tuple[int, ...], near: str, default: Any = ...
) -> py.Expression:
    """One expression for those of several rows, with holes where they differ."""
    first = given[0]
    if all(isinstance(x, py.Literal) for x in given):
        values = tuple(x.value for x in given if isinstance(x, py.Literal))
        assert isinstance(first, py.Literal)
        return Hole(rows, values, first.role, default, near)
    callees = {py.key_of(x.what, literals=False) for x in given if isinstance(x, py.Call)}
    if len(callees) < 2 and all(x.shape == first.shape and len(x.parts) == len(first.parts) for x in given):
        if not first.parts:
            return first
        defaults = _defaults(first)
        parts = tuple(
            unified([x.parts[place] for x in given], rows, near, defaults.get(place, ...))
            for place in range(len(first.parts))
        )
        return first.with_parts(parts)
    return _differing(given, rows, near)


def _defaults(expression: py.Expression) -> dict[int, Any]:
    if not isinstance(expression, py.Call):
        return {}
    behind = 1 + len(expression.arguments)
    return {behind + place: keyword.default for place, keyword in enumerate(expression.keywords)}


def _differing(given: Sequence[py.Expression], rows: tuple[int, ...], near: str) -> py.Expression:
    """Rows that have different expressions: one of two, or each its own."""
    kinds: dict[object, list[int]] = {}
    for place, x in enumerate(given):
        kinds.setdefault(_outline(x), []).append(place)
    if len(kinds) == 2:
        sides = []
        for places in kinds.values():
            chosen = tuple(rows[place] for place in places)
            sides.append((chosen, unified([given[place] for place in places], chosen, near)))
        (first, then), (second, other) = sides
        if py.key_of(then) == py.key_of(py.Call(py.Code("nn.Identity"))):
            (first, then), (second, other) = (second, other), (first, then)
        plain = not any(isinstance(x, Given | Choice) for side in (then, other) for x in py.within(side))
        if plain:
            return Choice(first, then, other, near, rows, tuple(given))
    return Given(rows, tuple(given), near)


def _outline(expression: py.Expression) -> tuple[object, ...]:
    return py.key_of(expression, literals=False)


def holes_in(expressions: Sequence[py.Expression]) -> list[Hole]:
    """The holes in expressions, in order."""
    return [x for expression in expressions for x in py.within(expression) if isinstance(x, Hole)]


def alike(left: Any, right: Any) -> bool:
    """Whether values are of one type and written alike: 1, 1.0 and True differ."""
    return type(left) is type(right) and repr(left) == repr(right)
