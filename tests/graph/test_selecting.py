"""Parts of networks: what is selected computes what the whole network does there, and nothing that is not needed."""

import pickle
import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from random_programs import program
from torch import Tensor, fx

import archspec
from archspec import SpecError
from archspec.analyses.features import features as features_of
from archspec.graph import Graph, Ref
from archspec.graph.selecting import selected
from archspec.ops.weights import Tied

NETS = {
    "resnet18": {"resolution": 64},
    "efficientnet_b0": {"resolution": 64},
    "densenet121": {"resolution": 64},
    "swin_t": {"resolution": 64, "layers": [1, 2, 1, 1]},
    "vit_ti16": {"layers": 3},
    "nasnet_a_6_768_cifar": {},
    "googlenet": {"resolution": 64},
    "pit_ti": {},
}


class _Recording(fx.Interpreter):  # type: ignore[misc]
    """Runs a flat network, and keeps what each node gave, before anything could overwrite it."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.seen: dict[Ref, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        node = n.meta.get("node")
        if node is not None:
            for i, tensor in enumerate(result if isinstance(result, tuple | list) else (result,)):
                if isinstance(tensor, Tensor):
                    self.seen[Ref(node.name, i)] = tensor.clone()
        return result


def inputs_of(graph: Graph) -> dict[str, Tensor]:
    return {
        given.name: torch.randn(2, *map(int, given.type.shape))
        if given.type.dtype == "f32"
        else torch.randint(0, 2, (2, *map(int, given.type.shape)))
        for given in graph.inputs
    }


def outputs_of(network: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = [given.name for given in archspec.graph_of(network).inputs]
    result: dict[str, Tensor] = network(*(inputs[name] for name in names))
    return result


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_each_value_is_that_of_the_whole_network(name: str) -> None:
    graph = archspec.read(name, settings=NETS[name])
    whole = archspec.load(graph, seed=0, flat=True).eval()
    inputs = inputs_of(graph)
    recorded = _Recording(whole)
    recorded.run(*inputs.values())
    chance = random.Random(name)
    batched = [ref for ref, type_ in graph.types.items() if ref in recorded.seen and type_.batched]
    for _ in range(4):
        refs = chance.sample(batched, 3)
        part = selected(graph, {f"out{i}": ref for i, ref in enumerate(refs)})
        net = archspec.load(part, seed=0).eval()
        assert net.state_dict().keys() <= whole.state_dict().keys()
        net.load_state_dict({key: whole.state_dict()[key] for key in net.state_dict()})
        for output, ref in zip(outputs_of(net, inputs).values(), refs, strict=True):
            torch.testing.assert_close(output, recorded.seen[ref], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_computed_that_is_not_needed(seed: int) -> None:
    chance = random.Random(seed)
    graph = archspec.read_text(program(chance, 4, 6).text)
    nodes = {node.name: node for node in graph.nodes}
    refs = [ref for ref in graph.types if ref.producer in nodes]
    chosen = chance.sample(refs, min(2, len(refs)))
    if not chosen:
        return
    part = selected(graph, {f"out{i}": ref for i, ref in enumerate(chosen)})
    wanted, waiting = set(), [ref.producer for ref in chosen]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in wanted:
            wanted.add(name)
            waiting += [ref.producer for ref in nodes[name].operands]
            op = nodes[name].op
            waiting += [nodes[name].shares, op.target.rpartition(".")[0] if isinstance(op, Tied) else ""]
    assert {node.name for node in part.nodes} == wanted
    assert {node.name: node.op for node in part.nodes} == {name: nodes[name].op for name in wanted}
    assert [output.type for output in part.outputs] == [graph.types[ref] for ref in chosen]
    assert Graph.from_json(part.to_json()) == part


# (channels, pixels per place): what timm 1.0's `features_only=True` says of the model that each spec follows.
STAGES = {
    "resnet50": [(64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)],
    "vgg16_bn": [(64, 1), (128, 2), (256, 4), (512, 8), (512, 16), (512, 32)],
    "efficientnet_b0": [(16, 2), (24, 4), (40, 8), (112, 16), (320, 32)],
    "mobilenet_v2": [(16, 2), (24, 4), (32, 8), (96, 16), (320, 32)],
    "densenet121": [(64, 2), (256, 4), (512, 8), (1024, 16), (1024, 32)],
    "inception_v3": [(64, 2), (192, 4), (288, 8), (768, 16), (2048, 32)],
    "xception": [(64, 2), (128, 4), (256, 8), (728, 16), (2048, 32)],
    "swin_t": [(96, 4), (192, 8), (384, 16), (768, 32)],
    "nasnet_a_large": [(96, 2), (168, 4), (1008, 8), (2016, 16), (4032, 32)],
    "dpn92": [(64, 2), (336, 4), (704, 8), (1552, 16), (2688, 32)],
    "vit_b16": [(768, 16), (768, 16), (768, 16)],
    "vit_h14": [(1280, 14), (1280, 14), (1280, 14)],
    "mixer_b16": [(768, 16), (768, 16), (768, 16)],
}


@pytest.mark.parametrize("name", STAGES)
def test_stages_end_where_those_of_timm_do(name: str) -> None:
    info = features_of(archspec.read(name), "stages")
    assert list(zip(info.channels(), info.reduction(), strict=True)) == STAGES[name]


def test_a_network_of_features() -> None:
    whole = archspec.load("resnet18", seed=0, classes=5).eval()
    net = archspec.load("resnet18", features="stages", weights=dict(whole.state_dict()), classes=5).eval()
    image = torch.randn(1, 3, 64, 64)
    seen = {}
    for name in ("layer1", "layer2", "layer3", "layer4"):
        whole.get_submodule(name).register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: out.clone()})
        )
    whole(image)
    found = net(image)
    assert list(found) == ["relu", *seen] == net.feature_info.module_name()
    assert all(torch.equal(found[name], seen[name]) for name in seen)
    assert net.feature_info.get_dicts()[1] == {"num_chs": 64, "reduction": 4, "module": "layer1"}
    assert set(whole.state_dict()) - set(net.state_dict()) == {"fc.weight", "fc.bias"}
    again = pickle.loads(pickle.dumps(net))
    assert again.feature_info == net.feature_info and torch.equal(again(image)["layer4"], found["layer4"])


def test_steps_by_name_and_what_they_cost() -> None:
    part = archspec.features("resnet50", ["layer3.0.conv1", "layer2"])
    assert part.returns == ("layer3_0_conv1", "layer2")
    assert [str(type_) for type_ in part.result_types] == ["f32[256, 28, 28]", "f32[512, 28, 28]"]
    assert archspec.cost(part).total.params < archspec.cost("resnet50").total.params // 10
    assert not part.claims


@pytest.mark.parametrize(
    ("spec", "names", "said"),
    [
        ("resnet18", ["layer9"], "did you mean `layer4`"),
        ("resnet18", [], "no features are named"),
        ("resnet18", ["layer1", "layer1"], "`layer1` is named twice"),
        ("pit_s", "stages", "PiTS has no stages"),
        ("transformer_base", "stages", "has no stages"),
    ],
)
def test_what_there_is_not_is_told(spec: str, names: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        archspec.load(spec, features=names, device="meta")
