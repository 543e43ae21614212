"""The shipped blocks: what each takes, and what it is for, told from its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archspec.elaboration.files import read_file
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import SpecError, suggest
from archspec.ground.shipped import SUFFIX, shipped_specs
from archspec.syntax.tree import Definition, File, Input

_SHELF = "blocks"
_EXAMPLE = re.compile(r"^Example: (.+)$", re.M)


@dataclass(frozen=True)
class BlockEntry:
    """A shipped block: the name by which it is shown, how it is defined, and what its docstring says.

    `signature` is its first line with all parameters, `inputs` are the lines that take tensors, and `example` applies it to inputs of
    given shapes: `f32[64, 8, 8] -> SqueezeExcite(4)`.
    """

    name: str
    signature: str
    inputs: tuple[str, ...]
    doc: str
    example: str

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {self.summary}")

    @property
    def imported(self) -> str:
        """The statement that imports it."""
        file, _, block = self.name.partition(":")
        return f"from {file} import {block}"

    @property
    def summary(self) -> str:
        """The first sentence of what it says."""
        return re.split(r"(?<=[.:;])\s", self.doc, maxsplit=1)[0].rstrip(":;.") + "." if self.doc else ""


def shelf() -> Iterator[BlockEntry]:
    """The shipped blocks, by file, in the order in which they are defined."""
    for path in sorted((shipped_specs() / _SHELF).glob(f"*{SUFFIX}")):
        file = read_file(path, shipped_specs())
        for definition in file.definitions:
            yield _entry(f"{_SHELF}.{path.stem}", file, definition)


def block_named(name: str) -> BlockEntry | None:
    """The block that `blocks.attention:SqueezeExcite` names, or a path of a file and a block in it; None for anything else.

    Raises SpecError when the file has no block of that name.
    """
    head, _, wanted = name.rpartition(":")
    if not head or not wanted.isidentifier():
        return None
    dotted = shipped_specs().joinpath(*head.split(".")).with_suffix(SUFFIX)
    given = Path(head)
    path = given if given.suffix == SUFFIX else dotted
    if not path.is_file():
        return None
    file = read_file(path, shipped_specs() if path == dotted else path.parent)
    known = {definition.name: definition for definition in file.definitions}
    if wanted in known:
        found = known[wanted]
        return _entry(head, file, found) if path == dotted or found.kind == "block" else None
    if path != dotted:
        return None
    raise SpecError.of(
        codes.UNKNOWN_PART,
        f"{head} has no block `{wanted}`",
        help=suggest(wanted, known) or f"it has {', '.join(known) or 'none'}",
    )


def _entry(home: str, file: File, definition: Definition) -> BlockEntry:
    start = definition.span.start
    end = (
        start + end_of_header(file.source.text[start:])
        if definition.layer is None
        else definition.layer.span.end
    )
    signature = file.source.text[start:end]
    doc = definition.doc or comment_above(file, definition)
    example = _EXAMPLE.search(doc)
    said = " ".join(_EXAMPLE.sub("", doc).split())
    inputs = tuple(part.span.text for part in definition.body if isinstance(part, Input))
    return BlockEntry(f"{home}:{definition.name}", signature, inputs, said, example[1] if example else "")


def end_of_header(text: str) -> int:
    """Where the first line of a definition ends, with its colon: behind all brackets."""
    depth = 0
    for place, character in enumerate(re.sub(r"#.*|\"[^\"]*\"", lambda part: " " * len(part[0]), text)):
        depth += (character in "([{") - (character in ")]}")
        if character == ":" and depth == 0:
            return place + 1
    return len(text)


def comment_above(file: File, definition: Definition) -> str:
    """The comment in the lines right above a definition, as one text."""
    lines = file.source.text.splitlines()
    number = file.source.position(definition.span.start)[0] - 2
    found: list[str] = []
    while number >= 0 and lines[number].startswith("#"):
        found.insert(0, lines[number].lstrip("#").strip())
        number -= 1
    return "\n".join(found)
