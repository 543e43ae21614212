"""What a spec says: a typed tree in which names are not yet looked up.

Every node keeps the span of text that it came from, and a file keeps its comments, so that the tree
can be printed back without losing any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, dataclass_transform

from archspec.ground.errors import Problem
from archspec.ground.source import Source, Span


@dataclass_transform(eq_default=False, frozen_default=True)
class _Fields:
    """The names annotated in a subclass are its fields, given to it in that order.

    This does what a dataclass does here, but to define forty dataclasses takes a tenth of the time of
    a whole check.
    """

    field_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.field_names += tuple(vars(cls).get("__annotations__", ()))

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(zip(self.field_names, values, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.field_names if name != "span")
        return f"{type(self).__name__}({shown})"


class Tree(_Fields):
    """A node of the tree."""

    span: Span

    def children(self) -> list[Tree]:
        """The nodes directly below, in the order of the text."""
        found: list[Tree] = []
        _collect(self.__dict__.values(), found)
        return found

    def below(self) -> Iterator[Tree]:
        """All nodes below, in the order of the text."""
        stack = self.children()[::-1]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children()))

    @cached_property
    def nodes(self) -> list[Tree]:
        """All nodes below, in the order of the text; kept, since several questions are asked of those of a definition."""
        return list(self.below())


def _collect(values: Iterable[object], found: list[Tree]) -> None:
    for value in values:
        if isinstance(value, Tree):
            found.append(value)
        elif type(value) is tuple:  # a span is one of another type
            _collect(value, found)


# ------------------------------------------------------------------ expressions


class Expression(Tree):
    """Something that has a value."""

    def at(self, span: Span) -> Self:
        """The same expression with another span."""
        return type(self)(span, *(getattr(self, name) for name in self.field_names[1:]))


class Name(Expression):
    """`width`."""

    name: str


class Literal_(Expression):  # noqa: N801  (`Literal` is typing's)
    """`3`, `0.5`, `true`, `none`."""

    value: int | float | bool | None


class Text(Expression):
    """A string: its literal parts and, between them, the expressions in braces."""

    parts: tuple[str | Expression, ...]

    @property
    def literal(self) -> str | None:
        """The string itself when it holds no expression."""
        if all(isinstance(part, str) for part in self.parts):
            return "".join(part for part in self.parts if isinstance(part, str))
        return None


class Item(Tree):
    """One item of a list, with the name of the step it will be when the list is applied."""

    label: Text | None
    value: Expression


class Spread(Expression):
    """`*row` in brackets: each item of a list or tuple in its place."""

    value: Expression


class ListOf(Expression):
    """`[Conv(8), relu: ReLU]`."""

    items: tuple[Item, ...]


class TupleOf(Expression):
    """`(a, b)`, or `a, b` without brackets."""

    items: tuple[Expression, ...]


class Clause(Tree):
    """`for a, b in pairs if a > b`."""

    target: Target
    iterable: Expression
    conditions: tuple[Expression, ...]


class Comprehension(Expression):
    """`[n * 2 for n in sizes]`, as a list or, in a call, without brackets."""

    item: Item
    clauses: tuple[Clause, ...]


class Argument(Tree):
    """An argument of a call, by name or by position."""

    name: str | None
    value: Expression


class Call(Expression):
    """`Conv(64, 3, stride=2)`."""

    callee: Expression
    arguments: tuple[Argument, ...]


class Attribute(Expression):
    """`x.channels`."""

    value: Expression
    name: str


class Slice(Tree):
    """`1:`, `:-1`, `::2` within brackets."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None


class Subscript(Expression):
    """`states[a]`, `x[1:, 0]`."""

    value: Expression
    indices: tuple[Expression | Slice, ...]


class Unary(Expression):
    """`-x`, `not done`."""

    operator: Literal["-", "+", "not"]
    value: Expression


class Binary(Expression):
    """`a + b`, and the other operators between two values."""

    operator: str
    left: Expression
    right: Expression


class Comparison(Expression):
    """`a < b <= c`, `i not in used`."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


class Logic(Expression):
    """`a and b and c`, or the same with `or`."""

    operator: Literal["and", "or"]
    values: tuple[Expression, ...]


class Conditional(Expression):
    """`a if test else b`."""

    then: Expression
    test: Expression
    other: Expression


class Step(Tree):
    """`-> conv1: Conv(64)`."""

    label: Text | None
    layer: Expression


class Chain(Expression):
    """`x -> conv1: Conv(64) -> ReLU`."""

    source: Expression
    steps: tuple[Step, ...]


class Target(Tree):
    """What is bound: a name, or a tuple of targets to unpack into."""

    name: str | None
    targets: tuple[Target, ...]


# ------------------------------------------------------------------ statements


class Statement(Tree):
    """A line, or a line with the lines indented under it."""


ALL = "*"
"""Among the names of a broken statement: whatever else is not known may be bound there, as by `from a import *`."""


class Broken(Statement):
    """Lines that are no statement. `names` are those that they would have bound, as far as can be told.

    `ends` says whether they hold a `return` or an `input`, without which a block cannot go on.
    """

    names: tuple[str, ...]
    ends: bool


class Docstring(Statement):
    """A string that stands alone."""

    text: str


class Assign(Statement):
    """`y = x -> ReLU`, `a, b = pair`."""

    target: Target
    value: Expression


class Augment(Assign):
    """`x += x -> ffn: Mlp(4 * D)`: `value` is the sum that the name is bound to anew, or what another operator gives."""


class FreeSize(Expression):
    """`free S` in the shape of an input."""

    name: str


class RestSizes(Tree):
    """`*S` in the shape of an input: any number of sizes."""

    name: str


PatternSize = Expression | RestSizes


def _before_bracket(node: Tree, word: str | None) -> Span:
    """Where a word stands in a node, behind a colon or an asterisk and before a bracket; the node as a whole if there is none."""
    found = re.compile(rf"[:*]\s*({word})\s*\[").search(node.span.source.text, node.span.start, node.span.end)
    return Span(node.span.source, *found.span(1)) if found else node.span


class Input(Statement):
    """`input x: [C, H, W]`; without a pattern any shape will do.

    `input xs: n * [C, H, W]` is a list of `count` tensors, `input *xs` one of all that remain.
    """

    name: str
    dtype: str | None
    pattern: tuple[PatternSize, ...] | None
    count: Expression | None
    remaining: bool

    @property
    def dtype_span(self) -> Span:
        """Where the dtype stands; what is declared as a whole where there is none."""
        return _before_bracket(self, self.dtype)


class Own(Statement):
    """`weight table: [169, heads] = trunc_normal(0.02)`; likewise `buffer`, and `constant` (not saved).

    Its key is its name, or what stands before that: `weight "rel_pos.table" as table: ...`.
    """

    kind: Literal["weight", "buffer", "constant"]
    label: Text | None
    name: str
    dtype: str | None
    shape: tuple[Expression, ...]
    value: Expression

    @property
    def dtype_span(self) -> Span:
        """Where the dtype stands; what is declared as a whole where there is none."""
        return _before_bracket(self, self.dtype)


class Shared(Statement):
    """`shared mlp = [Linear(64), ReLU]`: one instance, whose weights every use shares."""

    label: Text | None
    name: str
    value: Expression


class Rule(Tree):
    """One line of `defaults`.

    `Conv(bias=false)`: arguments of each such step; `"*.bn3.weight": zeros`: how the weights of that name start;
    `BatchNorm = norm`: the layer that stands for an op.
    """

    names: Text | None
    op: Name | None
    value: Expression


class Replacement(Tree):
    """`"layer4.*.relu" = GELU`: a line of `defaults` that says what stands in the place of the steps at a path."""

    path: Text
    value: Expression


class Insertion(Tree):
    """`"layer4.*.conv2" -> se: SqueezeExcite(16)`, `drop: Dropout(0.1) -> "fc"`: a line of `defaults` with steps behind others, or before.

    One of `before` and `behind` has steps.
    """

    before: tuple[Step, ...]
    path: Text
    behind: tuple[Step, ...]


class Defaults(Statement):
    """`defaults:` and the rules under it, which hold for all that the block applies, or for what the file defines."""

    rules: tuple[Rule | Replacement | Insertion, ...]


class Require(Statement):
    """`require D % heads == 0, "why"`."""

    test: Expression
    message: Text | None


class Branch(Tree):
    """The lines under one `if` or `elif`."""

    test: Expression
    body: tuple[Statement, ...]


class If(Statement):
    """`if`, any `elif`, and `else`."""

    branches: tuple[Branch, ...]
    other: tuple[Statement, ...]


class For(Statement):
    """`for a, b in pairs:`."""

    target: Target
    iterable: Expression
    body: tuple[Statement, ...]


class Output(Tree):
    """One of the values returned, and its name if it was given one."""

    name: str | None
    value: Expression


class Return(Statement):
    """`return x`, `return a, b`, `return logits=x, aux=y`."""

    outputs: tuple[Output, ...]


# ------------------------------------------------------------------ top level


class Imported(Tree):
    """One name taken from another file, and what it is called here."""

    name: str
    alias: str


class Import(Statement):
    """`from blocks.attention import SqueezeExcite as SE`."""

    path: tuple[str, ...]
    names: tuple[Imported, ...]


class TypeName(Tree):
    """`int`, `layer`, `list[int]`."""

    name: str
    item: TypeName | None


class Choices(Tree):
    """`{3, 5, 7}`: the values a parameter may take."""

    values: tuple[Expression, ...]


class Range(Tree):
    """`1..8`: the least and the greatest value a parameter may take."""

    low: Expression
    high: Expression


class Parameter(Tree):
    """`kernel: int in {3, 5, 7} = 3`."""

    name: str
    type: TypeName | None
    domain: Choices | Range | None
    default: Expression | None


class Definition(Statement):
    """A block or a model: in the long form with a body, in the short form standing for a layer."""

    kind: Literal["block", "model"]
    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    layer: Expression | None

    @property
    def doc(self) -> str:
        """The docstring, or an empty string."""
        return next((s.text for s in self.body if isinstance(s, Docstring)), "")


class FunctionDefinition(Statement):
    """`def make_divisible(v, divisor=8):` and the lines under it: a function of numbers."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


class Claim(Tree):
    """`params 12M`, `output logits [1000]`: a figure as printed, or a shape.

    `macs 3.5G but 3.36G "why"` is a figure that is known not to hold, what does, and the reason.
    """

    quantity: str
    subject: str | None
    figure: str | None
    shape: tuple[Expression, ...] | None
    known: str | None
    reason: str


class Claims(Statement):
    """`claims Model "source" at resolution=300:` and the figures under it."""

    model: str
    source: str
    settings: tuple[Argument, ...]
    claims: tuple[Claim, ...]


class Renaming(Tree):
    """`"a.{i}.w" -> "b.{i}.weight"`: a key of others' checkpoints, or several whose tensors are joined, and the key here.

    `pattern` is how the values are rearranged (`: "i o -> o i"`). Keys that have none here have no `target`, and a reason.
    """

    sources: tuple[Text, ...]
    target: Text | None
    pattern: Text | None
    reason: str


class Names(Statement):
    """`names Model "timm":` and the lines under it: what other code calls the model's weights; without a title, keys that they have besides."""

    model: str
    title: str
    rules: tuple[Renaming, ...]


class Budget(Statement):
    """`budget 3_000_000`: what the spec takes to be read, where that is more than usual."""

    most: int


class Comment(Tree):
    """From `#` to the end of the line."""

    text: str


class File(Tree):
    """A whole spec file: its statements in order, and its comments in order beside them.

    `problems` are those of its syntax; where there are any, some statements are `Broken`, and comments are left out.
    """

    source: Source
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]
    problems: tuple[Problem, ...]

    @property
    def doc(self) -> str:
        """The docstring that opens the file, or an empty string."""
        first = self.statements[0] if self.statements else None
        return first.text if isinstance(first, Docstring) else ""

    @cached_property
    def definitions(self) -> tuple[Definition, ...]:
        """The blocks and models it defines, in order."""
        return tuple(s for s in self.statements if isinstance(s, Definition))
