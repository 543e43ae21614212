"""Receptive fields against published figures, arithmetic by hand, and what gradients really reach."""

import subprocess
import sys
from fractions import Fraction
from math import prod

import pytest
import torch
from examples import EXAMPLES
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import archspec
from archspec.analyses.receptive_field import (
    ReceptiveField,
    described,
    largest_field,
    receptive_field,
    receptive_fields,
    seen_by_outputs,
)
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import initial_weights
from archspec.graph import Graph, Ref
from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.op.dependence import WHOLE, Along, Slide, everything
from archspec.testing import check_reach, graph_of, layer


def net(body: str, size: int = 64, channels: int = 1) -> Graph:
    """A model of one image, whose layers are lines of a spec."""
    lines = [f"    {line}" for line in body.strip().split("\n")]
    return archspec.read_text(
        "\n".join(["model Net:", f"    input x: [{channels}, {size}, {size}]", *lines, ""])
    )


def chain(layers: str, size: int = 64) -> Graph:
    return net(f"return x -> {layers}", size)


def field(graph: Graph, axis: int = 0, given: str = "x") -> ReceptiveField:
    return receptive_field(graph)[given][axis]


# ------------------------------------------------------------------ by hand, and from the literature

VGG = """
block Stage(width: int, count: int):
    "Convolutions of 3x3."
    input x: [C, H, W]
    return x -> convs: count * [Conv(width, 3), ReLU]

model VGG16(pool: bool = true):
    input image: [3, 224, 224]
    x = image -> [Stage(1, 2), MaxPool(2), Stage(1, 2), MaxPool(2), Stage(1, 3), MaxPool(2), Stage(1, 3), MaxPool(2)]
    x = x -> stage5: Stage(1, 3)
    return (x -> MaxPool(2)) if pool else x
"""

ALEXNET = """
conv1: Conv(1, 11, stride=4, padding=2) -> ReLU -> MaxPool(3, stride=2, padding=0) -> conv2: Conv(1, 5) -> ReLU -> MaxPool(3, stride=2, padding=0)
-> conv3: Conv(1, 3) -> conv4: Conv(1, 3) -> conv5: Conv(1, 3) -> MaxPool(3, stride=2, padding=0)
""".replace("\n", " ")


def test_three_windows_of_3_see_what_one_of_7_does() -> None:
    three, one = chain("a: Conv(2, 3) -> b: Conv(2, 3) -> c: Conv(2, 3)"), chain("a: Conv(2, 7)")
    assert receptive_field(three) == receptive_field(one)
    assert field(one) == ReceptiveField(7, 7, Fraction(1), 3, False, 7, (Fraction(1), Fraction(1)))


def test_dilation_spreads_the_window() -> None:
    # [Yu & Koltun, 2016]: windows of 3 with dilation 1, 2 and 4 see 15 x 15.
    graph = chain("a: Conv(1, 3) -> b: Conv(1, 3, dilation=2) -> c: Conv(1, 3, dilation=4)")
    assert (field(graph).largest, field(graph).padding) == (15, 7)


@pytest.mark.parametrize(("pool", "size", "stride"), [(False, 196, 16), (True, 212, 32)])
def test_vgg16(pool: bool, size: int, stride: int) -> None:
    # [Araujo et al., 2019, Table 1] prints 212 and 32, with padding 90.
    found = field(archspec.read_text(VGG, pool=pool), given="image")
    assert (found.smallest, found.largest, found.stride, found.padding) == (size, size, stride, 90)


def test_alexnet() -> None:
    # [Araujo et al., 2019, Table 1]: 195 and 32 for alexnet_v2, which does not pad its first layer as this one.
    found = field(chain(ALEXNET, 224))
    assert (found.largest, found.stride) == (195, 32)


def test_inputs_see_themselves() -> None:
    graph = chain("a: Conv(1, 3)")
    assert receptive_fields(graph)[Ref("x")]["x"][0].largest == 1


@pytest.mark.parametrize(("where", "size"), [("1x1", 483), ("3x3", 427)])
def test_resnet50_by_where_it_strides(where: str, size: int) -> None:
    # [Araujo et al., 2019, Table 1] prints 483 and 32 for ResNet-50 v1, which strides on the 1x1.
    graph = archspec.read("resnet50", stride_on=where)
    fields = receptive_fields(graph)
    before = next(node.inputs[0] for node in graph.nodes if type(node.op).__name__ == "GlobalAvgPool")
    found = fields[before]["image"]
    assert [(axis.largest, axis.stride) for axis in found] == [(size, 32)] * 2
    # Least is seen through all shortcuts: 7 of the first convolution, 4 more of the pool, then only 1x1.
    assert [axis.smallest for axis in found] == [11] * 2
    assert receptive_field(graph)["image"][0].whole
    assert largest_field(graph) == size


def test_densenet121() -> None:
    # By hand: 11 after the pool, then 6, 12, 24 and 16 windows of 3 at strides 4 to 32, and three pools of 2.
    dense = 11 + 6 * 2 * 4 + 4 + 12 * 2 * 8 + 8 + 24 * 2 * 16 + 16 + 16 * 2 * 32
    assert largest_field(archspec.read("densenet121")) == dense == 2071


def test_efficientnet_around_its_gates() -> None:
    # 3 of the stem; then the windows of Table 1, each at the stride of its input.
    size, stride = 3, 2
    for kernel, count, step in (
        (3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 3, 2), (5, 3, 1), (5, 4, 2), (3, 1, 1),
    ):  # fmt: skip
        for index in range(count):
            size += (kernel - 1) * stride
            stride *= step if index == 0 else 1
    graph = archspec.read("efficientnet_b0")
    assert largest_field(graph) == size == 851
    last = receptive_fields(graph)[
        next(node.inputs[0] for node in reversed(graph.nodes) if type(node.op).__name__ == "GlobalAvgPool")
    ]["image"][0]
    assert (last.whole, last.largest, last.sliding, last.stride) == (True, 224, 851, 32)


def test_tokens_of_a_vit_see_a_patch_until_they_attend() -> None:
    graph = archspec.read("vit_b16")
    fields = receptive_fields(graph)
    first = next(node for node in graph.nodes if type(node.op).__name__ == "Attention")
    before, after = fields[graph.nodes[0].inputs[0]], fields[Ref(first.name)]
    assert before["image"][0].largest == 1
    assert [axis.largest for axis in fields[first.inputs[0]]["image"]] == [16, 16]
    assert all(axis.whole and axis.largest == 224 for axis in after["image"])


# ------------------------------------------------------------------ joins


def test_branches_and_skips() -> None:
    graph = net("a = x -> a: Conv(1, 5)\nb = x -> b: Conv(1, [1, 9])\nreturn a + b + x")
    height, width = receptive_field(graph)["x"]
    assert (height.smallest, height.largest, height.padding) == (1, 5, 2)
    assert (width.smallest, width.largest, width.padding) == (1, 9, 4)
    assert described((height, width)) == "1..5 x 1..9"


def test_windows_centred_differently_are_united() -> None:
    graph = net("a = x -> Pad([[2, 0]])\nb = x -> Pad([[0, 2]])\nreturn a + b")
    assert (field(graph, 1).largest, field(graph, 1).padding) == (3, 2)


def test_a_gate_makes_it_whole_and_what_slides_is_kept() -> None:
    graph = net("y = x -> Conv(4, 3)\nreturn y * (y -> GlobalAvgPool(keep=true) -> Sigmoid)")
    found = field(graph)
    assert (found.smallest, found.largest, found.whole, found.sliding, found.padding) == (3, 64, True, 3, 1)
    assert str(found) == "3..whole"


def test_strides_that_differ_show() -> None:
    graph = net("a = x -> a: Conv(1, 3, stride=2)\nb = x -> Crop(32)\nreturn a + b")
    found = field(graph)
    assert (found.smallest, found.stride, found.strides) == (1, 2, (1, 2))
    # Place i sees 2i - 1 to 2i + 1, and 16 + i: relative to 2i from 16, at the first place, to -15 at the last.
    assert (found.largest, found.padding) == (32, 15)


def test_a_zero_is_no_path() -> None:
    graph = net("return (x -> Zero) + (x -> Conv(1, 3))")
    assert (field(graph).smallest, field(graph).largest) == (3, 3)
    assert receptive_field(net("return x -> Zero")) == {}


def test_two_inputs_are_told_apart() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [1, 9, 9]\n    input y: [1, 9, 9]\n    return (x -> Conv(1, 3)) + y\n"
    )
    found = receptive_field(graph)
    assert {name: axes[0].largest for name, axes in found.items()} == {"x": 3, "y": 1}
    assert seen_by_outputs(receptive_fields(graph), graph, "x") == "3"


def test_axes_of_a_signal_and_a_vector() -> None:
    assert [str(axis) for axis in receptive_field(archspec.read_text("model M:\n    input x: [4]\n    return x -> Linear(2)\n"))["x"]] == ["whole"]  # fmt: skip
    signal = archspec.read_text("model M:\n    input x: [4, 99]\n    return x -> Conv(2, 5, stride=3)\n")
    assert [str(axis) for axis in receptive_field(signal)["x"]] == ["5"]


def test_a_free_size_is_whole_too() -> None:
    graph = archspec.read_text(
        "model M:\n    input x: [4, free H, 8]\n    return x -> Conv(2, 3) -> GlobalAvgPool\n"
    )
    assert [str(axis.largest) for axis in receptive_field(graph)["x"]] == ["H", "8"]


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("y = x -> Reshape([4096])\nreturn y + y", 1),
        ("y = x -> Reshape([4096])\nreturn y + (x -> Permute([0, 2, 1]) -> Reshape([4096]))", 64),
        ("return x + (x -> Permute([0, 2, 1]))", 64),
        ("a, b = x -> Split(2, axis=1)\nreturn a + b", 64),
        ("y = x -> Reshape([64, 64]) -> WindowPartition_", 64),
        ("y = Concat(x, x -> Reshape([1, 64, 64]), axis=1)\nreturn y", 1),
        ("return x -> Conv(1, 4, stride=4) -> Flatten(start=1) -> Permute([1, 0]) -> Linear(3)", 4),
        ("return x -> Unfold(5, stride=2) -> Permute([1, 0]) -> GELU", 5),
        ("return x -> Unfold(5, stride=2) -> Permute([1, 0]) -> Linear(3)", 5),
    ],
)
def test_rearranged_axes(body: str, size: int) -> None:
    if "WindowPartition_" in body:
        body = "return x -> Permute([1, 2, 0]) -> WindowPartition(8) -> Permute([0, 2, 1]) -> Linear(4)"
    if "Concat(" in body:
        body = "return (x, x -> ReLU) -> Concat(axis=1)"
    assert field(net(body)).largest == size


# ------------------------------------------------------------------ what gradients reach

NETS = {
    "conv": "return x -> a: Conv(2, 3) -> b: Conv(1, 5)",
    "even": "return x -> a: Conv(2, 4, padding=1) -> b: Conv(1, 2, padding=0)",
    "dilated": "return x -> a: Conv(2, 3, dilation=3) -> b: Conv(1, 5, dilation=2)",
    "strided": "return x -> a: Conv(2, 3, stride=2) -> b: Conv(1, 3, stride=2) -> c: Conv(1, 3)",
    "pool": "return x -> a: Conv(2, 3) -> AvgPool(3, stride=2) -> b: Conv(1, 3) -> AvgPool(2)",
    "skip": "y = x -> a: Conv(1, 3)\nreturn y + (y -> b: Conv(1, 3) -> c: Conv(1, 3))",
    "branch": "a = x -> a: Conv(2, 5, stride=2)\nb = x -> AvgPool(3, stride=2) -> b: Conv(3, 3)\n"
    "return (a, b) -> Concat -> c: Conv(1, 3)",
    "asymmetric": "return x -> Pad([[3, 0], [0, 1]]) -> a: Conv(2, 3, padding=0) -> Crop(90) -> b: Conv(1, [1, 3])",
    "transposed": "return x -> a: Conv(2, 3, stride=2) -> b: ConvTranspose(2, 2, stride=2) -> c: Conv(1, 3)",
    "transposed_overlap": "return x -> a: ConvTranspose(2, 5, stride=2, padding=2, output_padding=1) -> b: Conv(1, 3) -> c: Conv(1, 3, stride=2)",
    "transposed_gaps": "return x -> a: ConvTranspose(2, 3, stride=2, dilation=3) -> b: Conv(1, 3)",
    "nearest": "return x -> AvgPool(2) -> a: Conv(2, 3) -> Upsample(scale=2) -> b: Conv(1, 2, padding=0)",
    "bilinear": 'return x -> AvgPool(2) -> Upsample(scale=2, mode="bilinear") -> a: Conv(1, 3)',
    "fraction": "return x -> AvgPool(3) -> Upsample(scale=1.5) -> a: Conv(1, 3) -> b: Conv(1, 3, stride=2)",
    "adaptive": "return x -> a: Conv(1, 3) -> AdaptiveAvgPool(30) -> b: Conv(1, 2, padding=0)",
    "shuffle": "return x -> PixelUnshuffle(2) -> a: Conv(8, 3) -> PixelShuffle(2) -> b: Conv(1, 3)",
    "u_net": "a = x -> a: Conv(2, 3)\nb = a -> AvgPool(2) -> b: Conv(2, 3)\n"
    "c = b -> AvgPool(2) -> c: Conv(2, 3) -> Upsample(scale=2)\n"
    "d = (b, c) -> Concat -> d: Conv(2, 3) -> ConvTranspose(2, 2, stride=2)\n"
    "return (a, d) -> Concat -> e: Conv(1, 3)",
    "token_mixing_free": "y = x -> a: Conv(4, 4, stride=4) -> Flatten(start=1) -> Permute([1, 0]) -> Linear(3)\nreturn y",
}


# Here neighbours see windows that differ, so that these do not all begin where `stride` and `padding` say.
UNEVEN = {
    "transposed",
    "transposed_overlap",
    "nearest",
    "bilinear",
    "fraction",
    "adaptive",
    "shuffle",
    "u_net",
}


def reached(graph: Graph, place: tuple[int, ...]) -> torch.Tensor:
    """For each axis of the image the first and the last position on which the outputs at a place depend."""
    module = lower(graph, lambda g: {n: t.double().abs() + 0.1 for n, t in initial_weights(g, 0).items()})
    shape = graph.inputs[0].type.shape
    image = torch.ones((1, *shape), dtype=torch.float64, requires_grad=True)  # type: ignore[arg-type]
    out = module(image)
    outputs = out[(0, slice(None), *place)] if len(place) == 2 else out[(0, *place)]
    (gradient,) = torch.autograd.grad(outputs.sum(), image)
    seen = gradient[0, 0].abs() > 0
    return torch.stack(
        [torch.stack([rows.min(), rows.max()]) for rows in (seen.any(1).nonzero(), seen.any(0).nonzero())]
    )


@pytest.mark.parametrize("name", NETS)
def test_gradients_reach_just_what_is_said(name: str) -> None:
    graph = net(NETS[name], 128)
    found = receptive_field(graph)["x"]
    out = graph.outputs[0].type.shape
    if name == "token_mixing_free":
        first, last = reached(graph, (120,)).T
        assert (last - first + 1).tolist() == [axis.largest for axis in found]
        return
    height, width = (int(str(size)) for size in out[1:])
    spans = []
    for shift in range(8):  # neighbours may see windows of different sizes
        place = (height // 2 - 4 + shift, width // 2 - 4 + shift)
        bounds = reached(graph, place)
        assert bounds.min() > 0
        assert bounds.max() < 127, "the image is too small to tell"
        spans.append(bounds)
        for axis, (first, last) in enumerate(bounds.tolist()):
            said = found[axis]
            left = place[axis] * said.stride - said.padding
            if said.stride.denominator == 1 and name not in UNEVEN:
                assert (first, last) == (left, left + said.largest - 1)
    sizes = torch.stack(spans)[:, :, 1] - torch.stack(spans)[:, :, 0] + 1
    assert sizes.max(0).values.tolist() == [axis.largest for axis in found]


LAYERS = st.sampled_from(
    [
        "Conv(1, 3)", "Conv(1, 5, dilation=2)", "Conv(1, 2, padding=0)", "Conv(1, 3, stride=2)",
        "Conv(1, 4, stride=3, padding=2)", "AvgPool(2)", "AvgPool(3, stride=1, padding=1)", "AvgPool(3, stride=2)", "Pad([[2, 1]])",
        "Pad([[-1, 0]])", "Index([[none, none, none], [1, none, 2]])", "Upsample(scale=2)", "Upsample(scale=1.5)",
        'Upsample(scale=2, mode="linear")', "ConvTranspose(1, 2, stride=2)", "ConvTranspose(1, 3, stride=2, padding=1, output_padding=1)",
        "ConvTranspose(1, 5, stride=3)", "ReLU", "Identity", 'Pad([[1, 2]], mode="reflect")', 'Pad([2], mode="replicate")', "MaxPool(3, stride=1)",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.lists(LAYERS, min_size=1, max_size=5), st.lists(LAYERS, max_size=2))
def test_impulses_through_any_layers(trunk: list[str], branch: list[str]) -> None:
    """A chain of layers, and a skip around more of them where shapes allow; signals are fast to try."""
    lines = [f"y = x -> {' -> '.join(f't{i}: {text}' for i, text in enumerate(trunk))}"]
    lines += [
        f"z = y -> b{i}: {text}" if i == 0 else f"z = z -> b{i}: {text}" for i, text in enumerate(branch)
    ]
    head = ["model Net:", "    input x: [1, 216]", *(f"    {line}" for line in lines)]
    graph = archspec.read_text("\n".join([*head, f"    return {'z' if branch else 'y'}", ""]))
    if branch and len({node.types[0].shape for node in graph.nodes[len(trunk) - 1 :]}) == 1:
        graph = archspec.read_text("\n".join([*head, "    return y + z", ""]))
    (found,) = receptive_field(graph)["x"]
    assume(graph.outputs[0].type.values <= 700)  # the others take long, and show no more
    module = lower(graph, lambda g: {n: t.double().abs() + 0.1 for n, t in initial_weights(g, 0).items()})
    nothing = torch.zeros((1, 1, 216), dtype=torch.float64)
    # One impulse at each position; with positive weights, what it changes is what sees it.
    seen = ((module(nothing + torch.eye(216).unsqueeze(1)) - module(nothing)).squeeze(1) > 1e-13).int()
    first, last = seen.argmax(0), 215 - seen.flip(0).argmax(0)
    whole = (seen.sum(0) > 0) & (first > 0) & (last < 215)  # not cut by a border
    assume(whole.sum() > 2 * found.stride.denominator + 10)
    assert (last - first + 1)[whole].max() == found.largest


IMAGE_STEPS = st.one_of(
    st.sampled_from(
        [
            "Conv(2, 3)", "Conv(2, [1, 5], dilation=[1, 2])", "Conv(2, 3, stride=2)", "Conv(2, 2, stride=2)",
            "ConvTranspose(2, 2, stride=2)", "ConvTranspose(2, 3, stride=2, padding=1, output_padding=1)", "WSConv(2, 3)", "MaxPool(3, stride=1)", "MaxPool(2)",
            "AvgPool(3, stride=2)", "AvgPool(2, ceil=true)", "AdaptiveAvgPool(5)", "AdaptiveMaxPool([7, 3])",
            "GlobalAvgPool(keep=true)", "BatchNorm", "GroupNorm(1)", "GroupNorm(2)", "InstanceNorm(affine=true)",
            "LayerNorm(axis=0)", "LayerNorm", "LayerNorm(axis=1)", "LocalResponseNorm(3)", "Upsample(scale=2)",
            'Upsample(scale=1.5, mode="bilinear")', 'Upsample(size=9, mode="bicubic")', "Roll([2], [1])",
            "Roll([-1, 3], [1, 2])", "Roll([1], [0])", "Pad(1)", 'Pad(1, mode="reflect")', 'Pad([[2, 0], [0, 2]], mode="reflect")',
            'Pad(2, mode="replicate")', 'Pad(1, mode="circular")', 'Pad([[0, 2]], mode="circular")', "Pad([[-1, 2]])", "Crop([5, 6])",
            "Permute([0, 2, 1])", "Permute([1, 2, 0])", "Permute([2, 0, 1])", "PixelShuffle(1)", "PixelUnshuffle(2)",
            "ChannelShuffle(2)", "Linear(6)", "Softmax(axis=0)", "Softmax(axis=1)", 'Reduce("max", 1, keep=true)',
            'Reduce("sum", 0, keep=true)', "Zero(stride=2)", "ReLU", "PReLU", "Sin", "Flip(1)",
            "Flip([1, 2])", "Normalize(axis=0)", "RMSNorm(axis=1)", "CumSum(axis=2)", "Round", "Norm(0, keep=true)",
        ]
    ).map(lambda layer: f"x = x -> {layer}"),
    st.sampled_from(
        [
            "x = x -> Unfold(3, stride=1, padding=1) -> Fold([x.height, x.width], 3, stride=1, padding=1)",
            "x = x -> Unfold(3, stride=2, padding=1) -> Fold([x.height, x.width], 3, stride=2, padding=1)",
            "x = x -> Unfold(2, stride=2) -> Permute([1, 0]) -> LayerNorm -> Permute([1, 0]) -> Fold([x.height, x.width], 2, stride=2)",
            "x = x -> Reshape([x.channels, x.height // 2, 2, x.width]) -> Reduce(\"mean\", 2)",
            "x = x -> Reshape([x.channels, x.height * x.width // 2, 2]) -> Reduce(\"sum\", 1, keep=true)",
            "x = x -> Flatten(start=1) -> Conv(2, 3) -> Reshape([2, x.height, x.width])",
            "x = x -> Flatten(start=1) -> Roll([3], [1]) -> Reshape([x.channels, x.height, x.width])",
            "x = x -> Permute([1, 2, 0]) -> WindowPartition(2) -> LayerNorm(axis=1) -> WindowReverse(2, x.height, x.width)"
            " -> Permute([2, 0, 1])",
            "x = x -> Permute([1, 2, 0]) -> WindowPartition(2, halo=1) -> Permute([2, 0, 1])",
            "t = x -> Permute([1, 2, 0]) -> WindowPartition(2)\n"
            "x = (t, t, t) -> Attention -> WindowReverse(2, x.height, x.width) -> Permute([2, 0, 1])",
            "t = x -> Flatten(start=1) -> Permute([1, 0])\n"
            "x = (t, t, t) -> Attention -> Permute([1, 0]) -> Reshape([x.channels, x.height, x.width])",
            "x = x + (x -> Conv(x.channels, 3))", "x = x + (x -> Roll([1], [2]))", "x = x * (x -> InstanceNorm)",
            "x = x + (x -> Pad([[1, -1]], mode=\"circular\"))", "x = concat(x, x -> Conv(1, 5), x)",
            "x = x * (x -> GlobalAvgPool(keep=true) -> Sigmoid)", "x = x + x[:, 2:3]", "x = x[:, ::2]", "x = x[:, 1:, :-1]",
            "x = concat(x[:, 2:], x[:, :2], axis=1)", "a, b = x -> Split(2, axis=2)\nx = concat(b, a, axis=2)",
            "a, b = x -> Split(2, axis=1)\nx = a + b", "x = (x, x -> Conv(x.channels, 3)) -> Stack(axis=1) -> Reduce(\"max\", 1)",
            "x = (x, (x -> Conv(18, 3))) -> DeformConv(2)", "x = (x -> ReLU) @ (x -> Permute([0, 2, 1]))",
            "x = (x -> Sort(axis=1))[0]", "x = (x -> TopK(2, axis=1))[0]",
            "x = x[:, :1] -> Expand([-1, x.height, x.width])", "x = x[:, :1] -> Expand(like=x)",
            'x = x -> AvgPool(2) -> Upsample(mode="bilinear", like=x)', "x = x[:, ::3] -> Upsample(like=x)", "x = x -> Crop(like=x -> MaxPool(2))",
            "x = (x, x -> ArgMax(axis=1, keep=true)) -> TakeAlong(axis=1)",
            "x = (x[:, :1], x -> ArgMax(axis=1, keep=true)) -> Scatter(x.height, axis=1)",
            "x = (x, [x -> AvgPool(3, stride=1), x -> Conv(x.channels, 1)][0]) -> Maximum",
        ]
    ),
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.lists(IMAGE_STEPS, min_size=1, max_size=4), st.sampled_from([(8, 8), (12, 10)]))
def test_no_value_sees_more_than_is_said(steps: list[str], size: tuple[int, int]) -> None:
    """Change one pixel at a time, and see which values change: through all that is done to images, in any order."""
    lines = [f"    {line}" for line in "\n".join([*steps, "return x"]).split("\n")]
    try:
        graph = archspec.read_text(
            "\n".join(["model Net:", f"    input x: [2, {size[0]}, {size[1]}]", *lines, ""])
        )
    except archspec.SpecError:
        return  # these do not fit together
    said = receptive_field(graph).get("x")
    module = lower(graph, lambda g: {n: t.double() for n, t in initial_weights(g, 0).items()}).eval()
    torch.manual_seed(0)
    for weight in module.parameters():
        weight.data = torch.randn_like(weight)
    image = torch.randn(1, 2, *size, dtype=torch.float64)
    pixels = prod(size)
    changes = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, *size)
    before, after = module(image)[0], module(image + 3 * changes)
    differs = ((after - before).abs() > 1e-9).reshape(*size, -1)  # each pixel, and each value of the output
    if said is None:
        assert not differs.any()
        return
    for axis in range(2):
        seen = differs.any(1 - axis)
        first = seen.int().argmax(0)
        last = seen.shape[0] - 1 - seen.flip(0).int().argmax(0)
        spans = torch.where(seen.any(0), last - first + 1, 0)
        assert spans.max() <= said[axis].largest, f"{spans.max()} along axis {axis}, not {said[axis]}"
        assert said[axis].whole or said[axis].largest == said[axis].sliding


@pytest.mark.parametrize(
    ("body", "said", "seen"),
    [
        ("return x -> GroupNorm(1)", "1..whole", 16),
        ("return x -> Conv(1, 3) -> InstanceNorm -> Conv(1, 3)", "5..whole", 16),
        ("return x -> LayerNorm", "1 x 1..whole", 1),
        ("return x -> Roll([2], [1]) -> Conv(1, 3)", "3..whole x 3", 16),
        ("return x -> Roll([16], [1]) -> Conv(1, 3)", "3", 3),
        ('return x -> Pad(1, mode="circular") -> Conv(1, 3, padding=0)', "3..whole", 16),
        ('return x -> Pad(1, mode="reflect") -> Conv(1, 3, padding=0)', "3", 3),
        (
            "return x -> Conv(1, 3) -> Unfold(3, stride=1, padding=1) -> Fold(16, 3, stride=1, padding=1)",
            "1..whole",
            3,
        ),
        ('return x -> Conv(1, 3) -> Reshape([1, 4, 4, 16]) -> Reduce("sum", 2)', "3..whole x 3", 6),
        ("t = x -> Permute([1, 2, 0]) -> WindowPartition(4)\nreturn (t, t, t) -> Attention", "1..whole", 4),
        ("return x -> Conv(1, 3) -> Flatten -> Linear(4)", "whole", 16),
        ("return (x, x -> Conv(18, 3)) -> DeformConv(1)", "3..whole", 16),
    ],
)
def test_what_is_not_followed_is_bounded(body: str, said: str, seen: int) -> None:
    graph = net(body, 16)
    fields = receptive_field(graph)["x"]
    assert described(fields) == said
    if "Deform" not in body:  # where it samples depends on its weights
        module = lower(
            graph, lambda g: {n: t.double() + 0.1 for n, t in initial_weights(g, 0).items()}
        ).eval()
        torch.manual_seed(0)
        image = torch.randn(1, 1, 16, 16, dtype=torch.float64)
        changes = torch.eye(256, dtype=torch.float64).reshape(256, 1, 16, 16)
        differs = (module(image + changes) - module(image)).abs().flatten(1) > 1e-9
        rows = differs.reshape(16, 16, -1).any(1).int()
        spans = 16 - rows.flip(0).argmax(0) - rows.argmax(0)
        assert spans.max() == seen
    assert fields[0].smallest <= seen <= fields[0].largest  # type: ignore[operator]


@pytest.mark.parametrize("where", ["1x1", "3x3"])
def test_gradients_of_a_narrow_resnet50(where: str) -> None:
    """The whole of ResNet-50 with one or two channels a layer, positive weights and no norms."""
    lines = [
        "y = x -> stem: Conv(1, 7, stride=2, bias=false) -> MaxPool_".replace(
            "MaxPool_", "AvgPool(3, stride=2)"
        )
    ]
    for stage, (count, stride) in enumerate([(3, 1), (4, 2), (6, 2), (3, 2)]):
        for block in range(count):
            step = stride if block == 0 else 1
            first, second = (step, 1) if where == "1x1" else (1, step)
            name = f"s{stage}b{block}"
            shortcut = f"(y -> {name}d: Conv(1, 1, stride={step}))" if step > 1 else "y"
            lines.append(
                f"y = {shortcut} + (y -> {name}a: Conv(1, 1, stride={first})"
                f" -> {name}b: Conv(1, 3, stride={second}) -> {name}c: Conv(1, 1))"
            )
    graph = net("\n".join([*lines, "return y"]), size=1024)
    found = field(graph)
    first, last = reached(graph, (16, 16))[0].tolist()
    assert found.largest == last - first + 1 == {"1x1": 483, "3x3": 427}[where]
    assert first == 16 * found.stride - found.padding


# ------------------------------------------------------------------ what each op says, against what it does


def borders_count(op: Op) -> bool:
    """Whether what the op does beyond the border is nothing; a mirror image moves what is seen, and shows no more."""
    return getattr(op, "mode", "") not in ("reflect", "replicate")


@pytest.mark.slow
@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_nothing_else_is_seen_than_an_op_says(op: str, example: str) -> None:
    if borders_count(layer(graph_of(example)[0]).op):
        check_reach(example)


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_every_op_says_which_axes_it_goes_along(op: str, example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    operands = [*graph.input_types(node), *graph.option_types(node).values()]
    rank = max(type_.rank for type_ in node.types)
    for x, reach in zip(
        operands, node.op.reach(*graph.input_types(node), **graph.option_types(node)), strict=True
    ):
        assert reach is None or len(reach) == x.rank
        for along in reach or ():
            assert all(0 <= axis < rank for axis in along.axes)
            assert not along.straight or len(along.axes) <= 1
            assert along.slide is None or len(along.slide.first) == len(along.slide.last)
    hash(node.op)


def test_an_op_that_says_nothing_sees_everything() -> None:
    assert everything(TensorType((3, 4))) == (WHOLE, WHOLE)
    assert Op.reach(Op.known["ReLU"](), TensorType((3, 4))) == ((WHOLE, WHOLE),)
    assert Along((1,)).slide == Slide.window(1)


def test_torch_is_not_needed() -> None:
    code = (
        "import sys, archspec\n"
        "from archspec.analyses.receptive_field import largest_field\n"
        "assert largest_field(archspec.read('resnet18')) == 435\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
