"""First values of weights: each drawn from a seed and its own name, so in any order and in parallel."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import torch

from archspec.analyses.formatting import short_bytes
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.tensor import byte_size, torch_name
from archspec.op import Weight
from archspec.op.initialisation import ones, zeros

LARGE = 1 << 15  # values; smaller tensors are filled without handing them to a thread


def initial_weights(
    graph: Graph, seed: int | None = None, only: Collection[str] | None = None
) -> dict[str, torch.Tensor]:
    """The first values of every weight, by name, on the CPU; `only` of those named, without the constants.

    What a weight gets depends on the seed and on its name alone: a layer added elsewhere changes
    nothing here. Without a seed one is drawn from PyTorch's own generator, so `torch.manual_seed`
    governs it. Constants follow from the graph alone. Raises SpecError when they are more than the memory of this machine.
    """
    wanted = {name: weight for name, weight in graph.weights.items() if only is None or name in only}
    _require_room(graph.name, wanted)
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()).item())
    try:
        tensors = _empty(wanted)
    except RuntimeError:  # less memory may be allowed to a process than there is
        raise SpecError.of(codes.TOO_LARGE, f"there is no memory for the weights of {graph.name}") from None
    large, generator = [], torch.Generator()
    for name, weight in wanted.items():
        if not weight.saved:
            tensors[name].copy_(constant_values(name, weight))
        elif weight.size < LARGE:
            _fill(tensors[name], weight, seed, name, generator)
        else:
            large.append(name)
    if large:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # The largest first, so that no thread is left with one at the end.
            large.sort(key=lambda name: -tensors[name].numel())
            list(pool.map(lambda name: _fill(tensors[name], graph.weights[name], seed, name), large))
    return tensors


def _require_room(network: str, weights: Mapping[str, Weight]) -> None:
    needed = sum(weight.size * byte_size(weight.dtype) for weight in weights.values())
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not every system says
        return
    if needed > there:
        raise SpecError.of(
            codes.TOO_LARGE,
            f"the weights of {network} take {short_bytes(needed)}, and this machine has {short_bytes(there)} of memory",
        )


def empty(graph: Graph, device: str = "cpu") -> dict[str, torch.Tensor]:
    """A tensor for every weight, its values not yet written."""
    return _empty(graph.weights, device)


def _empty(weights: Mapping[str, Weight], device: str = "cpu") -> dict[str, torch.Tensor]:
    return {
        name: torch.empty(weight.shape, dtype=dtype_of(weight), device=device)
        for name, weight in weights.items()
    }


def constants(graph: Graph) -> dict[str, torch.Tensor]:
    """The values of the weights that are not saved, which follow from the graph alone."""
    return {
        name: constant_values(name, weight).to(dtype_of(weight))
        for name, weight in graph.weights.items()
        if not weight.saved
    }


def constant_values(name: str, weight: Weight) -> torch.Tensor:
    """The values of a constant before they are rounded: real ones in double precision, others as they are."""
    dtype = torch.float64 if dtype_of(weight).is_floating_point else dtype_of(weight)
    tensor = torch.empty(weight.shape, dtype=dtype, device="cpu")
    _fill(tensor, weight, 0, name)
    return tensor


def dtype_of(weight: Weight) -> torch.dtype:
    """The dtype that the spec gives a weight."""
    found: torch.dtype = getattr(torch, torch_name(weight.dtype))
    return found


def _fill(
    tensor: torch.Tensor, weight: Weight, seed: int, name: str, generator: torch.Generator | None = None
) -> None:
    """Write the first values of a weight; `generator` is seeded for it, unless they follow without."""
    generator = generator or torch.Generator()
    if not isinstance(weight.init, zeros | ones):
        generator.manual_seed(int.from_bytes(sha256(f"{seed}/{name}".encode()).digest()[:8]) >> 1)
    weight.init.fill(tensor, generator)
