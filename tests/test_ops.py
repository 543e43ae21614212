"""Every op against torch: what an op claims of shapes, weights and cost is what its lowering does."""

import re
from math import prod

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archspec
from archspec.analyses.cost import macs
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import draw, empty
from archspec.graph import Graph, Node
from archspec.op import Op
from archspec.ops.weights import Own, Tied
from archspec.tensor import TensorType, dtype, torch_name

TYPE = r"(\w+)\[([^\]]*)\]"
EXAMPLES = [(name, example) for name in sorted(Op.names()) for example in Op.known[name].examples]


def types(text: str) -> list[TensorType]:
    return [
        TensorType(tuple(int(size) for size in shape.split(",") if size.strip()), dtype(name))
        for name, shape in re.findall(TYPE, text)
    ]


def graph_of(example: str) -> tuple[Graph, list[TensorType]]:
    """The graph of `inputs -> layer -> outputs`, written as a spec; and the outputs expected."""
    given, *middle, expected = example.split(" -> ")
    inputs = [f"x{i}: {t.dtype}[{', '.join(map(str, t.shape))}]" for i, t in enumerate(types(given))]
    names = [f"x{i}" for i in range(len(inputs))]
    call = " -> ".join(middle)

    def option(match: re.Match[str]) -> str:
        inputs.append(f"{match[1]}: {match[2]}[{match[3]}]")
        return f"{match[1]}={match[1]}"

    call = re.sub(rf"(\w+)={TYPE}", option, call)
    lines = [f"    input {line}" for line in inputs]
    taken = f"({', '.join(names)})" if len(names) > 1 else names[0]
    text = "\n".join(["model Example:", *lines, f"    return {taken} -> layer: {call}", ""])
    return archspec.parse(text), types(expected)


def layer(graph: Graph) -> Node:
    return graph.nodes[-1]


def batch_of(graph: Graph, device: str, size: int = 2) -> list[torch.Tensor]:
    tensors = []
    for given in graph.inputs:
        kind = getattr(torch, torch_name(given.type.dtype))
        shape = (size, *given.type.shape)
        tensors.append(
            torch.ones(shape, dtype=kind, device=device)
            if kind != torch.float32
            else torch.rand(shape, device=device) + 0.1
        )
    return tensors


def test_every_op_has_examples() -> None:
    without = [
        name
        for name in Op.names()
        if not Op.known[name].examples and not issubclass(Op.known[name], Own | Tied)
    ]
    assert without == []


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_shapes_and_dtypes_are_those_of_torch(op: str, example: str) -> None:
    graph, expected = graph_of(example)
    assert type(layer(graph).op).__name__ == op
    assert list(layer(graph).types) == expected
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    out = module(*batch_of(graph, "meta"))
    outs = [out] if isinstance(out, torch.Tensor) else list(out)
    assert [(tuple(o.shape), o.dtype) for o in outs] == [
        ((2, *t.shape), getattr(torch, torch_name(t.dtype))) for t in expected
    ]


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_weights_are_those_of_the_module(op: str, example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    arguments = graph.input_types(node), graph.option_types(node)
    lowered = node.op.lower(*arguments[0], **arguments[1])
    weights = node.op.weights(*arguments[0], **arguments[1])
    if not isinstance(lowered, nn.Module):
        assert weights == {}
        return
    trained = {name for name, _ in lowered.named_parameters()}
    assert {name: tuple(tensor.shape) for name, tensor in lowered.state_dict().items()} == {
        name: weight.shape for name, weight in weights.items() if weight.saved
    }
    assert trained == {name for name, weight in weights.items() if weight.trainable}


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_multiply_adds_are_half_of_torchs_flops(op: str, example: str) -> None:
    graph, _ = graph_of(example)
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        module(*batch_of(graph, "meta"))
    assert macs(graph) * 2 * 2 == counter.get_total_flops()


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_examples_run_on_the_cpu_and_their_graphs_read_back(op: str, example: str) -> None:
    graph, expected = graph_of(example)
    assert Graph.from_json(graph.to_json()) == graph
    module = lower(graph, lambda g: draw(g, 0))
    out = module(*batch_of(graph, "cpu", 3))
    outs = [out] if isinstance(out, torch.Tensor) else list(out)
    assert [tuple(o.shape) for o in outs] == [(3, *t.shape) for t in expected]
    assert all(o.isfinite().all() for o in outs if o.is_floating_point())


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
@pytest.mark.parametrize("size", [0, 1])
def test_a_batch_may_be_empty_or_a_single_sample(op: str, example: str, size: int) -> None:
    graph, expected = graph_of(example)
    module = lower(graph, lambda g: draw(g, 0))
    for training in (True, False):
        if training and op == "BatchNorm" and size == 1 and expected[0].rank == 1:
            continue  # statistics of a single value, which PyTorch refuses
        out = module.train(training)(*batch_of(graph, "cpu", size))
        outs = [out] if isinstance(out, torch.Tensor) else list(out)
        assert [tuple(o.shape) for o in outs] == [(size, *t.shape) for t in expected]


OVERWRITABLE = [(op, example) for op, example in EXAMPLES if Op.known[op].overwritable]


@pytest.mark.parametrize(("op", "example"), OVERWRITABLE)
def test_what_may_be_written_over_is_new_and_not_read_by_the_backward_pass(op: str, example: str) -> None:
    graph, _ = graph_of(example)
    module = lower(graph, lambda g: draw(g, 0))
    batch = batch_of(graph, "cpu", 3)
    real = [x.requires_grad_() for x in batch if x.is_floating_point()]
    out = module(*batch)
    assert not any(out.untyped_storage().data_ptr() == x.untyped_storage().data_ptr() for x in batch)
    if not out.requires_grad:
        return  # of whole numbers, or whether they are equal: without a backward pass
    expected = torch.autograd.grad(out.relu().sum(), real, retain_graph=True)
    out.relu_()  # if a value was needed that this has changed, the next line raises
    for gradient, wanted in zip(torch.autograd.grad(out.sum(), real), expected, strict=True):
        assert torch.equal(gradient, wanted)


LARGE = (
    "f32[64, 32, 32] -> Conv(64, 3) -> f32[64, 32, 32]",
    "f32[64, 32] -> Conv(64, 5, groups=4) -> f32[64, 32]",
    "f32[64, 8, 8] -> ConvTranspose(32, 4, stride=2, padding=1) -> f32[32, 16, 16]",
    "f32[300] -> Linear(200) -> f32[200]",
    "i64[7] -> Embedding(100, 64) -> f32[7, 64]",
    "f32[32, 8, 8] -> BatchNorm -> f32[32, 8, 8]",
    "f32[10, 96] -> LayerNorm -> f32[10, 96]",
    "f32[32, 8, 8] -> GroupNorm(8) -> f32[32, 8, 8]",
    "f32[32, 8, 8] -> PReLU(per_channel=true) -> f32[32, 8, 8]",
)


@pytest.mark.parametrize("example", LARGE)
def test_first_values_are_distributed_as_pytorchs(example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    theirs = node.op.lower(*graph.input_types(node))
    assert isinstance(theirs, nn.Module)
    theirs.to_empty(device="cpu")
    if isinstance(theirs, nn.PReLU):
        theirs.reset_parameters()
    else:
        torch.manual_seed(0)
        theirs.reset_parameters()  # type: ignore[operator]
    ours = draw(graph, 0)
    for name, tensor in theirs.state_dict().items():
        mine = ours[f"layer.{name}"]
        assert mine.dtype == tensor.dtype
        if tensor.numel() < 2 or tensor.float().std() == 0:
            assert torch.equal(mine, tensor), name
            continue
        assert mine.std().item() == pytest.approx(
            tensor.std().item(), rel=0.4 if tensor.numel() < 300 else 0.1
        ), name
        assert mine.abs().max().item() == pytest.approx(tensor.abs().max().item(), rel=0.25), name
        assert abs(mine.mean().item()) < 4 * tensor.std().item() / prod(tensor.shape) ** 0.5, name
