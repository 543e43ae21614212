"""Built modules that were cut off, whose bits were flipped, or that other programs packed: each is told, or is the same network."""

import io
import zipfile
from pathlib import Path

import pytest
import torch

import archspec
from archspec import SpecError
from archspec.api.archive import GRAPH, MANIFEST, WEIGHTS
from archspec.api.artifact import read_artifact, save_artifact

SPEC = "model M:\n    input x: [3, 8, 8]\n    return x -> c: Conv(4, 3) -> GlobalAvgPool\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("built") / "m.archmod"
    save_artifact(archspec.load(archspec.read_text(SPEC), seed=5), path, seed=5)
    return path.read_bytes()


def same_or_told(path: Path, data: bytes) -> bool:
    """Whether the bytes are still the network that was built; if not, a SpecError says why."""
    path.write_bytes(data)
    try:
        graph, weights, _ = read_artifact(path)
    except SpecError as error:
        assert str(path) in str(error)
        return False
    wanted = archspec.load(archspec.read_text(SPEC), seed=5).state_dict()
    assert graph == archspec.read_text(SPEC)
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    return True


def entries_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_file_cut_off_at_any_byte_is_told(built: bytes, tmp_path: Path) -> None:
    assert same_or_told(tmp_path / "m.archmod", built)
    for length in (*range(0, len(built), 13), len(built) - 1):
        assert not same_or_told(tmp_path / "m.archmod", built[:length])


def test_a_flipped_bit_anywhere_is_told_or_changes_nothing(built: bytes, tmp_path: Path) -> None:
    for place in range(0, len(built), 7):
        data = bytearray(built)
        data[place] ^= 1 << place % 8
        same_or_told(tmp_path / "m.archmod", bytes(data))


@pytest.mark.parametrize("name", [MANIFEST, GRAPH, WEIGHTS])
def test_a_flipped_bit_in_an_entry_is_told(built: bytes, name: str, tmp_path: Path) -> None:
    entries = entries_of(built)
    for place in range(0, len(entries[name]), 5):
        data = bytearray(entries[name])
        data[place] ^= 1 << place % 7
        repacked = io.BytesIO()
        with zipfile.ZipFile(repacked, "w") as archive:
            for other, content in {**entries, name: bytes(data)}.items():
                archive.writestr(other, content)
        if same_or_told(tmp_path / "m.archmod", repacked.getvalue()):
            assert name == MANIFEST  # a letter of a version, which says nothing of the network


def test_entries_that_are_none_of_its_own_are_not_unpacked(built: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    repacked = io.BytesIO()
    with zipfile.ZipFile(repacked, "w") as archive:
        for name, data in entries_of(built).items():
            archive.writestr(name, data)
        archive.writestr("../out", b"x")
        archive.writestr(f"{tmp_path}/out", b"x")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("folder/", b"")
    assert same_or_told(tmp_path / "in" / "m.archmod", repacked.getvalue())
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "m.archmod"]


def test_large_headers_are_read_and_encrypted_entries_told(built: bytes, tmp_path: Path) -> None:
    repacked = io.BytesIO()
    with zipfile.ZipFile(repacked, "w") as archive:
        for name, data in entries_of(built).items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
    assert same_or_told(tmp_path / "m.archmod", repacked.getvalue())
    for name in (MANIFEST, GRAPH):
        data = bytearray(built)
        for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = data.rindex(header, 0, data.index(name.encode()) + 4) if header == b"PK\3\4" else -1
            if at < 0:
                at = data.rindex(header, 0, data.rindex(name.encode()))
            data[at + flags] |= 1
        assert not same_or_told(tmp_path / "m.archmod", bytes(data))
