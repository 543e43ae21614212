"""Networks optimised for inference compute what they computed before, pass by pass and all at once."""

import copy
import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from nets import batch_of, each_kind_of_network, outputs, randomised, small
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

import archspec
from archspec.analyses.cost import macs
from archspec.backends.torch_fx import lower
from archspec.backends.torch_modules import Network
from archspec.backends.torch_weights import initial_weights
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.op.padded_layers import PaddedWSConv2d
from archspec.op.torch_layers import DeformConv, DropPath, WSConv2d
from archspec.passes import PASSES, Inference, optimize_for_inference
from archspec.passes.channels_last import channels_last
from archspec.passes.drop_marks import drop_marks
from archspec.passes.drop_training import drop_training
from archspec.passes.fold_norms import fold_norms
from archspec.passes.fuse_parallel import fuse_parallel
from archspec.passes.pack_layers import MOST, MKLLinear, PackedConv, PackedLinear, pack_layers
from archspec.passes.part_padding import part_padding
from archspec.passes.precompute import precompute
from archspec.passes.rewriting import modules
from archspec.passes.standardise_weights import standardise_weights
from archspec.passes.write_over import OVER, write_over


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """Free the networks of a test, which are cycles, before the next one makes its own."""
    yield
    gc.collect()


CASES = {
    "conv": "x -> Conv(8, 3) -> BatchNorm -> ReLU -> Conv(4, 3, stride=2) -> BatchNorm",
    "no affine": "x -> Conv(8, 3, bias=false) -> BatchNorm(affine=false)",
    "transposed": "x -> ConvTranspose(8, 2, stride=2) -> BatchNorm",
    "linear": "x -> GlobalAvgPool -> Linear(8) -> BatchNorm -> Linear(3)",
    "norm first": "x -> BatchNorm -> Conv(8, 1) -> ReLU -> BatchNorm -> Conv(4, 3, padding=0)",
    "norm before padding": "x -> BatchNorm -> Conv(8, 3)",
    "other axis": "x -> Linear(16) -> BatchNorm -> Linear(3)",
    "norm first of groups": "x -> BatchNorm -> Conv(8, 3, groups=4, padding=0)",
    "transposed groups": "x -> ConvTranspose(8, 2, groups=4) -> BatchNorm(affine=false)",
    "deformed": "(x, x -> Conv(18, 3)) -> DeformConv(8) -> BatchNorm -> ReLU",
    "norm before deformed": "(x -> BatchNorm, x -> Conv(18, 3, padding=0)) -> DeformConv(8, padding=0)",
    "read twice": "concat(x -> c: Conv(8, 3), x -> d: Conv(8, 3) -> BatchNorm)",
    "residual": "(x -> Conv(16, 3) -> BatchNorm) + x -> ReLU",
    "projected": "(x -> a: Conv(8, 3) -> BatchNorm) + (x -> b: Conv(8, 1)) -> ReLU",
    "activations": "x -> Conv(8, 3) -> SiLU -> Conv(8, 3) -> GELU -> Conv(8, 3) -> ReLU6 -> Conv(8, 3) -> Hardswish",
    "branches": "concat(x -> a: Conv(4) -> ReLU, x -> b: Conv(6) -> ReLU -> Conv(4, 3), x -> c: Conv(2))",
    "standardised": "x -> WSConv(8, 3, gain=true) -> ReLU -> WSConv(4, 1)",
    "dropped": "x -> Conv(8, 3) -> DropPath(0.5) -> ChannelDropout(0.5) -> Dropout(0.5) -> Identity",
    "padded": 'x -> BatchNorm -> Conv(8, 3, stride=2, padding="tf_same") -> BatchNorm -> ReLU'
    ' -> WSConv(4, 2, padding=[[0, 1], [1, 0]]) -> BatchNorm -> AvgPool(3, stride=2, padding="tf_same")',
    "moved": "x -> Permute([1, 2, 0]) -> Linear(8) -> GELU -> Permute([2, 0, 1])",
}


def network(graph: Graph, dtype: torch.dtype = torch.float64) -> Network:
    """A flat network in eval mode, as passes take it from the first one."""
    made = lower(graph, lambda g: initial_weights(g, 0), flat=True, checked=False).to(dtype).eval()
    drop_marks(made)
    randomised(made)
    return made


def case(name: str) -> Graph:
    return archspec.read_text(f"model Net:\n    input x: [16, 8, 8]\n    return {CASES[name]}\n")


def ran(module: nn.Module, batch: list[torch.Tensor]) -> list[torch.Tensor]:
    dtype = next(
        (tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), torch.float64
    )
    with torch.no_grad():
        return outputs(module(*[x.to(dtype) if x.is_floating_point() else x for x in batch]))


def assert_same(a: list[torch.Tensor], b: list[torch.Tensor], tolerance: float) -> None:
    assert [x.shape for x in a] == [x.shape for x in b]
    for x, y in zip(a, b, strict=True):
        assert (x - y).abs().max() <= tolerance * x.abs().max()


def run_pass(run: Callable[[Network], None], graph: Graph) -> Network:
    """The network after one pass, which computes the same as before it."""
    before = network(graph)
    batch = batch_of(graph, 3)
    expected = ran(before, batch)
    with torch.no_grad():
        run(before)
    before.recompile()
    assert_same(expected, ran(before, batch), 1e-12)
    return before


def count(module: nn.Module, *kinds: type) -> int:
    return sum(isinstance(part, kinds) for part in module.modules())


def calls(module: Network, *kinds: type) -> int:
    """How many nodes call a module of those kinds."""
    nodes = [node for node in module.graph.nodes if node.op == "call_module"]
    return sum(isinstance(module.get_submodule(str(node.target)), kinds) for node in nodes)


@pytest.mark.slow
@pytest.mark.parametrize("run", PASSES, ids=lambda run: run.__name__)
@pytest.mark.parametrize("name", CASES)
def test_each_pass_alone_changes_no_result(run: Callable[[Network], None], name: str) -> None:
    run_pass(run, case(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "left"),
    [
        *(("conv", 0), ("no affine", 0), ("transposed", 0), ("linear", 0), ("norm first", 0)),
        *(("read twice", 0), ("norm before padding", 1), ("residual", 0)),
        *(("other axis", 1), ("norm first of groups", 0), ("transposed groups", 0)),
        *(("deformed", 0), ("norm before deformed", 1)),
    ],
)
def test_norms_are_folded_where_they_can_be(name: str, left: int) -> None:
    assert calls(run_pass(fold_norms, case(name)), _BatchNorm) == left


def test_of_padding_no_layer_knows_convolutions_are_parted() -> None:
    graph = case("padded")
    made = run_pass(part_padding, graph)
    assert [type(layer) for _, layer in modules(made) if isinstance(layer, _ConvNd)] == [
        nn.Conv2d,
        PaddedWSConv2d,
    ]

    def parted_and_folded(network: Network) -> None:
        for run in (standardise_weights, part_padding, fold_norms):
            run(network)

    made = run_pass(parted_and_folded, graph)
    assert [type(layer) for _, layer in modules(made) if isinstance(layer, _ConvNd)] == [nn.Conv2d] * 2
    assert calls(made, _BatchNorm) == 1  # the first, whose offset would reach into the padding


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet50", "efficientnet_b0", "inception_v3", "deeplabv3_resnet50", "resnet50_mdconv"]
)
def test_no_norm_is_left_of_nets_with_one_behind_each_convolution(name: str) -> None:
    made = network(small(name), torch.float32)
    assert calls(made, _BatchNorm) > 40
    with torch.no_grad():
        fold_norms(made)
    assert calls(made, _BatchNorm) == 0


ANYWHERE = [
    "BatchNorm",
    "BatchNorm(affine=false)",
    "Linear(6)",
    "Linear(4, bias=false)",
    "ReLU",
    "Dropout(0.5)",
]
AXES = [
    *("Conv(4, 3)", "Conv(6, 1, groups=2, bias=false)", "Conv(6, 3, padding=0)", "WSConv(4, 3)", "GELU"),
    *(
        "ConvTranspose(4, 3)",
        "ConvTranspose(6, 2, groups=2)",
        "Permute([1, 0])",
        "LayerNorm",
        "DropPath(0.5)",
    ),
]


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    rank=st.integers(1, 4),
    chains=st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_layers_in_any_order_compute_the_same(rank: int, chains: list[list[int]]) -> None:
    palette = ANYWHERE if rank == 1 else ANYWHERE + AXES
    axes = [1, 0, *range(2, rank)]
    units = [[palette[i % len(palette)].replace("[1, 0]", str(axes)) for i in chain] for chain in chains]
    branches = [f"(x -> {' -> '.join(chain)} -> Flatten)" for chain in units]
    try:
        graph = archspec.read_text(
            f"model Net:\n    input x: {[6, *[9] * (rank - 1)]}\n    return concat({', '.join(branches)})\n"
        )
    except SpecError as error:  # a permutation may bring 9 channels to a layer of two groups
        assert "not divisible into 2 groups" in str(error)
        reject()
    made = network(graph)
    batch = batch_of(graph, 3)
    expected = ran(made, batch)
    assert_same(expected, ran(optimize_for_inference(made), batch), 1e-10)


def test_what_a_shared_layer_gives_is_not_folded() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [8, 8, 8]
    shared conv = Conv(8, 3)
    return (x -> conv -> BatchNorm) + (x -> conv)
""")
    assert calls(run_pass(fold_norms, graph), _BatchNorm) == 1


@pytest.mark.slow
@pytest.mark.parametrize("run", [*PASSES, optimize_for_inference], ids=lambda run: run.__name__)
def test_a_layer_whose_weight_is_read_elsewhere_keeps_it(run: Callable[[Network], Network | None]) -> None:
    """As where an embedding is tied: the norm behind it is not folded into it, nor is it fused with its neighbour."""
    graph = archspec.read_text("""
model Net:
    input x: [8]
    shared tied = Linear(8)
    y = (x -> tied -> BatchNorm) + (x -> Linear(8))
    return (y -> Reshape([1, 8]), tied.weight) -> MatMul
""")
    made = network(graph)
    batch = batch_of(graph, 3)
    expected = ran(made, batch)
    with torch.no_grad():
        made = run(made) or made
    made.recompile()
    assert_same(expected, ran(made, batch), 1e-10)


def test_standardised_weights_become_plain_ones() -> None:
    made = run_pass(standardise_weights, case("standardised"))
    assert count(made, WSConv2d) == 0
    called = (made.get_submodule(str(n.target)) for n in made.graph.nodes if n.op == "call_module")
    assert {type(module) for module in called if isinstance(module, _ConvNd)} == {nn.Conv2d}
    run_pass(standardise_weights, small("nfnet_f0"))


def test_what_only_trains_is_dropped() -> None:
    made = run_pass(drop_training, case("dropped"))
    assert calls(made, _DropoutNd, DropPath) == 0
    assert [node.op for node in made.graph.nodes] == ["placeholder", "call_module", "output"]
    assert calls(run_pass(drop_training, small("vit_ti16")), _DropoutNd, DropPath) == 0


def test_parallel_layers_become_one() -> None:
    assert calls(run_pass(fuse_parallel, case("branches")), nn.Conv2d) == 2
    before = network(small("googlenet"))
    assert calls(run_pass(fuse_parallel, small("googlenet")), nn.Conv2d) == calls(before, nn.Conv2d) - 9 * 2


def test_projections_of_attention_become_one() -> None:
    graph = archspec.read("transformer_base", layers=1, dim=32, hidden=64, heads=2, words=50)
    made = network(graph)
    batch = [torch.randint(50, (2, 7)), torch.randint(50, (2, 5))]
    expected = ran(made, batch)
    with torch.no_grad():
        drop_training(made)
        precompute(made)
        fuse_parallel(made)
    made.recompile()
    assert_same(expected, ran(made, batch), 1e-12)
    widths = sorted(m.weight.shape[0] for m in made.modules() if isinstance(m, nn.Linear))
    # q, k and v of both self-attentions together; k and v of the decoder's look at the encoder.
    assert [width for width in widths if width in (96, 64)].count(96) == 2


def test_what_follows_from_weights_is_computed_once() -> None:
    made = run_pass(precompute, small("swin_t"))
    assert not any("rows" in str(node.target) for node in made.graph.nodes)
    assert all("precomputed" in str(node.target) for node in made.graph.nodes if node.op == "get_attr")


def test_images_are_laid_out_channels_last_where_convolutions_dominate() -> None:
    made = run_pass(channels_last, small("resnet18"))
    weight = made.get_parameter("layer1.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    made = run_pass(channels_last, case("deformed"))  # whose weight becomes a matrix at each call
    deformed = next(module for module in made.modules() if isinstance(module, DeformConv))
    assert deformed.weight.is_contiguous()
    made = run_pass(channels_last, small("vit_ti16"))
    assert made.get_parameter("patch_embed.proj.weight").is_contiguous()


@pytest.mark.slow
@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("mkl", [False, True])
@pytest.mark.parametrize(
    "name", ["conv", "residual", "projected", "activations", "branches", "moved", "linear", "other axis"]
)
def test_layers_are_packed_with_what_follows_them(
    name: str, mkl: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkl = mkl and torch._C.has_mkl
    monkeypatch.setattr(MKLLinear, "leads", lambda: mkl)
    graph = case(name)
    made = network(graph, torch.float32)
    batches = [batch_of(graph, samples) for samples in range(1, MOST + 4)]  # more shapes than are packed for
    expected = [ran(made, batch) for batch in batches]
    with torch.no_grad():
        fold_norms(made)
        pack_layers(made)
    made.recompile()
    for batch, wanted in zip(batches, expected, strict=True):
        assert_same(wanted, [x.contiguous() for x in outputs(made(*batch))], 1e-5)
    assert calls(made, nn.Conv2d, nn.Linear) == 0
    assert calls(made, PackedConv, PackedLinear) > 0
    if name in ("linear", "other axis"):
        assert calls(made, MKLLinear) == (calls(made, PackedLinear) if mkl else 0)
    followers = [node for node in made.graph.nodes if node.op == "call_function"]
    if name in ("activations", "residual", "projected"):
        assert followers == []


@pytest.mark.slow
@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("name", ["residual", "projected", "activations", "branches", "moved"])
def test_packed_layers_run_in_any_precision_and_on_any_device(name: str) -> None:
    graph = case(name)
    batch = batch_of(graph, 3)
    made = network(graph, torch.float32)
    expected = [x.double() for x in ran(made, batch)]
    made = optimize_for_inference(made)
    assert calls(made, PackedConv, PackedLinear) > 0
    outputs(made(*batch))  # packs are there, and must not outlive a conversion
    with torch.autocast("cpu", torch.bfloat16):
        cast = [x.double() for x in outputs(made(*batch))]
    assert_same(expected, cast, 5e-2)
    assert outputs(made.to(torch.bfloat16)(*[x.bfloat16() for x in batch]))[0].dtype == torch.bfloat16
    made = optimize_for_inference(network(graph, torch.float32)).double()
    assert_same(expected, outputs(made(*[x.double() for x in batch])), 1e-5)
    assert outputs(made.to("meta")(*[x.double().to("meta") for x in batch]))[0].shape == expected[0].shape


@pytest.mark.slow
@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("name", ["residual", "activations", "moved"])
def test_packed_layers_are_exported_as_plain_ones(name: str) -> None:
    graph = case(name)
    made = optimize_for_inference(network(graph, torch.float32))
    batch = batch_of(graph, 3)
    exported = torch.export.export(made, tuple(batch))
    assert not any("mkldnn" in str(node.target) for node in exported.graph.nodes)
    assert_same(outputs(made(*batch)), outputs(exported.module()(*batch)), 1e-5)


def activations_over(made: Network) -> int:
    """How many activations write over their input."""
    return sum(getattr(module, "inplace", False) for module in made.modules())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "over"),
    [
        ("(x -> Conv(8, 3) -> BatchNorm) + x", 1),
        ("(x -> BatchNorm) * (x -> GlobalAvgPool(keep=true) -> Sigmoid)", 1),
        ("x -> Conv(8, 3) -> LayerNorm -> ReLU", 1),
        ("(x * 2) * (x * 3 -> Sigmoid)", 1),
        ("x + x -> ReLU", 1),  # over the sum, but not over the input
        ("x -> ReLU", 0),
        ("(x -> Permute([0, 2, 1])) + x", 0),  # a view of the input
        ("(x -> GlobalAvgPool(keep=true)) * x", 0),  # which is smaller
        ("(x -> a: BatchNorm -> Permute([0, 2, 1])) -> ReLU", 0),
    ],
)
def test_what_is_read_no_more_is_written_over(body: str, over: int) -> None:
    graph = archspec.read_text(f"model Net:\n    input x: [8, 6, 6]\n    return {body}\n")
    made = run_pass(write_over, graph)
    batch = batch_of(graph, 2)
    given, first = [x.clone() for x in batch], ran(made.float(), batch)
    assert_same(first, ran(made, batch), 0)
    assert all(torch.equal(a, b) for a, b in zip(given, batch, strict=True))
    written = [node.target in OVER.values() for node in made.graph.nodes]
    assert written.count(True) + activations_over(made) == over


def test_what_is_read_again_is_not_written_over() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [8, 6, 6]
    a = x -> BatchNorm
    view = a -> Permute([0, 2, 1])
    b = a + x
    c = b * (b -> GlobalAvgPool(keep=true))
    return c -> ReLU, view, b
""")
    made = run_pass(write_over, graph)
    targets = [node.target for node in made.graph.nodes]
    assert not any(over in targets for over in OVER.values())
    assert activations_over(made) == 1


STEPS = [
    *("Conv(4, 3)", "Conv(4, 1)", "ReLU", "SiLU", "BatchNorm", "GELU", "Permute([0, 2, 1])", "Linear(4)"),
    *("AvgPool(3, stride=1)", "Flatten -> Reshape([4, 4, 4])", "Dropout(0.5)"),
]
PAIRS = ["{a} + {b}", "{a} * {b}", "{a} - {b}", "{a} * ({b} -> GlobalAvgPool(keep=true) -> Sigmoid)"]


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([*STEPS, *PAIRS]), st.integers(0, 3), st.integers(0, 3)),
        min_size=2,
        max_size=9,
    ),
    also=st.booleans(),
)
def test_values_read_here_and_there_are_never_lost(steps: list[tuple[str, int, int]], also: bool) -> None:
    """Each step reads one or two of the last values; inputs stay as they are, and it all can be run again."""
    values, lines = ["x"], []
    for number, (step, first, second) in enumerate(steps):
        a, b = values[-1 - first % len(values)], values[-1 - second % len(values)]
        lines.append(f"    v{number} = " + (step.format(a=a, b=b) if step in PAIRS else f"{a} -> {step}"))
        values.append(f"v{number}")
    lines.append(f"    return {values[-1]}" + (f", {values[-2]}" if also else ""))
    graph = archspec.read_text("model Net:\n    input x: [4, 4, 4]\n" + "\n".join(lines) + "\n")
    made = network(graph, torch.float32)
    batch = batch_of(graph, 2)
    given = [x.clone() for x in batch]
    expected = [x.clone() for x in ran(made, batch)]
    optimised = optimize_for_inference(made)
    for _ in range(2):
        assert_same(expected, [x.clone() for x in outputs(optimised(*batch))], 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(given, batch, strict=True))


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
def test_double_precision_is_not_packed() -> None:
    assert calls(run_pass(pack_layers, case("conv")), PackedConv) == 0


@each_kind_of_network
def test_every_shipped_spec_computes_the_same(name: str) -> None:
    graph = small(name)
    if macs(graph) > 400_000_000 or graph.parameters > 60_000_000:
        pytest.skip("too large for a test")
    module = randomised(archspec.load(graph, seed=0)).eval()
    optimised = optimize_for_inference(network(graph, torch.float32))
    batch = batch_of(graph, 2)
    # Some nets damp their signal to almost nothing with fresh weights; rounding is relative to what went in.
    assert_same(ran(module, batch), [x.contiguous() for x in outputs(optimised(*batch))], 2e-3)


def test_an_optimised_network_stays_as_it_is() -> None:
    module = archspec.load("resnet18", resolution=64, seed=0, optimize="inference")
    assert isinstance(module, Inference)
    x = torch.randn(1, 3, 64, 64)
    out = module(x)
    assert not out.requires_grad
    assert torch.equal(copy.deepcopy(module)(x), out)
    assert not module.eval().training
    with pytest.raises(SpecError, match="optimised for inference and cannot train"):
        module.train()
    assert archspec.graph_of(module).name == "ResNet18"


def test_there_is_one_kind_of_optimisation() -> None:
    with pytest.raises(SpecError, match="`optimize` is None or `inference`, not `speed`"):
        archspec.load("resnet18", optimize="speed")
