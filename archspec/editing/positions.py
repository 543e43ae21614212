"""Offsets of a text as lines and columns of the Language Server Protocol, whose columns count code units of an encoding."""

from __future__ import annotations

import re
from bisect import bisect_right

from lsprotocol import types

from archspec.elaboration.files import normal
from archspec.ground.source import Span

MARK = "\ufeff"  # of Unicode's byte order
_LINE_END = re.compile(r"\r\n|\r|\n")


class Positions:
    """The positions of a text whose lines end with a line feed; lines and columns count from 0.

    `marked` says that the editor's text begins with the mark of Unicode's byte order, which this one lacks, and `line_end` is
    how the lines of that one end.
    """

    def __init__(
        self, text: str, encoding: str = "utf-16", *, marked: bool = False, line_end: str = "\n"
    ) -> None:
        self.text = text
        self.encoding = encoding
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.line_end = line_end
        self._marked = marked
        self._plain = text.isascii()

    @classmethod
    def of(cls, text: str, encoding: str) -> Positions:
        """The positions of a text as an editor has it, by offsets of the same as it is parsed."""
        end = _LINE_END.search(text)
        return cls(normal(text), encoding, marked=text.startswith(MARK), line_end=end[0] if end else "\n")

    def position(self, offset: int) -> types.Position:
        """The line and column of an offset."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(self.starts, offset) - 1
        return types.Position(line, self._units(self.text[self.starts[line] : offset]) + self._shift(line))

    def offset(self, position: types.Position) -> int:
        """The offset of a line and column; one past the end of a line is its end."""
        if position.line >= len(self.starts):
            return len(self.text)
        start = self.starts[position.line]
        end = self.text.find("\n", start)
        line = self.text[start : end if end >= 0 else len(self.text)]
        wanted = max(0, position.character - self._shift(position.line))
        if self._plain or self.encoding == "utf-32":
            return start + min(wanted, len(line))
        units = 0
        for i, character in enumerate(line):
            if units >= wanted:
                return start + i
            units += self._units(character)
        return start + len(line)

    def edit(self, span: Span, text: str) -> types.TextEdit:
        """The edit that writes a text in the place of a span, its lines ending as those around do."""
        return types.TextEdit(self.range(span), text.replace("\n", self.line_end))

    def range(self, span: Span) -> types.Range:
        """The range of a span."""
        return types.Range(self.position(span.start), self.position(span.end))

    def between(self, start: int, end: int) -> types.Range:
        """The range between two offsets."""
        return types.Range(self.position(start), self.position(end))

    def length(self, start: int, end: int) -> int:
        """The code units between two offsets."""
        return self._units(self.text[start:end])

    def _units(self, text: str) -> int:
        if self._plain or self.encoding == "utf-32":
            return len(text)
        if self.encoding == "utf-8":
            return len(text.encode())
        return len(text) + sum(c > "\uffff" for c in text)

    def _shift(self, line: int) -> int:
        return (3 if self.encoding == "utf-8" else 1) if self._marked and line == 0 else 0
