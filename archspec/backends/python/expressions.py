"""Expressions of Python: what the code of a network is made of, before it is text.

All text in them is either of archspec's own tables, or a name that was checked to be one, or written by `repr`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Expression:
    """A part of a program: the expressions in its fields are its parts, in the order of the fields."""

    @property
    def _fields(self) -> list[Any]:
        names: tuple[str, ...] = self.__match_args__
        return [getattr(self, name) for name in names]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(part for field in self._fields for part in _parts(field))

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same, of as many other expressions."""
        left = iter(parts)
        return type(self)(*(_with_parts(field, left) for field in self._fields))

    @property
    def shape(self) -> tuple[object, ...]:
        """What tells it from others beside its parts."""
        return type(self), *map(_shape, self._fields)


def _parts(field: Any) -> Iterator[Expression]:
    if isinstance(field, Expression):
        yield field
    elif isinstance(field, Keyword):
        yield field.value
    elif isinstance(field, tuple):
        for item in field:
            yield from _parts(item)


def _with_parts(field: Any, parts: Iterator[Expression]) -> Any:
    if isinstance(field, Expression):
        return next(parts)
    if isinstance(field, Keyword):
        return replace(field, value=next(parts))
    return tuple(_with_parts(item, parts) for item in field) if isinstance(field, tuple) else field


def _shape(field: Any) -> object:
    if isinstance(field, Expression):
        return Expression
    if isinstance(field, Keyword):
        return field.name, repr(field.default)
    return tuple(map(_shape, field)) if isinstance(field, tuple) else repr(field)


@dataclass(frozen=True, slots=True)
class Code(Expression):
    """Text that is always the same: `nn.Conv2d`, `self.conv1`, `x`."""

    text: str


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A number, a string, a truth value, None, or a tuple of such: what can become an argument of a class.

    `role` is what it is called where it stands: `kernel_size`.
    """

    value: Any
    role: str = ""

    @property
    def shape(self) -> tuple[object, ...]:
        """Its type, and its value as text: 1, 1.0 and True differ."""
        return "literal", repr(self.value)


@dataclass(frozen=True, slots=True)
class Value(Expression):
    """A tensor that was computed before, by its number; the inputs come first."""

    number: int


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """A part of a module by its path: `self.conv1`, `self.branches[0]`. How it is reached depends on what holds it."""

    path: str


@dataclass(frozen=True, slots=True)
class Instance(Expression):
    """An instance of the class that a function becomes, by the function's index."""

    function: int


@dataclass(frozen=True, slots=True)
class Keyword:
    """An argument by name, and the default at which it is left out. `...` stands for no default."""

    name: str
    value: Expression
    default: Any = ...


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A call: `nn.Conv2d(64, 64, kernel_size=3)`. `what` is a function, a class or a module."""

    what: Expression
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[Keyword, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute(Expression):
    """`x.shape`."""

    of: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Item(Expression):
    """`x[:, 0]`."""

    of: Expression
    places: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Slice(Expression):
    """`1:9:2` in an index; None where nothing is written."""

    ends: tuple[Expression | None, Expression | None, Expression | None]


ALL = Slice((None, None, None))
"""`:` in an index."""


@dataclass(frozen=True, slots=True)
class Operation(Expression):
    """`x + y`, or `-x` of one operand."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Listed(Expression):
    """`(a, b)` or `[a, b]`; `{"a": b}` where there are keys."""

    items: tuple[Expression, ...]
    bracket: str = "("
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeated(Expression):
    """`*[a for _ in range(count)]` among arguments; with several items `for layer in (a, b)` behind it."""

    items: tuple[Expression, ...]
    count: Expression


@dataclass(frozen=True, slots=True)
class Chosen(Expression):
    """`a if condition else b`."""

    then: Expression
    condition: Expression
    other: Expression


@dataclass(frozen=True, slots=True)
class Each(Expression):
    """`(t.relu() for t in x.chunk(3))`: the same of several tensors; `item` calls each `t`."""

    item: Expression
    over: Expression


# ------------------------------------------------------------------ making them


def call(what: str, *arguments: Expression, **keywords: Expression) -> Call:
    """A call of a function by its name."""
    return Call(Code(what), arguments, tuple(Keyword(name, value) for name, value in keywords.items()))


def method(of: Expression, name: str, *arguments: Expression, **keywords: Expression) -> Call:
    """A call of a method."""
    named = tuple(Keyword(key, value) for key, value in keywords.items())
    return Call(Attribute(of, name), arguments, named)


def number(value: Any) -> Code:
    """A literal that is the same in all instances of a class, such as an axis."""
    return Code(repr(value))


def replaced(expression: Expression, by: Callable[[Expression], Expression | None]) -> Expression:
    """The expression in which `by` has put others in the place of some; what it puts there is left as it is."""
    found = by(expression)
    if found is not None:
        return found
    parts = expression.parts
    return expression.with_parts(tuple(replaced(part, by) for part in parts)) if parts else expression


def renumbered(expression: Expression, values: Mapping[int, Expression]) -> Expression:
    """The expression of other values."""
    return replaced(
        expression, lambda part: values.get(part.number, part) if isinstance(part, Value) else None
    )


def within(expression: Expression) -> Iterator[Expression]:
    """All expressions in one, itself included, in order."""
    yield expression
    for part in expression.parts:
        yield from within(part)


def key_of(expression: Expression, *, literals: bool = True) -> tuple[object, ...]:
    """What tells it from others; without `literals`, whatever these are."""
    if isinstance(expression, Literal) and not literals:
        return ("literal",)
    return (*expression.shape, *(key_of(part, literals=literals) for part in expression.parts))
