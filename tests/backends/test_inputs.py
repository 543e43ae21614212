"""What a network takes: the sizes, relations and dtypes that its spec allows, and nothing that it computes wrongly."""

import copy
import re
from itertools import product
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from nets import outputs
from torch import nn

import archspec
from archspec.api.artifact import save_artifact
from archspec.graph import Graph
from archspec.ground.errors import InputError, SpecError
from archspec.ground.tensor import torch_name
from archspec.op import Op

TYPE = r"(\w+)\[([^\]]*)\]"
EXAMPLES = [(name, example) for name in sorted(Op.names()) for example in Op.known[name].examples]


def open_axes(graph: Graph) -> set[tuple[str, int]]:
    """Input and axis, for the sizes that a network does not insist on."""
    found = set()
    for entry in graph.inputs:
        assert entry.uses is not None
        known = {axis for axis, size in enumerate(entry.type.shape) if isinstance(size, int)}
        found |= {(entry.name, axis) for axis in known - {use.axis for use in entry.uses}}
    return found


def batch_of(graph: Graph, samples: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = []
    for entry in graph.inputs:
        shape = (samples, *(int(str(size)) for size in entry.type.shape))
        kind = getattr(torch, torch_name(entry.type.dtype))
        if entry.type.floating:
            tensors.append((torch.rand(shape, generator=generator) + 0.1).to(kind))
        else:
            tensors.append(torch.randint(2, shape, generator=generator).to(kind))
    return tensors


def run(module: nn.Module, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return outputs(module(*tensors))


def require_equal_or_refused(text: str, other: str, **parameters: Any) -> bool:
    """A network at other sizes than its own is the one declared for those, or refuses; whether it took them."""
    declared = archspec.load(archspec.read_text(text, **parameters), seed=0).eval()
    try:
        graph = archspec.read_text(other, **parameters)
    except SpecError:
        tensors = other_batch(archspec.read_text(text, **parameters), other)
        with pytest.raises(InputError, match=r" --> spec\.arch:\d"):
            run(declared, tensors)
        return False
    tensors = batch_of(graph)
    try:
        got = run(declared, tensors)
    except InputError:
        return False
    wanted = archspec.load(graph, seed=0).eval()
    wanted.load_state_dict(declared.state_dict())  # refused where a weight has another shape
    for one, two in zip(got, run(wanted, tensors), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5, equal_nan=True)
    return True


def other_batch(graph: Graph, other: str) -> list[torch.Tensor]:
    """A batch for inputs whose shapes stand in a spec that is wrong."""
    inputs = re.findall(r"input \w+: \w*\[(.*)\]", other[other.rindex("model ") :])
    shapes = [[int(size) for size in shape.split(",")] for shape in inputs]
    tensors = []
    for entry, shape in zip(graph.inputs, shapes, strict=True):
        tensors.append(torch.ones((2, *shape), dtype=getattr(torch, torch_name(entry.type.dtype))))
    return tensors


# ------------------------------------------------------------------ every op


def spec_of(example: str) -> tuple[list[tuple[str, list[int]]], str]:
    """The inputs of an example, each a dtype and a shape, and the layer that it applies to them."""
    taken, *middle, _ = example.split(" -> ")
    inputs: list[tuple[str, list[int]]] = []

    def shape(text: str) -> list[int]:
        return [int(size) for size in text.split(",") if size.strip()]

    for name, sizes in re.findall(TYPE, taken):
        inputs.append((name, shape(sizes)))

    def option(match: re.Match[str]) -> str:
        inputs.append((match[2], shape(match[3])))
        return f"{match[1]}=x{len(inputs) - 1}"

    count = len(inputs)
    call = re.sub(rf"(\w+)={TYPE}", option, " -> ".join(middle))
    names = [f"x{i}" for i in range(count)]
    taken = f"({', '.join(names)})" if count > 1 else names[0]
    return inputs, f"{taken} -> layer: {call}"


def text_of(inputs: list[tuple[str, list[int]]], call: str) -> str:
    lines = [f"    input x{i}: {dtype}[{', '.join(map(str, s))}]" for i, (dtype, s) in enumerate(inputs)]
    return "\n".join(["model Example:", *lines, f"    return {call}", ""])


@pytest.mark.slow
@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_an_op_computes_the_same_at_any_size_that_it_does_not_use(op: str, example: str) -> None:
    if op == "Noise":
        return  # which is other at each run
    inputs, call = spec_of(example)
    text = text_of(inputs, call)
    for name, axis in sorted(open_axes(archspec.read_text(text))):
        place = int(name[1:])
        size = inputs[place][1][axis]
        for other in {1, size - 1, size + 1, size + 3, 2 * size, 3 * size} - {0, size}:
            if op == "InstanceNorm" and other == 1:
                continue  # refused where it is known, since nothing is left of a single value; it runs all the same
            changed = copy.deepcopy(inputs)
            changed[place][1][axis] = other
            require_equal_or_refused(text, text_of(changed, call))


@pytest.mark.parametrize(
    ("op", "example"), [(op, example) for op, example in EXAMPLES if len(spec_of(example)[0]) > 1]
)
def test_an_op_of_one_tensor_twice_computes_the_same_at_any_size_that_it_does_not_use(
    op: str, example: str
) -> None:
    inputs, call = spec_of(example)
    if any(entry != inputs[0] for entry in inputs):
        return
    call = re.sub(r"x\d+", "x0", call)
    text = text_of(inputs[:1], call)
    for _, axis in sorted(open_axes(archspec.read_text(text))):
        for other in {1, 2, inputs[0][1][axis] + 1, 2 * inputs[0][1][axis]} - {inputs[0][1][axis]}:
            changed = copy.deepcopy(inputs[:1])
            changed[0][1][axis] = other
            require_equal_or_refused(text, text_of(changed, call))


def test_ops_of_images_take_images_of_any_size() -> None:
    for layer in (
        "Conv(8, 3, stride=2)", "MaxPool(3, stride=2)", "AvgPool(2, ceil=true)", "BatchNorm", "GroupNorm(3)", "ReLU", "Dropout",
        "GlobalAvgPool", "AdaptiveAvgPool(7)", "Upsample(scale=2)", "Upsample(scale=1.5)", "Flatten(start=1)", "Permute([1, 2, 0])",
        "LayerNorm(axis=0)", "Pad(1)", "Pad([1, 1], mode=\"reflect\")", "Unfold(3)", "ConvTranspose(4, 2, stride=2)",
        "Crop(5)", 'Upsample(mode="bilinear", like=x)', "Crop(like=x -> MaxPool(2))", "Index([[none, none, none], [-1, none, none]])",
        "Index([[none, none, none], [none, 1, none]]) -> Expand(like=x)",
        "Reshape([3, 4, -1])", "Index([[none, none, none], [1, none, none], [none, -1, none]])",
    ):  # fmt: skip
        graph = archspec.read_text(f"model Net:\n    input x: [3, 12, 16]\n    return x -> {layer}\n")
        assert {("x", 1), ("x", 2)} <= open_axes(graph), layer


# ------------------------------------------------------------------ what specs do with sizes


USES = {
    "a count of a loop": "for i in range(x.shape[1]):\n        x = x -> ReLU\n    return x",
    "a repetition": "return x -> x.shape[1] * [ReLU]",
    "a number of a list": "layers = [ReLU, Sigmoid, Tanh]\n    return x -> layers[x.shape[1] % 3]",
    "a condition": "if x.shape[1] > 4:\n        x = x -> ReLU\n    return x",
    "a condition in a line": "return x -> (ReLU if x.width // 2 == 4 else Tanh)",
    "a filter": "return x -> [ReLU for i in range(3) if i < x.width]",
    "what is required": "require x.shape[1] % 8 == 0\n    return x -> ReLU",
    "an argument": "return x -> Pad([[0, x.shape[1] % 3]])",
    "an argument computed of it": "return x -> Pad([[0, max(0, 9 - x.height)], 0])",
    "an argument handed on": "return x -> Padded(amount=x.height - 2)",
    "an argument in a layer handed on": "return x -> Twice(Pad([[0, x.height]]))",
    "a crop": "return x[:, : x.height - 1]",
    "a place": "return x[:, x.height // 2]",
    "a factor": "return x * x.height",
    "a quotient": "return x / (x.height / 2)",
    "a root": "return x * sqrt(x.height)",
    "a power": "return x ** (x.height // 4)",
    "a weight's shape": "weight table: [x.width] = normal(1)\n    return x * table",
    "a weight's values": "constant table: [2] = [x.width, 1]\n    return (x -> Reduce('mean', [0, 2]) -> Linear(2)) * table",
    "first values": "weight table: [1] = normal(1.0 / x.width)\n    return x * table",
    "a name": 'return x -> "conv{x.width}": Conv(4, 3)',
    "a pattern": "return x -> Square",
    "a number in a pattern": "return x -> Eight",
    "a pattern that is no longer met": "return (x -> MaxPool(2), x -> Conv(3, 3, stride=2)) -> Both",
    "a default": "return x -> Padded",
    "a domain": "return x -> Few(x.width)",
    "a weight": "return x -> Linear(4)",
    "a shape": "return x -> Reshape([3, 64])",
    "a table that is added": "weight table: [3, 8, 8] = normal(1)\n    return x + table",
    "parts of an axis": "return (x -> Split(2, axis=1))[0]",
    "windows": "return x -> Permute([1, 2, 0]) -> WindowPartition(4, halo=1)",
    "a target size": "return x -> AvgPool(2) -> Upsample(size=[x.height, x.width])",
    "the longest": "return x -> Conv(max(x.shape), 3)",
    "text": 'words = "{x.width}"\n    return x -> (ReLU if words == "8" else Tanh)',
    "one of several": "return x -> (ReLU if x.width in [4, 8] else Tanh)",
    "a list": "return x -> (ReLU if x.shape == [3, 8, 8] else Tanh)",
    "a function's rounding": "return x -> Conv(round_to(x.width * 2, 8), 3)",
}  # fmt: skip
BLOCKS = """
block Padded(amount: int = none):
    input x: [C, H, W]
    return x -> Pad([[0, H - 1 if amount == none else amount], 0])

block Twice(layer: layer):
    input x
    return x -> layer -> layer

block Square:
    input x: [C, H, H]
    return x -> ReLU

block Eight:
    input x: [C, 8, W]
    return x -> ReLU

block Few(count: int in 1..8):
    input x
    return x -> ReLU

block Both:
    input a: [C, H, W]
    input b: [C, H, W]
    return (a -> GlobalAvgPool) + (b -> GlobalAvgPool)
"""


@pytest.mark.parametrize("use", USES)
def test_a_size_that_is_used_is_checked_where_the_network_is_entered(use: str) -> None:
    text = f"{BLOCKS}\nmodel Net:\n    input x: [3, 8, 8]\n    {USES[use]}\n"
    graph = archspec.read_text(text)
    module = archspec.load(graph, seed=0).eval()
    (entry,) = graph.inputs
    assert entry.uses is not None
    used = [use for use in entry.uses if use.axis > 0]
    assert used
    run(module, batch_of(graph))
    for axis in range(1, 3):
        shape = [2, 3, 8, 8]
        shape[axis + 1] = 16
        changed = text.replace("[3, 8, 8]\n    ", f"{shape[1:]}\n    ", 1)
        if axis in {use.axis for use in used}:
            with pytest.raises(InputError, match=rf"axis {axis} must be 8, not 16"):
                module(torch.zeros(shape))
        else:
            require_equal_or_refused(text, changed)


def test_the_place_of_the_first_use_is_told() -> None:
    text = "model Net:\n    input x: [8, 3]\n    y = x -> ReLU\n    return y -> Linear(x.length)\n"
    module = archspec.load(archspec.read_text(text))
    with pytest.raises(ValueError, match=r"`x` is \[8, 3\] behind the batch, and \[8, 5\] came") as caught:
        module(torch.zeros(1, 8, 5))
    assert "the spec uses the number at spec.arch:4:17" in str(caught.value)
    assert isinstance(caught.value, SpecError)
    assert module(torch.zeros(1, 9, 3)).shape == (1, 9, 3)


def test_a_parameter_that_declares_a_size_is_a_use_of_it_elsewhere() -> None:
    model = """
        model Net({}):
            input image: [3, {}, {}]
            return image -> Conv({}, 3) -> GlobalAvgPool
    """.replace("\n        ", "\n")
    cases = {
        ("side: int = 32", "side", "32", "side // 8"): {1},
        ("side: int = 32", "32", "side // 2", "side // 8"): {2},
        ("side: int = 32, width: int = side // 8", "side", "side", "width"): {1, 2},
        ("side: int = 32, width: int = 4", "side", "side", "width"): set(),
        ("sides: list = [32, 16]", "sides[0]", "sides[1]", "sides[1] // 4"): {2},
        ("scale: int = 2", "scale * 16", "32", "scale"): {1},
    }
    for (parameters, height, width, channels), wanted in cases.items():
        graph = archspec.read_text(model.format(parameters, height, width, channels))
        fixed = {axis for axis in (1, 2) if ("image", axis) not in open_axes(graph)}
        assert fixed == wanted, parameters


def test_a_short_model_that_computes_of_a_declared_size_fixes_it() -> None:
    text = """
model Inner(side: int, width: int):
    input image: [3, side, side]
    return image -> Conv(width, 3) -> GlobalAvgPool

model Loose(side: int = 32) = Inner(side=side, width=4)

model Tied(side: int = 32) = Inner(side=side, width=side // 8)
"""
    assert open_axes(archspec.read_text(text, "Loose")) == {("image", 1), ("image", 2)}
    assert open_axes(archspec.read_text(text, "Tied")) == set()


def test_a_number_of_the_whole_file_fixes_the_size_that_it_declares() -> None:
    text = "SIDE = 32\nwidth = SIDE // 8\n\nmodel Net:\n    input x: [3, SIDE, 16]\n    return x -> Conv(width, 3)\n"
    assert open_axes(archspec.read_text(text)) == {("x", 2)}


# ------------------------------------------------------------------ generated networks

LAYERS = (
    "Conv(4, 3)", "Conv(4, 3, stride=2)", "Conv(4, 1, stride=2)", "MaxPool(2)", "MaxPool(3, stride=2)", "AvgPool(2, ceil=true)",
    "AvgPool(3, stride=1)", "ReLU", "BatchNorm", "Upsample(scale=2)", "Upsample(scale=1.5)", "Pad(1)", "Pad([[-1, 0], [0, -1]])", "Half",
    "AdaptiveAvgPool(3)", "Same", "Residual", "Gated", "Crop(2)", "Rows",
)  # fmt: skip
ENDS = (
    "GlobalAvgPool -> Linear(2)", "Flatten -> Linear(2)", "Flatten(start=1) -> Permute([1, 0]) -> Attend",
    "Reduce('max', [1, 2])", "AdaptiveAvgPool(2) -> Flatten -> Linear(3)", "Table",
)  # fmt: skip
GENERATED = """
block Half:
    input x: [C, H, W]
    return x[:, 1:, : W // 2 + 1] if H > 3 else x

block Same:
    input x: [C, H, W]
    missing = [max(0, (ceil(size / 2) - 1) * 2 + 3 - size) for size in [H, W]]
    return x -> Pad([[m // 2, m - m // 2] for m in missing]) -> Conv(4, 3, stride=2, padding=0)

block Plain:
    input x: [C, H, W]
    input y: [C, H, W]
    return x + y

block Residual:
    input x: [C, H, W]
    return (x -> Conv(4, 1, stride=2), x -> Conv(4, 3, stride=2)) -> Plain

block Gated:
    input x: [C, H, W]
    return x * (x -> GlobalAvgPool(keep=true) -> Conv(C, 1) -> Sigmoid)

block Rows:
    input x: [C, H, W]
    y = x -> Reduce("mean", 2)
    z = x -> Reduce("mean", 1)
    return x + (y -> Reshape([C, -1, 1])) + (z -> Reshape([C, 1, -1]))

block Attend:
    input x: [N, D]
    return (x, x, x) -> Attention -> Reduce("mean", 0)

block Table:
    input x: [C, H, W]
    weight table: [C, H, W] = normal(1)
    return x + table -> GlobalAvgPool
"""


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    layers=st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5),
    end=st.sampled_from(ENDS),
    sizes=st.tuples(st.integers(4, 24), st.integers(4, 24)),
    others=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=3, max_size=3),
)
def test_a_network_that_takes_another_size_is_the_one_declared_for_it(
    layers: list[str], end: str, sizes: tuple[int, int], others: list[tuple[int, int]]
) -> None:
    def text(height: int, width: int) -> str:
        chain = " -> ".join(["x", "stem: Conv(4, 3)", *layers, end])
        return f"{GENERATED}\nmodel Net:\n    input x: [3, {height}, {width}]\n    return {chain}\n"

    try:
        archspec.read_text(text(*sizes))
    except SpecError:
        return
    for height, width in (*others, (sizes[0], sizes[1] + 1), (sizes[0] + 1, sizes[1])):
        require_equal_or_refused(text(*sizes), text(height, width))


# ------------------------------------------------------------------ shipped networks

OPEN = (
    "resnet50", "preact_resnet50", "densenet121", "vgg16", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "mnasnet_b1",
    "googlenet", "inception_v3", "inception_v4", "xception", "seresnet50", "dpn92", "context_basic",
)  # fmt: skip
FIXED = (
    "vit_ti16", "mixer_s16", "t2t_vit_14", "swin_t", "pit_ti", "halonet_h1", "alexnet", "lenet5",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OPEN)
def test_convolutional_networks_take_any_size_and_are_the_same_graph(name: str) -> None:
    graph = archspec.read(name)
    entry = graph.inputs[0]
    assert {(entry.name, 1), (entry.name, 2)} <= open_axes(graph)
    size = entry.type.shape[1]
    assert isinstance(size, int)
    for other in (size + 1, size + 32, size - 13):
        changed = archspec.read(name, resolution=other)
        assert changed.weights == graph.weights
        for one, two in zip(graph.nodes, changed.nodes, strict=True):
            assert (one.name, one.op, one.inputs, one.options) == (two.name, two.op, two.inputs, two.options)


@pytest.mark.parametrize("name", FIXED)
def test_networks_that_compute_with_their_size_insist_on_it(name: str) -> None:
    entry = archspec.read(name).inputs[0]
    assert entry.uses is not None
    assert [use.axis for use in entry.uses] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "parameters", "height", "width"),
    [
        ("vit_ti16", {"layers": 1}, 112, 448),
        ("vit_ti16", {"layers": 1}, 230, 230),
        ("vit_ti16", {"layers": 1}, 239, 239),
        ("mixer_s16", {"layers": 1}, 227, 227),
        ("t2t_vit_14", {"layers": 1}, 227, 227),
        ("swin_t", {}, 227, 227),
        ("nasnet_a_mobile", {"repeats": 1}, 225, 225),
    ],
)
def test_sizes_that_a_network_would_compute_wrongly_are_refused(
    name: str, parameters: dict[str, Any], height: int, width: int
) -> None:
    module = archspec.load(name, settings=parameters, seed=0).eval()
    with pytest.raises(InputError, match="axis 1 must be 224"):
        module(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2", "efficientnet_b0", "googlenet"])
def test_a_shipped_network_at_another_size_is_the_one_declared_for_it(name: str) -> None:
    module = archspec.load(name, seed=0).eval()
    wanted = archspec.load(name, resolution=72, seed=0).eval()
    x = torch.rand(1, 3, 72, 72, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(run(module, [x]), run(wanted, [x]), rtol=1e-5, atol=1e-5)


def test_words_beyond_an_unrolled_network_are_refused() -> None:
    text = """
model Net:
    input words: i64[24]
    x = words -> embed: Embedding(10, 4)
    state = x[0]
    for i in range(words.shape[0] - 1):
        state = state + x[i + 1]
    return state
"""
    module = archspec.load(archspec.read_text(text), seed=0)
    with pytest.raises(InputError, match=r"axis 0 must be 24, not 40"):
        module(torch.zeros(1, 40, dtype=torch.int64))


# ------------------------------------------------------------------ ranks, free sizes, dtypes, batches


def test_a_tensor_of_another_rank_is_refused_before_it_broadcasts() -> None:
    module = archspec.load(
        archspec.read_text("model Net:\n    input x: [8]\n    weight w: [8] = ones\n    return x * w\n")
    )
    for shape in ((2, 1), (8,), (2, 8, 8), (2, 2, 8), ()):
        with pytest.raises(InputError):
            module(torch.zeros(shape))
    assert module(torch.zeros(0, 8)).shape == (0, 8)


FREE = """
model Net:
    input x: [free S, 4]
    input y: [S + 1, free T]
    input z: [2 * S * T]
    return (x -> Reduce("sum", [0, 1])) + (y -> Reduce("sum", [0, 1])) + (z -> Reduce("sum", 0))
"""


def test_free_sizes_agree_between_inputs() -> None:
    module = archspec.load(archspec.read_text(FREE))
    for s, t in product((1, 2, 5), (1, 3)):
        right = [(3, s, 4), (3, s + 1, t), (3, 2 * s * t)]
        assert module(*map(torch.ones, right)).shape == (3,)
        for place, axis, change in (
            (0, 1, 1),
            (1, 1, 1),
            (1, 2, 1),
            (2, 1, 1),
            (2, 1, -1),
            (1, 0, 1),
            (2, 0, -2),
        ):
            wrong = [list(shape) for shape in right]
            wrong[place][axis] += change
            with pytest.raises(InputError):
                module(*map(torch.ones, wrong))


def test_empty_axes_are_refused_and_empty_batches_are_not() -> None:
    module = archspec.load(
        archspec.read_text("model Net:\n    input x: [free S, 4]\n    return x -> Linear(2)\n")
    )
    with pytest.raises(InputError, match="axis 0 of `x` is empty"):
        module(torch.zeros(2, 0, 4))
    assert module(torch.zeros(0, 3, 4)).shape == (0, 3, 2)


@pytest.mark.parametrize(
    ("declared", "taken", "refused"),
    [
        ("f32", ["float32", "float64", "float16", "bfloat16"], ["int64", "bool", "uint8", "complex64"]),
        ("i64", ["int64"], ["int32", "uint8", "float32", "bool"]),
        ("u8", ["uint8", "int16", "int64"], ["int8", "float32", "bool"]),
        ("bool", ["bool"], ["uint8", "int64", "float32"]),
    ],
)
def test_other_kinds_of_numbers_are_refused(declared: str, taken: list[str], refused: list[str]) -> None:
    module = archspec.load(
        archspec.read_text(f"model Net:\n    input x: {declared}[4]\n    return x -> Flatten\n")
    )
    for name in taken:
        module(torch.zeros(1, 4, dtype=getattr(torch, name)))
    for name in refused:
        with pytest.raises(InputError, match="holds"):
            module(torch.zeros(1, 4, dtype=getattr(torch, name)))


def test_what_is_no_tensor_is_refused() -> None:
    module = archspec.load(archspec.read_text("model Net:\n    input x: [2]\n    return x -> ReLU\n"))
    with pytest.raises(InputError, match="`x` is a tensor, not of Python's type `list`"):
        module([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("shape", "layer", "shown"),
    [
        ("[3, 8, 8]", "Conv(2, 3)", "x: f32[3, 8, 8], or any other size but for axis 0"),
        ("[3, 8, 8]", "ReLU", "x: f32[3, 8, 8], or any other size"),
        ("[3, 8, 8]", "Flatten -> Linear(2)", "x: f32[3, 8, 8], at this size only"),
        ("[3, 8, 8]", "Reduce('mean', 1) -> Flatten -> Linear(2)", "x: f32[3, 8, 8], or any other size but for axes 0 and 2"),
        ("[free S, 8]", "Linear(2)", "x: f32[S, 8]"),
    ],
)  # fmt: skip
def test_what_is_fixed_is_shown(shape: str, layer: str, shown: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from archspec.cli.app import load

    path = tmp_path / "net.arch"
    path.write_text(f"model Net:\n    input x: {shape}\n    return x -> {layer}\n", encoding="utf-8")
    result = CliRunner().invoke(load(), ["show", str(path)])
    assert result.output.splitlines()[0] == shown


# ------------------------------------------------------------------ wherever the module goes

SMALL = """
model Net(side: int = 16):
    input image: [3, side, side]
    return image -> stem: [Conv(4, 3, stride=2), BatchNorm, ReLU] -> AvgPool(side // 4, stride=1, padding=0) -> GlobalAvgPool
        -> Linear(2)
"""
WRONG = torch.zeros(2, 3, 24, 24)


@pytest.mark.slow
def test_the_check_goes_where_the_network_goes(tmp_path: Path) -> None:
    graph = archspec.read_text(SMALL)
    module = archspec.load(graph, seed=0).eval()
    save_artifact(module, tmp_path / "net.archmod")
    right = torch.rand(2, 3, 16, 16)
    networks = [
        module,
        copy.deepcopy(module),
        archspec.load(graph, seed=0, flat=True).eval(),
        archspec.load(graph, seed=0, optimize="inference"),
        archspec.load(Graph.from_json(graph.to_json()), seed=0).eval(),
        archspec.load(tmp_path / "net.archmod").eval(),
        torch.fx.symbolic_trace(module),
        torch.export.export(module, (right,)).module(),
        torch.compile(module, backend="eager"),
        torch.compile(module, backend="eager", dynamic=True),
    ]
    for network in networks:
        torch.testing.assert_close(network(right), module(right), rtol=1e-4, atol=1e-5)
        with pytest.raises((ValueError, AssertionError)):
            network(WRONG)


def test_the_check_can_be_left_out() -> None:
    module = archspec.load(archspec.read_text(SMALL), seed=0, check_inputs=False).eval()
    assert module(WRONG).shape == (2, 2)
    assert "as_declared" not in module.code


def test_open_sizes_stay_dynamic_in_what_is_exported_and_compiled() -> None:
    text = "model Net:\n    input x: [3, 16, 16]\n    return x -> Conv(4, 3, stride=2) -> GlobalAvgPool\n"
    module = archspec.load(archspec.read_text(text), seed=0).eval()
    batch, height = torch.export.Dim("batch", min=1), torch.export.Dim("height", min=4, max=64)
    exported = torch.export.export(
        module, (torch.zeros(2, 3, 16, 16),), dynamic_shapes=({0: batch, 2: height},)
    )
    x = torch.rand(5, 3, 23, 16)
    torch.testing.assert_close(exported.module()(x), module(x))
    compiled = torch.compile(module, backend="eager", dynamic=True, fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))


def test_the_batch_can_be_mapped_over() -> None:
    text = "model Net:\n    input x: [3, 8, 8]\n    return x -> Conv(4, 3) -> GlobalAvgPool\n"
    module = archspec.load(archspec.read_text(text), seed=0).eval()
    x = torch.rand(5, 2, 3, 8, 8)
    torch.testing.assert_close(torch.func.vmap(module)(x), module(x.flatten(0, 1)).unflatten(0, (5, 2)))


def test_a_graph_of_an_older_version_says_nothing_of_uses_and_is_checked_for_what_is_certain() -> None:
    graph = archspec.read_text(SMALL)
    older = Graph.from_json(re.sub(r',"uses":\[.*?\]\}\]', "", graph.to_json()))
    assert older.inputs[0].uses is None
    module = archspec.load(older, seed=0).eval()
    module(WRONG)
    with pytest.raises(InputError):
        module(torch.zeros(3, 16, 16))


@pytest.mark.parametrize("uses", ['[{"axis": 3, "location": ["a", 1, 1]}]', '[{"axis": 0, "location": ["a", 1, 1]}, {"axis": 0, "location": ["a", 1, 1]}]', '[{"axis": -1, "location": ["a", 1, 1]}]'])  # fmt: skip
def test_uses_that_are_read_are_axes_of_the_input(uses: str) -> None:
    text = re.sub(r'"uses":\[.*?\]\}\]', f'"uses":{uses}', archspec.read_text(SMALL).to_json())
    assert text != archspec.read_text(SMALL).to_json()
    with pytest.raises(SpecError):
        Graph.from_json(text)


def test_an_op_of_the_user_is_held_to_the_sizes_of_its_weights() -> None:
    from archspec.op import Weight
    from archspec.op.initialisation import zeros

    class RowTable(Op):
        def infer(self, x: Any) -> Any:
            return x

        def weights(self, x: Any) -> dict[str, Weight]:
            return {"table": Weight(shape=(x.shape[0], x.shape[1] // 4), init=zeros())}

        def flops(self, x: Any) -> int:
            return 0

    try:
        graph = archspec.read_text("model Net:\n    input x: [2, 8, 8]\n    return x -> RowTable\n")
    finally:
        del Op.known["RowTable"]
    assert open_axes(graph) == {("x", 2)}
