"""Ops on weights alone, which have no batch: what they give is what they give for a batch of one."""

import re

import pytest
import torch
from torch import Tensor

import archspec
from archspec.graph import Graph
from archspec.ground.tensor import torch_name
from archspec.op import Op
from archspec.op.contract import load_ops

load_ops()
EXAMPLES = [
    example
    for op in Op.known.values()
    if op.one_sample and op.__module__.startswith("archspec.")
    for example in op.examples
    if example.startswith("f32[")
]


def nets(example: str) -> tuple[Graph, Graph]:
    """A layer on a weight, beside one that is on an input."""
    given, layer, _ = re.split(r" -> (?=[A-Z]|\w+\[)", example)
    shape = given.removeprefix("f32")
    taken = re.search(r"like=(\w+\[.*?\])", layer)
    other = f"    input y: {taken[1] if taken else [1]}\n"
    layer = layer.replace(taken[1], "y") if taken else layer
    alone = (
        f"model Net:\n    input x: [2]\n{other}    buffer w: {shape} = uniform(0.1, 1.1)\n"
        f"    return x * 2, w -> layer: {layer}\n"
    )
    return archspec.read_text(alone), archspec.read_text(
        f"model Net:\n    input x: {shape}\n{other}    return x -> layer: {layer}\n"
    )


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("example", EXAMPLES)
def test_weights_alone_are_a_batch_of_one(example: str, train: bool) -> None:
    alone, usual = nets(example)
    assert alone.outputs[1].type.shape == usual.outputs[0].type.shape
    assert not alone.outputs[1].type.batched
    net, wanted = archspec.load(alone, seed=0), archspec.load(usual, seed=0)
    wanted.load_state_dict({key: value for key, value in net.state_dict().items() if key != "w"})
    net.train(train), wanted.train(train)
    weight: Tensor = net.get_buffer("w")
    other = alone.inputs[1].type
    y = torch.ones(3, *other.shape, dtype=getattr(torch, torch_name(other.dtype)))

    def run() -> tuple[Tensor, Tensor]:
        return net(torch.ones(3, 2), y)[1], wanted(weight[None], y[:1])[0]

    try:
        found, expected = run()
    except ValueError as error:  # of PyTorch: one value per channel has no variance
        assert train and "Expected more than 1" in str(error)
        return
    assert tuple(found.shape) == alone.outputs[1].type.shape
    torch.testing.assert_close(found, expected)


def test_there_are_such_examples_of_every_kind() -> None:
    assert {example.split(" -> ")[1].partition("(")[0] for example in EXAMPLES} >= {
        "Conv", "ConvTranspose", "WSConv", "BatchNorm", "GroupNorm", "InstanceNorm", "LocalResponseNorm", "MaxPool",
        "AvgPool", "GlobalAvgPool", "GlobalMaxPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Upsample", "PReLU",
    }  # fmt: skip


@pytest.mark.parametrize("flat", [False, True])
def test_blocks_run_alike_on_weights_and_on_data(flat: bool) -> None:
    graph = archspec.read_text(
        """
block Unit:
    input x: [C, H, W]
    return x -> conv: Conv(4, 3) -> norm: BatchNorm -> ReLU

model Net:
    input x: [4, 6, 6]
    constant grid: [2, 6, 6] = outer_sum([range(2), range(6), range(6)])
    weight w: [4, 6, 6] = normal(1.0)
    shared unit = Unit
    places = grid -> places: [Conv(4, 1), GroupNorm(2)]
    return (x -> unit) + (w -> unit) + places + (w -> own: Unit)
"""
    )
    assert graph == Graph.from_json(graph.to_json())
    net = archspec.load(graph, seed=0, flat=flat).eval()
    parts = dict(net.named_modules())
    grid = sum(torch.meshgrid(*(torch.arange(float(n)) for n in (2, 6, 6)), indexing="ij"), torch.tensor(0.0))

    def unit(name: str, x: Tensor) -> Tensor:
        return parts[f"{name}.norm"](parts[f"{name}.conv"](x)).relu()

    x, w = torch.randn(3, 4, 6, 6), net.get_parameter("w")[None]
    places = parts["places.1"](parts["places.0"](grid[None]))
    torch.testing.assert_close(net(x), unit("unit", x) + unit("unit", w) + places + unit("own", w))
    fast = archspec.load(graph, seed=0, optimize="inference")
    torch.testing.assert_close(fast(x), net(x), atol=1e-4, rtol=1e-4)


def test_convolutions_of_constants_do_not_grow_with_the_batch() -> None:
    """They are run once: the operations of a batch of eight are those of one sample, and seven more of the rest."""
    graph = archspec.read_text(
        "model Net:\n    input x: [4, 6, 6]\n    weight w: [4, 6, 6] = normal(1.0)\n    return x + (w -> Conv(4, 3))\n"
    )
    net = archspec.load(graph, seed=0)
    seen = []
    net.get_submodule("conv").register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    net(torch.randn(8, 4, 6, 6))
    assert [shape[0] for shape in seen] == [1]
