"""The shipped networks as tests take them: of sizes that are all known, and with something to put in."""

import gc
from collections.abc import Sequence
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

# Every family, block, op, option of an op and initialisation of the zoo is in one of these, as test_families.py holds.
KINDS = frozenset(
    (
        *FEW,
        *(
            "alexnet",
            "amoebanet_a_36_cifar",
            "bit_resnet152x4",
            "bn_inception",
            "cbam_resnet18",
            "context_basic",
        ),
        *("darts_v2", "darts_v2_cifar", "deeplabv3_resnet50", "deeplabv3_resnet50_os16", "densenet121"),
        *(
            "densenet_bc100_k12_cifar",
            "detr_resnet50",
            "dpn92",
            "dpt_vit_b16",
            "efficientnet_b0",
            "enas_cifar",
        ),
        *("fcn8s_vgg16", "fpn_resnet50", "googlenet_2014", "halonet_h1", "igpt_s", "inception_resnet_v2"),
        *("inception_v3", "inception_v4", "mixer_s16", "mnasnet_a1", "mobileone_s1", "naonet_36_cifar"),
        *("nasnet_a_mobile", "nfnet_f0", "pit_ti", "pnasnet5_cifar", "polynet", "preact_resnet50"),
        *("pyramidnet110_a48_cifar", "repvgg_a0", "resnet50_mdconv", "rir18_cifar", "senet154", "seresnet18"),
        *(
            "shake_shake26_2x32d_cifar",
            "swin_t",
            "t2t_vit_14",
            "transformer_base",
            "unet",
            "vgg11",
            "xception",
        ),
    )
)


def _marked(name: str, few: Sequence[str], kinds: frozenset[str]) -> object:
    if name in few:
        return name
    return pytest.param(name, marks=[pytest.mark.slow, *([] if name in kinds else [pytest.mark.zoo])])


def networks(
    names: Sequence[str] = NAMES, few: Sequence[str] = FEW, *, kinds: frozenset[str] = KINDS
) -> pytest.MarkDecorator:
    """A test of shipped networks: the fast checks take a few, all tests those of different kinds, `pytest -m ""` every one."""
    return pytest.mark.parametrize("name", [_marked(name, few, kinds) for name in names])


# What could be wrong in any spec; and what could be wrong in the compiler, which meets the same in networks of one kind.
every_network = networks(kinds=frozenset(NAMES))
each_kind_of_network = networks()


def _kept(graph: Graph) -> Graph:
    """A graph that stays until the tests end, which the garbage collector needs to go through no more."""
    gc.collect()
    gc.freeze()
    return graph


@cache
def shipped(name: str) -> Graph:
    """A shipped network, read once: nothing changes a graph."""
    return _kept(archspec.read(name))


@cache
def sized(name: str) -> Graph:
    """A shipped network; one whose sizes are free, at the sizes that its claims give."""
    graph = shipped(name)
    if graph.is_sized:
        return graph
    return _kept(archspec.read(name, **next(claim.settings for claim in graph.claims if claim.settings)))


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
                return _kept(archspec.read(name, resolution=size))
            except SpecError:  # no such parameter, or too small for its strides
                continue
    return given
