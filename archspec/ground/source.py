"""Where in a spec something was written."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple
from weakref import WeakValueDictionary


class Location(NamedTuple):
    """A place in a spec file: its name, and line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, eq=False)
class Source:
    """The text of one spec file.

    `path` is how a person finds the file from where they stand; `name` is its path below the
    folder in which imports are looked up, the same on every machine.
    """

    path: str
    text: str = field(repr=False)
    name: str = ""

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of each line; only a line feed ends one, as in editors."""
        return [0, *(match.end() for match in re.finditer(r"\n(?!\Z)", self.text))]

    @cached_property
    def locations(self) -> dict[int, Location]:
        """The places asked for so far, by their offset: repeated blocks make many nodes from one."""
        return {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text as UTF-8, in hexadecimal."""
        found = sha256(self.text.encode()).hexdigest()
        _KNOWN[found] = self
        return found

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, counted from 1, of a character offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line counted from 1, without its line break; empty past the end."""
        if number > len(self.line_starts):
            return ""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]


class Span(NamedTuple):
    """A stretch of a source: character offsets `start` up to, not including, `end`."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    @property
    def place(self) -> str:
        """`path:line:column`, as editors and terminals recognise it."""
        line, column = self.source.position(self.start)
        return f"{self.source.path}:{line}:{column}"

    @property
    def location(self) -> Location:
        """The place as the graph keeps it, independent of where the files lie."""
        known = self.source.locations
        if self.start not in known:
            known[self.start] = Location(
                self.source.name or self.source.path, *self.source.position(self.start)
            )
        return known[self.start]

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of another in the same source."""
        return Span(self.source, self.start, max(self.end, other.end))


_KNOWN: WeakValueDictionary[str, Source] = WeakValueDictionary()
"""The sources in memory whose digest was asked for, as those of every graph are."""

_MOST_LETTERS = 300_000  # more than a spec has


def span_at(location: Location, digest: str = "") -> Span | None:
    """The word at a place that a graph kept, in the text with that digest if it is still in memory; else no more than the place.

    None where no spec could have such a place.
    """
    file, line, column = location
    source = _KNOWN.get(digest)
    if source is not None and line <= len(source.line_starts) and column <= len(source.line(line)):
        start = source.line_starts[line - 1] + column - 1
        word = re.compile(r"[\w.]*").match(source.text, start)
        return Span(source, start, max(start + 1, word.end() if word else 0))
    if not (line >= 1 and column >= 1 and line + column <= _MOST_LETTERS):
        return None
    blank = Source(file, "\n" * (line - 1) + " " * column, file)
    return Span(blank, line + column - 2, line + column - 1)
