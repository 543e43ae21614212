"""What tells some instances of a class from the others, in terms of a block's arguments and the sizes of its input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from keyword import iskeyword
from typing import Any, NamedTuple

from archspec.backends.python import expressions as py
from archspec.graph import Function

_CONSTANTS = 0, 1
"""Numbers that mean something by themselves; that a size is 96 in some instances and not in others is chance."""


_FACTORS = 1, 2, 4
"""How many times wider a block gives back what it takes than it is itself."""
_SIZES = "in_channels", "dim"


class Told(NamedTuple):
    """A condition, and the columns that it is of, by name: what each instance has for them."""

    condition: py.Expression
    columns: dict[str, list[Any]]


class _Predicate(NamedTuple):
    condition: py.Expression
    names: tuple[str, ...]
    holds: list[bool]


def told(functions: Sequence[Function], wanted: Sequence[bool]) -> Told | None:
    """What holds of just those functions that are wanted."""
    columns = {**dict(arguments(functions)), **_sizes(functions)}
    predicates = list(_predicates(columns))
    for found in predicates:
        if found.holds == list(wanted):
            return Told(found.condition, {name: columns[name] for name in found.names})
    for name, values in columns.items():
        # A switch that elsewhere has no effect, as a shift where one window is the whole map.
        if all(type(value) is bool for value in values) and not any(
            want and not value for want, value in zip(wanted, values, strict=True)
        ):
            return Told(py.Code(name), {name: list(wanted)})
    for left, right in combinations(predicates, 2):
        pairs = list(zip(left.holds, right.holds, strict=True))
        for sign, holds in (("and", [a and b for a, b in pairs]), ("or", [a or b for a, b in pairs])):
            if holds == list(wanted):
                both = py.Operation(sign, (left.condition, right.condition))
                return Told(both, {name: columns[name] for name in (*left.names, *right.names)})
    return None


def arguments(functions: Sequence[Function]) -> Iterator[tuple[str, list[Any]]]:
    """The parameters of a block that are plain values, each with what functions have for it."""
    for name in functions[0].arguments:
        if not name.isidentifier() or iskeyword(name):
            continue
        if not all(name in function.arguments for function in functions):
            continue
        values: list[Any] = [function.arguments[name] for function in functions]
        if all(isinstance(value, int | float | bool) for value in values):
            yield name, values


def _sizes(functions: Sequence[Function]) -> dict[str, list[Any]]:
    """How many channels the first input has: before the axes of a map, behind tokens."""
    shapes = [function.inputs[0].shape for function in functions if function.inputs]
    if len(shapes) < len(functions) or not all(shapes):
        return {}
    maps = all(len(shape) == 3 for shape in shapes)
    sizes: list[Any] = [shape[0] if maps else shape[-1] for shape in shapes]
    return {_SIZES[0 if maps else 1]: sizes} if all(type(size) is int for size in sizes) else {}


def _predicates(columns: dict[str, list[Any]]) -> Iterator[_Predicate]:
    """What can be asked, from the plainest question on."""
    for name, values in columns.items():
        if all(type(value) is bool for value in values):
            yield _Predicate(py.Code(name), (name,), values)
            yield _Predicate(py.Operation("not ", (py.Code(name),)), (name,), [not value for value in values])
    numbers = {
        name: values for name, values in columns.items() if all(type(x) in (int, float) for x in values)
    }
    taken = next((name for name in _SIZES if name in numbers), "")
    for name, values in numbers.items() if taken else ():
        if name == taken or type(values[0]) is not int or min(values) < 2:
            continue
        for factor in _FACTORS:
            scaled = py.Code(name) if factor == 1 else py.Operation("*", (py.number(factor), py.Code(name)))
            equal = [a == factor * b for a, b in zip(numbers[taken], values, strict=True)]
            sides = py.Code(taken), scaled
            yield _Predicate(py.Operation("==", sides), (taken, name), equal)
            yield _Predicate(py.Operation("!=", sides), (taken, name), [not x for x in equal])
    for name, values in numbers.items():
        for constant in _CONSTANTS:
            operands = py.Code(name), py.number(constant)
            more = ">" if min(values) >= constant else "!="
            yield _Predicate(py.Operation(more, operands), (name,), [value != constant for value in values])
            yield _Predicate(py.Operation("==", operands), (name,), [value == constant for value in values])
