"""Files of weights: all kinds give the same tensors, and what is not one, or not whole, is told."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import archspec
from archspec import SpecError
from archspec.backends.weights.files import from_mapping, read_files

SPEC = """
model Net(classes: int = 4):
    input x: [3, 8, 8]
    return x -> c: Conv(6, 3, bias=false) -> bn: BatchNorm -> ReLU -> GlobalAvgPool -> fc: Linear(classes)
"""
GRAPH = archspec.read_text(SPEC)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(archspec.load(GRAPH, seed=3).state_dict())


def same(found: Any, state: dict[str, Tensor]) -> bool:
    return found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def parts(state: dict[str, Tensor], folder: Path) -> dict[str, str]:
    """The weights in two files, and which has which."""
    names = list(state)
    places = {name: f"part-{names.index(name) % 2}.safetensors" for name in names}
    for part in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == part}, folder / part)
    return places


def index(folder: Path, places: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return path


WRITERS = {
    "safetensors": lambda state, path: save_file(state, path),
    "zip": lambda state, path: torch.save(state, path),
    "ordered": lambda state, path: torch.save(OrderedDict(state), path),
    "parameters": lambda state, path: torch.save({k: nn.Parameter(v, False) for k, v in state.items()}, path),
    "before 1.6": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "npz": lambda state, path: np.savez(path.open("wb"), **{k: v.numpy() for k, v in state.items()}),
    "compressed": lambda state, path: np.savez_compressed(
        path.open("wb"), **{k: v.numpy() for k, v in state.items()}
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_the_same_tensors(
    kind: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    WRITERS[kind](state, tmp_path / "weights")
    assert same(read_files([tmp_path / "weights"]).tensors, state)
    assert same(archspec.load(GRAPH, weights=tmp_path / "weights").state_dict(), state)


def test_parts_are_read_by_their_index_or_together(state: dict[str, Tensor], tmp_path: Path) -> None:
    places = parts(state, tmp_path)
    assert same(archspec.load(GRAPH, weights=index(tmp_path, places)).state_dict(), state)
    files = sorted(tmp_path.glob("part-*"))
    assert same(archspec.load(GRAPH, weights=files).state_dict(), state)
    with pytest.raises(SpecError, match="lacks `"):
        archspec.load(GRAPH, weights=files[:1])


def test_a_built_module_is_a_file_of_weights(state: dict[str, Tensor], tmp_path: Path) -> None:
    from archspec.api.artifact import save_artifact

    save_artifact(archspec.load(GRAPH, seed=3), tmp_path / "net.archmod")
    assert same(archspec.load(GRAPH, weights=tmp_path / "net.archmod").state_dict(), state)


def test_a_mapping_keeps_its_own_memory(state: dict[str, Tensor]) -> None:
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    for given in (state, arrays):
        module = archspec.load(GRAPH, weights=given)
        assert same(module.state_dict(), state)
        with torch.no_grad():
            module.fc.weight.add_(1)
        assert not torch.equal(module.fc.weight, state["fc.weight"])


def test_tensors_that_share_memory_in_a_file_are_two_weights(tmp_path: Path) -> None:
    """As `load_state_dict` has them, which copies: trained, each goes its way."""
    graph = archspec.read_text("model N:\n    input x: [3]\n    return x -> a: Linear(3) -> b: Linear(3)\n")
    one = torch.ones(3, 3)
    torch.save({"a.weight": one, "b.weight": one.T, "a.bias": one[0], "b.bias": one[1]}, tmp_path / "w")
    module = archspec.load(graph, weights=tmp_path / "w")
    with torch.no_grad():
        module.a.weight.zero_()
    assert module.b.weight.sum() == 9 and module.a.bias.sum() == 3
    assert all(tensor.is_contiguous() for tensor in module.state_dict().values())


# -------------------------------------------------------------- what programs wrap weights in


@pytest.mark.parametrize(
    ("wrap", "note"),
    [
        (lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: {"m": s["fc.bias"]}}}}, "taken from `state_dict`"),
        (lambda s: {"model": s, "rng_state": torch.zeros(8)}, "taken from `model`"),
        (lambda s: {"model_state_dict": s, "model_ema": s}, "taken from `model_state_dict`, not from `model_ema`"),
        (lambda s: {"ema": {"state_dict": s}}, "taken from `state_dict`"),
        (lambda s: {**s, "epoch": 3}, "no tensors, so left out: `epoch`"),
        (lambda s: {"student": s}, "taken from `student`"),
    ],
)  # fmt: skip
def test_wrappers_are_opened_and_told(wrap: Any, note: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(wrap(state), tmp_path / "w")
    found = read_files([tmp_path / "w"])
    assert same(found.tensors, state)
    assert note in found.notes
    assert note in archspec.plan_weights(GRAPH, tmp_path / "w").report()


def test_two_sets_of_weights_are_not_chosen_between(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"teacher": state, "student": state}, tmp_path / "w")
    with pytest.raises(SpecError, match=r"several sets of weights: `teacher`, `student`") as caught:
        read_files([tmp_path / "w"])
    assert '["teacher"]' in caught.value.problems[0].help


# -------------------------------------------------------------- what is no file of weights


class Code:
    def __reduce__(self) -> Any:
        return (print, ("code of the file ran",))


def test_nothing_in_a_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("w", {"a": Code()}), ("v", nn.Linear(2, 2))):
        for zipped in (True, False):
            torch.save(value, tmp_path / name, _use_new_zipfile_serialization=zipped)
            with pytest.raises(
                SpecError, match=r"more than weights: it asks for `.*(print|Linear)`"
            ) as caught:
                read_files([tmp_path / name])
            assert "torch.save(model.state_dict(), FILE)" in caught.value.problems[0].help
    (tmp_path / "p").write_bytes(pickle.dumps(Code()))
    with pytest.raises(SpecError):
        read_files([tmp_path / "p"])
    np.savez(tmp_path / "o.npz", a=np.array([Code()], dtype=object))
    with pytest.raises(SpecError, match=r"may run any code"):
        read_files([tmp_path / "o.npz"])
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "is a pointer of Git LFS"),
        (b"model Net:\n    input x: [3]\n", "is not a file of safetensors"),
        (b"{}", "has no `weight_map`"),
        (b'{"weight_map": [1]}', "has no `weight_map`"),
        (b"{" * 5000, "is no index of weights"),
        (b"\x80\x02", "is not a whole file of PyTorch"),
        (b"\x80\x02}q\x00.", "holds no weights|not a whole file"),
        (struct.pack("<Q", 1 << 40) + b"{}", "is not a whole file of safetensors"),
    ],
)
def test_other_files_are_told(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(SpecError, match=said):
        read_files([tmp_path / "w"])


def test_a_zip_of_something_else_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(SpecError, match="is a zip file, but not of weights"):
        read_files([tmp_path / "w"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda places: {**places, "fc.bias": "../part-0.safetensors"}, "is not a file beside it"),
        (lambda places: {**places, "fc.bias": "part-9.safetensors"}, "lists `part-9.safetensors`, which is not there"),
        (lambda places: {**places, "more": "part-0.safetensors"}, "`part-0.safetensors` lacks `more`"),
        (lambda places: {k: p for k, p in places.items() if k != "fc.bias"}, "has `fc.bias`"),
    ],
)  # fmt: skip
def test_an_index_that_lies_is_told(change: Any, said: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = index(tmp_path, change(parts(state, tmp_path)))
    with pytest.raises(SpecError, match=said):
        archspec.load(GRAPH, weights=path)


def test_an_index_of_itself_is_told(tmp_path: Path) -> None:
    path = index(tmp_path, {"fc.bias": "model.safetensors.index.json"})
    with pytest.raises(SpecError, match="is listed as a part, and is an index"):
        archspec.load(GRAPH, weights=path)


def test_an_index_that_says_another_size_is_told_in_the_plan(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = index(tmp_path, parts(state, tmp_path))
    said = json.loads(path.read_text())
    held = sum(tensor.nbytes for tensor in state.values())
    for size in (held, 1):
        path.write_text(json.dumps({**said, "metadata": {"total_size": size}}))
        found = archspec.plan_weights(GRAPH, path)
        assert found.fits
        assert ("its index says that the tensors are 1 bytes" in found.report()) is (size == 1)


def test_programs_are_told_from_weights(tmp_path: Path) -> None:
    layer, sample = torch.nn.Linear(3, 3), (torch.zeros(1, 3),)
    torch.jit.save(torch.jit.trace(layer, sample), str(tmp_path / "w.pt"))
    torch.export.save(torch.export.export(layer, sample), tmp_path / "w.pt2")
    for name, said in (
        ("w.pt", "is a program of TorchScript"),
        ("w.pt2", r"is a program of `torch\.export`"),
    ):
        with pytest.raises(SpecError, match=said) as caught:
            read_files([tmp_path / name])
        assert "where you trust it" in caught.value.problems[0].help


def test_parts_that_have_the_same_key_are_told(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "a")
    save_file(state, tmp_path / "b")
    with pytest.raises(SpecError, match=r"has `.*`, and so has `.*a`"):
        archspec.load(GRAPH, weights=[tmp_path / "a", tmp_path / "b"])


def rewritten(data: bytes, name: str, change: Any) -> bytes:
    """A zip with another entry of that name, and a checksum to match."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            found = old.read(entry)
            new.writestr(entry.filename, change(found) if entry.filename.endswith(name) else found)
    return out.getvalue()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"K\x02K\x03\x86", b"K\xc8K\x03\x86"), (b"K\x06t", b"K\xfft"), (b"K\x03K\x01\x86", b"K\x30K\x01\x86")],
)
def test_a_file_of_pytorch_that_lies_about_sizes_is_told(old: bytes, new: bytes, tmp_path: Path) -> None:
    """More rows, more numbers, or a longer stride than the file holds."""
    path = tmp_path / "w"
    torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(400)}, path)
    path.write_bytes(rewritten(path.read_bytes(), "data.pkl", lambda data: data.replace(old, new, 1)))
    with pytest.raises(SpecError):
        read_files([path])


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_cut_off_is_told(kind: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    WRITERS[kind](state, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    for length in {0, 1, 7, 8, 9, 20, 100, len(data) // 2, len(data) - 200, len(data) - 1}:
        (tmp_path / "w").write_bytes(data[:length])
        with pytest.raises(SpecError):
            read_files([tmp_path / "w"])


@pytest.mark.parametrize("kind", ["zip", "npz", "compressed"])
def test_a_bit_that_flipped_in_a_zip_is_told(kind: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    """The checksums tell: no value is another than was saved."""
    WRITERS[kind](state, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    chosen = random.Random(0)
    for _ in range(150):
        changed = bytearray(data)
        changed[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        (tmp_path / "w").write_bytes(changed)
        try:
            found = read_files([tmp_path / "w"])
        except SpecError:
            continue
        values = list(found.tensors.values())
        wanted = list(state.values())
        assert len(values) == len(wanted) and all(map(torch.equal, values, wanted))


@pytest.mark.parametrize("kind", ["safetensors", "before 1.6"])
def test_any_bit_that_flipped_is_taken_or_told(kind: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    """These formats have no checksums: a value may be another, but nothing else comes of it than an error of ours."""
    WRITERS[kind](state, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    chosen = random.Random(0)
    for _ in range(150):
        changed = bytearray(data)
        changed[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        (tmp_path / "w").write_bytes(changed)
        try:
            archspec.plan_weights(GRAPH, tmp_path / "w").report()
        except SpecError:
            continue


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (lambda t: t.to_sparse(), "a sparse tensor"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "quantised qint8"),
        (lambda t: t.to("meta"), "on the meta device"),
        (lambda t: t.to(torch.complex64), "complex64"),
    ],
)
def test_odd_tensors_are_told(tensor: Any, said: str, state: dict[str, Tensor]) -> None:
    with pytest.raises(SpecError, match=f"has `fc.weight` as .*{said}"):
        archspec.load(GRAPH, weights={**state, "fc.weight": tensor(state["fc.weight"])})


def test_a_mapping_without_weights_is_told() -> None:
    for given in ({}, {"a": 3}, {"a": {}}):
        with pytest.raises(SpecError, match="holds no weights"):
            from_mapping(given)
