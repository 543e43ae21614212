"""What is exported computes what the network does, under the names of the spec; what a format cannot say is said."""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from examples import EXAMPLES
from exports import FAMILIES, FORMATS, batches, by_onnx, compared, difference, free_or_small, network
from nets import outputs
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

import archspec
from archspec import SpecError
from archspec.backends import torch_onnx
from archspec.backends.torch_export import exported, save_program
from archspec.backends.torch_fx import lower
from archspec.backends.torch_onnx import save_onnx
from archspec.backends.torch_saving import save_weights
from archspec.backends.torch_weights import initial_weights
from archspec.cli.app import load
from archspec.testing import batch_of, graph_of

ROOT = Path(__file__).resolve().parents[2]

SPEC = """
block Mix(heads: int):
    input x: [N, D]
    input bias: [heads, M, M]
    split = Rearrange("n (head d) -> head n d", head=heads)
    q, k, v = x -> qkv: Linear(3 * D) -> Split(3, axis=-1)
    y = (q -> split, k -> split, v -> split) -> Attention(bias=bias)
    return x + (y -> Rearrange("head n d -> n (head d)") -> proj: Linear(D))

model Net:
    input image: [3, 4 * free H, free W]
    input words: i64[6]
    x = image -> conv: Conv(8, 3, stride=2, bias=false) -> norm: BatchNorm -> ReLU
    table = words -> embed: Embedding(7, 8)
    weight bias: [2, 6, 6] = normal
    y = (table, bias) -> mix: Mix(2)
    return map=x, label=(x -> GlobalAvgPool) + (y -> Reduce("mean", 0)) -> fc: Linear(5)
"""
LARGE = 1e-5
"""The largest difference that rounding makes, relative to the largest number of an output."""

# What differs in kind: windows, deformable convolution, maps, sequences, one sample, halos, sums of slices.
FEW = (
    *("swin_t", "resnet50_mdconv", "fpn_resnet50", "transformer_base", "vit_ti16", "halonet_h1"),
    *("resnet20_cifar", "googlenet", "unet", "shake_shake26_2x32d_cifar"),
)


def test_every_family_has_a_network_here() -> None:
    assert sorted(FAMILIES) == sorted(path.stem for path in (ROOT / "specs" / "families").glob("*.arch"))
    assert set(FEW) <= set(FAMILIES.values())


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", FEW)
def test_networks_compute_the_same_as_exported(name: str, format: str, tmp_path: Path) -> None:
    assert compared(free_or_small(name), format, tmp_path) < LARGE


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exports of one network, in all formats."""
    folder, graph = tmp_path_factory.mktemp("exports"), archspec.read_text(SPEC)
    save_onnx(network(graph, flat=True), folder / "net.onnx")
    save_program(network(graph), folder / "net.pt2")
    save_weights(network(graph), graph, folder / "net.safetensors")
    return folder


@pytest.mark.parametrize("format", FORMATS)
def test_free_sizes_and_the_batch_stay_free(format: str, written: Path) -> None:
    graph = archspec.read_text(SPEC)
    _, run, _ = FORMATS[format]
    net = network(graph)
    assert difference(net, run(written / f"net.{format}"), batches(graph, net)) < LARGE


def test_onnx_has_the_names_of_the_spec(written: Path) -> None:
    program = onnx.load(written / "net.onnx")
    onnx.checker.check_model(program)

    def sizes(value: onnx.ValueInfoProto) -> list[int | str]:
        return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

    inputs = {value.name: sizes(value) for value in program.graph.input}
    assert inputs == {"image": ["batch", 3, "4*H", "W"], "words": ["batch", 6]}
    assert [value.name for value in program.graph.output] == ["map", "label"]
    assert sizes(program.graph.output[1]) == ["batch", 5]
    keys = set(archspec.read_text(SPEC).weights)
    kept = {tensor.name for tensor in program.graph.initializer} & keys
    assert {"conv.weight", "embed.weight", "fc.weight", "mix.qkv.bias"} <= kept
    lines = {prop.value for node in program.graph.node for prop in node.metadata_props}
    assert any('spec.arch", line 13, in Net' in line for line in lines), "each step says where it stands"


def test_outputs_without_names_are_called_after_their_steps(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [4]\n    y = x -> fc: Linear(4)\n    return y, y -> ReLU, x, y\n"
    net = network(archspec.read_text(spec), flat=True)
    save_onnx(net, tmp_path / "net.onnx")
    program = onnx.load(tmp_path / "net.onnx")
    names = [value.name for value in program.graph.output]
    assert names == ["fc", "relu", "x_1", "fc_1"]
    assert difference(net, by_onnx(tmp_path / "net.onnx"), [[torch.randn(3, 4)]]) < LARGE


def test_inputs_have_the_dtype_of_the_spec_unless_the_network_was_cast(tmp_path: Path) -> None:
    for spec, dtype, expected in (
        ("input x: f16[4]\n    return x -> ReLU", None, onnx.TensorProto.FLOAT16),
        ("input x: [4]\n    return x -> ReLU", None, onnx.TensorProto.FLOAT),
        ("input x: [4]\n    return x -> fc: Linear(2)", "f16", onnx.TensorProto.FLOAT16),
        ("input x: [4]\n    return x -> fc: Linear(2)", "f64", onnx.TensorProto.DOUBLE),
    ):
        archspec.export(archspec.read_text(f"model Net:\n    {spec}\n"), tmp_path / "net.onnx", dtype=dtype)
        (value,) = onnx.load(tmp_path / "net.onnx").graph.input
        assert value.type.tensor_type.elem_type == expected


def test_a_batch_may_be_fixed(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [4]\n    return x -> fc: Linear(4)\n"
    net = network(archspec.read_text(spec), flat=True)
    save_onnx(net, tmp_path / "net.onnx", batch=3)
    (value,) = onnx.load(tmp_path / "net.onnx").graph.input
    assert [axis.dim_value for axis in value.type.tensor_type.shape.dim] == [3, 4]
    assert difference(net, by_onnx(tmp_path / "net.onnx"), [[torch.randn(3, 4)]]) < LARGE
    with pytest.raises(AssertionError, match="3"):
        exported(net, batch=3).module()(torch.randn(2, 4))


def test_weights_of_more_than_a_file_holds_are_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_onnx, "LARGEST", 4000)
    spec = "model Net:\n    input x: [20]\n    return x -> a: Linear(60) -> b: Linear(50)\n"
    net = network(archspec.read_text(spec), flat=True)
    path = tmp_path / "net.onnx"
    assert save_onnx(net, path) == [path, tmp_path / "net.onnx.data"]
    assert path.stat().st_size < 8000 < (tmp_path / "net.onnx.data").stat().st_size
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "net.onnx.data"]
    assert difference(net, by_onnx(path), [[torch.randn(3, 20)]]) < LARGE
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in (path, tmp_path / "net.onnx.data"):
        file.rename(moved / file.name)
    assert difference(net, by_onnx(moved / "net.onnx"), [[torch.randn(3, 20)]]) < LARGE
    (tmp_path / "net.onnx.data").mkdir()  # in the way of the weights
    with pytest.raises(SpecError, match="cannot be written"):
        save_onnx(net, path)
    assert not path.exists()


def test_weights_are_written_under_their_keys(written: Path) -> None:
    graph = archspec.read_text(SPEC)
    path, net = written / "net.safetensors", network(graph)
    found, expected = load_file(path), net.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "archspec": archspec.__version__, "name": "Net"}
    loaded = archspec.load(graph, weights=path)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in expected.items())
    bytes_ = path.read_bytes()
    for _ in range(5):
        save_weights(net, graph, path)
        assert path.read_bytes() == bytes_, "the same weights are the same bytes"


def test_settings_are_in_the_file_of_weights(tmp_path: Path) -> None:
    graph = archspec.read("lenet5", classes=3)
    save_weights(archspec.load(graph, seed=0), graph, tmp_path / "net.safetensors")
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert json.loads(file.metadata()["settings"]) == {"classes": 3}


# ------------------------------------------------------------------ ops

UNSAID = {
    "LSTM(4, projection=2": "an LSTM with projections",
    'mode="bicubic", antialias=true': "a bicubic resizing with `antialias`",
    "Convolve": "a convolution with a weight for each sample of a free batch",
}
"""What ONNX has no form for, by a part of an example."""


# Ops for which PyTorch's exporter has no words, or wrong ones, in some of their examples.
HARD = (
    *(
        "AdaptiveAvgPool",
        "AdaptiveMaxPool",
        "Attention",
        "Ceil",
        "Concat",
        "Floor",
        "Gather",
        "LSTM",
        "Round",
    ),
    *("Scatter", "Sort", "Stack", "Upsample"),
)
FIRST = dict(reversed(EXAMPLES))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "example"),
    [(op, example) for op, example in EXAMPLES if op in HARD or example == FIRST[op]],
)
def test_ops_are_exported_to_onnx(op: str, example: str, tmp_path: Path) -> None:
    """Every op in its examples; on distinct numbers, as which of equal ones comes first is nobody's promise."""
    graph, _ = graph_of(example)
    net = lower(graph, lambda given: initial_weights(given, 0), flat=True).eval()
    reason = next((why for part, why in UNSAID.items() if part in example), None)
    if reason is not None:
        with pytest.raises(
            SpecError, match=f"ONNX cannot say `layer`: it has no form for {reason}"
        ) as caught:
            save_onnx(net, tmp_path / "net.onnx")
        assert caught.value.problems[0].span is not None
        assert not list(tmp_path.iterdir())
        return
    save_onnx(net, tmp_path / "net.onnx")
    run = by_onnx(tmp_path / "net.onnx")
    for samples in (2, 1, 3):
        batch = batch_of(graph, "cpu", samples)
        if op in ("TopK", "Sort", "ArgMax", "ArgMin"):
            batch = [torch.arange(x.numel()).flip(0).view(x.shape).to(x.dtype) for x in batch]
        with torch.no_grad():
            expected = outputs(net(*batch))
        for ours, theirs in zip(expected, run(batch), strict=True):
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            if op == "Noise":  # of which each run draws its own
                assert theirs.unique().numel() > theirs.numel() // 2
                continue
            near = {} if ours.dtype == torch.float16 else {"rtol": LARGE, "atol": LARGE}
            torch.testing.assert_close(theirs, ours, **near)


def test_pools_have_windows_of_free_sizes(tmp_path: Path) -> None:
    spec = """
model Net:
    input x: [2, free H, free W]
    return x -> AdaptiveMaxPool([3, 2]), x -> AdaptiveAvgPool([2, 1]), x -> Ceil
"""
    graph = archspec.read_text(spec)
    net = network(graph, flat=True)
    save_onnx(net, tmp_path / "net.onnx")
    assert difference(net, by_onnx(tmp_path / "net.onnx"), batches(graph, net)) < LARGE


def test_whole_and_real_numbers_are_rounded_each_as_they_are(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [4]\n    input n: i64[4]\n    return x -> Ceil, n -> Ceil\n"
    net = network(archspec.read_text(spec), flat=True)
    save_onnx(net, tmp_path / "net.onnx")
    batch = [torch.rand(2, 4), torch.arange(1, 9).view(2, 4)]
    assert difference(net, by_onnx(tmp_path / "net.onnx"), [batch]) == 0


# ------------------------------------------------------------------ from a spec or a built module


def test_all_formats_are_written_from_a_spec_and_a_built_module(tmp_path: Path) -> None:
    spec, built = tmp_path / "net.arch", tmp_path / "net.archmod"
    spec.write_text(
        "model Net(width: int = 3):\n    input x: [4]\n    return y=x -> fc: Linear(width) -> ReLU\n"
    )
    run = CliRunner()
    made = run.invoke(load(), ["build", str(spec), "--set", "width=5", "--seed=3", "-o", str(built)])
    assert made.exit_code == 0
    net, x = archspec.load(built).eval(), torch.randn(3, 4)
    assert (net.fc.weight == archspec.load(spec, width=5, seed=3).fc.weight).all()
    weights = tmp_path / "built.safetensors"
    for name, arguments in (
        ("built", [str(built)]),
        ("spec", [str(spec), "--set", "width=5", "--seed=3"]),
        ("file", [str(spec), "--set", "width=5", "--weights", str(weights)]),
    ):
        for format in ("safetensors", "onnx", "pt2"):
            path = tmp_path / f"{name}.{format}"
            exported = run.invoke(load(), ["export", *arguments, "-o", str(path)], catch_exceptions=False)
            assert exported.exit_code == 0 and str(path) in exported.output
        assert torch.equal(load_file(tmp_path / f"{name}.safetensors")["fc.weight"], net.fc.weight)
        for format in FORMATS:
            assert difference(net, FORMATS[format][1](tmp_path / f"{name}.{format}"), [[x]]) < LARGE
    assert (tmp_path / "built.safetensors").read_bytes() == (tmp_path / "spec.safetensors").read_bytes()


def test_weights_have_the_dtype_that_is_asked_for(tmp_path: Path) -> None:
    graph = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(4)\n")
    for format in ("safetensors", "pt2"):
        archspec.export(graph, tmp_path / f"net.{format}", dtype="f16", seed=1)
    assert load_file(tmp_path / "net.safetensors")["fc.weight"].dtype == torch.float16
    module, x = torch.export.load(tmp_path / "net.pt2").module(), torch.randn(2, 4).half()
    assert torch.equal(module(x), archspec.load(graph, dtype="f16", seed=1)(x))


LINEAR = {"fc.weight": torch.ones(4, 4), "fc.bias": torch.ones(4)}


def test_weights_may_be_given_by_name(tmp_path: Path) -> None:
    graph = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(4)\n")
    archspec.export(graph, tmp_path / "net.safetensors", weights=LINEAR)
    found = load_file(tmp_path / "net.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in LINEAR.items())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": "net.py", "seed": 1}, "python is plain PyTorch code, .* and `seed` would have no effect"),
        ({"path": "net.safetensors", "batch": 2}, "safetensors is the weights alone, and `batch` would"),
        ({"path": "net.onnx", "seed": 1, "weights": LINEAR}, "weights from a file need no seed"),
        ({"path": "net.onnx", "dtype": "i8"}, "weights cannot be i8"),
        ({"path": "net.onnx", "weights": "none.safetensors"}, "cannot be read"),
        ({"path": "net.onnx", "weights": "net.onnx"}, "one of the files read to make it"),
        ({"path": "net.tflite"}, "no suffix that says a format"),
        ({"path": "net", "format": "onyx"}, "there is no format `onyx`"),
        ({"path": "folder.onnx"}, "it is a folder"),
    ],
)
def test_what_cannot_be_written_is_told(
    arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    if arguments.get("weights") == "net.onnx":
        (tmp_path / "net.onnx").write_bytes(b"weights")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    graph = archspec.read_text("model Net:\n    input x: [4]\n    return x -> fc: Linear(4)\n")
    with pytest.raises(SpecError, match=said):
        archspec.export(graph, **arguments)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


# ------------------------------------------------------------------ what cannot be exported


def test_a_length_that_pytorch_fixes_is_told(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [free T, 8]\n    return x -> rnn: LSTM(16) -> fc: Linear(4)\n"
    with pytest.raises(SpecError, match="cannot leave `T` of Net free: a step of it") as caught:
        save_program(network(archspec.read_text(spec)), tmp_path / "net.pt2")
    assert caught.value.problems[0].code == "E0802"
    assert not list(tmp_path.iterdir())


def test_packages_that_are_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    net = network(archspec.read_text("model Net:\n    input x: [4]\n    return x -> ReLU\n"), flat=True)
    with pytest.raises(SpecError, match=r"pip install 'archspec-nn\[onnx\]'"):
        save_onnx(net, tmp_path / "net.onnx")
