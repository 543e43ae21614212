"""How a logical line is laid out: the documents it is made of, and which parts may go to a line of their own.

A document knows how wide it is before anything decides where it is broken: `first` is the width up to its first forced line
break, `last` that behind the last one, `forced` whether there is one; `lead` is the width up to the first place where it may
be broken, and `open` whether there is such a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from archspec.syntax.pieces import Brackets, Element, Piece, all_pieces, first_of

_SHORT = 16  # brackets no wider than this are not opened
_LEVELS = (("OR",), ("AND",), ("COMPARE",), ("ADDITIVE",), ("MULTIPLICATIVE", "STAR"), ("_POWER",))
_BREAKABLE = ("OR", "AND", "ADDITIVE")
"""Operators before which a line that is too long may be broken; before others it is where it was."""
ARROW = "->"


class Doc:
    """A part of a line, or of several."""

    __slots__ = ("ends", "first", "forced", "last", "lead", "open")
    first: int
    last: int
    lead: int
    forced: bool
    open: bool
    ends: bool
    """Whether a comment ends its last line."""

    def measure(self, parts: Iterable[tuple[int, Doc]]) -> None:
        """Take the widths of parts, each behind so many spaces, or behind a line break where that is below 0."""
        self.first = self.last = self.lead = 0
        self.forced = self.open = self.ends = False
        for space, part in parts:
            if self.ends or space < 0:
                if not self.forced:
                    self.first = self.last
                if not self.open:
                    self.lead, self.open = self.last, True
                self.forced, self.last, space = True, 0, 0
            if part.forced:
                if not self.forced:
                    self.first = self.last + space + part.first
                self.last = part.last
            else:
                self.last += space + part.first
            if not self.open:
                self.lead += space + part.lead
                self.open = part.open
            self.forced |= part.forced
            self.ends = part.ends
        if not self.forced:
            self.first = self.last


class Atom(Doc):
    """A piece."""

    __slots__ = ("piece",)

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        lines = piece.text.split("\n")
        self.first, self.last = len(lines[0]), len(lines[-1])
        self.forced = self.open = len(lines) > 1
        if piece.above:
            self.first, self.forced, self.open = 0, True, True
        self.lead = self.first
        self.ends = bool(piece.beside)


class Row(Doc):
    """Parts side by side, each with whether a space stands before it."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[tuple[bool, Doc]]) -> None:
        self.parts = parts
        self.measure(parts)


class Link:
    """A part of a series behind the first: whether it begins a line, whether it may, and whether it is a step with a name."""

    __slots__ = ("broken", "doc", "named", "soft")

    def __init__(self, doc: Doc, broken: bool, soft: bool, named: bool) -> None:
        self.doc, self.broken, self.soft, self.named = doc, broken, soft, named


class Series(Doc):
    """Parts joined by arrows, operators, or the words of a comprehension or a conditional, before which lines are broken."""

    __slots__ = ("head", "kind", "links", "tails")

    def __init__(self, kind: Literal["chain", "operators", "clauses"], head: Doc, links: list[Link]) -> None:
        self.kind, self.head, self.links = kind, head, links
        self.measure([(0, head), *((-1 if link.broken else 1, link.doc) for link in links)])
        width, self.open = head.lead, head.open
        for link in links:
            if self.open or link.soft or link.broken:
                self.open = True
                break
            width, self.open = width + 1 + link.doc.lead, link.doc.open
        self.lead = width
        # Of what stands behind each part: the width that cannot go to another line, and whether that reaches the end.
        self.tails = [(0, True)]
        for link in reversed(links):
            width, ends = (0, False) if link.soft or link.broken else (1 + link.doc.lead, not link.doc.open)
            self.tails.append((width + self.tails[-1][0], self.tails[-1][1]) if ends else (width, False))
        self.tails.reverse()

    def behind(self, index: int, rest: int) -> int:
        """The width of what follows a part (-1 for the first) and cannot go to another line; `rest` is behind the series."""
        width, ends = self.tails[index + 1]
        return width + (rest if ends else 0)


class Group(Doc):
    """Brackets and what is in them: on one line, or opened, with the items on lines of their own, indented."""

    __slots__ = ("brackets", "comma", "hugs", "is_flat", "is_opened", "items", "keeps_comma")

    def __init__(self, brackets: Brackets, items: list[Doc]) -> None:
        self.brackets, self.items = brackets, items
        looped = any(isinstance(item, Series) and item.kind == "clauses" for item in items)
        self.keeps_comma = brackets.kind == "tuple" and len(items) == 1
        self.comma = not looped and (
            len(brackets.commas) > 0 or brackets.kind not in ("brackets", "subscript", "tuple")
        )
        self.is_opened = self._was_opened()
        self.hugs = len(items) == 1 and isinstance(items[0], Group) and len(items[0].items) > 0
        if self.is_opened:
            self.first = self.lead = 1
            self.last = 1
            self.forced = self.open = True
        else:
            sides = (Atom(Piece("", brackets.opening.text)), Atom(Piece("", brackets.closing.text)))
            self.measure(
                [(0, sides[0]), *((2 * (i > 0), item) for i, item in enumerate(items)), (0, sides[1])]
            )
            self.last += self.keeps_comma
            self.first += self.keeps_comma and not self.forced
            self.open = self.forced or (self.first > _SHORT and brackets.kind != "subscript")
            self.lead = 1 + items[0].lead * self.hugs if self.open else self.first
        self.is_flat = not self.forced  # apart from comments above
        if brackets.opening.above:
            self.first, self.lead, self.forced, self.open = 0, 0, True, True
        self.ends = bool(brackets.closing.beside)

    def _was_opened(self) -> bool:
        brackets = self.brackets
        if brackets.opening.beside or brackets.closing.above:
            return True
        if any(comma.beside for comma in brackets.commas) or any(item.ends for item in self.items):
            return True
        if any(_has_comment(item) for item in brackets.items):
            return True
        if brackets.kind == "subscript":
            return False
        if any(first_of(item).broken for item in brackets.items):
            return True
        return any(
            isinstance(item, Series) and item.kind == "clauses" and any(link.broken for link in item.links)
            for item in self.items
        )


def _has_comment(elements: list[Element]) -> bool:
    """Whether a comment stands among elements, apart from what is in brackets among them."""
    for element in elements:
        if isinstance(element, Piece):
            if element.is_commented:
                return True
        elif element.opening.above or element.closing.beside:
            return True
    return False


def document(elements: list[Element], depth: int = 0) -> Doc:
    """The document of elements, which are in so many brackets."""
    if depth:
        loops = [i for i, element in enumerate(elements) if i and _is(element, "FOR")]
        if loops:
            marks = [i for i, e in enumerate(elements) if i >= loops[0] and (_is(e, "FOR") or _is(e, "IF"))]
            return _series("clauses", elements, marks, depth, soft=True)
    arrows = [i for i, element in enumerate(elements) if isinstance(element, Piece) and element.text == ARROW]
    if arrows:
        return _series("chain", elements, arrows, depth, soft=True)
    return _operation(elements, depth)


def _operation(elements: list[Element], depth: int) -> Doc:
    """The document of elements without arrows: operators by their precedence."""
    if depth:
        words = [i for i, e in enumerate(elements) if i and (_is(e, "IF") or _is(e, "ELSE"))]
        if words:
            return _series("operators", elements, words, depth, soft=True)
    for level in _LEVELS:
        places = [
            i
            for i, element in enumerate(elements)
            if 0 < i < len(elements) - 1
            and isinstance(element, Piece)
            and element.kind in level
            and not element.is_sign
        ]
        if any(level[0] in _BREAKABLE or first_of([elements[i]]).broken for i in places):
            return _series("operators", elements, places, depth, soft=level[0] in _BREAKABLE)
    return _row(elements, depth)


def _series(
    kind: Literal["chain", "operators", "clauses"],
    elements: list[Element],
    places: list[int],
    depth: int,
    *,
    soft: bool,
) -> Doc:
    """A series whose parts behind the first begin at these places."""
    part = _operation if kind != "clauses" else document
    head = part(elements[: places[0]], depth)
    links = []
    for start, end in zip(places, [*places[1:], len(elements)], strict=True):
        mark = first_of(elements[start : start + 1])
        inner = elements[start + 1 : end]
        doc: Doc = Atom(mark)
        if inner:
            doc = Row([(False, doc), (inner[0].spaced, _operation(inner, depth))])
        links.append(Link(doc, mark.broken, soft, any(_is(element, "COLON") for element in inner)))
    return Series(kind, head, links)


def _row(elements: list[Element], depth: int) -> Doc:
    docs = [_single(element, depth) for element in elements]
    if len(docs) == 1:
        return docs[0]
    return Row([(i > 0 and elements[i].spaced, doc) for i, doc in enumerate(docs)])


def _single(element: Element, depth: int) -> Doc:
    if isinstance(element, Piece):
        return Atom(element)
    if element.kind == "subscript":
        inside = [piece for item in element.items for piece in all_pieces(item)]
        if not any(piece.is_commented for piece in inside):
            for piece in inside:  # what is that short stays on its line
                piece.broken = False
    return Group(element, [document(item, depth + 1) for item in element.items])


def _is(element: Element, kind: str) -> bool:
    return isinstance(element, Piece) and element.kind == kind


def flat_text(doc: Doc) -> str:
    """What a document without comments and forced line breaks is on one line."""
    match doc:
        case Atom():
            return doc.piece.text
        case Row():
            return "".join(" " * space + flat_text(part) for space, part in doc.parts)
        case Series():
            return " ".join(map(flat_text, [doc.head, *(link.doc for link in doc.links)]))
        case Group():
            inner = ", ".join(map(flat_text, doc.items)) + "," * doc.keeps_comma
            return f"{doc.brackets.opening.text}{inner}{doc.brackets.closing.text}"
    raise TypeError(doc)
