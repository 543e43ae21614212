"""Weights from a file of safetensors, in the dtypes that the spec says, and whether a dtype holds them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

import torch
from torch import Tensor

from archspec.analyses.precision import rounded_weights
from archspec.backends.torch_weights import constants
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.regular import require_regular
from archspec.ground.tensor import DType, torch_name
from archspec.ops.norm import BatchNorm

MOST_SAID = 3
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


def read_weights(path: Path, graph: Graph, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """The weights that a `.safetensors` file has for a network, and the network's constants.

    Real numbers become of the spec's dtype, or of `dtype`; tensors that are so already are mapped into memory.
    Batches that norms have counted are 0 where the file does not say, as in `load_state_dict` of PyTorch: files
    older than PyTorch 0.4.1 do not.

    Raises SpecError when the file cannot be read, or lacks weights, has others, or has them in other shapes or
    as other kinds of numbers; and when a number is too large for its dtype.
    """
    tensors = _read(path)
    saved = {name: weight for name, weight in graph.weights.items() if weight.saved}
    for name in _batch_counts(graph) - tensors.keys():
        tensors[name] = torch.zeros((), dtype=torch.int64)
    lacking = sorted(saved.keys() - tensors.keys())
    other = sorted(tensors.keys() - saved.keys())
    present = [name for name in saved if name in tensors]
    reshaped = [name for name in present if tuple(tensors[name].shape) != saved[name].shape]
    wrong = [
        *(f"lacks `{name}`" for name in lacking),
        *(f"has `{name}`, which {graph.name} has not" for name in other),
        *(
            f"has `{name}` of shape {list(tensors[name].shape)}, not {list(saved[name].shape)}"
            for name in reshaped
        ),
    ]
    if wrong:
        help_ = (
            "PyTorch takes no weight of another shape, not even with `strict=False`: leave it out, or resize it if it"
            " is a table of positions (`archspec.resize_positions`)"
            if reshaped
            else "load the network without `weights`; its `load_state_dict(..., strict=False)` takes what both have"
        )
        raise _unfit(path, graph, wrong, help_)
    cast = {name: _as(tensors[name], saved[name].dtype, dtype) for name in present}
    mixed = [
        f"has `{name}` as {_short(tensors[name].dtype)}, not {saved[name].dtype}"
        for name in present
        if cast[name] is None
    ]
    if mixed:
        raise _unfit(
            path, graph, mixed, "the numbers may be quantised, or of another model; convert them first"
        )
    kept = {name: tensor for name, tensor in cast.items() if tensor is not None}
    large = [
        f"has a number in `{name}` that {_short(tensor.dtype)} cannot hold"
        for name, tensor in kept.items()
        if tensor is not tensors[name] and not _keeps(tensors[name], tensor)
    ]
    if large:
        raise _unfit(path, graph, large, "load it in a wider `dtype`, such as f32")
    return {**constants(graph), **kept}


def require_finite(graph: Graph, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """SpecError when a weight, or a constant that meets weights or data, has a number that is infinite in `dtype` alone."""
    most, exact = torch.finfo(dtype).max, graph.weights.keys() - rounded_weights(graph)
    large = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and torch.finfo(tensor.dtype).max > most and name not in exact
        if not _lies_within(tensor, dtype) and not _keeps(tensor, tensor.to(dtype))
    ]
    if large:
        places = {node.name: node.location for node in graph.nodes}
        said = [f"`{name}` ({places[_owner(name, places)]})" for name in large[:MOST_SAID]]
        more = f", and in {len(large) - MOST_SAID} more" if len(large) > MOST_SAID else ""
        raise SpecError.of(
            codes.CANNOT_HOLD,
            f"{graph.name} has a number that {_short(dtype)} cannot hold in {', '.join(said)}{more}",
            help="leave out `dtype`, give a wider one, or give the weight smaller numbers",
        )


def _owner(name: str, nodes: Container[str]) -> str:
    """The node that a weight is of."""
    while name not in nodes:
        name = name.rpartition(".")[0]
    return name


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        require_regular(path)
        return load_file(path)
    except OSError as error:
        raise SpecError.of(
            codes.UNREADABLE, f"the weights `{path}` cannot be read: {error.strerror or error}"
        ) from None
    except SafetensorError as error:
        raise SpecError.of(codes.CHECKPOINT, f"`{path}` is not a file of safetensors: {error}") from None


def _batch_counts(graph: Graph) -> set[str]:
    """The names under which batch norms count their batches."""
    counts = {f"{node.name}.num_batches_tracked" for node in graph.nodes if isinstance(node.op, BatchNorm)}
    return counts & graph.weights.keys()


def _as(tensor: Tensor, wanted: DType, dtype: torch.dtype | None) -> Tensor | None:
    """The tensor in the dtype that is wanted; None when that would change what kind of numbers it holds."""
    target = getattr(torch, torch_name(wanted))
    if target in REAL:
        return tensor.to(dtype or target) if tensor.dtype in REAL else None
    if tensor.dtype == target:
        return tensor
    return tensor.to(target) if tensor.dtype in WHOLE and target in WHOLE else None


def _lies_within(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether the least and the greatest number are finite in a dtype, and so all: one pass, which makes no copy."""
    return not tensor.numel() or bool(torch.stack(tensor.aminmax()).to(dtype).isfinite().all())


def _keeps(tensor: Tensor, cast: Tensor) -> bool:
    """Whether a cast made no finite number infinite, and no whole number another."""
    return torch.equal(_finite(tensor), _finite(cast))


def _finite(tensor: Tensor) -> Tensor:
    """What a cast must not change: which real numbers are finite, and whole numbers themselves."""
    return tensor.isfinite() if tensor.is_floating_point() else tensor.long()


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _unfit(path: Path, graph: Graph, wrong: list[str], help: str) -> SpecError:
    more = f", and {len(wrong) - MOST_SAID} more" if len(wrong) > MOST_SAID else ""
    return SpecError.of(
        codes.CHECKPOINT,
        f"`{path}` does not fit {graph.name}: it {', '.join(wrong[:MOST_SAID])}{more}",
        help=help,
    )
