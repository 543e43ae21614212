"""Functions that steps apply, as the expressions that a person would have written: a table by what `Op.lower` gives."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.functions import arithmetic, attention, layouts, named_axes
from archspec.backends.python.functions.applied import Applied
from archspec.backends.python.functions.of_torch import of_torch
from archspec.op.torch_layers import one_step

_WRITERS = {
    one_step(function): writer
    for room in (arithmetic, attention, layouts, named_axes)
    for function, writer in room.WRITERS.items()
}


def written(function: Callable[..., Any], applied: Applied) -> py.Expression | None:
    """What a function computes; None where no table knows it."""
    sign = arithmetic.OPERATORS.get(getattr(function, "__name__", ""))
    if sign and getattr(operator, function.__name__, None) is function:
        return py.Operation(sign, applied.inputs)
    if function is operator.abs:
        return py.method(applied.x, "abs")
    found = _WRITERS[function](applied) if function in _WRITERS else None
    return of_torch(function, applied) if found is None else found
