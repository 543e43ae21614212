"""Picture formats. Each module here defines a `BACKEND` and is discovered automatically: a new format is a new file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.errors import SpecError

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing


@dataclass(frozen=True)
class Backend:
    """A drawing backend.

    `formats` describes each format in a line, by file suffix without the dot. `render` returns a drawing in one of them.
    `views` are those it can show. `ignores` are the arguments that it cannot use, which are therefore rejected; `reason` says
    why.
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
        what = f"unknown picture format `{format}`" if format else "a picture needs a format"
        raise SpecError.of(codes.SUFFIX, what, help=f"the formats are {', '.join(formats())}")
    return formats()[format]
