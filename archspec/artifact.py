"""A built module on disk: a zip of the graph as JSON, the weights as safetensors, and a manifest.

Nothing in it is ever executed or unpickled. The same spec and seed give the same bytes.
"""

from __future__ import annotations

import io
import json
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from archspec.errors import SpecError
from archspec.graph import Graph, graph_of
from archspec.regular import require_regular
from archspec.version import __version__
from archspec.writing import replacing

if TYPE_CHECKING:
    import torch

GRAPH, WEIGHTS, MANIFEST = "graph.json", "weights.safetensors", "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal contents are equal bytes
_FORMAT: Final = 2
_LARGEST_JSON = 1 << 30
_PIECE = 1 << 23  # bytes that are hashed in one go
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip entry: at its end, the lengths of name and extra field
_EXTRA_HEADER = struct.Struct("<HH")
_PADDING_FIELD = 0xA5C5  # no registered kind of extra field
_ALIGNMENT = 64


class Manifest(BaseModel):
    """What a built module is made of, and how it is to be loaded. `hashes` are those of the other two entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2] = _FORMAT
    archspec: str
    torch: str
    name: str
    seed: int | None
    dtype: str
    optimize: Literal["inference"] | None = None
    compile: bool | str = False
    sources: dict[str, str]
    hashes: dict[str, str]


def save_artifact(
    module: torch.nn.Module,
    path: Path,
    *,
    seed: int | None = None,
    dtype: str = "f32",
    optimize: Literal["inference"] | None = None,
    compile: bool | str = False,
    sources: Iterable[Path] = (),
) -> Manifest:
    """Write a loaded module to `path`, whole or not at all; `optimize` and `compile` are how it is loaded unless told.

    `sources` are files that are never written over.

    Raises SpecError when the place cannot be written, TypeError for a module that archspec did not load.
    """
    import torch
    from safetensors.torch import save

    graph = graph_of(module)
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    entries = {GRAPH: graph.to_json().encode(), WEIGHTS: save(state)}
    manifest = Manifest(
        archspec=__version__,
        torch=torch.__version__,
        name=graph.name,
        seed=seed,
        dtype=dtype,
        optimize=optimize,
        compile=compile,
        sources=graph.sources,
        hashes={name: _hash(data) for name, data in entries.items()},
    )
    entries[MANIFEST] = manifest.model_dump_json(indent=2).encode()
    _write(path, entries, sources)
    return manifest


def _hash(data: bytes | memoryview) -> str:
    """The SHA-256 of the SHA-256 of each piece, which several processors take at once: it is most of the time to load."""
    view = memoryview(data)
    pieces = (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))
    with ThreadPoolExecutor() as threads:
        digests = threads.map(lambda piece: sha256(piece).digest(), pieces)
        return sha256(b"".join(digests)).hexdigest()


def _write(path: Path, entries: dict[str, bytes], sources: Iterable[Path] = ()) -> None:
    """Write a zip, in one step."""
    with replacing(path, sources=sources) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            # Weights hardly compress, and stored they can be mapped into memory.
            info.compress_type = zipfile.ZIP_STORED if name == WEIGHTS else zipfile.ZIP_DEFLATED
            if name == WEIGHTS:
                info.extra = _aligning(file.tell() + _LOCAL_HEADER.size + len(name))
            archive.writestr(info, data)


def _aligning(start: int) -> bytes:
    """An extra field behind which data begin at a multiple of `_ALIGNMENT` bytes, where processors read them best."""
    padding = -(start + _EXTRA_HEADER.size) % _ALIGNMENT
    return _EXTRA_HEADER.pack(_PADDING_FIELD, padding) + bytes(padding)


def read_artifact(path: Path) -> tuple[Graph, dict[str, torch.Tensor], Manifest]:
    """Graph, weights and manifest of a built module. The weights are mapped into memory, and copied only when written to.

    Raises SpecError when the file is missing, not a built module, truncated or altered.
    """
    entries, weights = _entries(path)
    try:
        manifest = Manifest.model_validate_json(entries[MANIFEST])
    except ValidationError as error:
        made = _field(entries[MANIFEST], "format")
        if isinstance(made, int) and made != _FORMAT:
            raise _bad(path, f"has format {made}, and this archspec reads format {_FORMAT}") from None
        raise _bad(path, f"has a manifest that is not one: {error.errors()[0]['msg']}") from None
    for name, data in ((GRAPH, entries[GRAPH]), (WEIGHTS, weights)):
        if _hash(data) != manifest.hashes.get(name):
            raise _bad(path, f"was altered: `{name}` is not what the manifest says")
    graph = Graph.from_json(entries[GRAPH])
    try:
        tensors = _tensors(weights)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RuntimeError) as error:
        raise _bad(path, f"has weights that are not safetensors: {error}") from None
    for name, weight in graph.weights.items():
        if weight.saved and (name not in tensors or tuple(tensors[name].shape) != weight.shape):
            raise _bad(path, f"has no weight `{name}` of shape {list(weight.shape)}")
    return graph, tensors, manifest


def _tensors(data: memoryview) -> dict[str, torch.Tensor]:
    """The tensors of a file of safetensors, in its own memory; the library's reader would copy them."""
    import torch
    from safetensors.torch import _TYPES

    (length,) = struct.unpack_from("<Q", data)
    described = json.loads(bytes(data[8 : 8 + length]))
    described.pop("__metadata__", None)
    tensors = {}
    for name, entry in described.items():
        dtype, shape, (start, end) = _TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if dtype is None:
            raise ValueError(f"this PyTorch has no {entry['dtype']}")
        part = data[8 + length :][start:end]
        if len(part) != dtype.itemsize * prod(shape):
            raise ValueError(f"`{name}` does not fill its place")
        tensors[name] = (torch.frombuffer(part, dtype=dtype) if part else torch.empty(0, dtype=dtype)).view(
            shape
        )
    return tensors


def _entries(path: Path) -> tuple[dict[str, bytes], memoryview]:
    """The manifest and the graph, and the weights as they lie in the file."""
    if path.is_dir():
        raise SpecError.of("file", f"`{path}` is a folder, not a built module")
    require_regular(path)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = {info.filename: info for info in archive.infolist()}
            missing = [name for name in (MANIFEST, GRAPH, WEIGHTS) if name not in names]
            if missing:
                raise _bad(path, f"lacks `{missing[0]}`")
            for name in (MANIFEST, GRAPH):
                if names[name].file_size > _LARGEST_JSON:
                    raise _bad(path, f"has a `{name}` of {names[name].file_size:,} bytes")
            if names[WEIGHTS].file_size > path.stat().st_size:
                raise _bad(path, "has weights larger than itself")
            if names[WEIGHTS].compress_type != zipfile.ZIP_STORED:
                raise _bad(path, "has compressed weights")
            return {name: archive.read(name) for name in (MANIFEST, GRAPH)}, _mapped(file, names[WEIGHTS])
    except FileNotFoundError:
        raise SpecError.of(
            "file", f"there is no file `{path}`", help="`archspec build SPEC` makes one"
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _bad(path, f"is not a whole zip file ({error})") from None
    except OSError as error:
        raise SpecError.of("file", f"`{path}` cannot be read: {error.strerror}") from None


def _mapped(file: BinaryIO, info: zipfile.ZipInfo) -> memoryview:
    """The data of a stored entry, mapped into memory: what is written there stays in this process."""
    file.seek(info.header_offset)
    name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    start = info.header_offset + _LOCAL_HEADER.size + name + extra
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[start : start + info.file_size]
    if len(data) < info.file_size:
        raise zipfile.BadZipFile("its weights are cut off")
    return data


def _bad(path: Path, what: str) -> SpecError:
    return SpecError.of("artifact", f"`{path}` {what}", help="build it again with `archspec build`")


def _field(data: bytes, name: str) -> Any:
    try:
        value = json.load(io.BytesIO(data))
    except ValueError:
        return None
    return value.get(name) if isinstance(value, dict) else None
