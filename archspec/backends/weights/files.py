"""Files of weights: safetensors, PyTorch's own and NumPy's, whole or in parts. Nothing that is in them is run."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import SpecError
from archspec.ground.regular import open_regular

_KINDS = "archspec reads safetensors, PyTorch's files (.pt, .pth, .bin, .ckpt), .npz, and an index of parts"
_LONGEST_INDEX = 100_000_000  # bytes
_PIECE = 1 << 20
_MOST_SAID = 5
_DEEPEST = 3  # mappings within mappings, of which the innermost holds the weights

WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params", "target"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "params_ema"),
)
"""The names under which programs keep the weights beside what else they save, the likelier first."""


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a file, or of several that are one checkpoint, by their keys there; and what else is to be told of it.

    Tensors are mapped into memory where the format allows it. `shared` are those of a program, which are not to be changed.
    """

    name: str
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    shared: bool = False

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {len(self.tensors)} tensors")


def open_weights(
    weights: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any],
) -> WeightFile:
    """The weights in a file, in the parts of one, or in a mapping. Raises SpecError as `read_files` and `from_mapping` do."""
    if isinstance(weights, Mapping):
        return from_mapping(weights)
    paths = [weights] if isinstance(weights, str | os.PathLike) else weights
    if not paths:
        raise SpecError.of(codes.NO_FILE, "no file was given", help="give the path of one, or of its parts")
    return read_files([Path(path) for path in paths])


def read_files(paths: Sequence[Path]) -> WeightFile:
    """The weights in files, of which several are parts of one checkpoint.

    Raises SpecError when one cannot be read, is none of weights, is not whole, would run code, or has a key of another.
    """
    if len(paths) == 1:
        return _read(paths[0])
    return _joined(" + ".join(path.name for path in paths), [(path, _read(path)) for path in paths])


def from_mapping(weights: Mapping[Any, Any], name: str = "the mapping") -> WeightFile:
    """The weights in a mapping of tensors or NumPy arrays, wrapped as a file may be. Raises SpecError when there are none."""
    return _unwrapped(name, weights, shared=True)


def _joined(name: str, parts: Iterable[tuple[Path, WeightFile]]) -> WeightFile:
    tensors: dict[str, Tensor] = {}
    homes: dict[str, Path] = {}
    notes: list[str] = []
    for path, part in parts:
        for key, tensor in part.tensors.items():
            if key in tensors:
                raise _bad(
                    path, f"has `{key}`, and so has `{homes[key]}`", "give the parts of one checkpoint"
                )
            tensors[key], homes[key] = tensor, path
        notes += (f"{path.name}: {note}" for note in part.notes)
    return WeightFile(name, tensors, tuple(notes))


def _read(path: Path, *, is_part: bool = False) -> WeightFile:
    """The weights in one file, whose first bytes say what it is. A part of an index is no index itself."""
    try:
        with open_regular(path) as file:
            start = file.read(64)
            if start[:4] == b"PK\x03\x04":
                return _from_zip(path)
    except OSError as error:
        raise SpecError.of(
            codes.UNREADABLE, f"the weights `{path}` cannot be read: {error.strerror or error}"
        ) from None
    if not start:
        raise _bad(path, "is empty")
    if start.lstrip().startswith(b"{"):
        if is_part:
            raise _bad(path, "is listed as a part, and is an index or other JSON itself")
        return _from_index(path)
    if start[:1] == b"\x80":
        return _from_pickle(path)
    if start.startswith(b"version https://git-lfs"):
        raise _bad(path, "is a pointer of Git LFS, not the weights", "`git lfs pull` brings them")
    if start.lstrip()[:1] == b"<":
        raise _bad(path, "is a page of HTML, not the weights", "download the file itself")
    return _from_safetensors(path, has_header=start[8:9] == b"{")


def _from_safetensors(path: Path, *, has_header: bool) -> WeightFile:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return WeightFile(path.name, load_file(path))
    except OSError as error:
        raise SpecError.of(
            codes.UNREADABLE, f"the weights `{path}` cannot be read: {error.strerror or error}"
        ) from None
    except (SafetensorError, KeyError, ValueError, OverflowError, RuntimeError) as error:
        if has_header:
            raise _bad(
                path, f"is not a whole file of safetensors: {error}", "download or save it again"
            ) from None
        raise _bad(path, f"is not a file of safetensors: {error}", _KINDS) from None


def _from_index(path: Path) -> WeightFile:
    """The weights of the parts that an index lists, as `model.safetensors.index.json` does."""
    try:
        with open_regular(path) as file:
            index = json.loads(file.read(_LONGEST_INDEX))
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is no index of weights: {error}") from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(p, str) for p in places.values()):
        raise _bad(path, "is no index of weights: it has no `weight_map` of keys and files")
    names = sorted(set(places.values()))
    for name in names:
        if Path(name).name != name or name in (".", ".."):
            raise _bad(path, f"lists `{name}`, which is not a file beside it")
        if not (path.parent / name).exists():
            raise _bad(path, f"lists `{name}`, which is not there", "put all parts beside the index")
    parts = [(path.parent / name, _read(path.parent / name, is_part=True)) for name in names]
    for part, read in parts:
        said = {key for key, name in places.items() if name == part.name}
        if said != read.tensors.keys():
            wrong = min(said ^ read.tensors.keys())
            how = "lacks `{}`, which it lists" if wrong in said else "has `{}`, which it does not list there"
            raise _bad(path, f"is not of these parts: `{part.name}` {how.format(wrong)}")
    whole = _joined(path.name, parts)
    return replace(whole, notes=(*whole.notes, *_other_size(index, whole)))


def _other_size(index: Mapping[str, Any], whole: WeightFile) -> Iterator[str]:
    """A note where an index says how many bytes its parts hold, and they hold others."""
    about = index.get("metadata")
    said = about.get("total_size") if isinstance(about, dict) else None
    held = sum(tensor.nbytes for tensor in whole.tensors.values())
    if isinstance(said, int | float) and said != held:
        yield f"its index says that the tensors are {said} bytes, and they are {held:,}"


def _from_zip(path: Path) -> WeightFile:
    """The weights of PyTorch's or NumPy's zip file, of which every byte is as its checksums say."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names):
                raise _bad(path, "holds an entry twice")
            if what := _program(names):
                raise _bad(path, f"is {what[0]}, not weights alone", what[1])
            if any(name.rpartition("/")[2] == "data.pkl" for name in names):
                _require_whole(archive, entries)
                sizes = Counter(entry.file_size for entry in entries)
                return _from_pickle(path, sizes)
            if names and all(name.endswith(".npy") for name in names):
                return _from_npz(path, file)
    except zipfile.BadZipFile as error:
        raise _bad(path, f"is not whole: {error}", "download or save it again") from None
    except (
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        raise _bad(path, f"is not whole: {_first_line(error)}", "download or save it again") from None
    raise _bad(path, "is a zip file, but not of weights", _KINDS)


def _program(names: Sequence[str]) -> tuple[str, str] | None:
    """What kind of program a zip file with these entries holds, and how to come to its weights; None where it holds none."""
    if {"graph.json", "manifest.json"} <= set(names):
        return "a built module", "`archspec.load` loads it alone: give its `state_dict()`"
    last = {name.rpartition("/")[2] for name in names}
    if {"constants.pkl", "data.pkl"} <= last and any("/code/" in name for name in names):
        return "a program of TorchScript", "where you trust it: `torch.jit.load(FILE).state_dict()`"
    if "archive_format" in last:
        return "a program of `torch.export`", "where you trust it: `torch.export.load(FILE).state_dict`"
    return None


def _require_whole(archive: zipfile.ZipFile, entries: Iterable[zipfile.ZipInfo]) -> None:
    """BadZipFile when an entry's bytes are not those that its checksum is of; a piece of it is in memory at a time."""
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(f"`{entry.filename}` is compressed")
        with archive.open(entry) as data:
            while data.read(_PIECE):
                pass


def _from_npz(path: Path, file: Any) -> WeightFile:
    import numpy as np

    with np.load(file, allow_pickle=False) as arrays:
        try:
            held = {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            if "Object arrays" not in str(error):
                raise
            raise _bad(path, "holds arrays of Python objects, and to make such may run any code") from None
        return _unwrapped(path.name, held)


def _from_pickle(path: Path, records: Counter[int] | None = None) -> WeightFile:
    """The weights of a file of `torch.save`, of which `records` are the sizes of its parts where it is a zip.

    Only tensors and plain values are unpickled; what is not a zip, as before PyTorch 1.6, cannot be mapped into memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how a file was pickled
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=records is not None)
    except OSError as error:
        raise SpecError.of(
            codes.UNREADABLE, f"the weights `{path}` cannot be read: {error.strerror or error}"
        ) from None
    except Exception as error:  # whatever a pickle makes PyTorch raise
        raise _unpickled(path, error) from None
    if not isinstance(found, Mapping):
        raise _bad(path, f"holds a {type(found).__name__}, not weights by name", "save a `state_dict`")
    file = _unwrapped(path.name, found)
    if records is not None:
        storages = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in file.tensors.values()
        }
        if Counter(size for size in storages.values() if size) - records:
            raise _bad(path, "has tensors of other sizes than its entries", "download or save it again")
    return file


def _unpickled(path: Path, error: Exception) -> SpecError:
    """What came of unpickling something that is more, or less, than weights."""
    text = str(error)
    if "Weights only load failed" in text:
        names = [
            word.strip(".,'`")
            for word in text.replace("\n", " ").split()
            if word.count(".") and "GLOBAL" in text
        ]
        blocked = _blocked(text)
        if blocked or names:
            return _bad(
                path,
                f"holds more than weights: {f'it asks for `{blocked}`' if blocked else 'an object of Python'},"
                " and to make such objects may run any code",
                "save the weights alone where you trust the file: `torch.save(model.state_dict(), FILE)`",
            )
    return _bad(path, f"is not a whole file of PyTorch: {_first_line(error) or type(error).__name__}")


def _blocked(text: str) -> str:
    """The name of what PyTorch refused to make."""
    for sign in ("unsupported GLOBAL ", "GLOBAL "):
        if sign in text:
            return text.split(sign, 1)[1].split()[0].strip(".,'`")
    return ""


def _unwrapped(name: str, found: Mapping[Any, Any], *, shared: bool = False) -> WeightFile:
    """The weights in what a program saved: the mapping itself, or one of those in it."""
    notes: list[str] = []
    for _ in range(_DEEPEST):
        inner = _wrapped(found)
        if not inner:
            break
        chosen = next((wrapper for wrapper in WRAPPERS if wrapper in inner), None)
        if chosen is None and len(inner) > 1 and not any(_is_tensor(value) for value in found.values()):
            said = _listed(inner)
            help_ = f'load it yourself and give one: `torch.load({name!r}, weights_only=True)["{inner[0]}"]`'
            raise SpecError.of(
                codes.CHECKPOINT, f"`{name}` holds several sets of weights: {said}", help=help_
            )
        if chosen is None:
            if any(_is_tensor(value) for value in found.values()):
                break
            chosen = inner[0]
        beside = [key for key in inner if key != chosen]
        notes.append(f"taken from `{chosen}`" + (f", not from {_listed(beside)}" if beside else ""))
        found = found[chosen]
    tensors = {
        key: _tensor(value) for key, value in found.items() if isinstance(key, str) and _is_tensor(value)
    }
    others = [str(key) for key in found if key not in tensors]
    if not tensors:
        raise SpecError.of(codes.CHECKPOINT, f"`{name}` holds no weights by name", help=_KINDS)
    if others:
        notes.append(f"no tensors, so left out: {_listed(others)}")
    return WeightFile(name, tensors, tuple(notes), shared)


def _wrapped(found: Mapping[Any, Any]) -> list[str]:
    """The names of the mappings in a mapping that hold tensors by name, or one that does."""
    return [key for key, value in found.items() if isinstance(key, str) and _has_tensors(value, _DEEPEST)]


def _has_tensors(value: Any, deepest: int) -> bool:
    if not isinstance(value, Mapping) or not value or not all(isinstance(key, str) for key in value):
        return False
    if any(_is_tensor(inner) for inner in value.values()):
        return True
    return deepest > 1 and any(
        key in WRAPPERS and _has_tensors(inner, deepest - 1) for key, inner in value.items()
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (type(value).__module__ == "numpy" and hasattr(value, "__array__"))


def _tensor(value: Any) -> Tensor:
    """The tensor, of which no gradient is wanted; that of an array where PyTorch has its dtype."""
    if isinstance(value, Tensor):
        return value.detach()
    import numpy as np

    array = np.asarray(value)
    try:
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    except (TypeError, ValueError):
        raise SpecError.of(
            codes.CHECKPOINT, f"the weights have an array of `{array.dtype}`, which no tensor can be of"
        ) from None


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _MOST_SAID} more" if len(items) > _MOST_SAID else ""
    return ", ".join(f"`{item}`" for item in items[:_MOST_SAID]) + more


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _bad(path: Path, what: str, help: str = "") -> SpecError:
    return SpecError.of(codes.CHECKPOINT, f"`{path}` {what}", help=help)
