"""The shipped networks as tests take them: of sizes that are all known, and with something to put in."""

from typing import Any

import torch

import archspec
from archspec.graph import Graph


def sized(name: str, **settings: Any) -> Graph:
    """A shipped network; one whose sizes are free, at the sizes of which its claims speak."""
    graph = archspec.read(name, **settings)
    if all(isinstance(size, int) for given in graph.inputs for size in given.type.shape):
        return graph
    known = next(claim.settings for claim in graph.claims if claim.settings)
    return archspec.read(name, **{**known, **settings})


def batch_of(graph: Graph, samples: int, device: str = "cpu") -> list[torch.Tensor]:
    """Random tensors for the inputs of a network: normal numbers, and where those are whole, 0 and 1."""
    shapes = [(samples, *given.type.shape) for given in graph.inputs]
    return [
        torch.randint(2, shape, device=device)  # type: ignore[arg-type]
        if given.type.dtype.startswith("i")
        else torch.randn(shape, device=device)  # type: ignore[arg-type]
        for given, shape in zip(graph.inputs, shapes, strict=True)
    ]
