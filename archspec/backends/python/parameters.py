"""What instances of one class differ in becomes its parameters: columns of numbers, and how these follow from each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

from archspec.backends.python.expressions import (
    Call,
    Chosen,
    Code,
    Expression,
    Literal,
    Operation,
    key_of,
    number,
    replaced,
    within,
)
from archspec.backends.python.functions import AXIS
from archspec.backends.python.own_weights import RUN
from archspec.graph import Function

_OF_WINDOWS = frozenset(
    (
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "p",
        "eps",
        "momentum",
        "output_padding",
        "count",
        "step",
        "start",
        "value",
        "output_size",
        "start_dim",
        "end_dim",
        "num_layers",
        "alpha",
        "beta",
        "k",
    )
)
"""Roles of numbers that are parameters only where instances differ, as how wide a network is always is."""
_NAMES = {
    "normalized_shape": "dim",
    "num_features": "channels",
    "num_channels": "channels",
    "in_features": "dim",
    "num_heads": "heads",
    "embed_dim": "dim",
}


@dataclass(frozen=True, slots=True)
class Hole(Expression):
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


@dataclass(frozen=True, slots=True)
class Choice(Expression):
    """A place where rows have one of two expressions: `rows` those that have the first."""

    rows: tuple[int, ...]
    then: Expression
    other: Expression
    near: str
    all_rows: tuple[int, ...]
    given: tuple[Expression, ...]
    """What each of all rows has."""

    @property
    def parts(self) -> tuple[Expression, ...]:
        """Both."""
        return self.then, self.other

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Others."""
        return Choice(self.rows, parts[0], parts[1], self.near, self.all_rows, self.given)

    @property
    def shape(self) -> tuple[object, ...]:
        """Which rows have the first."""
        return "choice", self.rows


@dataclass(frozen=True, slots=True)
class Given(Expression):
    """A place where rows differ in more: each is given its own expression."""

    rows: tuple[int, ...]
    values: tuple[Expression, ...]
    near: str

    @property
    def shape(self) -> tuple[object, ...]:
        """Rows and expressions."""
        return "given", self.rows, tuple(map(key_of, self.values))


@dataclass
class Parameter:
    """An argument of a class: what each row gives for it, and its default."""

    name: str
    values: list[Any]  # one per row: a literal's value, or an expression
    annotation: str
    default: Any = ...
    order: tuple[int, int] = (1, 0)

    def same(self, rows: Sequence[int], values: Sequence[Any]) -> bool:
        """Whether these rows give these values."""
        return all(_same(self.values[row], value) for row, value in zip(rows, values, strict=True))

    def gives(self, place: Given) -> bool:
        """Whether it is what rows are given at a place."""
        return all(self.values[row] is value for row, value in zip(place.rows, place.values, strict=True))


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)


# ------------------------------------------------------------------ making rows one


def unified(given: Sequence[Expression], rows: tuple[int, ...], near: str, default: Any = ...) -> Expression:
    """One expression for those of several rows, with holes where they differ."""
    first = given[0]
    if all(isinstance(x, Literal) for x in given):
        values = tuple(x.value for x in given if isinstance(x, Literal))
        assert isinstance(first, Literal)
        return Hole(rows, values, first.role, default, near)
    callees = {key_of(x.what, literals=False) for x in given if isinstance(x, Call)}
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


def _defaults(expression: Expression) -> dict[int, Any]:
    if not isinstance(expression, Call):
        return {}
    behind = 1 + len(expression.arguments)
    return {behind + place: keyword.default for place, keyword in enumerate(expression.keywords)}


def _differing(given: Sequence[Expression], rows: tuple[int, ...], near: str) -> Expression:
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
        if key_of(then) == key_of(Call(Code("nn.Identity"))):
            (first, then), (second, other) = (second, other), (first, then)
        plain = not any(isinstance(x, Given | Choice) for side in (then, other) for x in within(side))
        if plain:
            return Choice(first, then, other, near, rows, tuple(given))
    return Given(rows, tuple(given), near)


def _outline(expression: Expression) -> tuple[object, ...]:
    return key_of(expression, literals=False)


# ------------------------------------------------------------------ parameters


@dataclass
class Parameters:
    """The parameters of one class, found from its holes; `rows` are the functions that it stands for."""

    functions: Sequence[Function]
    taken: set[str] = field(default_factory=set)
    found: list[Parameter] = field(default_factory=list)
    promoted: bool = True
    """Whether sizes that all rows have in common are parameters too."""

    def settle(self, expressions: Sequence[Expression]) -> list[Expression]:
        """Find the parameters for all holes in some expressions; returns these, with choices left that need no others."""
        holes = _holes(expressions)
        whole = [hole for hole in holes if len(hole.rows) == len(self.functions)]
        for hole in (*whole, *holes):
            self._known_of(hole)
        for hole in sorted(whole, key=lambda hole: hole.role == RUN):
            if self.of(hole) is None and not _constant(hole):
                self._new(hole)
        expressions = [replaced(expression, self._simple) for expression in expressions]
        for hole in _holes(expressions):
            if self.of(hole) is None and not _constant(hole):
                self._new(hole)
        self._settle_choices(expressions)
        return expressions

    def _simple(self, x: Expression) -> Expression | None:
        """What rows are given instead of a choice that would need parameters of its own, or has no condition."""
        if not isinstance(x, Choice):
            return None
        open_ = [hole for hole in _holes([x.then, x.other]) if self.of(hole) is None and not _constant(hole)]
        idle = key_of(x.other) == key_of(Call(Code("nn.Identity")))
        if not open_ and (idle or self.condition(x) is not None):
            return x
        return Given(x.all_rows, x.given, x.near)

    def _settle_choices(self, expressions: Sequence[Expression]) -> None:
        for expression in expressions:
            for x in within(expression):
                if isinstance(x, Choice) and self.condition(x) is None:
                    values = [row in x.rows for row in range(len(self.functions))]
                    self._add(
                        Parameter(self._free(_identifier(x.near) or "full"), values, "bool", order=(2, 0))
                    )
                if isinstance(x, Given):
                    given: list[Any] = [None] * len(self.functions)
                    for row, value in zip(x.rows, x.values, strict=True):
                        given[row] = value
                    name = self._free(_identifier(x.near) or "layer")
                    self._add(Parameter(name, given, "nn.Module", order=(1, 99)))

    def written(self, expression: Expression, prefix: str = "") -> Expression:
        """An expression with parameters in its holes, each called by its name behind a prefix, such as `self.`."""

        def named(x: Expression) -> Expression | None:
            is_name = isinstance(x, Code) and x.text in self.taken
            return Code(f"{prefix}{x.text}") if is_name and isinstance(x, Code) else None

        def by(x: Expression) -> Expression | None:
            if isinstance(x, Hole):
                found = self.of(x)
                return Literal(x.values[0], x.role) if found is None else replaced(found, named)
            if isinstance(x, Given):
                return Code(next(p.name for p in self.found if p.gives(x)))
            if isinstance(x, Choice):
                condition = self.condition(x)
                assert condition is not None
                return Chosen(condition, self.written(x.then), self.written(x.other))
            return None

        return replaced(expression, by)

    # ---------------------------------------------------------------- holes

    def of(self, hole: Hole) -> Expression | None:
        """What stands in a hole: a parameter, or what follows from one; None for a literal."""
        if _constant(hole) and not self._promotes(hole):
            return None
        for parameter in sorted(self.found, key=lambda p: p.name != hole.role):
            if parameter.same(hole.rows, hole.values):
                if _constant(hole) and parameter.annotation == "bool":
                    continue
                return Code(parameter.name)
        if hole.role not in _OF_WINDOWS and all(type(value) is int for value in hole.values):
            return self._relation(hole)
        return None

    def _promotes(self, hole: Hole) -> bool:
        """Whether a number that all rows have in common is worth a parameter."""
        if not self.promoted or type(hole.values[0]) is not int or hole.values[0] < 2:
            return False
        return hole.role not in _OF_WINDOWS

    def _relation(self, hole: Hole) -> Expression | None:
        """A multiple or a part of a parameter; a product or a quotient of two; or a multiple and a number more or less."""
        wanted = list(hole.values)
        columns: list[Column] = [
            (Code(p.name), [p.values[row] for row in hole.rows])
            for p in self.found
            if all(type(p.values[row]) is int and p.values[row] > 0 for row in hole.rows)
        ]
        if min(wanted) < 1:
            return None
        constant = _constant(hole)
        found = (_scaled(column, wanted, _FEW if constant else _MANY) for column in columns)
        made = next((x for x in found if x), None)
        if made or constant:
            return made
        pairs = [(left, right) for left in columns for right in columns if left is not right]
        more = itertools.chain(
            (_of_two(left, right, wanted) for left, right in pairs),
            (_line(column, wanted) for column in columns),
        )
        return next((x for x in more if x), None)

    def _known_of(self, hole: Hole) -> None:
        """Add the block's own parameter, or the size of its input, that a hole has the values of."""
        constant = _constant(hole)
        if constant and not self._promotes(hole):
            return
        if any(p.same(hole.rows, hole.values) for p in self.found):
            return
        for place, (name, values) in enumerate(self._arguments()):
            alike = all(_same(values[row], value) for row, value in zip(hole.rows, hole.values, strict=True))
            vague = not hole.role or hole.role.startswith(AXIS)
            if alike and not (constant and vague and name not in _HEADS):
                default = hole.default if any(_same(v, hole.default) for v in values) else ...
                self._add(Parameter(self._free(name), values, _annotation(values), default, (1, place)))
                return
        for name, sizes in self._sizes(hole.role):
            alike = all(_same(sizes[row], value) for row, value in zip(hole.rows, hole.values, strict=True))
            if alike and hole.role and not hole.role.startswith(AXIS):
                self._add(Parameter(self._free(name), list(sizes), "int", order=(0, 0)))
                return

    def _arguments(self) -> Iterator[tuple[str, list[Any]]]:
        """The parameters of the block that are plain values, each with what rows have for it."""
        for name in self.functions[0].arguments:
            if not all(name in function.arguments for function in self.functions):
                continue
            values: list[Any] = [function.arguments[name] for function in self.functions]
            values = [tuple(value) if isinstance(value, list) else value for value in values]
            if (
                name.isidentifier()
                and not iskeyword(name)
                and all(isinstance(v, int | float | bool) for v in values)
            ):
                yield name, values

    def _sizes(self, role: str) -> Iterator[tuple[str, list[int]]]:
        """Sizes of the first input as layers call them."""
        shapes = [function.inputs[0].shape for function in self.functions if function.inputs]
        if len(shapes) < len(self.functions) or not all(shapes):
            return
        first, last = [shape[0] for shape in shapes], [shape[-1] for shape in shapes]
        behind = role in (
            "in_features",
            "normalized_shape",
            "embed_dim",
            "num_heads",
            "input_size",
            "out_features",
        )
        named = (("dim", last), ("in_channels", first)) if behind else (("in_channels", first), ("dim", last))
        for name, sizes in named:
            known = [int(size) for size in sizes if isinstance(size, int)]
            if len(known) == len(sizes):
                yield name, known

    def _new(self, hole: Hole) -> None:
        """A parameter of its own for a hole."""
        values: list[Any] = [None] * len(self.functions)
        for row, value in zip(hole.rows, hole.values, strict=True):
            values[row] = value
        role = hole.role.removeprefix(AXIS).strip()
        name = _NAMES.get(role, role) or _identifier(hole.near) or "value"
        if name in self.taken and hole.near:
            name = f"{_identifier(hole.near)}_{name}"
        default = hole.default if any(_same(value, hole.default) for value in hole.values) else ...
        partial = len(hole.rows) < len(self.functions)
        annotation = _annotation(hole.values)
        if partial:
            default, annotation = None, f"{annotation} | None" if "None" not in annotation else annotation
        self._add(Parameter(self._free(name), values, annotation, default, (2, len(self.found))))

    def _add(self, parameter: Parameter) -> None:
        self.found.append(parameter)

    def _free(self, name: str) -> str:
        """A name that is not yet taken."""
        name = name if name.isidentifier() and not iskeyword(name) else f"{name}_"
        chosen, count = name, 2
        while chosen in self.taken:
            chosen, count = f"{name}{count}", count + 1
        self.taken.add(chosen)
        return chosen

    # ---------------------------------------------------------------- conditions

    def condition(self, choice: Choice) -> Expression | None:
        """What tells the rows that have the first from the others, in terms of the parameters."""
        wanted = [row in choice.rows for row in range(len(self.functions))]
        for parameter in self.found:
            if all(type(v) is bool for v in parameter.values) and parameter.values == wanted:
                return Code(parameter.name)
        numbers = [p for p in self.found if all(type(v) in (int, float) for v in p.values)]
        for parameter in numbers:
            for value in dict.fromkeys(parameter.values):
                if [v != value for v in parameter.values] == wanted:
                    sign = ">" if value == 0 and min(parameter.values) >= 0 else "!="
                    return Operation(sign, (Code(parameter.name), Code(repr(value))))
                if [v == value for v in parameter.values] == wanted:
                    return Operation("==", (Code(parameter.name), Code(repr(value))))
        whole = [p for p in numbers if all(type(v) is int for v in p.values)]
        for left in whole:
            for right in whole:
                for factor in (1, 2, 4):
                    unequal = [a != factor * b for a, b in zip(left.values, right.values, strict=True)]
                    if left is not right and unequal == wanted:
                        scaled: Expression = Code(right.name)
                        if factor > 1:
                            scaled = Operation("*", (number(factor), scaled))
                        return Operation("!=", (Code(left.name), scaled))
        return None


def _holes(expressions: Sequence[Expression]) -> list[Hole]:
    return [x for expression in expressions for x in within(expression) if isinstance(x, Hole)]


_HEADS = frozenset(("heads", "window", "patch", "groups"))


def _constant(hole: Hole) -> bool:
    return all(_same(value, hole.values[0]) for value in hole.values)


Column = tuple[Code, list[int]]
"""A parameter, and what it is for some rows."""
_FEW, _MANY = (
    9,
    65,
)  # factors by which one number may follow from another, where all rows have the same and where not


def _scaled(of: Column, wanted: list[int], most: int) -> Expression | None:
    """`4 * width`, or `width // 4`."""
    name, column = of
    for factor in {max(wanted[0] // column[0], column[0] // wanted[0])} & set(range(2, most)):
        if wanted == [factor * value for value in column] and min(column) > 1:
            return Operation("*", (number(factor), name))
        if column == [factor * value for value in wanted]:
            return Operation("//", (name, number(factor)))
    return None


def _of_two(left: Column, right: Column, wanted: list[int]) -> Expression | None:
    """`heads * width`, or `dim // heads`."""
    pairs = list(zip(left[1], right[1], strict=True))
    if wanted == [a * b for a, b in pairs]:
        return Operation("*", (left[0], right[0]))
    if all(a % b == 0 for a, b in pairs) and wanted == [a // b for a, b in pairs]:
        return Operation("//", (left[0], right[0]))
    return None


def _line(of: Column, wanted: list[int]) -> Expression | None:
    """`7 * size - 7`."""
    name, column = of
    seen = sorted(dict(zip(column, wanted, strict=True)).items())
    if len(seen) < 2:
        return None
    (x0, y0), (x1, y1) = seen[:2]
    slope, rest = divmod(y1 - y0, x1 - x0)
    offset = y0 - slope * x0
    if rest or slope < 1 or wanted != [slope * value + offset for value in column]:
        return None
    scaled = name if slope == 1 else Operation("*", (number(slope), name))
    return Operation("+" if offset > 0 else "-", (scaled, number(abs(offset)))) if offset else scaled


def _identifier(near: str) -> str:
    name = near.replace(".", "_")
    return name if name.isidentifier() and not iskeyword(name) else ""


def _annotation(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    names = {int: "int", float: "float", bool: "bool", str: "str", type(None): "None", tuple: "tuple"}
    if kinds == {int, float}:
        return "float"
    listed = [
        names.get(kind, "object") for kind in (bool, int, float, str, tuple, type(None)) if kind in kinds
    ]
    listed = ["tuple[int, ...]" if name == "tuple" else name for name in listed]
    return " | ".join(listed) or "object"
