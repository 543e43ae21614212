"""Specs in the canonical style."""

from __future__ import annotations

import os
import re
from difflib import unified_diff
from pathlib import Path
from typing import NamedTuple

from archspec.api.arguments import checked, text
from archspec.elaboration import SUFFIX, require_text, text_of
from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.errors import SpecError


@checked(text=text, path=text)
def format_text(text: str, path: str = "spec.arch") -> str:
    """A spec in the canonical style (docs/formatting.md): it says what it said, with all its comments.

    To format the result changes nothing. `path` is what errors call the text. Raises SpecError where the syntax is wrong;
    names are not looked up.
    """
    from archspec.syntax.formatting import format_text as formatted

    require_text(text, path)
    return formatted(text, path)


class Rewritten(NamedTuple):
    """A spec file before and after its text is changed."""

    path: str
    before: str
    after: str

    @property
    def changes(self) -> bool:
        """Whether that changes anything."""
        return self.before != self.after

    @property
    def diff(self) -> str:
        """What changes, as a unified diff."""
        before, after = (re.findall(r"[^\n]*\n|[^\n]+", said) for said in (self.before, self.after))
        lines = unified_diff(before, after, self.path, self.path)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )

    def write(self) -> None:
        """Replace the file, whole or not at all; its permissions stay. Raises SpecError where it cannot be written."""
        with replacing(Path(self.path)) as file:
            file.write(self.after.encode())


def format_file(path: str) -> Rewritten:
    """A spec file formatted, but not written. Raises SpecError where it cannot be read, or its syntax is wrong."""
    if not os.path.lexists(path):
        help_ = "`archspec fmt` takes paths of files and folders, and `-`"
        raise SpecError.of(codes.NO_FILE, f"there is no file `{path}`", help=help_)
    before = text_of(Path(path), path)
    return Rewritten(path, before, format_text(before, path))


def spec_files(path: str) -> list[str]:
    """The files that a path names: of a folder, the specs in it and below, but for folders that are hidden.

    Raises SpecError where a folder cannot be read, or has none.
    """
    return _below(path) if os.path.isdir(path) else [path]  # noqa: PTH112 (takes names that are too long)


def _below(folder: str) -> list[str]:
    found: list[str] = []
    try:
        for place, folders, files in os.walk(folder, onerror=_fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [str(Path(place) / name) for name in sorted(files) if name.endswith(SUFFIX)]
    except OSError as error:
        raise SpecError.of(codes.UNREADABLE, f"`{folder}` cannot be read: {error.strerror}") from None
    if not found:
        raise SpecError.of(codes.NO_FILE, f"there is no {SUFFIX} file in `{folder}`")
    return found


def _fail(error: OSError) -> None:
    raise error
