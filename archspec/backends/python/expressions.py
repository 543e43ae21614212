"""Expressions of Python: what the code of a network is made of, before it is text.

All text in them is either of archspec's own tables, or a name that was checked to be one, or written by `repr`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Expression:
    """A part of a program; `parts` are the expressions in it, in the order in which they are written."""

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return ()

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same, of other expressions."""
        return self

    @property
    def shape(self) -> tuple[object, ...]:
        """What tells it from others beside its parts."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Code(Expression):
    """Text that is always the same: `nn.Conv2d`, `self.conv1`, `x`."""

    text: str

    @property
    def shape(self) -> tuple[object, ...]:
        """The text."""
        return "code", self.text


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

    @property
    def shape(self) -> tuple[object, ...]:
        """The number."""
        return "value", self.number


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

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What is called, and its arguments."""
        return (self.what, *self.arguments, *(keyword.value for keyword in self.keywords))

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same call of other things."""
        count = len(self.arguments)
        keywords = tuple(
            replace(keyword, value=value)
            for keyword, value in zip(self.keywords, parts[count + 1 :], strict=True)
        )
        return Call(parts[0], parts[1 : count + 1], keywords)

    @property
    def shape(self) -> tuple[object, ...]:
        """How many arguments, and their names."""
        names = tuple((keyword.name, repr(keyword.default)) for keyword in self.keywords)
        return "call", len(self.arguments), names


@dataclass(frozen=True, slots=True)
class Attribute(Expression):
    """`x.shape`."""

    of: Expression
    name: str

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What it is an attribute of."""
        return (self.of,)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The attribute of another."""
        return Attribute(parts[0], self.name)

    @property
    def shape(self) -> tuple[object, ...]:
        """The name."""
        return "attribute", self.name


@dataclass(frozen=True, slots=True)
class Item(Expression):
    """`x[:, 0]`."""

    of: Expression
    places: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What is indexed, and by what."""
        return (self.of, *self.places)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Another part of another tensor."""
        return Item(parts[0], parts[1:])

    @property
    def shape(self) -> tuple[object, ...]:
        """The number of places."""
        return "item", len(self.places)


@dataclass(frozen=True, slots=True)
class Slice(Expression):
    """`1:9:2` in an index; None where nothing is written."""

    ends: tuple[Expression | None, Expression | None, Expression | None]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What is written."""
        return tuple(end for end in self.ends if end is not None)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Other ends, at the same places."""
        left = iter(parts)
        first, second, third = (None if end is None else next(left) for end in self.ends)
        return Slice((first, second, third))

    @property
    def shape(self) -> tuple[object, ...]:
        """Which ends are written."""
        return "slice", tuple(end is not None for end in self.ends)


@dataclass(frozen=True, slots=True)
class Operation(Expression):
    """`x + y`, or `-x` of one operand."""

    operator: str
    operands: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The operands."""
        return self.operands

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of other operands."""
        return Operation(self.operator, parts)

    @property
    def shape(self) -> tuple[object, ...]:
        """The operator."""
        return "operation", self.operator, len(self.operands)


@dataclass(frozen=True, slots=True)
class Listed(Expression):
    """`(a, b)` or `[a, b]`; `{"a": b}` where there are keys."""

    items: tuple[Expression, ...]
    bracket: str = "("
    keys: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The items."""
        return self.items

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Other items."""
        return Listed(parts, self.bracket, self.keys)

    @property
    def shape(self) -> tuple[object, ...]:
        """The bracket, and how many there are."""
        return "listed", self.bracket, len(self.items), self.keys


@dataclass(frozen=True, slots=True)
class Repeated(Expression):
    """`*[a for _ in range(count)]` among arguments; with several items `for layer in (a, b)` behind it."""

    items: tuple[Expression, ...]
    count: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The items, and the count."""
        return (*self.items, self.count)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Other items."""
        return Repeated(parts[:-1], parts[-1])

    @property
    def shape(self) -> tuple[object, ...]:
        """How many items."""
        return "repeated", len(self.items)


@dataclass(frozen=True, slots=True)
class Chosen(Expression):
    """`a if condition else b`."""

    condition: Expression
    then: Expression
    other: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """In the order in which they are written."""
        return self.then, self.condition, self.other

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Another choice."""
        return Chosen(parts[1], parts[0], parts[2])

    @property
    def shape(self) -> tuple[object, ...]:
        """There is one way to choose."""
        return ("chosen",)


@dataclass(frozen=True, slots=True)
class Each(Expression):
    """`(t.relu() for t in x.chunk(3))`: the same of several tensors; `item` calls each `t`."""

    item: Expression
    over: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """What is made of each, and of what."""
        return self.item, self.over

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of others."""
        return Each(*parts)

    @property
    def shape(self) -> tuple[object, ...]:
        """There is one way."""
        return ("each",)


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


@dataclass(frozen=True, slots=True)
class Member(Expression):
    """A part of a module by its path: `self.conv1`, `self.branches[0]`. How it is reached depends on what holds it."""

    path: str

    @property
    def shape(self) -> tuple[object, ...]:
        """The path."""
        return "member", self.path


@dataclass(frozen=True, slots=True)
class Instance(Expression):
    """An instance of the class that a function becomes, by the function's index."""

    function: int

    @property
    def shape(self) -> tuple[object, ...]:
        """The function."""
        return "instance", self.function
