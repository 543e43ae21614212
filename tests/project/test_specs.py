"""Every shipped spec: its claims hold, it lowers, runs and trains, and its names are its state_dict."""

import json
from math import prod
from pathlib import Path

import pytest
import torch
from checkpoints import FILE, digest, spec_shapes
from fvcore.nn import FlopCountAnalysis
from nets import FEW, NAMES, batch_of, each_kind_of_network, every_network, outputs, shipped, sized, small
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archspec
from archspec.analyses.cost import macs
from archspec.api import check
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.elaboration import budget, shipped_specs
from archspec.graph import Graph
from archspec.ground.errors import SpecError

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


@pytest.mark.parametrize(
    "path",
    [path if path.stem in FEW else pytest.param(path, marks=pytest.mark.slow) for path in FILES],
    ids=lambda path: path.stem,
)
def test_checks(path: Path) -> None:
    check(path)


@every_network
def test_claims_something_and_says_what_it_is(name: str) -> None:
    graph = shipped(name)
    assert graph.claims
    assert graph.doc


@pytest.mark.slow
def test_images_of_1024_x_1024_take_a_fifth_of_the_budget_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    most = budget.BUDGET // 5
    monkeypatch.setattr(budget, "BUDGET", most)
    read = 0
    for name in NAMES:
        try:
            archspec.read(name, resolution=1022 if name.endswith("h14") else 1024, budget=most)
            read += 1
        except SpecError as error:
            if "has no argument `resolution`" not in str(error):
                raise
    assert read > 100
    for name in ("swin_t", "swin_s", "swin_b", "swin_l"):
        for resolution, window in [(384, 12), (512, 16), (1024, 16), (1024, 32)]:
            archspec.read(name, resolution=resolution, window=window, drop_path=0.2, budget=most)
    archspec.read("halonet_h1", resolution=1024, size=16, halo=7, budget=most)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_has_the_parameters_of_the_reference(name: str) -> None:
    assert shipped(name).parameters == EXACT[name]


@every_network
def test_the_graph_says_what_the_module_does(name: str) -> None:
    graph = sized(name)
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        out = module(*batch_of(graph, 2, "meta"))
    assert [tuple(o.shape) for o in outputs(out)] == [(2, *output.type.shape) for output in graph.outputs]
    assert counter.get_total_flops() == 2 * 2 * macs(graph)
    saved = {key: weight.shape for key, weight in graph.weights.items() if weight.saved}
    assert {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()} == saved
    assert sum(p.numel() for p in module.parameters()) == graph.parameters
    assert graph.parameters == sum(
        prod(weight.shape) for weight in graph.weights.values() if weight.trainable
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "googlenet", "mixer_b16"])
def test_fvcore_counts_the_same_convolutions_and_linears(name: str) -> None:
    graph = sized(name)
    module = archspec.load(graph, seed=0).eval()
    count = FlopCountAnalysis(module, tuple(torch.zeros(1, *given.type.shape) for given in graph.inputs))  # type: ignore[arg-type]
    count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = count.by_operator()
    assert macs(graph) == counted["conv"] + counted["linear"] + counted["matmul"]


@every_network
def test_gradients_reach_every_weight(name: str) -> None:
    graph = sized(name)
    module = lower(graph, lambda g: empty(g, "meta")).train()
    out = module(*batch_of(graph, 2, "meta"))
    total = torch.stack([o.sum() for o in outputs(out)]).sum()
    total.backward()
    idle = [key for key, parameter in module.named_parameters() if parameter.grad is None]
    # DPT taps its ViT before the last norm, which the authors' code holds too.
    assert idle == (["pretrained.model.norm.weight", "pretrained.model.norm.bias"] if "dpt" in name else [])


@every_network
def test_reads_back_from_json(name: str) -> None:
    graph = shipped(name)
    assert Graph.from_json(graph.to_json()) == graph


# ---------------------------------------------------------------- training


def trainable(graph: Graph) -> bool:
    """Whether two cores train it in a few seconds."""
    return macs(graph) <= 60_000_000 and graph.parameters <= 12_000_000 and len(graph.nodes) <= 700


def loss_of(out: object, labels: list[torch.Tensor]) -> torch.Tensor:
    """The cross entropy of all outputs, auxiliary ones too, of any shape with the classes first."""
    losses = [nn.functional.cross_entropy(o, label) for o, label in zip(outputs(out), labels, strict=True)]
    return torch.stack(losses).sum()


def train(
    module: nn.Module, batch: list[torch.Tensor], labels: list[torch.Tensor], steps: int
) -> list[float]:
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        loss = loss_of(module(*batch), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item() if loss.device.type != "meta" else 0.0)
    return losses


@each_kind_of_network
def test_trains(name: str) -> None:
    """Twenty steps on a fixed batch lower the loss; nets too large for that take one without data."""
    graph = small(name)
    torch.manual_seed(0)
    if not trainable(graph):
        graph = sized(name)
        module = lower(graph, lambda g: empty(g, "meta")).train()
        labels = [
            torch.zeros(2, *output.type.shape[1:], dtype=torch.long, device="meta")  # type: ignore[arg-type]
            for output in graph.outputs
        ]
        train(module, batch_of(graph, 2, "meta"), labels, 1)
        return
    module = archspec.load(graph, seed=0).train()
    batch = batch_of(graph, 4)
    # A label for each sample, the same at all of its places.
    labels = [
        torch.arange(4).view(-1, *(1,) * (output.type.rank - 1)).expand(-1, *output.type.shape[1:])  # type: ignore[arg-type]
        for output in graph.outputs
    ]
    losses = train(module, batch, labels, 20)
    assert sum(losses[-3:]) / 3 < 0.8 * losses[0], losses


# ---------------------------------------------------------------- checkpoints

CHECKPOINTS = json.loads(FILE.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_state_dict_is_the_references(name: str) -> None:
    """Names and shapes are those of the published checkpoints, written down by `tests/checkpoints.py`."""
    known = CHECKPOINTS[name]
    shapes = spec_shapes(name, **known.get("settings", {}))
    assert (len(shapes), digest(shapes)) == (known["tensors"], known["digest"])
