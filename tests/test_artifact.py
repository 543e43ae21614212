"""Built modules on disk: what goes in comes out, and what is not one is refused."""

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch

import archspec
from archspec.artifact import read_artifact, save_artifact

SPEC = "model M(width: int = 8):\n    input x: [3, 8, 8]\n    constant factor: [1] = 0.5\n    return (x -> c: Conv(width, 3) -> BatchNorm -> GlobalAvgPool) * factor\n"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    path = tmp_path / "m.archmod"
    save_artifact(archspec.load(archspec.parse(SPEC), seed=5), path, seed=5)
    return path


def altered(path: Path, **entries: bytes) -> Path:
    """The same zip with some entries' contents replaced."""
    with zipfile.ZipFile(path) as archive:
        data = {name: archive.read(name) for name in archive.namelist()}
    target = path.with_name("altered.archmod")
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in data.items():
            archive.writestr(name, entries.get(name.partition(".")[0], content))
    return target


def test_a_built_module_loads_with_its_weights(built: Path) -> None:
    module, loaded = archspec.load(archspec.parse(SPEC), seed=5).eval(), archspec.load(built).eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), loaded(x))
    assert archspec.graph_of(loaded) == archspec.graph_of(module)
    assert archspec.load(built).training


def test_a_built_module_keeps_its_dtype(tmp_path: Path) -> None:
    path = tmp_path / "half.archmod"
    save_artifact(archspec.load(archspec.parse(SPEC), dtype="f16"), path, dtype="f16")
    assert archspec.load(path).c.weight.dtype == torch.float16


def test_same_spec_and_seed_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "m.archmod"
    save_artifact(archspec.load(archspec.parse(SPEC), seed=5), again, seed=5)
    assert again.read_bytes() == built.read_bytes()
    save_artifact(archspec.load(archspec.parse(SPEC), seed=6), again, seed=6)
    assert again.read_bytes() != built.read_bytes()


def test_it_holds_json_safetensors_and_a_manifest(built: Path) -> None:
    graph, tensors, manifest = read_artifact(built)
    with zipfile.ZipFile(built) as archive:
        assert sorted(archive.namelist()) == ["graph.json", "manifest.json", "weights.safetensors"]
        assert json.loads(archive.read("graph.json"))["format"] == 1
    assert set(tensors) == {"c.weight", "c.bias"} | {
        f"batch_norm.{leaf}"
        for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    assert (manifest.seed, manifest.archspec, manifest.torch) == (5, archspec.__version__, torch.__version__)
    assert manifest.sources == graph.sources
    assert len(next(iter(graph.sources.values()))) == 64


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(built: Path, share: float) -> None:
    data = built.read_bytes()
    built.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(archspec.SpecError, match="not a whole zip file"):
        archspec.load(built)


def test_a_changed_byte_is_noticed(built: Path) -> None:
    data = bytearray(built.read_bytes())
    data[data.index(b'"c.weight"') + 400] ^= 1
    built.write_bytes(data)
    with pytest.raises(archspec.SpecError, match=r"was altered|not a whole zip"):
        archspec.load(built)


def test_changed_entries_are_noticed(built: Path) -> None:
    for entries in ({"graph": b"{}"}, {"weights": b"12345678"}):
        with pytest.raises(archspec.SpecError, match="was altered"):
            archspec.load(altered(built, **entries))
    with pytest.raises(archspec.SpecError, match="manifest"):
        archspec.load(altered(built, manifest=b"not json"))


def test_another_format_is_named(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    with pytest.raises(archspec.SpecError, match="has format 99"):
        archspec.load(altered(built, manifest=json.dumps({**manifest, "format": 99}).encode()))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.archmod"
    for content in (b"", b"hello", os.urandom(5000)):
        path.write_bytes(content)
        with pytest.raises(archspec.SpecError, match="not a whole zip file"):
            archspec.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(archspec.SpecError, match="lacks"):
        archspec.load(path)
    with pytest.raises(archspec.SpecError, match="there is no file"):
        archspec.load(tmp_path / "none.archmod")
    with pytest.raises(archspec.SpecError, match="folder"):
        (tmp_path / "d.archmod").mkdir()
        archspec.load(tmp_path / "d.archmod")


def test_settings_of_a_built_module_are_fixed(built: Path) -> None:
    with pytest.raises(archspec.SpecError, match="fixed"):
        archspec.load(built, width=3)


def test_nothing_is_left_behind_when_writing_fails(tmp_path: Path) -> None:
    module = archspec.load(archspec.parse(SPEC))
    target = tmp_path / "m.archmod"
    target.mkdir()
    with pytest.raises(archspec.SpecError, match="cannot be written"):
        save_artifact(module, target)
    (tmp_path / "file").write_text("")
    with pytest.raises(archspec.SpecError, match="cannot be written"):
        save_artifact(module, tmp_path / "file" / "m.archmod")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "m.archmod"]
