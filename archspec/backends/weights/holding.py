"""Whether a dtype holds the numbers of weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archspec.analyses.precision import rounded_weights
from archspec.graph import Graph
from archspec.graph.naming import owner_of
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ops.weights import Own

MOST_SAID = 3
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


def can_hold(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether a dtype holds all numbers of a tensor: no finite one becomes infinite, and no whole one another."""
    if not tensor.numel():
        return True
    if not tensor.is_floating_point():
        least, most = (int(bound) for bound in tensor.aminmax())
        limits = torch.iinfo(dtype)
        return limits.min <= least and most <= limits.max
    if torch.finfo(dtype).max >= torch.finfo(tensor.dtype).max or lies_within(tensor, dtype):
        return True
    return torch.equal(tensor.isfinite(), tensor.to(dtype).isfinite())


def lies_within(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether the least and the greatest number are finite in a dtype, and so all: one pass, which makes no copy."""
    return bool(torch.stack(tensor.aminmax()).to(dtype).isfinite().all())


def unusable(tensor: Tensor, *, infinite: bool = False) -> str:
    """The numbers in a tensor that no weight should have: `NaN` or `an infinite number`; empty where there are none.

    `infinite` is whether it may hold infinities, as a mask does.
    """
    if tensor.dtype not in REAL or not tensor.numel() or lies_within(tensor, tensor.dtype):
        return ""
    if bool(tensor.isnan().any()):
        return "NaN"
    return "" if infinite else "an infinite number"


def masks(graph: Graph) -> set[str]:
    """The buffers of a network's own, which may hold infinities."""
    return {node.name for node in graph.nodes if isinstance(node.op, Own) and not node.op.weight.trainable}


def require_finite(graph: Graph, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """SpecError when a weight, or a constant that meets weights or data, has a number that is infinite in `dtype` alone."""
    most, exact = torch.finfo(dtype).max, graph.weights.keys() - rounded_weights(graph)
    large = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and torch.finfo(tensor.dtype).max > most and name not in exact
        if not can_hold(tensor, dtype)
    ]
    if large:
        places = {node.name: node.location for node in graph.nodes}
        said = [f"`{name}` ({places[owner_of(name, places)]})" for name in large[:MOST_SAID]]
        more = f", and in {len(large) - MOST_SAID} more" if len(large) > MOST_SAID else ""
        raise SpecError.of(
            codes.CANNOT_HOLD,
            f"{graph.name} has a number that {str(dtype).removeprefix('torch.')} cannot hold in {', '.join(said)}{more}",
            help="leave out `dtype`, give a wider one, or give the weight smaller numbers",
        )
