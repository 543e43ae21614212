"""The zip file that a built module is: how it is written in one step, and what is read of one that anyone may have made."""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.errors import SpecError
from archspec.ground.regular import open_regular

GRAPH, WEIGHTS, MANIFEST = "graph.json", "weights.safetensors", "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal contents are equal bytes
LARGEST_JSON = 1 << 30
_MOST_REPETITIVE = 250  # times that JSON becomes smaller; what claims more would fill the memory
_PIECE = 1 << 23  # bytes that are hashed in one go
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip entry: at its end, the lengths of name and extra field
_EXTRA_HEADER = struct.Struct("<HH")
_PADDING_FIELD = 0xA5C5  # no registered kind of extra field
_ALIGNMENT = 64


def write_archive(path: Path, entries: dict[str, bytes], sources: Iterable[Path] = ()) -> None:
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


def digest(data: bytes | memoryview) -> str:
    """The SHA-256 of the SHA-256 of each piece, which several processors take at once: it is most of the time to load."""
    view = memoryview(data)
    pieces = (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))
    with ThreadPoolExecutor() as threads:
        digests = threads.map(lambda piece: sha256(piece).digest(), pieces)
        return sha256(b"".join(digests)).hexdigest()


def read_archive(path: Path) -> tuple[dict[str, bytes], memoryview]:
    """The manifest and the graph, and the weights as they lie in the file."""
    if os.path.isdir(path):  # noqa: PTH112 (takes names that are too long)
        raise SpecError.of(codes.UNREADABLE, f"`{path}` is a folder, not a built module")
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = {info.filename: info for info in archive.infolist()}
            if len(names) < len(archive.infolist()):
                raise not_whole(path, "holds a file twice")
            missing = [name for name in (MANIFEST, GRAPH, WEIGHTS) if name not in names]
            if missing:
                raise not_whole(path, f"lacks `{missing[0]}`")
            if names[WEIGHTS].file_size > os.fstat(file.fileno()).st_size:
                raise not_whole(path, "has weights larger than itself")
            if names[WEIGHTS].compress_type != zipfile.ZIP_STORED:
                raise not_whole(path, "has compressed weights")
            entries = {name: _unpacked(path, archive, names[name]) for name in (MANIFEST, GRAPH)}
            return entries, _mapped(file, names[WEIGHTS])
    except FileNotFoundError:
        raise SpecError.of(
            codes.NO_FILE, f"there is no file `{path}`", help="`archspec build SPEC` makes one"
        ) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        RuntimeError,
        ValueError,  # an offset before the file's start, a name that is not text
        OverflowError,
    ) as error:
        raise not_whole(path, f"is not a whole zip file ({error})") from None
    except OSError as error:
        raise SpecError.of(codes.UNREADABLE, f"`{path}` cannot be read: {error.strerror}") from None


def _unpacked(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """An entry of JSON. SpecError when it says that it is, or turns out, larger than any graph."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise not_whole(path, f"has a `{info.filename}` that is compressed in an unusual way")
    most = min(LARGEST_JSON, max(1 << 24, _MOST_REPETITIVE * info.compress_size))
    if info.file_size > most:
        raise not_whole(path, f"has a `{info.filename}` of {info.file_size:,} bytes")
    with archive.open(info) as entry:
        return entry.read(info.file_size + 1)  # so many at most: `archive.read` unpacks whatever there is


def _mapped(file: BinaryIO, info: zipfile.ZipInfo) -> memoryview:
    """The data of a stored entry, mapped into memory: what is written there stays in this process."""
    file.seek(info.header_offset)
    name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    start = info.header_offset + _LOCAL_HEADER.size + name + extra
    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[start : start + info.file_size]
    if len(data) < info.file_size:
        raise zipfile.BadZipFile("its weights are cut off")
    return data


def not_whole(path: Path, what: str) -> SpecError:
    """The error of a file that is not a built module as archspec writes it."""
    return SpecError.of(codes.ARTIFACT, f"`{path}` {what}", help="build it again with `archspec build`")
