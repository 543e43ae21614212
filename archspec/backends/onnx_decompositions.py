"""What PyTorch's exporter has no words of ONNX for, or wrong ones, in terms of what it has right ones for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node as FxNode

aten = torch.ops.aten


class Unsaid(Exception):  # noqa: N818  (no error before it has a place)
    """A call of PyTorch that ONNX has no words for."""


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """A program in which ONNX can be written right; the program itself where nothing has to be changed.

    Raises Unsaid for what cannot be said.
    """
    wanted = {
        node.target: _TABLE[node.target][1]
        for node in program.graph.nodes
        if node.target in _TABLE and _TABLE[node.target][0](node)
    }
    return program.run_decompositions(wanted) if wanted else program


def _value(node: Any) -> Any:
    """What a node of a program gives, as PyTorch knows it: its dtype and shape."""
    return node.meta["val"] if isinstance(node, FxNode) else node


def _always(node: FxNode) -> bool:
    return True


# ------------------------------------------------------------------ pools with a given number of windows


def _has_windows(node: FxNode) -> bool:
    """Whether a pool has more than one window, for which the exporter has no words, or none for free sizes."""
    return any(size != 1 for size in node.args[1])  # type: ignore[union-attr]


def _pooled(x: Tensor, sizes: Sequence[int], reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    """`sizes` windows along the last axes; window i of n reaches from i S // n to (i + 1) S / n rounded up."""
    for axis, count in zip(range(-len(sizes), 0), sizes, strict=True):
        size = x.shape[axis]
        windows = [
            x.narrow(axis, i * size // count, ((i + 1) * size + count - 1) // count - i * size // count)
            for i in range(count)
        ]
        x = torch.stack([reduce(window, axis) for window in windows], axis)
    return x


def _adaptive_avg_pool(x: Tensor, output_size: Sequence[int]) -> Tensor:
    return _pooled(x, output_size, lambda window, axis: window.mean(axis))


def _adaptive_max_pool(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    pooled = _pooled(x, output_size, lambda window, axis: window.amax(axis))
    return pooled, torch.zeros_like(pooled, dtype=torch.int64)  # places, which no layer gives


# ------------------------------------------------------------------ dtypes that ONNX does not mix


def _is_whole(node: FxNode) -> bool:
    return not _value(node.args[0]).dtype.is_floating_point


def _rounded(x: Tensor) -> Any:
    """A whole number is the next whole number."""
    return NotImplemented if x.dtype.is_floating_point else x.clone()


def _are_mixed(node: FxNode) -> bool:
    return _mixes([_value(x) for x in node.args[0]])  # type: ignore[union-attr]


def _mixes(tensors: Sequence[Tensor]) -> bool:
    return len({x.dtype for x in tensors}) > 1


def _of_one_dtype(tensors: Sequence[Tensor]) -> list[Tensor]:
    wanted = tensors[0].dtype
    for x in tensors[1:]:
        wanted = torch.promote_types(wanted, x.dtype)
    return [x.to(wanted) for x in tensors]


def _concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    return torch.cat(_of_one_dtype(tensors), dim) if _mixes(tensors) else NotImplemented


def _stacked(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    return torch.stack(_of_one_dtype(tensors), dim) if _mixes(tensors) else NotImplemented


def _is_short(index: Tensor | None) -> bool:
    return index is not None and index.dtype == torch.int32


def _has_short_indices(node: FxNode) -> bool:
    return any(x is not None and _is_short(_value(x)) for x in node.args[1])  # type: ignore[union-attr]


def _indexed(x: Tensor, indices: Sequence[Tensor | None]) -> Any:
    if not any(map(_is_short, indices)):
        return NotImplemented
    return aten.index.Tensor(x, [index if index is None else index.long() for index in indices])


# ------------------------------------------------------------------ order, sums by place, recurrence


def _sorted(x: Tensor, dim: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Sorting is taking the largest or smallest of all, of which ONNX puts equal ones in their order."""
    values, places = x.topk(x.shape[dim], dim, largest=descending)
    return values, places


def _sorted_stably(
    x: Tensor, *, stable: bool | None, dim: int = -1, descending: bool = False
) -> tuple[Tensor, Tensor]:
    return _sorted(x, dim, descending)


def _takes_means(node: FxNode) -> bool:
    return "mean" in node.args


def _scattered(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """Means by place, which the exporter takes for sums: a sum, and a number of values to divide it by."""
    if reduce != "mean":
        return NotImplemented
    if not x.dtype.is_floating_point:
        raise Unsaid(f"the mean of {x.dtype} by place")
    total = torch.scatter_add(x if include_self else torch.zeros_like(x), dim, index, src)
    start = torch.ones_like(x) if include_self else torch.zeros_like(x)
    count = torch.scatter_add(start, dim, index, torch.ones_like(src))
    return torch.where(count > 0, total / count.clamp(min=1), x)


def _projects(node: FxNode) -> bool:
    """Whether an LSTM has projections, which ONNX has not: weights beside those of inputs and states, and their biases."""
    arguments: Any = node.args
    _, _, weights, has_biases, layers, _, _, both_ways = arguments[:8]
    return len(weights) > (4 if has_biases else 2) * int(layers) * (2 if both_ways else 1)


def _projected(*arguments: Any, **named: Any) -> Any:
    raise Unsaid("an LSTM with projections")


# ------------------------------------------------------------------ convolutions


def _has_weights_of_samples(node: FxNode) -> bool:
    """Whether the groups of a convolution are the samples of a batch of any size."""
    groups = node.args[6] if len(node.args) > 6 else node.kwargs.get("groups", 1)
    return not isinstance(groups, int)


def _of_each_sample(*arguments: Any, **named: Any) -> Any:
    raise Unsaid("a convolution with a weight for each sample of a free batch")


# ------------------------------------------------------------------ resizing


def _smoothed(*arguments: Any, **named: Any) -> Any:
    """PyTorch's exporter writes a cubic of another slope than PyTorch computes."""
    raise Unsaid("a bicubic resizing with `antialias`")


_TABLE: dict[Any, tuple[Callable[[FxNode], bool], Callable[..., Any]]] = {
    aten.adaptive_avg_pool1d.default: (_has_windows, _adaptive_avg_pool),
    aten.adaptive_avg_pool2d.default: (_has_windows, _adaptive_avg_pool),
    aten.adaptive_avg_pool3d.default: (_has_windows, _adaptive_avg_pool),
    aten.adaptive_max_pool1d.default: (_always, _adaptive_max_pool),
    aten.adaptive_max_pool2d.default: (_always, _adaptive_max_pool),
    aten.adaptive_max_pool3d.default: (_always, _adaptive_max_pool),
    aten.ceil.default: (_is_whole, _rounded),
    aten.floor.default: (_is_whole, _rounded),
    aten.round.default: (_is_whole, _rounded),
    aten.cat.default: (_are_mixed, _concatenated),
    aten.stack.default: (_are_mixed, _stacked),
    aten.index.Tensor: (_has_short_indices, _indexed),
    aten.sort.default: (_always, _sorted),
    aten.sort.stable: (_always, _sorted_stably),
    aten.scatter_reduce.two: (_takes_means, _scattered),
    aten.lstm.input: (_projects, _projected),
    aten.conv1d.default: (_has_weights_of_samples, _of_each_sample),
    aten.conv2d.default: (_has_weights_of_samples, _of_each_sample),
    aten.conv3d.default: (_has_weights_of_samples, _of_each_sample),
    aten._upsample_bicubic2d_aa.default: (_always, _smoothed),
    aten._upsample_bicubic2d_aa.vec: (_always, _smoothed),
}
"""For each call, when it is to be put in other terms, and these."""
