"""What comes with archspec: the shipped specs, by family and year."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from archspec.elaboration.files import read_file
from archspec.ground.brief import brief
from archspec.ground.shipped import SUFFIX, shipped_names, shipped_specs
from archspec.syntax.tree import Call, File, Import, Name

FAMILIES = "families"


@dataclass(frozen=True)
class Entry:
    """A shipped spec: its name, what it is in one line, and the year of the work that the line cites.

    `family` is the title of the file that it takes its model from, such as `ResNet [He et al., 2016]`, and
    `family_summary` what else that file says of itself in its first line.
    """

    name: str
    summary: str
    year: int
    family: str
    family_summary: str
    family_year: int

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {self.summary}")


def catalogue() -> Iterator[Entry]:
    """The shipped specs, the oldest families first, and in each the oldest specs."""
    entries = []
    for name, path in shipped_names():
        file = read_file(path, path.parent)
        family = _family(file)
        summary, title = first_line(file.doc), first_line(family.doc)
        head, _, rest = title.partition(": ")
        entries.append(Entry(name, summary, _year(summary), head, rest, _year(title)))
    yield from sorted(entries, key=lambda e: (e.family_year, e.family, e.year, natural(e.name)))


def first_line(doc: str) -> str:
    """The first paragraph of a docstring, as one line."""
    return doc.split("\n\n")[0].replace("\n", " ").strip()


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `resnet18` before `resnet101`."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _family(file: File) -> File:
    """The family file that the last model of a spec is made from; the spec itself where there is none."""
    root = shipped_specs()
    made_of = file.definitions[-1].layer if file.definitions else None
    while isinstance(made_of, Call):
        made_of = made_of.callee
    name = made_of.name if isinstance(made_of, Name) else ""
    imports = [found for found in file.statements if isinstance(found, Import) and found.path[0] == FAMILIES]
    for found in imports:
        if name in {imported.alias for imported in found.names}:
            return read_file(root.joinpath(*found.path).with_suffix(SUFFIX), root)
    return file


def _year(text: str) -> int:
    """The first year that a text cites, as in `[He et al., 2016]`; 0 where there is none."""
    cited = re.search(r"\[[^\]]*?\b(\d{4})[a-z]?[\],;]", text)
    return int(cited[1]) if cited else 0
