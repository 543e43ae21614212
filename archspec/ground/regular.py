"""Which paths lead to regular files: nothing else is read, and nothing else is replaced."""

from __future__ import annotations

import stat
from pathlib import Path

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
    if not stat.S_ISREG(mode):
        raise SpecError.of(codes.UNREADABLE, f"`{shown or path}` is {kind_of(mode)}, not a regular file")
