"""What is read off nodes of a captured program, and their arguments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from archspec.ground.tensor import DType
from archspec.ground.tensor import dtype as dtype_of_name

HANDS_ON = ("aten.to.", "aten.alias", "aten.contiguous", "aten.detach", "aten.type_as", "aten.clone")
"""Operators that give the tensor that they take, as far as its values go."""
MOVES = frozenset(
    ("view", "reshape", "unsqueeze", "squeeze", "permute", "flatten", "transpose", "select", "slice")
)
"""Operators that give a tensor's values in another shape or order."""


def name_of(node: Node) -> str:
    """The name of the operator: `aten.add.Tensor`, `getitem`."""
    target = node.target
    if not callable(target) or hasattr(target, "_schema"):
        return str(target)
    return getattr(target, "__name__", str(target))


def short_name(node: Node) -> str:
    """The name of the operator without its overload: `add`."""
    return name_of(node).removeprefix("aten.").partition(".")[0]


def tensors_of(node: Node) -> list[Any]:
    """The tensors that a node gives, without values."""
    val = node.meta.get("val")
    found = val if isinstance(val, list | tuple) else [val]
    return [item for item in found if hasattr(item, "shape")]


def identity(tensor: Tensor) -> tuple[Any, ...]:
    """What tells constants apart."""
    values = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return tuple(tensor.shape), tensor.dtype, values


def here(argument: Any) -> Any:
    """An argument for an operator that is computed beforehand: a module on the meta device asks for that one."""
    return torch.device("cpu") if isinstance(argument, torch.device) else argument


def dtype(torch_dtype: torch.dtype) -> DType:
    """The dtype as specs call it."""
    return dtype_of_name(str(torch_dtype).removeprefix("torch."))


def even(values: Any, axes: int) -> Any:
    """One number for all axes where they are alike, else a tuple."""
    values = (values,) if isinstance(values, int) else tuple(values)
    values = values * axes if len(values) == 1 else values
    return values[0] if len(set(values)) == 1 else values
