"""Numbers of tensors: combined, scaled, compared and cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, Writer, given, with_ones
from archspec.ground.tensor import torch_name
from archspec.ops import arithmetic, casting, comparison
from archspec.ops import functions as elementwise

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "and_": "&", "or_": "|", "xor": "^", "neg": "-", "invert": "~",
}  # fmt: skip
"""Functions of Python's `operator`, by their names."""


def _of_two(name: str, left: py.Expression, right: py.Expression) -> py.Expression:
    sign = OPERATORS.get(name)
    return py.Operation(sign, (left, right)) if sign else py.call(f"torch.{name}", left, right)


def _pairwise(applied: Applied) -> py.Expression:
    ones = applied.settings["ones"]
    left, right = (with_ones(x, count, 1) for x, count in zip(applied.inputs, ones, strict=True))
    return _of_two(applied.settings["function"], left, right)


def _folded(applied: Applied) -> py.Expression:
    made = applied.inputs[0]
    pairs = applied.settings.get("ones") or [(0, 0)] * (len(applied.inputs) - 1)
    for x, (left, right) in zip(applied.inputs[1:], pairs, strict=True):
        made = _of_two(applied.settings["function"], with_ones(made, left, 1), with_ones(x, right, 1))
    return made


def _selected(applied: Applied) -> py.Expression:
    """`torch.where`, with numbers where there are no tensors."""
    settings = applied.settings
    tensors = [with_ones(x, count, 1) for x, count in zip(applied.inputs, settings["ones"], strict=True)]
    condition, *values = tensors
    sides = [values.pop(0) if settings[name] is None else given(settings[name]) for name in ("then", "other")]
    if len(applied.inputs) == 1:
        dtype = py.Code(f"torch.{torch_name(settings['dtype'])}")
        sides[0] = py.call("torch.tensor", sides[0], dtype=dtype, device=py.Attribute(condition, "device"))
    return py.call("torch.where", condition, *sides)


def _cast(applied: Applied) -> py.Expression | None:
    if applied.settings["widens"]:
        return None
    return py.method(applied.x, "to", py.Code(f"torch.{applied.settings['dtype']}"))


def _cast_like(applied: Applied) -> py.Expression:
    return py.method(applied.x, "to", py.Attribute(applied.options["like"], "dtype"))


def _one_hot(applied: Applied) -> py.Expression:
    x = applied.x if applied.types[0].dtype == "i64" else py.method(applied.x, "long")
    return py.call("functional.one_hot", x, given(applied.settings["count"]))


def _scaled(applied: Applied) -> py.Expression:
    """`factor * x + offset`."""
    x, factor, offset = applied.x, applied.settings["factor"], applied.settings["offset"]
    same = factor == 1 and applied.types[0].dtype != "bool"
    made = x if same else py.Operation("*", (x, given(factor)))
    if offset == 0 and type(offset) is int:
        return made
    negative = offset < 0
    return py.Operation("-" if negative else "+", (made, given(-offset if negative else offset)))


def _subtracted(applied: Applied) -> py.Expression:
    return py.Operation("-", (given(applied.settings["other"]), applied.x))


WRITERS: dict[Callable[..., Any], Writer] = {
    arithmetic.pairwise: _pairwise,
    arithmetic.folded: _folded,
    elementwise.scaled: _scaled,
    torch.rsub: _subtracted,
    comparison.selected: _selected,
    casting.cast: _cast,
    casting.cast_like: _cast_like,
    casting.one_hot: _one_hot,
}
