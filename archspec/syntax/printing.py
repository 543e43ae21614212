"""Documents to lines: what fits stays on one line, and what does not is broken where it reads best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from archspec.syntax.layout import Atom, Doc, Group, Row, Series, flat_text
from archspec.syntax.pieces import Brackets, Piece, first_of
from archspec.syntax.rows import aligned_calls, aligned_items

WIDTH = 120
INDENT = 4
_FARTHEST = 12
_MOST_EVEN = 20  # more lines are filled one by one
"""Steps stand under the first arrow where that is no farther than this from the start of the line."""


@dataclass(slots=True)
class Printed:
    """A line of the result: what it says, the comment behind that, and what its comment is aligned within."""

    text: str
    beside: str = ""
    group: object = None


class Printer:
    """Writes one logical line, which may become several; `inner` is how far those behind the first are indented."""

    def __init__(self, indent: int, width: int = WIDTH, inner: int = INDENT) -> None:
        self.lines: list[Printed] = []
        self.start = self.indent = indent
        self.width = width
        self.inner = inner
        self.text = " " * indent
        self.beside = ""
        self.group: object = None
        self.alone = -1  # how far the one expression in brackets is indented, if the line has only that

    def printed(self, doc: Doc) -> list[Printed]:
        """The lines of a document."""
        self.emit(doc, 0)
        self.flush()
        return self.lines

    # -------------------------------------------------------------- lines

    @property
    def is_fresh(self) -> bool:
        """Whether nothing stands on the line yet."""
        return not self.text.strip()

    def flush(self) -> None:
        """End the last line."""
        self.lines.append(Printed(self.text.rstrip(), self.beside, self.group))

    def newline(self, indent: int, *, blank: bool = False) -> None:
        """Begin a line, indented so far; `blank` leaves one out before it."""
        if not self.is_fresh or self.beside:
            self.flush()
        if blank:
            self.lines.append(Printed(""))
        self.text, self.beside, self.indent = " " * indent, "", indent

    def write(self, text: str, space: bool = False) -> None:
        """Write text, on another line where a comment has ended this one."""
        if self.beside:
            self.newline(self.indent + INDENT)
        if space and not self.is_fresh:
            text = " " + text
        *above, text = text.split("\n")
        for line in above:  # of a string of several lines
            self.lines.append(Printed(self.text + line, "", self.group))
            self.text = ""
        self.text += text

    def above(self, piece: Piece) -> None:
        """Write the comments above a piece, on lines of their own."""
        comments = piece.above
        if comments and (self.beside or not self.is_fresh):
            self.newline(self.indent + INDENT)
        for index, comment in enumerate(comments):
            if index and comment.blank:
                self.lines.append(Printed(""))
            self.text += comment.text
            self.newline(self.indent)
        if comments and piece.blank:
            self.lines.append(Printed(""))

    def comment(self, text: str) -> None:
        """Write a comment behind what is on the line, or on the next one where there is one already."""
        if self.beside:
            self.newline(self.indent)
            self.text += text
            self.newline(self.indent)
        else:
            self.beside = text

    # -------------------------------------------------------------- documents

    def emit(self, doc: Doc, rest: int, space: bool = False) -> None:
        """Write a document; `rest` is the width of what follows it and cannot go to another line."""
        match doc:
            case Atom():
                self.piece(doc.piece, space)
            case Row():
                behind = [rest] * len(doc.parts)
                for index in range(len(doc.parts) - 2, -1, -1):
                    spaced, part = doc.parts[index + 1]
                    behind[index] = spaced + part.lead + (0 if part.open else behind[index + 1])
                for (spaced, part), after in zip(doc.parts, behind, strict=True):
                    self.emit(part, after, spaced or (space and part is doc.parts[0][1]))
            case Series():
                self.series(doc, rest, space)
            case Group():
                self.brackets(doc, rest, space)

    def piece(self, piece: Piece, space: bool = False) -> None:
        """Write a piece, the comments above it before and the one beside it behind."""
        self.above(piece)
        self.write(piece.text, space)
        if piece.beside:
            self.comment(piece.beside)

    def series(self, doc: Series, rest: int, space: bool) -> None:
        """Write a series: parts that do not fit on the line begin others, steps under the first arrow where that is near."""
        base = self.indent
        inner = self.inner if base == self.start else INDENT
        below = base + inner
        if doc.kind == "clauses" or (doc.kind == "operators" and self.is_fresh and base == self.alone):
            below = base
        links = doc.links
        texts = aligned_calls(doc) if doc.kind == "chain" else {}
        self.emit(doc.head, doc.behind(-1, rest), space)
        planned: Iterator[bool] = iter(())
        for index, link in enumerate(doc.links):
            behind = doc.behind(index, rest)
            width = link.doc.first + (0 if link.doc.forced else behind)
            starts = index == 0 or link.broken
            plan = None if link.broken else next(planned, None)
            breaks = bool(plan) or link.broken or bool(self.beside)
            if plan is None and not breaks and link.soft and len(self.text) + 1 + width > self.width:
                stays = link.doc.open and len(self.text) + 1 + link.doc.lead <= self.width
                moves = doc.kind == "chain" and index > 0
                breaks = moves or below + width <= self.width or not stays
            if breaks:
                self.newline(below)
            elif doc.kind == "chain" and index == 0 and len(self.text) + 1 - self.indent <= _FARTHEST:
                below = len(self.text) + 1
            if index in texts and below + len(texts[index]) + behind <= self.width:
                self.write(texts[index], not breaks)
            else:
                self.emit(link.doc, behind, not breaks)
            if starts and link.soft and not self.beside:
                run = [
                    links[i] for i in takewhile(lambda i: not links[i].broken, range(index + 1, len(links)))
                ]
                widths = [link.doc.first for link in run]
                if run and run[-1] is links[-1]:
                    widths[-1] += rest
                planned = self.plan([link.doc for link in run], widths, below, [link.named for link in run])

    def plan(
        self, parts: list[Doc], widths: list[int], below: int, named: list[bool] | None = None
    ) -> Iterator[bool]:
        """Before which parts, of these widths and a space between them, a line is broken: few lines of even width.

        The first follows what is on the line; the others may go to lines indented so far. Where that takes no more lines,
        only those with a name begin one. Nothing where all fit on the line, or one fits on none.
        """
        start, widest = len(self.text), below + max(widths, default=0)
        breaks = _filled(widths, start, below, self.width)
        if not any(breaks) or widest > self.width or any(part.forced or part.ends for part in parts):
            return iter(())
        fewest = sum(breaks)
        if fewest > _MOST_EVEN:
            return iter(breaks)
        where = named
        if named is None or not _fits(
            widths, start, below, self.width, _filled(widths, start, below, self.width, named), fewest
        ):
            where = None
        for width in range(self.width, widest - 1, -1):
            narrower = _filled(widths, start, below, width, where)
            if not _fits(widths, start, below, self.width, narrower, fewest):
                break
            breaks = narrower
        return iter(breaks)

    def brackets(self, doc: Group, rest: int, space: bool) -> None:
        """Write brackets, opened where they were or where they do not fit."""
        if doc.is_opened:
            self.opened(doc, space)
            return
        start = len(self.text) + space
        fits = start + doc.first + (0 if doc.forced else rest) <= self.width
        if doc.forced:
            fits = fits and self.indent + doc.last + rest <= self.width
        if not doc.open and doc.is_flat:
            self.write(flat_text(doc), space)
            if doc.brackets.closing.beside:
                self.comment(doc.brackets.closing.beside)
        elif fits or doc.hugs or not doc.items:
            self.closed(doc, rest, space)
        else:
            self.opened(doc, space)

    def closed(self, doc: Group, rest: int, space: bool) -> None:
        """Write brackets with what is in them beside them."""
        self.piece(doc.brackets.opening, space)
        for index, item in enumerate(doc.items):
            following = doc.items[index + 1 :]
            behind = 2 + following[0].lead if following else 1 + rest
            self.emit(item, behind, index > 0)
            if following or doc.keeps_comma:
                self.text += ","
        self.piece(doc.brackets.closing)

    def opened(self, doc: Group, space: bool) -> None:
        """Write brackets around lines of their own for what is in them."""
        brackets, outer, alone = doc.brackets, self.group, self.alone
        self.piece(brackets.opening, space)
        base = self.indent
        inside = base + INDENT
        self.alone = inside if brackets.kind == "brackets" else -1
        firsts = [first_of(item) for item in brackets.items]
        total = inside + sum(2 + item.first for item in doc.items)
        each = not doc.is_opened and total > self.width and all(map(_is_large, doc.items))
        ended = [False, *(item.ends for item in doc.items)]  # by a comment
        starts = [each or not i or piece.broken or ended[i] for i, piece in enumerate(firsts)]
        ends = [*starts[1:], True]
        texts = aligned_items(doc, [a and b for a, b in zip(starts, ends, strict=False)], self.width - inside)
        commas = [doc.comma or index + 1 < len(firsts) for index in range(len(firsts))]
        planned: Iterator[bool] = iter(())
        for index, item in enumerate(doc.items):
            piece = firsts[index]
            width = item.first + (0 if item.forced else commas[index])
            plan = None if starts[index] else next(planned, None)
            breaks = bool(plan) or starts[index] or bool(self.beside)
            if plan is None and not breaks:
                breaks = len(self.text) + 1 + width > self.width
            if breaks:
                above = piece.above[0].blank if piece.above else piece.blank
                self.newline(inside, blank=above and index > 0)
                self.group = brackets
            if index in texts:
                self.above(piece)
                self.write(texts[index])
                self.comment_behind(brackets.items[index][-1])
            else:
                self.emit(item, int(commas[index]), not breaks)
            if commas[index]:
                self.text += ","
            if index < len(brackets.commas) and brackets.commas[index].beside:
                self.comment(brackets.commas[index].beside)
            if starts[index] and not self.beside:
                run = list(takewhile(lambda i: not starts[i], range(index + 1, len(starts))))
                widths = [doc.items[i].first + commas[i] for i in run]
                planned = self.plan([doc.items[i] for i in run], widths, inside)
        for index, comment in enumerate(brackets.closing.above):
            self.newline(inside, blank=comment.blank and (index > 0 or bool(doc.items)))
            self.group = brackets
            self.text += comment.text
        self.newline(base)
        self.group, self.alone = outer, alone
        self.write(brackets.closing.text)
        if brackets.closing.beside:
            self.comment(brackets.closing.beside)

    def comment_behind(self, element: Piece | Brackets) -> None:
        """Write the comment that stands beside the end of an element."""
        beside = element.beside if isinstance(element, Piece) else element.closing.beside
        if beside:
            self.comment(beside)


def _filled(
    widths: list[int], start: int, below: int, width: int, where: list[bool] | None = None
) -> list[bool]:
    """Before which parts lines are broken that take as many as fit into a width; `where` says before which that may be."""
    breaks = []
    for index, part in enumerate(widths):
        together = part
        if where is not None and where[index]:  # with those behind it that cannot begin a line
            together += sum(
                1 + widths[i] for i in takewhile(lambda i: not where[i], range(index + 1, len(widths)))
            )
        breaks.append((where is None or where[index]) and start + 1 + together > width)
        start = below + part if breaks[-1] else start + 1 + part
    return breaks


def _fits(widths: list[int], start: int, below: int, width: int, breaks: list[bool], most: int) -> bool:
    """Whether lines broken so are no more than so many, and none is wider than that."""
    for part, new in zip(widths, breaks, strict=True):
        start = below + part if new else start + 1 + part
        if start > width:
            return False
    return sum(breaks) <= most


def _is_large(doc: Doc) -> bool:
    """Whether an item gets a line of its own where not all fit on one."""
    return (isinstance(doc, Series) and doc.kind == "chain") or (
        isinstance(doc, Group) and doc.brackets.kind in ("list", "tuple")
    )
