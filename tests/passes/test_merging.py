"""Linear branches of one value that are summed become one convolution, which computes the same."""

import gc
from collections.abc import Iterator
from math import prod

import pytest
import torch
from hypothesis import given, note, reject, settings
from hypothesis import strategies as st
from nets import batch_of, outputs
from test_passes import assert_same, calls, network, ran, run_pass
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

import archspec
from archspec.backends.torch_fx import lower
from archspec.backends.torch_modules import Network
from archspec.backends.torch_weights import empty
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.passes import optimize_for_inference
from archspec.passes.fold_norms import fold_norms
from archspec.passes.merge_branches import merge_branches


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """Free the networks of a test, which are cycles, before the next one makes its own."""
    yield
    gc.collect()


def summed(*branches: str, shape: str = "[8, 9, 9]") -> Graph:
    """A network that sums branches of its input, as one step of many terms."""
    terms = ", ".join(branches)
    return archspec.read_text(f"model Net:\n    input x: {shape}\n    return ({terms}) -> Add\n")


def convolutions(made: Network) -> list[_ConvNd | nn.Linear]:
    """The convolutions and linear layers that a network calls, in order."""
    called = [made.get_submodule(str(n.target)) for n in made.graph.nodes if n.op == "call_module"]
    return [layer for layer in called if isinstance(layer, _ConvNd | nn.Linear)]


BN = "-> BatchNorm"
MERGED = {
    "RepVGG": (f"x -> Conv(8, 3) {BN}", f"x -> Conv(8) {BN}", f"x {BN}"),
    "RepVGG, strided": (f"x -> Conv(16, 3, stride=2) {BN}", f"x -> Conv(16, stride=2) {BN}"),
    "RepVGG, in groups": (f"x -> Conv(8, 3, groups=4) {BN}", f"x -> Conv(8, groups=4) {BN}", f"x {BN}"),
    "MobileOne, depthwise": (
        *(4 * (f"x -> Conv(8, 3, groups=8, bias=false) {BN}",)),
        *(f"x -> Conv(8, groups=8, bias=false) {BN}", f"x {BN}"),
    ),
    "MobileOne, pointwise": (*(4 * (f"x -> Conv(8, bias=false) {BN}",)), f"x {BN}"),
    "ACNet": (f"x -> Conv(8, 3) {BN}", f"x -> Conv(8, [3, 1]) {BN}", f"x -> Conv(8, [1, 3]) {BN}"),
    "ACNet, strided": tuple(f"x -> Conv(8, {kernel}, stride=2)" for kernel in ("3", "[3, 1]", "[1, 3]")),
    "diverse branches": (
        f"x -> Conv(8, 3) {BN}",
        f"x -> Conv(8) {BN}",
        "x -> Conv(8, bias=false) -> AvgPool(3, stride=1)",
        f"x -> Conv(6, bias=false) -> Conv(8, 3) {BN}",
    ),
    "sizes of Inception": ("x -> Conv(8, 1)", "x -> Conv(8, 3)", "x -> Conv(8, 5)"),
    "a pool": ("x -> Conv(8, 3)", "x -> AvgPool(3, stride=1)"),
    "a pool, strided": ("x -> Conv(8, 3, stride=2)", "x -> AvgPool(3, stride=2)"),
    "a residual": ("x -> Conv(8, 3)", "x"),
    "twice": ("x", "x", "x -> Conv(8, 3)"),
    "dilated": ("x -> Conv(8, 3, dilation=2)", "x -> Conv(8, 3, dilation=2, groups=2)", "x"),
    "in the gaps of another": ("x -> Conv(8, 5)", "x -> Conv(8, 3, dilation=2)", "x -> Conv(8, 3)"),
    "in fewer groups": ("x -> Conv(8, 3)", "x -> Conv(8, 3, groups=2)", "x -> Conv(8, 3, groups=8)"),
    "pointwise after a window": ("x -> Conv(8, 5)", "x -> Conv(16, 3) -> Conv(8)"),
    "unpadded": (
        "x -> Conv(8, 3, padding=0)",
        "x -> Conv(6) -> Conv(8, 3, padding=0)",
        "x -> AvgPool(3, stride=1, padding=0)",
    ),
}
SIGNALS = {
    "signal": ("[8, 12]", ("x -> Conv(8, 5)", f"x -> Conv(8) {BN}", "x")),
    "volume": (
        "[4, 5, 6, 7]",
        ("x -> Conv(4, 3)", "x -> Conv(4, [1, 3, 1])", "x -> AvgPool(3, stride=1)", "x"),
    ),
    "vector": ("[8]", (f"x -> Linear(8) {BN}", "x -> Linear(3) -> Linear(8)", f"x {BN}", "x")),
    "sequence": ("[5, 8]", ("x -> Linear(8)", "x -> Linear(3, bias=false) -> Linear(8)", "x")),
}


@pytest.mark.parametrize("name", MERGED)
def test_of_linear_branches_one_convolution_is_left(name: str) -> None:
    made = run_pass(merge_branches, summed(*MERGED[name]))
    assert [node.op for node in made.graph.nodes] == ["placeholder", "call_module", "output"]
    assert len(convolutions(made)) == 1


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_volumes_and_vectors_have_branches_too(name: str) -> None:
    shape, branches = SIGNALS[name]
    made = run_pass(merge_branches, summed(*branches, shape=shape))
    assert [node.op for node in made.graph.nodes] == ["placeholder", "call_module", "output"]


KEPT = {
    "a bias before zeros": ("x -> Conv(8, 3)", "x -> Conv(6) -> Conv(8, 3)"),
    "a norm before zeros": ("x -> Conv(8, 3)", "x -> BatchNorm -> Conv(8, 3)"),
    "windows in a row": ("x -> Conv(8, 3)", "x -> Conv(8, 3) -> Conv(8, 3)"),
    "an activation": ("x -> Conv(8, 3)", "x -> Conv(8, 3) -> ReLU"),
    "an activation between": ("x -> Conv(8, 3)", "x -> Conv(8) -> ReLU -> Conv(8)"),
    "largest values": ("x -> Conv(8, 3)", "x -> MaxPool(3, stride=1)"),
    "means of what is inside": ("x -> Conv(8, 3)", "x -> AvgPool(3, stride=1, count_include_pad=false)"),
    "a norm of the sample": ("x -> Conv(8, 3)", "x -> GroupNorm(1)", "x -> InstanceNorm"),
    "other inputs": ("x -> ReLU -> Conv(8, 3)", "x -> Sigmoid -> Conv(8, 3)"),
    "other centres": ("x -> Conv(8, 2, stride=2, padding=0)", "x -> Conv(8, 1, stride=2)"),
    "other ends": ("x -> Conv(8, 3, padding=[[0, 2], 1])", "x -> Conv(8, 3)"),
    "other strides": ("x -> Conv(8, stride=4)", "x -> Conv(8, stride=5)"),
    "other axes": ("x -> Linear(9)", "x -> Conv(8)"),
    "weights of their own": ("x -> WSConv(8, 3)", "x -> Conv(8, 3)"),
    "other channels": ("x -> Conv(1, 3)", "x -> Conv(8, 3)"),
    "more work": ("x -> Conv(8, [1, 3])", "x -> Conv(8, [3, 1])"),
    "more work in fewer groups": ("x -> Conv(8, 3, groups=8)", "x -> Conv(8)"),
    "backwards": ("x -> ConvTranspose(8, 3, padding=1)", "x -> Conv(8, 3)"),
    "no convolution": ("x", "x -> BatchNorm", "x -> AvgPool(3, stride=1)"),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_branches_stay(name: str) -> None:
    graph = summed(*KEPT[name], shape="[8, 8, 8]" if "stride" in str(KEPT[name]) else "[8, 9, 9]")
    before = network(graph)
    made = run_pass(merge_branches, graph)
    assert [node.name for node in made.graph.nodes] == [node.name for node in before.graph.nodes]


@pytest.mark.parametrize(
    "body",
    [
        "(x -> ReLU) + (x -> Conv(8, 3)) + (x -> MaxPool(3, stride=1)) + (x -> Conv(8)) + x",
        "x + ((x -> ReLU) + (x -> Conv(8, 3))) + ((x -> MaxPool(3, stride=1)) + (x -> Conv(8)))",
        "((x -> GlobalAvgPool(keep=true)), x -> Conv(8, 3), x -> ReLU, x -> Conv(8), x) -> Add",
    ],
)
def test_what_is_not_linear_stays_in_the_sum(body: str) -> None:
    graph = archspec.read_text(f"model Net:\n    input x: [8, 9, 9]\n    return {body}\n")
    made = run_pass(merge_branches, graph)
    assert len(convolutions(made)) == 1
    assert sum(node.op == "call_function" for node in made.graph.nodes) == 2


def test_branches_of_two_values_become_two() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [8, 9, 9]
    y = x -> ReLU
    return (x -> Conv(8, 3), y -> Conv(8, 3), x -> Conv(8), y -> Conv(8), y) -> Add
""")
    assert len(convolutions(run_pass(merge_branches, graph))) == 2


def test_a_merged_sum_is_a_branch_of_the_next() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [8, 9, 9]
    y = (x -> a: Conv(8, 3, bias=false)) + (x -> b: Conv(8, bias=false)) -> BatchNorm
    return x + y + (x -> c: Conv(8, 5))
""")
    made = run_pass(merge_branches, graph)
    assert [node.op for node in made.graph.nodes] == ["placeholder", "call_module", "output"]


@pytest.mark.parametrize(
    "also",
    ["return y, a", "return y, a -> ReLU", "return y, y * a", "return (y -> ReLU) + (a -> Conv(8))"],
)
def test_a_branch_that_something_else_reads_stays(also: str) -> None:
    graph = archspec.read_text(f"""
model Net:
    input x: [8, 9, 9]
    a = x -> a: Conv(8, 3)
    y = a + (x -> b: Conv(8, 3))
    {also}
""")
    made = run_pass(merge_branches, graph)
    assert {"a", "b"} <= {str(node.target) for node in made.graph.nodes}


def test_layers_that_are_shared_or_watched_stay() -> None:
    shared = archspec.read_text("""
model Net:
    input x: [8, 9, 9]
    shared conv = Conv(8, 3)
    return (x -> conv) + (x -> ReLU -> conv) + (x -> Conv(8))
""")
    assert len(convolutions(run_pass(merge_branches, shared))) == 3
    graph = summed("x -> Conv(8, 3)", "x -> Conv(8)", "x")
    made = network(graph)
    seen = list[object]()
    made.get_submodule("conv").register_forward_hook(lambda *given: seen.append(given))
    merge_branches(made)
    made.recompile()
    ran(made, batch_of(graph, 2))
    assert len(seen) == 1


def test_a_norm_in_training_is_not_linear() -> None:
    made = network(summed("x -> Conv(8, 3)", "x -> BatchNorm")).train()
    merge_branches(made)
    assert calls(made, _BatchNorm) == 1


def test_sizes_that_are_free_stay_free() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [4, free H, free W]
    return (x -> a: Conv(8, 3, stride=2) -> BatchNorm) + (x -> b: Conv(8, stride=2) -> BatchNorm) -> ReLU
""")
    before, made = network(graph), network(graph)
    merge_branches(made)
    made.recompile()
    assert len(convolutions(made)) == 1
    for size in [(1, 1), (1, 6), (7, 5), (8, 8)]:
        batch = [torch.randn(2, 4, *size)]
        assert_same(ran(before, batch), ran(made, batch), 1e-12)


def test_the_weight_is_that_of_the_papers() -> None:
    """RepVGG's equations (2) to (4), and where its 1x1 and its shortcut stand in the window."""
    pointwise = "x -> b: Conv(8, bias=false) -> n: BatchNorm"
    graph = summed("x -> a: Conv(8, 3, bias=false)", pointwise, "x -> m: BatchNorm")
    made = network(graph)
    n, m = (made.get_submodule(name) for name in ("n", "m"))
    kernel = made.get_submodule("a").weight.clone()
    scale = [norm.weight / (norm.running_var + norm.eps).sqrt() for norm in (n, m)]
    kernel[:, :, 1, 1] += made.get_submodule("b").weight[:, :, 0, 0] * scale[0][:, None]
    kernel[:, :, 1, 1] += torch.diag(scale[1])
    bias = sum(norm.bias - norm.running_mean * s for norm, s in zip((n, m), scale, strict=True))
    with torch.no_grad():
        merge_branches(made)
    (layer,) = convolutions(made)
    torch.testing.assert_close(layer.weight, kernel, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.bias, bias, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_in_half_precision_are_rounded_once(dtype: torch.dtype) -> None:
    graph = summed("x -> Conv(8, 3, bias=false)", "x -> Conv(8, bias=false)", "x")
    made = network(graph, dtype)
    weights = [layer.weight.double() for layer in convolutions(made)]
    with torch.no_grad():
        merge_branches(made)
    (layer,) = convolutions(made)
    centre = weights[0][:, :, 1, 1] + weights[1][:, :, 0, 0] + torch.eye(8)
    assert layer.weight.dtype == dtype
    torch.testing.assert_close(layer.weight[:, :, 1, 1], centre.float().to(dtype), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "trained", "deployed"), [("repvgg_a2", 44, 22), ("mobileone_s0", 191, 43)])
def test_networks_of_branches_become_those_that_their_papers_deploy(
    name: str, trained: int, deployed: int
) -> None:
    """As many convolutions, of the same shapes: the net without branches, with their weights, computes the same."""
    graph = archspec.read(name, resolution=32, classes=10)
    made = network(graph, torch.float32)
    batch = batch_of(graph, 2)
    expected = ran(made, batch)
    assert calls(made, nn.Conv2d) == trained
    with torch.no_grad():
        merge_branches(made)
        fold_norms(made)
    made.recompile()
    assert_same(expected, ran(made, batch), 1e-5)
    assert (calls(made, nn.Conv2d), calls(made, _BatchNorm)) == (deployed, 0)
    plain = lower(archspec.read(name, resolution=32, classes=10, deployed=True), empty).eval()
    own = [module for module in plain.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer, merged in zip(own, convolutions(made), strict=True):
        layer.load_state_dict(merged.state_dict())
    assert_same(expected, ran(plain, batch), 1e-5)
    assert_same(expected, outputs(optimize_for_inference(made)(*batch)), 1e-5)


# ---------------------------------------------------------------- in general


def sizes(least: int, most: int, axes: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(least, most), min_size=axes, max_size=axes)


@st.composite
def window(draw: st.DrawFn, centres: list[int]) -> dict[str, object]:
    """A kernel, a padding and a dilation of a window whose centre lies that many half places from the edge, mostly."""
    dilation = draw(st.sampled_from([1, 1, 1, 2]))
    centres = [c + draw(st.sampled_from([0] * 30 + [1, -1])) for c in centres]
    padding = [draw(st.integers((c + 1) // 2 if c > 0 else 0, 2)) for c in centres]
    kernel = [(2 * p - c) // dilation + 1 for p, c in zip(padding, centres, strict=True)]
    return {"kernel": kernel, "padding": padding, "dilation": dilation}


@st.composite
def branch(draw: st.DrawFn, channels: int, stride: list[int], centres: list[int]) -> str:
    """A chain of one to three layers, most of them linear."""
    axes, count, layers = len(stride), draw(st.sampled_from([1, 1, 2, 2, 3])), list[str]()
    for place in range(count):
        last = place == count - 1
        moves = last and (prod(stride) > 1 or any(centres))
        step = stride if last else [1] * axes
        middle = centres if last else [0] * axes
        placed = draw(window(middle))
        groups = draw(st.sampled_from([1, 1, 2, channels]))
        settings = f"groups={groups}, bias={draw(st.sampled_from(['true', 'false']))}, stride={step}"
        kinds = ["conv", "conv", "conv", "pool", "mean"]
        kinds += [] if last and any(centres) else ["point", "point", "point"]
        kinds += [] if moves else ["BatchNorm", "BatchNorm(affine=false)", "ReLU", "Dropout(0.5)"]
        kind = draw(st.sampled_from(kinds))
        if kind == "conv":
            kind = f"Conv({channels}, {arguments(placed)}, {settings})"
        elif kind == "point":
            kind = f"Conv({channels}, {settings})"
        elif kind in ("pool", "mean"):
            counted = "true" if kind == "pool" else "false"
            placed = {
                **placed,
                "kernel": [2 * p - c + 1 for p, c in zip(placed["padding"], middle, strict=True)],
            }
            del placed["dilation"]
            kind = f"AvgPool({arguments(placed)}, stride={step}, count_include_pad={counted})"
        layers.append(kind)
    return f"(x -> {' -> '.join(layers)})"


def arguments(named: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in named.items())


@st.composite
def sums(draw: st.DrawFn) -> Graph:
    """A network that sums branches of one value and of another, in a tree of sums of two or as one of many."""
    axes, channels = draw(st.integers(1, 3)), draw(st.sampled_from([2, 4]))
    stride = draw(st.one_of(st.just([1] * axes), sizes(1, 2, axes)))
    centres = draw(st.one_of(st.just([0] * axes), sizes(-2, 0, axes)))
    space = draw(sizes(7, 9, axes))
    names = ["x", "y"] if draw(st.booleans()) else ["x"]
    terms = [
        draw(branch(channels, stride, centres)).replace("(x", f"({draw(st.sampled_from(names))}")
        for _ in range(draw(st.integers(2, 5)))
    ]
    if prod(stride) == 1 and not any(centres) and draw(st.booleans()):
        terms.insert(draw(st.integers(0, len(terms))), "x")
    if draw(st.booleans()):
        body = f"({', '.join(terms)}) -> Add"
    else:
        body = " + ".join(terms[:2]) + "".join(f" + ({term})" for term in terms[2:])
    lines = [f"    input x: {[channels, *space]}", *(["    y = x -> Sigmoid"] if "y" in names else [])]
    text = "model Net:\n" + "\n".join([*lines, f"    return {body}"]) + "\n"
    note(text)
    try:
        return archspec.read_text(text)
    except SpecError as error:  # a window beside the others gives results of other sizes, or does not fit
        assert "cannot add" in str(error) or "window" in str(error) or "pads by" in str(error), text
        reject()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
def test_branches_of_all_kinds_compute_the_same() -> None:
    fewer = list[bool]()

    @settings(deadline=None, max_examples=100, derandomize=True)
    @given(graph=sums())
    def compute_the_same(graph: Graph) -> None:
        before, made = network(graph), network(graph)
        batch = batch_of(graph, 2)
        expected = ran(before, batch)
        with torch.no_grad():
            merge_branches(made)
        made.recompile()
        made.graph.lint()
        assert_close(expected, ran(made, batch), 1e-12)
        assert work(made) <= work(before)
        single = optimize_for_inference(network(graph).float())
        assert_close(expected, [y.double() for y in outputs(single(*batch))], 1e-5)
        fewer.append(len(convolutions(made)) < len(convolutions(before)))

    compute_the_same()
    assert sum(fewer) > len(fewer) // 4  # what the generator makes is what the pass is for


def assert_close(a: list[torch.Tensor], b: list[torch.Tensor], tolerance: float) -> None:
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        assert (x - y).abs().max() <= tolerance * max(1, x.abs().max())


def work(made: Network) -> int:
    """The multiply-adds that a place of the results takes, of convolutions, norms and pools."""
    found = 0
    for node in made.graph.nodes:
        layer = made.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, _ConvNd | nn.Linear):
            found += layer.weight.numel()
        elif isinstance(layer, _BatchNorm):
            found += layer.num_features
        elif isinstance(layer, nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d):
            found += node.meta["type"].shape[0] * prod(layer.kernel_size)
    return found
