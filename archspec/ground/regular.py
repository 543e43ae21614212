"""Which paths lead to regular files: nothing else is read, and nothing else is replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from archspec.ground import codes
from archspec.ground.errors import SpecError


def kind_of(mode: int) -> str:
    """What a file of that mode (`st_mode`) is, in a word or two."""
    for is_kind, said in _KINDS:
        if is_kind(mode):
            return said
    return "a regular file" if stat.S_ISREG(mode) else "no regular file"


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a link that leads nowhere"),
)


def require_regular(path: Path, shown: str = "") -> None:
    """Raise SpecError where something is at a path, or where its links lead, that is no regular file.

    A FIFO or a terminal would be waited for, a device be read without an end. What is not there is let through, as
    opening it says so.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except ValueError:
        raise SpecError.of(codes.UNREADABLE, "a path cannot contain a NUL character") from None
    except OSError as error:
        raise SpecError.of(codes.UNREADABLE, f"`{shown or path}` cannot be read: {error.strerror}") from None
    _require(mode, shown or path)


def open_regular(path: Path, shown: str = "") -> BinaryIO:
    """A regular file, open to be read. Raises SpecError as `require_regular` does, and OSError as `open`.

    What is found once it is open counts: another file may have taken its place since, and a FIFO must not be waited for.
    """
    require_regular(path, shown)  # to open a device may be to do something
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  (`Path.open` has no opener)
    try:
        _require(os.fstat(file.fileno()).st_mode, shown or path)
    except SpecError:
        file.close()
        raise
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _require(mode: int, shown: str | Path) -> None:
    if not stat.S_ISREG(mode):
        raise SpecError.of(codes.UNREADABLE, f"`{shown}` is {kind_of(mode)}, not a regular file")
