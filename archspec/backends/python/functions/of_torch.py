"""Functions of PyTorch by their public names: operators, or methods, where people write these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, given, permuted

_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**"}
"""Functions that are operators where one operand is a number."""
_METHODS = frozenset(
    [
        "abs",
        "all",
        "amax",
        "amin",
        "any",
        "argmax",
        "argmin",
        "ceil",
        "chunk",
        "clamp",
        "cos",
        "cumprod",
        "cumsum",
        "erf",
        "exp",
        "flip",
        "floor",
        "log",
        "log_softmax",
        "logsumexp",
        "mean",
        "permute",
        "prod",
        "roll",
        "round",
        "rsqrt",
        "sigmoid",
        "sign",
        "sin",
        "softmax",
        "split",
        "sqrt",
        "square",
        "std",
        "sum",
        "tanh",
        "var",
    ]
)
_LEADING = frozenset(("dim", "dims", "shifts", "chunks", "split_size_or_sections"))
"""Settings of methods that are given by position."""


def of_torch(function: Callable[..., Any], applied: Applied) -> py.Expression | None:
    """What a function of PyTorch computes; None for one that has no public name."""
    name = getattr(function, "__name__", "")
    settings = {key: value for key, value in applied.settings.items() if (key, value) != ("keepdim", False)}
    if getattr(torch, name, None) is function:
        if name in _OPERATORS and list(settings) in (["other"], ["exponent"]) and not applied.options:
            (value,) = settings.values()
            return py.Operation(_OPERATORS[name], (*applied.inputs, given(value)))
        if name in _METHODS and len(applied.inputs) == 1 and not applied.options:
            return _method(name, applied.x, settings)
        prefix = "torch"
    elif getattr(functional, name, None) is function:
        prefix = "functional"
    elif getattr(torch.linalg, name.removeprefix("linalg_"), None) is function:
        prefix, name = "torch.linalg", name.removeprefix("linalg_")
    else:
        return None
    keywords = (
        *(py.Keyword(key, given(value)) for key, value in settings.items()),
        *(py.Keyword(key, tensor) for key, tensor in applied.options.items()),
    )
    return py.Call(py.Code(f"{prefix}.{name}"), applied.inputs, keywords)


def _method(name: str, x: py.Expression, settings: Mapping[str, Any]) -> py.Expression:
    """A call of a method: its first settings by position."""
    if name == "permute":
        return permuted(x, settings["dims"])
    arguments: list[py.Expression] = []
    keywords: list[py.Keyword] = []
    for key, value in settings.items():
        if key in _LEADING and len(arguments) < 2 and not keywords:
            arguments.append(_leading(key, value))
        else:
            keywords.append(py.Keyword(key, given(value)))
    return py.Call(py.Attribute(x, name), tuple(arguments), tuple(keywords))


def _leading(key: str, value: Any) -> py.Expression:
    """A setting that is given by position: which axes, and how many parts, are the same wherever a block stands."""
    if key == "shifts" and isinstance(value, tuple):
        return py.Listed(tuple(map(_signed, value)))
    if key in ("dims", "chunks"):
        return py.number(value)
    return given(value[0] if key == "dim" and isinstance(value, tuple) and len(value) == 1 else value)


def _signed(shift: int) -> py.Expression:
    """A shift, whose sign is the same wherever a block stands."""
    size = py.Literal(abs(shift), "shift")
    return py.Operation("-", (size,)) if shift < 0 else size
