"""A spec as a formatter sees it: logical lines of pieces, what stands in brackets together, and comments beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archspec.syntax import automaton

TAB = 8  # columns, as the parser counts
_GAP = re.compile(r"#[^\n]*|\\\n|\n")
_OPENING = {"LPAR", "LSQB", "LBRACE"}
_CLOSING = {"RPAR", "RSQB", "RBRACE"}
_OPERANDS = {"NAME", "STRING", "INT", "FLOAT", "TRUE", "FALSE", "NONE", "FIGURE"}
"""The kinds of pieces that an operand can end with, so that a bracket behind one belongs to it, and a `-` is no sign."""


@dataclass(slots=True)
class Comment:
    """A comment on a line of its own: its text, the column where it started, and whether a blank line stood before it."""

    text: str
    column: int
    blank: bool


@dataclass(slots=True, eq=False)
class Piece:
    """A token, and what stood around it.

    `broken` says that it began a line and `blank` that a blank line stood before it; `above` are the comments between the
    line before and its own, `beside` the one behind it. `spaced` says that a space separates it from what is before it.
    """

    kind: str
    text: str
    broken: bool = False
    blank: bool = False
    above: list[Comment] = field(default_factory=list)
    beside: str = ""
    spaced: bool = False
    is_sign: bool = False

    @property
    def is_commented(self) -> bool:
        """Whether a comment stands above or beside it."""
        return bool(self.above or self.beside)


@dataclass(slots=True, eq=False)
class Brackets:
    """What stands between two brackets: items, and the commas behind them (behind the last one there may be none).

    `kind` is `parameters`, `call`, `subscript` (likewise the sizes of a shape behind its dtype, and the items of a type),
    `tuple`, `brackets` around one expression, `list` or `set`.
    """

    kind: str
    opening: Piece
    closing: Piece
    items: list[list[Element]]
    commas: list[Piece]

    @property
    def spaced(self) -> bool:
        """Whether a space separates them from what is before them."""
        return self.opening.spaced


Element = Piece | Brackets


@dataclass(slots=True, eq=False)
class Line:
    """A logical line: its elements, how deep it is indented, and what stood above it."""

    elements: list[Element]
    depth: int
    column: int
    comments: list[Comment]
    blank: bool

    @property
    def kind(self) -> str:
        """The kind of its first piece."""
        return first_of(self.elements).kind


def lines_of(text: str) -> tuple[list[Line], list[Comment]]:
    """The logical lines of a spec that has no mistakes in its syntax, and the comments below the last."""
    lines: list[Line] = []
    pieces: list[Piece] = []
    starts: list[int] = []
    depth, end, claims_at = 0, 0, -1
    previous: Piece | None = None

    def finish() -> None:
        nonlocal claims_at
        if not pieces:
            return
        first = pieces[0]
        comments, blank = first.above, first.blank
        first.above, first.blank, first.broken = [], False, False
        if depth <= claims_at:
            claims_at = -1
        is_claim = claims_at >= 0
        if first.kind == "CLAIMS":
            claims_at = depth
        column = _column(text, starts[0])
        lines.append(Line(_grouped(pieces, is_claim), depth, column, comments, blank))
        pieces.clear()
        starts.clear()

    for kind, start, stop in automaton.tokens(text, "file"):
        match kind:
            case "_NL" | "$END":
                finish()
            case "_INDENT":
                depth += 1
            case "_DEDENT":
                depth -= 1
            case _:
                piece = Piece(kind, text[start:stop])
                _take_gap(text, end, start, previous, piece)
                pieces.append(piece)
                starts.append(start)
                previous, end = piece, stop
    last = Piece("$END", "")
    _take_gap(text, end, len(text), previous, last)
    return lines, last.above


def first_of(elements: list[Element]) -> Piece:
    """The piece that elements begin with."""
    first = elements[0]
    return first if isinstance(first, Piece) else first.opening


def all_pieces(elements: list[Element]) -> Iterator[Piece]:
    """The pieces among elements and in their brackets, in order but for commas."""
    for element in elements:
        if isinstance(element, Brackets):
            yield element.opening
            for item in element.items:
                yield from all_pieces(item)
            yield from element.commas
            yield element.closing
        else:
            yield element


def flat(text: str) -> list[Element]:
    """The elements of one expression. Raises the automaton's errors where it is none."""
    found = [Piece(kind, text[a:b]) for kind, a, b in automaton.tokens(text, "cond") if kind != "$END"]
    return _grouped(found, False)


def _column(text: str, offset: int) -> int:
    blank = text[text.rfind("\n", 0, offset) + 1 : offset]
    return blank.count(" ") + blank.count("\t") * TAB


def _take_gap(text: str, start: int, end: int, previous: Piece | None, piece: Piece) -> None:
    """Note what stands between two pieces: comments, line breaks and blank lines."""
    if end - start < 2 and text[start:end] != "\n":
        return
    breaks, ended = 0, previous is None
    for match in _GAP.finditer(text, start, end):
        found = match.group()
        if found == "\n":
            breaks, ended, piece.broken = breaks + 1, True, True
        elif found.startswith("\\"):
            ended = True
        elif previous is not None and not ended:
            previous.beside = comment_text(found)
        else:
            blank = breaks > 1 and (previous is not None or bool(piece.above))
            piece.above.append(Comment(comment_text(found), _column(text, match.start()), blank))
            breaks = 0
    piece.blank = breaks > 1 and (previous is not None or bool(piece.above))


def comment_text(text: str) -> str:
    """A comment as it is written: one space behind the `#`, none at the end."""
    text = text.rstrip()
    return f"# {text[1:]}" if re.match(r"#[^\s#!:=-]", text) else text


def _grouped(pieces: list[Piece], is_claim: bool) -> list[Element]:
    """The pieces of a logical line, brackets put together."""
    kind = pieces[0].kind
    elements: list[Element] = []
    around: list[tuple[Brackets, list[Element]]] = []
    tight = kind in ("RETURN", "CLAIMS")
    for index, piece in enumerate(pieces):
        here = around[-1][0] if around else None
        before = elements[-1] if elements else None
        if piece.kind in _OPENING:
            piece.spaced = _is_spaced(piece, before, here, tight)
            attached = before is not None and _ends_operand(before)
            if is_claim and not around and piece.kind == "LSQB":
                attached, piece.spaced = False, True
            sort = _sort(piece, attached, index == 2 and kind in ("KIND", "DEF"))
            around.append((Brackets(sort, piece, piece, [], []), elements))
            elements = []
        elif piece.kind in _CLOSING:
            assert here is not None
            if elements:
                here.items.append(elements)
            here.closing = piece
            if here.kind == "brackets" and (here.commas or not here.items):
                here.kind = "tuple"
            _settle_commas(here)
            _, elements = around.pop()
            elements.append(here)
        elif piece.kind == "COMMA" and here is not None and not _unpacks(elements):
            here.items.append(elements)
            here.commas.append(piece)
            elements = []
        else:
            piece.is_sign = piece.text in ("-", "+", "*") and (before is None or not _ends_operand(before))
            piece.spaced = _is_spaced(piece, before, here, tight)
            elements.append(piece)
    return elements


def _unpacks(elements: list[Element]) -> bool:
    """Whether elements end among the names that a `for` in brackets unpacks into."""
    for element in reversed(elements):
        if isinstance(element, Piece) and element.kind in ("FOR", "IN"):
            return element.kind == "FOR"
    return False


def _sort(opening: Piece, attached: bool, is_parameters: bool) -> str:
    match opening.kind:
        case "LPAR":
            return "parameters" if is_parameters else "call" if attached else "brackets"
        case "LSQB":
            return "subscript" if attached else "list"
    return "set"


def _ends_operand(element: Element) -> bool:
    return isinstance(element, Brackets) or element.kind in _OPERANDS


def _is_spaced(piece: Piece, before: Element | None, here: Brackets | None, tight: bool) -> bool:
    """Whether a space stands between a piece and what is before it, where both are on one line."""
    if before is None or piece.kind == "COMMA":
        return False
    kinds = {piece.kind, before.kind}
    if isinstance(before, Piece) and before.is_sign:
        return False
    if piece.text in (".", "..", ":") or (isinstance(before, Piece) and before.text in (".", "..")):
        return False
    if "COLON" in kinds:
        return here is None or here.kind != "subscript"
    if "EQUAL" in kinds:
        return here.kind == "parameters" if here is not None else not tight
    if piece.kind in _OPENING:
        return not _ends_operand(before)
    return True


def _settle_commas(brackets: Brackets) -> None:
    """Hand comments above a comma to what follows it: a comma stays where it is, behind its item."""
    for index, comma in enumerate(brackets.commas):
        if not comma.above:
            continue
        following = brackets.items[index + 1 :]
        piece = first_of(following[0]) if following else brackets.closing
        moved = [*comma.above, *([Comment(comma.beside, 0, False)] if comma.beside else [])]
        piece.above[:0] = moved
        piece.broken = True
        comma.above, comma.beside = [], ""
