"""Packages that only some of what archspec does is done with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.ground import codes
from archspec.ground.errors import SpecError


@contextmanager
def needing(what: str, package: str) -> Iterator[None]:
    """SpecError where an import fails: `what` is done with a package that is not installed, and is by `pip install PACKAGE`."""
    try:
        yield
    except ImportError as error:
        raise SpecError.of(codes.PROGRAM, f"{what}: {error}", help=f"pip install {package}") from None
