"""Every shipped spec: its claims hold, it lowers, runs and trains, and its names are its state_dict."""

from math import prod
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archspec
from archspec.analyses.cost import macs
from archspec.api import check
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.elaborate import shipped_names, shipped_specs
from archspec.graph import Graph

NAMES = [name for name, _ in shipped_names()]
FILES = sorted(shipped_specs().rglob("*.arch"))

# Exact counts of reference implementations (torchvision, timm), which papers print rounded.
EXACT = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b3": 12_233_232,
    "densenet121": 7_978_856,
    "googlenet": 6_624_904,
    "vit_b16": 86_567_656,
    "swin_t": 28_288_354,
    "nasnet_a_large": 88_753_150,
    "mixer_b16": 59_880_472,
    "deeplabv3_resnet50": 39_638_869,
}


def meta_batch(graph: Graph, size: int) -> list[torch.Tensor]:
    return [torch.randn(size, *given.type.shape, device="meta") for given in graph.inputs]  # type: ignore[arg-type]


def outputs(out: object) -> list[torch.Tensor]:
    if isinstance(out, dict):
        return list(out.values())
    return [out] if isinstance(out, torch.Tensor) else list(out)  # type: ignore[call-overload]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_checks(path: Path) -> None:
    check(path)


@pytest.mark.parametrize("name", NAMES)
def test_claims_something_and_says_what_it_is(name: str) -> None:
    graph = archspec.read(name)
    assert graph.claims
    assert graph.doc


@pytest.mark.parametrize("name", sorted(EXACT))
def test_has_the_parameters_of_the_reference(name: str) -> None:
    assert archspec.read(name).parameters == EXACT[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_says_what_the_module_does(name: str) -> None:
    graph = archspec.read(name)
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        out = module(*meta_batch(graph, 2))
    outs = (
        list(out.values()) if isinstance(out, dict) else [out] if isinstance(out, torch.Tensor) else list(out)
    )
    assert [tuple(o.shape) for o in outs] == [(2, *output.type.shape) for output in graph.outputs]
    assert counter.get_total_flops() == 2 * 2 * macs(graph)
    saved = {key: weight.shape for key, weight in graph.weights.items() if weight.saved}
    assert {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()} == saved
    assert sum(p.numel() for p in module.parameters()) == graph.parameters
    assert graph.parameters == sum(
        prod(weight.shape) for weight in graph.weights.values() if weight.trainable
    )


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "googlenet", "mixer_b16"])
def test_fvcore_counts_the_same_convolutions_and_linears(name: str) -> None:
    graph = archspec.read(name)
    module = archspec.load(graph, seed=0).eval()
    count = FlopCountAnalysis(module, tuple(torch.zeros(1, *given.type.shape) for given in graph.inputs))  # type: ignore[arg-type]
    count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = count.by_operator()
    assert macs(graph) == counted["conv"] + counted["linear"] + counted["matmul"]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(name: str) -> None:
    graph = archspec.read(name)
    module = lower(graph, lambda g: empty(g, "meta")).train()
    out = module(*meta_batch(graph, 2))
    outs = (
        list(out.values()) if isinstance(out, dict) else [out] if isinstance(out, torch.Tensor) else list(out)
    )
    total = torch.stack([o.sum() for o in outs]).sum()
    total.backward()
    assert [key for key, parameter in module.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_reads_back_from_json(name: str) -> None:
    graph = archspec.read(name)
    assert Graph.from_json(graph.to_json()) == graph


def test_a_network_learns_a_batch() -> None:
    torch.manual_seed(0)
    module = archspec.load("resnet18", classes=5, seed=0)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 5
    optimiser = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(module(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
