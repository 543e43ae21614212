"""Atomic writes: a file is there whole or not at all, and replaces nothing that it should not."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.leaving import tidied
from archspec.ground.regular import kind_of

_SOURCE = ".arch"


@contextmanager
def replacing(path: Path, *, sources: Iterable[Path] = ()) -> Iterator[IO[bytes]]:
    """A file to write into, beside `path`, which it becomes in one step at the end; gone when that fails.

    A link stays, and what it leads to is replaced; the permissions of a file that was there are kept. Folders on the
    way are made. Raises SpecError when the place cannot be written, and as `require_writable`.
    """
    target = require_writable(path, sources=sources)
    # Made by the system with the permissions of any new file; its name is short where that of the target may be too long.
    temporary = target.parent / f".archspec-{secrets.token_hex(8)}.tmp"
    try:
        _make_folder(target.parent)
        remove = partial(temporary.unlink, missing_ok=True)
        with tidied(remove):
            try:
                handle = os.open(
                    temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
                )
                with os.fdopen(handle, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                temporary.replace(target)
            except BaseException:
                remove()
                raise
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


def require_writable(path: Path, *, sources: Iterable[Path] = ()) -> Path:
    """The file that `path` leads to, which may not be there yet.

    Raises SpecError unless it is a regular file or a new one: folders, devices, FIFOs and sockets are not replaced,
    nor open streams such as /dev/stdout, nor files that may not be written, nor those that the result is made from, by
    whatever path or link they are named.
    """
    if path.name in ("-", ""):
        raise _unwritable(path, "it is not a file", _NAME_A_FILE)
    try:
        if _is_stream(path):
            raise _unwritable(path, "it is an open stream", _NAME_A_FILE)
        target = Path(os.path.realpath(path))
        try:
            found = target.lstat()
        except FileNotFoundError:
            return target
        if not stat.S_ISREG(found.st_mode):
            raise _unwritable(path, f"it is {kind_of(found.st_mode)}", "only regular files are replaced")
        if not os.access(target, os.W_OK):
            raise _unwritable(path, "it is read-only")
        if any(_same(source, found) for source in sources):
            raise _unwritable(path, "it is one of the files read to make it", "write to another file")
        if target.suffix == _SOURCE != path.suffix:
            raise _unwritable(path, f"it is a link to the spec `{target}`", "write to another file")
    except ValueError:
        raise SpecError.of(codes.UNWRITABLE, "a path cannot contain a NUL character") from None
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    return target


def _is_stream(path: Path) -> bool:
    """Whether a path, or a link on its way, is one of a process's open files, which may be in the middle of any file.

    The system shows that as a link to the file, by which all that stands before and after would be replaced.
    """
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        if str(path) in _STANDARD or _OPEN_FILES.fullmatch(str(path.parent)):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False  # it leads round in a circle, and nowhere


_STANDARD = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_OPEN_FILES = re.compile(r"/dev/fd|/proc/[^/]+(/task/[^/]+)?/fd")
_MOST_LINKS = 40  # as the system follows
_NAME_A_FILE = "name a file; results are not written to standard output"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except RecursionError:  # there is one call for each folder that is missing
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)) from None


def _same(source: Path, found: os.stat_result) -> bool:
    """Whether a source, its links followed, is the file found; hard links to one file are that file."""
    try:
        return os.path.samestat(source.stat(), found)
    except OSError:
        return False


def _unwritable(path: Path, why: str, help: str = "") -> SpecError:
    return SpecError.of(codes.UNWRITABLE, f"`{path}` cannot be written: {why}", help=help)
