"""The formats of pictures. Each file here is a backend, and is found by standing here: a new format is a new file.

It holds a `BACKEND`, which says what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from archspec.ground.errors import SpecError

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing


@dataclass(frozen=True)
class Backend:
    """What one backend writes.

    `formats` has a line on each format, by the suffix of its files without the dot. `render` makes the bytes of a drawing in
    one of them. `views` are those that it can show. `ignores` are the arguments of a drawing that it has no use for, and
    that are therefore refused, and `reason` is why.
    """

    formats: Mapping[str, str]
    render: Callable[[Drawing, str], bytes]
    views: tuple[str, ...] = ("overview", "block", "blocks", "full", "cost")
    ignores: tuple[str, ...] = ()
    reason: str = ""


@cache
def formats() -> dict[str, Backend]:
    """The backend of each format, by its suffix."""
    names = sorted(found.name for found in iter_modules(__path__))
    backends: list[Backend] = [import_module(f"{__name__}.{name}").BACKEND for name in names]
    return {suffix: backend for backend in backends for suffix in backend.formats}


def find_backend(format: str) -> Backend:
    """The backend that writes a format. Raises SpecError when none does."""
    if format not in formats():
        what = f"cannot draw `{format}`" if format else "a picture needs a format"
        raise SpecError.of("file", what, help=f"the formats are {', '.join(formats())}")
    return formats()[format]
