"""Built modules on disk: what goes in comes out, and what is not one is refused."""

import builtins
import json
import os
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import PWNED, mutate

import archspec
from archspec.api.archive import GRAPH, MANIFEST, WEIGHTS
from archspec.api.archive import digest as hash_of
from archspec.api.archive import write_archive as write_entries
from archspec.api.artifact import read_artifact, save_artifact

SPEC = "model M(width: int = 8):\n    input x: [3, 8, 8]\n    constant factor: [1] = 0.5\n    return (x -> c: Conv(width, 3) -> BatchNorm -> GlobalAvgPool) * factor\n"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    path = tmp_path / "m.archmod"
    save_artifact(archspec.load(archspec.read_text(SPEC), seed=5), path, seed=5)
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
    module, loaded = archspec.load(archspec.read_text(SPEC), seed=5).eval(), archspec.load(built).eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), loaded(x))
    assert archspec.graph_of(loaded) == archspec.graph_of(module)
    assert archspec.load(built).training


def test_a_built_module_keeps_its_dtype(tmp_path: Path) -> None:
    path = tmp_path / "half.archmod"
    save_artifact(archspec.load(archspec.read_text(SPEC), dtype="f16"), path, dtype="f16")
    assert archspec.load(path).c.weight.dtype == torch.float16


def test_same_spec_and_seed_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "m.archmod"
    save_artifact(archspec.load(archspec.read_text(SPEC), seed=5), again, seed=5)
    assert again.read_bytes() == built.read_bytes()
    save_artifact(archspec.load(archspec.read_text(SPEC), seed=6), again, seed=6)
    assert again.read_bytes() != built.read_bytes()


def test_it_holds_json_safetensors_and_a_manifest(built: Path) -> None:
    graph, tensors, manifest = read_artifact(built)
    with zipfile.ZipFile(built) as archive:
        assert sorted(archive.namelist()) == ["graph.json", "manifest.json", "weights.safetensors"]
        assert json.loads(archive.read("graph.json"))["format"] == 2
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
    module = archspec.load(archspec.read_text(SPEC))
    target = tmp_path / "m.archmod"
    target.mkdir()
    with pytest.raises(archspec.SpecError, match="cannot be written"):
        save_artifact(module, target)
    (tmp_path / "file").write_text("")
    with pytest.raises(archspec.SpecError, match="cannot be written"):
        save_artifact(module, tmp_path / "file" / "m.archmod")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "m.archmod"]


# ------------------------------------------------------------------ hostile files


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, entries: dict[str, bytes], **manifest: object) -> Path:
    """A built module of other entries, hashes made anew, and with other fields in its manifest."""
    said = json.loads(entries[MANIFEST])
    said["hashes"] = {name: hash_of(entries[name]) for name in (GRAPH, WEIGHTS)}
    said.update(manifest)
    write_entries(path, {**entries, MANIFEST: json.dumps(said).encode()})
    return path


def header_of(weights: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(weights[:8], "little")
    return json.loads(weights[8 : 8 + length]), weights[8 + length :]


def with_header(header: Any, values: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + values


def test_what_is_packed_anew_without_a_change_loads(built: Path, tmp_path: Path) -> None:
    packed(tmp_path / "again.archmod", entries_of(built))
    assert archspec.load(tmp_path / "again.archmod").c.weight.shape == (8, 3, 3, 3)


def test_a_hostile_name_in_a_built_module_is_no_code(built: Path) -> None:
    entries = entries_of(built)
    for old, new in (('"x"', f"x={PWNED}"), ('"c"', f'c"), {PWNED}, ("'), ('"M"', f"M\n{PWNED}")):
        graph = entries[GRAPH].decode().replace(old, json.dumps(new)).encode()
        with pytest.raises(archspec.SpecError, match="graph"):
            archspec.load(packed(built, {**entries, GRAPH: graph}))
    assert not hasattr(builtins, "PWNED")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dtype", "i64"), ("dtype", "float8"), ("dtype", None), ("optimize", "all"), ("compile", "os.system"), ("compile", 3),
        ("seed", "a"), ("seed", 0.5), ("name", "Other"), ("sources", {}), ("sources", []), ("hashes", {}), ("hashes", {GRAPH: 1}),
        ("torch", 2), ("surprise", 1), ("format", "2"), ("format", None), ("format", 10**400), ("seed", [[]] * 9),
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(built: Path, field: str, value: object) -> None:
    with pytest.raises(archspec.SpecError, match=r"manifest|format"):
        archspec.load(packed(built, entries_of(built), **{field: value}))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"", b"null", b"\xff", b'{"format": 2}', b"9" * 10_000])
def test_a_manifest_that_breaks_parsers_is_refused(built: Path, text: bytes) -> None:
    write_entries(built, {**entries_of(built), MANIFEST: text})
    with pytest.raises(archspec.SpecError, match="manifest"):
        archspec.load(built)


def _moved(header: Any, name: str, by: int) -> Any:
    header[name]["data_offsets"] = [offset + by for offset in header[name]["data_offsets"]]


HEADERS: dict[str, Callable[[Any], Any]] = {
    "no header": lambda header: [],
    "nested": lambda header: {"c.bias": json.loads("[" * 150 + "]" * 150)},
    "one too few": lambda header: header.pop("c.bias"),
    "one too many": lambda header: header.update(more=header["c.bias"]),
    "a constant": lambda header: header.update(factor={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
    "another name": lambda header: header.update(other=header.pop("c.bias")),
    "another dtype": lambda header: header["c.bias"].update(dtype="I32"),
    "a dtype of no spec": lambda header: header["c.bias"].update(dtype="F8_E5M2"),
    "a dtype that is none": lambda header: header["c.bias"].update(dtype=[]),
    "another shape": lambda header: header["c.weight"].update(shape=[3, 8, 3, 3]),
    "a negative shape": lambda header: header["c.weight"].update(shape=[-8, -3, 3, 3]),
    "a huge shape": lambda header: header["c.bias"].update(shape=[2**62, 2**62]),
    "a shape of truths": lambda header: header["c.bias"].update(shape=[True]),
    "offsets that overlap": lambda header: header["c.bias"].update(data_offsets=header["batch_norm.bias"]["data_offsets"]),
    "offsets moved": lambda header: _moved(header, "c.bias", 4),
    "offsets far away": lambda header: _moved(header, "c.bias", 2**40),
    "negative offsets": lambda header: _moved(header, "c.bias", -(2**20)),
    "offsets backwards": lambda header: header["c.bias"]["data_offsets"].reverse(),
    "one offset": lambda header: header["c.bias"].update(data_offsets=[0]),
    "a field too many": lambda header: header["c.bias"].update(more=1),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_of_weights_that_is_none_is_refused(built: Path, case: str) -> None:
    entries = entries_of(built)
    header, values = header_of(entries[WEIGHTS])
    changed = HEADERS[case](header)
    header = changed if isinstance(changed, list) or case == "nested" else header
    with pytest.raises(archspec.SpecError, match=r"weight"):
        archspec.load(packed(built, {**entries, WEIGHTS: with_header(header, values)}))


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"1234567",
        b"\xff" * 8,
        b"\xff" * 64,
        (8).to_bytes(8, "little") + b"[[[[[[[[",
        (2**63).to_bytes(8, "little") + b"{}      ",
    ],
)
def test_weights_that_are_none_are_refused(built: Path, weights: bytes) -> None:
    with pytest.raises(archspec.SpecError, match="not safetensors"):
        archspec.load(packed(built, {**entries_of(built), WEIGHTS: weights}))


def test_brackets_without_end_in_a_header_are_refused(built: Path) -> None:
    weights = (100_000).to_bytes(8, "little") + b"[" * 100_000
    with pytest.raises(archspec.SpecError, match="not safetensors"):
        archspec.load(packed(built, {**entries_of(built), WEIGHTS: weights}))


def test_a_truth_that_is_neither_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.archmod"
    spec = "model M:\n    input x: [2]\n    buffer keep: bool[8] = 1\n    return x + (keep[0:2] * 1.0)\n"
    save_artifact(archspec.load(archspec.read_text(spec)), path)
    assert archspec.load(path).keep.all()
    entries = entries_of(path)
    header, _ = header_of(entries[WEIGHTS])
    with pytest.raises(archspec.SpecError, match="neither true nor false"):
        archspec.load(packed(path, {**entries, WEIGHTS: with_header(header, b"\1" * 7 + b"\2")}))


def test_weights_of_another_dtype_than_the_manifest_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.archmod"
    save_artifact(archspec.load(archspec.read_text(SPEC), dtype="f16"), path)
    assert read_artifact(path)[2].dtype == "f16"  # found out
    assert archspec.load(path).c.weight.dtype == torch.float16
    with pytest.raises(archspec.SpecError, match="as f16, not as f32"):
        archspec.load(packed(path, entries_of(path), dtype="f32"))


def test_a_module_that_is_no_longer_its_spec_is_not_written(tmp_path: Path) -> None:
    module = archspec.load(archspec.read_text(SPEC))
    module.c = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(archspec.SpecError, match=r"has no weight `c\.\w+` of shape"):
        save_artifact(module, tmp_path / "m.archmod")
    assert not list(tmp_path.iterdir())


def test_an_entry_that_is_there_twice_is_refused(built: Path) -> None:
    with zipfile.ZipFile(built, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(GRAPH, archive.read(GRAPH))
    with pytest.raises(archspec.SpecError, match="holds a file twice"):
        archspec.load(built)


def test_a_bomb_is_refused_before_it_is_unpacked(built: Path) -> None:
    bomb = b'{"name": "' + b"a" * (1 << 26) + b'"}'
    for how in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(built, "w", how) as archive:
            for name, data in {MANIFEST: b"{}", GRAPH: bomb}.items():
                archive.writestr(name, data)
            archive.writestr(WEIGHTS, b"", zipfile.ZIP_STORED)
        assert built.stat().st_size < 1 << 17
        with pytest.raises(archspec.SpecError, match=r"of 67,\d+,\d+ bytes|in an unusual way"):
            archspec.load(built)


def test_a_bomb_that_says_it_is_small_is_not_unpacked_whole(built: Path) -> None:
    entries = entries_of(built)
    with zipfile.ZipFile(built, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WEIGHTS, entries[WEIGHTS], zipfile.ZIP_STORED)
        archive.writestr(GRAPH, b" " * (1 << 26))
        archive.writestr(MANIFEST, entries[MANIFEST])
    data = built.read_bytes()
    assert data.count((1 << 26).to_bytes(4, "little")) == 2
    built.write_bytes(data.replace((1 << 26).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(archspec.SpecError):
        archspec.load(built)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 24


@pytest.mark.parametrize("seed", range(60))
def test_any_change_of_a_built_module_is_refused_or_leaves_a_network(built: Path, seed: int) -> None:
    draw = random.Random(seed)
    entries, x = entries_of(built), torch.ones(2, 3, 8, 8)
    expected = archspec.load(built).eval()(x)
    said: dict[str, Any] = {}
    match seed % 3:
        case 0:
            graph = json.dumps(mutate(json.loads(entries[GRAPH]), draw)).encode()
            path = packed(built, {**entries, GRAPH: graph})
        case 1:
            header, values = header_of(entries[WEIGHTS])
            path = packed(built, {**entries, WEIGHTS: with_header(mutate(header, draw), values)})
        case _:
            said = mutate({k: v for k, v in json.loads(entries[MANIFEST]).items() if k != "hashes"}, draw)
            path = packed(built, entries)
            write_entries(
                path,
                {
                    **entries,
                    MANIFEST: json.dumps(
                        {**said, "hashes": json.loads(entries_of(path)[MANIFEST])["hashes"]}
                    ).encode(),
                },
            )
    try:
        loaded = archspec.load(path, compile=False, optimize=None).eval()
    except archspec.SpecError as error:
        assert str(error).startswith("error[")
    else:
        assert loaded(x).shape == expected.shape
        if seed % 3:
            assert torch.equal(loaded(x), expected)
    assert not hasattr(builtins, "PWNED")
