"""A function that a step applies to tensors, and expressions that the writing of several functions takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from archspec.backends.python import expressions as py
from archspec.ground.tensor import TensorType
from archspec.op import Op


@dataclass(frozen=True)
class Applied:
    """A function that a step applies: its op, its tensors and their types, optional ones by name, and the function's settings."""

    op: Op
    inputs: tuple[py.Expression, ...]
    types: tuple[TensorType, ...]
    options: Mapping[str, py.Expression]
    option_types: Mapping[str, TensorType]
    settings: Mapping[str, Any]

    @property
    def x(self) -> py.Expression:
        """The first tensor."""
        return self.inputs[0]


Writer = Callable[[Applied], py.Expression | None]
"""Gives what a function computes; None in a case that it does not cover."""


def given(value: Any) -> py.Expression:
    """A setting: axes are the same wherever a block stands, other numbers may differ."""
    if isinstance(value, torch.dtype):
        return py.Code(str(value))
    return py.number(value) if value is None or isinstance(value, bool) else py.Literal(value)


def size(x: py.Expression, axis: int) -> py.Expression:
    """`x.shape[axis]`."""
    return py.Item(py.Attribute(x, "shape"), (py.number(axis),))


def with_ones(x: py.Expression, count: int, at: int) -> py.Expression:
    """A tensor with axes of size 1 inserted at `at`."""
    if not count:
        return x
    return py.Item(x, (*[py.ALL] * at, *[py.Code("None")] * count))


def over_batch(tensors: Sequence[py.Expression], types: Sequence[TensorType]) -> tuple[py.Expression, ...]:
    """The tensors, those without a batch expanded over that of the first that has one."""
    first = next((x for x, type_ in zip(tensors, types, strict=True) if type_.batched), None)
    if first is None:
        return tuple(tensors)
    batch = size(first, 0)
    return tuple(
        x if type_.batched else py.method(x, "expand", batch, *[py.number(-1)] * type_.rank)
        for x, type_ in zip(tensors, types, strict=True)
    )


def permuted(x: py.Expression, order: Sequence[int]) -> py.Expression:
    """A permutation; one of two axes is a transposition."""
    moved = [place for place, axis in enumerate(order) if place != axis]
    if not moved:
        return x
    if len(moved) == 2:
        return py.method(x, "transpose", py.number(moved[0]), py.number(moved[1]))
    return py.method(x, "permute", *map(py.number, order))
