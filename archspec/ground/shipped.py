"""The specs that come with archspec: where they are, and their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".arch"


def shipped_specs() -> Path:
    """The folder of the specs that come with archspec."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "specs"
    return inside if inside.is_dir() else package.parent / "specs"


def shipped_names() -> Iterator[tuple[str, Path]]:
    """Name and path of every shipped model, in alphabetical order."""
    for path in sorted(shipped_specs().glob(f"*{SUFFIX}")):
        yield path.stem, path
