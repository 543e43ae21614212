"""The shipped networks as tests take them: of sizes that are all known, and with something to put in."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import archspec
from archspec.elaboration import shipped_names
from archspec.graph import Graph
from archspec.ground.errors import SpecError

NAMES = tuple(name for name, _ in shipped_names())
FEW = ("lenet5", "resnet20_cifar", "googlenet", "mobilenet_v2", "vit_ti16")

# A test of every shipped network; the fast checks take a few small ones of different kinds.
every_network = pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)


@cache
def shipped(name: str) -> Graph:
    """A shipped network, read once: nothing changes a graph."""
    return archspec.read(name)


@cache
def sized(name: str) -> Graph:
    """A shipped network; one whose sizes are free, at the sizes that its claims give."""
    graph = shipped(name)
    if graph.is_sized:
        return graph
    return archspec.read(name, **next(claim.settings for claim in graph.claims if claim.settings))


def batch_of(graph: Graph, samples: int, device: str = "cpu") -> list[torch.Tensor]:
    """Random tensors for the inputs of a network: normal numbers, and where those are whole, 0 and 1."""
    shapes = [(samples, *given.type.shape) for given in graph.inputs]
    return [
        torch.randint(2, shape, device=device)  # type: ignore[arg-type]
        if given.type.dtype.startswith("i")
        else torch.randn(shape, device=device)  # type: ignore[arg-type]
        for given, shape in zip(graph.inputs, shapes, strict=True)
    ]


def randomised(module: nn.Module) -> nn.Module:
    """The module with batch norms as after training: with statistics, factors and offsets of their own."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.normal_(0, 0.1, generator=generator)
            norm.running_var.uniform_(0.5, 1.5, generator=generator)
            if norm.affine:
                norm.weight.data.uniform_(0.5, 1.5, generator=generator)
                norm.bias.data.normal_(0, 0.1, generator=generator)
    return module


def outputs(out: object) -> list[torch.Tensor]:
    """The tensors that a network gives, in order."""
    if isinstance(out, dict):
        return list(out.values())
    return [out] if isinstance(out, torch.Tensor) else list(out)  # type: ignore[call-overload]


@cache
def small(name: str) -> Graph:
    """A shipped network at the smallest of a few resolutions that it takes."""
    given = sized(name)
    for size in (32, 64, 96, 128):
        if size < given.inputs[0].type.shape[-1]:
            try:
                return archspec.read(name, resolution=size)
            except SpecError:  # no such parameter, or too small for its strides
                continue
    return given
