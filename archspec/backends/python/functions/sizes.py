"""Sizes computed from the sizes of tensors while the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, size


def planned(wanted: Any, applied: Applied) -> py.Expression:
    """A size that is a number, or computed from sizes of tensors."""
    if isinstance(wanted, int):
        return py.Literal(wanted)
    tensors = [applied.x, *(x for name, x in applied.options.items() if name == "sizes_of")]
    return _total(wanted, tensors)


def _total(terms: Any, tensors: Sequence[py.Expression]) -> py.Expression:
    """A sum of products of sizes of tensors, as `run_time.total` computes it."""
    made: py.Expression | None = None
    for factor, sources in terms:
        product: py.Expression | None = None
        for source in sources:
            found = _source(source, tensors)
            product = found if product is None else py.Operation("*", (product, found))
        minus = factor < 0 and made is not None
        scale = abs(factor) if minus else factor
        if product is None:
            product = py.number(scale)
        elif scale != 1:
            product = py.Operation("*", (py.number(scale), product))
        made = product if made is None else py.Operation("-" if minus else "+", (made, product))
    return py.number(0) if made is None else made


def _source(source: Any, tensors: Sequence[py.Expression]) -> py.Expression:
    """The quotient of a sum, or what an axis of a tensor is a multiple of, and something more."""
    if len(source) == 2:
        return py.Operation("//", (_total(source[0], tensors), py.number(source[1])))
    tensor, axis, times, offset = source
    found = size(tensors[tensor], axis)
    if offset:
        found = py.Operation("-", (found, py.number(offset)))
    return found if times == 1 else py.Operation("//", (found, py.number(times)))
