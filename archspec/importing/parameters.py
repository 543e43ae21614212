"""What differs between the calls of a block: sizes of its inputs, formulas of these, or parameters, and what they are called."""

from __future__ import annotations

import inspect
import keyword
import re
from collections import Counter
from collections.abc import Sequence

from torch import nn

from archspec.importing.programs import Input, Program
from archspec.importing.terms import KEYWORDS, Applied, Row, Term, same
from archspec.importing.values import Region


def size_names(given: Input, program: Program, index: int) -> tuple[str, ...]:
    """What the sizes of an input are called."""
    rank = len(given.shape)
    image = any(
        isinstance(use.layer, Applied)
        and given.value in use.inputs
        and use.layer.name in ("Conv", "BatchNorm", "MaxPool", "AvgPool", "GlobalAvgPool", "GroupNorm")
        for use in program.uses
    )
    names = {
        1: ("C",),
        2: ("C", "L") if image else ("N", "C"),
        3: ("C", "H", "W") if image or given.shape[1:2] == given.shape[2:3] else ("H", "W", "C"),
        4: ("C", "D", "H", "W") if image else ("A", "H", "N", "D"),
    }.get(rank, tuple(f"S{i}" for i in range(rank)))
    return names if index == 0 else tuple(f"{name}{index + 1}" for name in names)


def order(vector: tuple[Term, ...]) -> tuple[bool, float]:
    """Smaller numbers first, so that others are multiples of them."""
    whole = all(type(v) is int for v in vector)
    return not whole, sum(v for v in vector if type(v) is int) if whole else 0.0


def formula(
    vector: tuple[Term, ...], known: Sequence[tuple[str, tuple[Term, ...], int | None]]
) -> str | None:
    """A short formula of known numbers that gives these."""
    values = [int(v) for v in vector]  # type: ignore[arg-type]
    for name, others, _ in known:
        if list(others) == values:
            return name
    for name, others, _ in known:
        numbers = [int(v) for v in others]  # type: ignore[arg-type]
        if all(numbers) and values[0] % numbers[0] == 0:
            factor = values[0] // numbers[0]
            if 1 < factor <= 64 and [factor * n for n in numbers] == values:
                return f"{factor} * {name}"
        if values[0] and numbers[0] % values[0] == 0:
            divisor = numbers[0] // values[0]
            if (
                1 < divisor <= 64
                and all(n % divisor == 0 for n in numbers)
                and [n // divisor for n in numbers] == values
            ):
                return f"{name} // {divisor}"
    for name, others, _ in known:
        offset = values[0] - int(others[0])  # type: ignore[arg-type]
        if 0 < abs(offset) <= 8 and [int(n) + offset for n in others] == values:  # type: ignore[arg-type]
            return f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"
    sizes = [(name, others) for name, others, axis in known if axis is not None]
    for i, (a, first) in enumerate(sizes):
        for b, second in sizes[i:]:
            if [int(x) * int(y) for x, y in zip(first, second, strict=True)] == values:  # type: ignore[arg-type]
                return f"{a} * {b}"
    return None


def kind(vector: tuple[Term, ...]) -> str:
    """The type of a parameter that has these values."""
    kinds = {type(v) for v in vector}
    if kinds == {int}:
        return "int"
    if kinds <= {int, float}:
        return "float"
    if kinds == {bool}:
        return "bool"
    if kinds == {str}:
        return "str"
    if kinds & {Applied, Row} or any(type(v).__name__ in ("Repeated", "Joined") for v in vector):
        return "layer"
    return ""


def default(vector: tuple[Term, ...]) -> Term | None:
    """What most calls have, if it is short."""
    counts = Counter(repr(v) for v in vector)
    most, times = counts.most_common(1)[0]
    value = next(v for v in vector if repr(v) == most)
    if isinstance(value, Row) and not value.items:
        return value
    if any(isinstance(v, Row) and not v.items for v in vector):
        return next(v for v in vector if isinstance(v, Row) and not v.items)
    if type(value) is bool or (
        times * 2 > len(vector) and len(vector) > 2 and not isinstance(value, Applied | Row)
    ):
        return value
    if value == 1 and type(value) is int:
        return value
    return None


WIDTHS = ("out", "width")
"""What a call says always: a width that most calls have is not what a reader expects."""
_HINTS = {"out": "width", "sizes": "sizes", "present": "with_it"}


def parameter_name(
    hint: str, vector: tuple[Term, ...], calls: Sequence[Region], taken_names: set[str]
) -> str:
    """The name that the class has for it, or else that of the op's argument."""
    candidates = []
    for attribute in arguments_of(type(calls[0].module)):
        values = [getattr(region.module, attribute, None) for region in calls]
        if all(type(v) in (int, bool, float) and same(v, w) for v, w in zip(values, vector, strict=True)):
            candidates.append(attribute)
    hint = _HINTS.get(hint, hint)
    hint = re.sub(r"\W", "_", hint)
    if hint[:1].isdigit() or not hint:
        hint = "layer" if kind(vector) == "layer" else f"value{hint}"
    candidates.append(hint)
    for name in candidates:
        if name not in taken_names and not keyword.iskeyword(name) and name not in KEYWORDS:
            return name
    count = 2
    while f"{hint}{count}" in taken_names:
        count += 1
    return f"{hint}{count}"


def arguments_of(module: type[nn.Module]) -> list[str]:
    """What a class is built with."""
    try:
        return list(inspect.signature(module.__init__).parameters)[1:]
    except (TypeError, ValueError):
        return []
