"""What instances of one class differ in becomes its parameters: columns of numbers, by which holes are filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.conditions import Told, arguments, told
from archspec.backends.python.functions import AXIS
from archspec.backends.python.holes import Choice, Given, Hole, alike, holes_in
from archspec.backends.python.own_weights import RUN
from archspec.backends.python.relations import relation
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
        return all(alike(self.values[row], value) for row, value in zip(rows, values, strict=True))

    def gives(self, place: Given) -> bool:
        """Whether it is what rows are given at a place."""
        return all(self.values[row] is value for row, value in zip(place.rows, place.values, strict=True))


@dataclass
class Parameters:
    """The parameters of one class, found from its holes; `rows` are the functions that it stands for."""

    functions: Sequence[Function]
    taken: set[str] = field(default_factory=set)
    found: list[Parameter] = field(default_factory=list)
    promoted: bool = True
    """Whether sizes that all rows have in common are parameters too."""

    def settle(self, expressions: Sequence[py.Expression]) -> list[py.Expression]:
        """Find the parameters for all holes in some expressions; returns these, with choices left that need no others."""
        holes = holes_in(expressions)
        whole = [hole for hole in holes if len(hole.rows) == len(self.functions)]
        for hole in (*whole, *holes):
            self._known_of(hole)
        for hole in sorted(whole, key=lambda hole: hole.role == RUN):
            if self.of(hole) is None and not hole.is_constant:
                self._new(hole)
        expressions = [py.replaced(expression, self._simple) for expression in expressions]
        for hole in holes_in(expressions):
            if self.of(hole) is None and not hole.is_constant:
                self._new(hole)
        self._settle_choices(expressions)
        return expressions

    def _simple(self, x: py.Expression) -> py.Expression | None:
        """What rows are given instead of a choice that would need parameters of its own, or has no condition."""
        if not isinstance(x, Choice):
            return None
        open_ = [
            hole for hole in holes_in([x.then, x.other]) if self.of(hole) is None and not hole.is_constant
        ]
        idle = py.key_of(x.other) == py.key_of(py.Call(py.Code("nn.Identity")))
        if not open_ and (idle or self.condition(x) is not None):
            return x
        return Given(x.all_rows, x.given, x.near)

    def _settle_choices(self, expressions: Sequence[py.Expression]) -> None:
        for expression in expressions:
            for x in py.within(expression):
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

    def written(self, expression: py.Expression, prefix: str = "") -> py.Expression:
        """An expression with parameters in its holes, each called by its name behind a prefix, such as `self.`."""

        def named(x: py.Expression) -> py.Expression | None:
            is_name = isinstance(x, py.Code) and x.text in self.taken
            return py.Code(f"{prefix}{x.text}") if is_name and isinstance(x, py.Code) else None

        def by(x: py.Expression) -> py.Expression | None:
            if isinstance(x, Hole):
                found = self.of(x)
                return py.Literal(x.values[0], x.role) if found is None else py.replaced(found, named)
            if isinstance(x, Given):
                return py.Code(next(p.name for p in self.found if p.gives(x)))
            if isinstance(x, Choice):
                condition = self.condition(x)
                assert condition is not None
                return py.Chosen(self.written(x.then), condition, self.written(x.other))
            return None

        return py.replaced(expression, by)

    # ---------------------------------------------------------------- holes

    def of(self, hole: Hole) -> py.Expression | None:
        """What stands in a hole: a parameter, or what follows from one; None for a literal."""
        if hole.role == "groups" and hole.is_constant and hole.values[0] != 1:
            as_many = [p for p in self.found if p.name == "in_channels" and p.same(hole.rows, hole.values)]
            return py.Code(as_many[0].name) if as_many else None
        if hole.is_constant and not self._promotes(hole):
            return None
        for parameter in sorted(self.found, key=lambda p: p.name != hole.role):
            if parameter.same(hole.rows, hole.values):
                if hole.is_constant and parameter.annotation == "bool":
                    continue
                return py.Code(parameter.name)
        if hole.role == "padding" and not hole.is_constant:
            return self._half(hole)
        depthwise = hole.role == "groups" and not hole.is_constant  # as many as channels
        if (depthwise or hole.role not in _OF_WINDOWS) and all(type(value) is int for value in hole.values):
            columns = [
                (py.Code(p.name), [p.values[row] for row in hole.rows])
                for p in self.found
                if all(type(p.values[row]) is int and p.values[row] > 0 for row in hole.rows)
            ]
            return relation(columns, list(hole.values), only_scaled=depthwise or hole.is_constant)
        return None

    def _half(self, hole: Hole) -> py.Expression | None:
        """`kernel // 2`, as padding mostly is."""
        for parameter in self.found:
            windows = [parameter.values[row] for row in hole.rows]
            if not parameter.name.startswith("kernel") or not all(type(window) is int for window in windows):
                continue
            if [window // 2 for window in windows] == list(hole.values):
                return py.Operation("//", (py.Code(parameter.name), py.number(2)))
        return None

    def _promotes(self, hole: Hole) -> bool:
        """Whether a number that all rows have in common is worth a parameter."""
        if not self.promoted or type(hole.values[0]) is not int or hole.values[0] < 2:
            return False
        return hole.role not in _OF_WINDOWS

    def _known_of(self, hole: Hole) -> None:
        """Add the block's own parameter, or the size of its input, that a hole has the values of."""
        if hole.is_constant and not self._promotes(hole):
            return
        if any(p.same(hole.rows, hole.values) for p in self.found):
            return
        for place, (name, values) in enumerate(arguments(self.functions)):
            equal = all(alike(values[row], value) for row, value in zip(hole.rows, hole.values, strict=True))
            vague = not hole.role or hole.role.startswith(AXIS)
            if equal and not (hole.is_constant and vague and name not in _HEADS):
                default = hole.default if any(alike(v, hole.default) for v in values) else ...
                self._add(Parameter(self._free(name), values, _annotation(values), default, (1, place)))
                return
        for name, sizes in self._sizes(hole.role):
            equal = all(alike(sizes[row], value) for row, value in zip(hole.rows, hole.values, strict=True))
            if equal and hole.role and not hole.role.startswith(AXIS):
                self._add(Parameter(self._free(name), list(sizes), "int", order=(0, 0)))
                return

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
        default = hole.default if any(alike(value, hole.default) for value in hole.values) else ...
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

    def told(self, rows: Sequence[int]) -> Told:
        """What tells some rows from the others; it is known that something does."""
        found = told(self.functions, [row in rows for row in range(len(self.functions))])
        assert found is not None
        return found

    def telling(self, rows: Sequence[int], prefix: str = "") -> py.Expression:
        """What tells some rows from the others, in terms of the parameters, whose names are behind a prefix."""
        found = self.told(rows)
        names = {name: prefix + self._column(name, values) for name, values in found.columns.items()}
        return py.replaced(
            found.condition,
            lambda x: py.Code(names[x.text]) if isinstance(x, py.Code) and x.text in names else None,
        )

    def _column(self, name: str, values: list[Any]) -> str:
        """The parameter that gives rows such values, which is new if there is none."""
        for parameter in self.found:
            if parameter.same(range(len(values)), values):
                return parameter.name
        default = False if type(values[0]) is bool else ...
        self._add(Parameter(self._free(name), values, _annotation(values), default, (1, len(self.found))))
        return self.found[-1].name

    def condition(self, choice: Choice) -> py.Expression | None:
        """What tells the rows that have the first from the others, in terms of the parameters."""
        wanted = [row in choice.rows for row in range(len(self.functions))]
        for parameter in self.found:
            if all(type(v) is bool for v in parameter.values) and parameter.values == wanted:
                return py.Code(parameter.name)
        numbers = [p for p in self.found if all(type(v) in (int, float) for v in p.values)]
        for parameter in numbers:
            for value in dict.fromkeys(parameter.values):
                if [v != value for v in parameter.values] == wanted:
                    sign = ">" if value == 0 and min(parameter.values) >= 0 else "!="
                    return py.Operation(sign, (py.Code(parameter.name), py.Code(repr(value))))
                if [v == value for v in parameter.values] == wanted:
                    return py.Operation("==", (py.Code(parameter.name), py.Code(repr(value))))
        whole = [p for p in numbers if all(type(v) is int for v in p.values)]
        for left in whole:
            for right in whole:
                for factor in (1, 2, 4):
                    unequal = [a != factor * b for a, b in zip(left.values, right.values, strict=True)]
                    if left is not right and unequal == wanted:
                        scaled: py.Expression = py.Code(right.name)
                        if factor > 1:
                            scaled = py.Operation("*", (py.number(factor), scaled))
                        return py.Operation("!=", (py.Code(left.name), scaled))
        return None


_HEADS = frozenset(("heads", "window", "patch", "groups"))


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
