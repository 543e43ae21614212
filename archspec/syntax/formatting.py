"""The canonical style of specs: `archspec fmt`."""

from __future__ import annotations

import re

from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Source
from archspec.syntax import tree as t
from archspec.syntax.layout import document, flat_text
from archspec.syntax.parsing import parse_file
from archspec.syntax.pieces import Comment, Line, Piece, all_pieces, flat, lines_of
from archspec.syntax.printing import INDENT, WIDTH, Printed, Printer

_DEFINITIONS = ("KIND", "DEF", "CLAIMS", "NAMES")
_HEADERS = ("IF", "ELIF", "FOR")
_ALLOW = re.compile(r"#\s*allow\s")
_ANY = 10**9
_MOST_ROUNDS = 5


def format_text(text: str, path: str = "spec.arch") -> str:
    """A spec in the canonical style: the same tree, the same comments in the same order.

    `path` is what errors call the text. Lines end as most of the text's do. Raises SpecError where the text is not a spec.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    plain = text.removeprefix(mark).replace("\r\n", "\n").replace("\r", "\n")
    if not plain.strip():
        return mark
    before = parse_file(Source(path, plain))
    try:
        result = _settled(plain if plain.endswith("\n") else plain + "\n")
    except RecursionError:
        raise SpecError.of(
            codes.TOO_DEEP, f"{path} is nested too deeply", help="give parts of it names"
        ) from None
    _require_same(before, result, path)
    if text.count("\r\n") * 2 > text.count("\n"):
        result = result.replace("\n", "\r\n")
    return mark + result


def _settled(text: str) -> str:
    """The text formatted until it stays: a line that is broken may bring a comment below it to another place."""
    for _ in range(_MOST_ROUNDS):
        result = _formatted(text)
        if result == text:
            break
        text = result
    return text


def _formatted(text: str) -> str:
    lines, below = lines_of(text)
    printed: list[Printed] = []
    columns: list[int] = []  # where the blocks around the line above start
    for index, line in enumerate(lines):
        depths = _depths(line.comments, columns, line.depth)
        opens = line.depth >= len(columns)
        columns[line.depth :] = [line.column]
        blanks = [comment.blank for comment in line.comments]
        blanks.append(line.blank and line.kind not in ("ELSE", "ELIF"))
        level = depths.index(line.depth) if line.depth in depths else len(depths)
        if index and (
            _ends_definition(lines, index) or (_begins_definition(lines, index) and not any(blanks[level:]))
        ):
            blanks[level] = True
        if opens:
            blanks[0] = False
        _put_comments(printed, line.comments, depths, blanks)
        printed += [Printed("")] if blanks[-1] else []
        printed += _laid_out(line)
    _put_comments(printed, below, _depths(below, columns, 0), [comment.blank for comment in below])
    _align_comments(printed)
    return "".join(f"{line.text}{line.beside}\n" for line in printed)


def _put_comments(
    printed: list[Printed], comments: list[Comment], depths: list[int], blanks: list[bool]
) -> None:
    for comment, depth, blank in zip(comments, depths, blanks, strict=False):
        printed += [Printed("")] if blank else []
        printed.append(Printed(" " * INDENT * depth + comment.text))


def _depths(comments: list[Comment], columns: list[int], depth: int) -> list[int]:
    """How deep each comment above a line is indented: as the line is, or as a block above it that starts no further right.

    `columns` are where the line before and the blocks around it start.
    """
    inner = range(depth + 1, len(columns))
    return [
        max((level for level in inner if columns[level] <= comment.column), default=depth)
        for comment in comments
    ]


def _is_long(lines: list[Line], index: int) -> bool:
    """Whether a line has a block of lines under it."""
    return index + 1 < len(lines) and lines[index + 1].depth > lines[index].depth


def _begins_definition(lines: list[Line], index: int) -> bool:
    return lines[index].depth == 0 and lines[index].kind in _DEFINITIONS and _is_long(lines, index)


def _ends_definition(lines: list[Line], index: int) -> bool:
    """Whether the line is the first behind a definition of several lines."""
    if lines[index].depth or not lines[index - 1].depth:
        return False
    head = next(i for i in range(index - 1, -1, -1) if not lines[i].depth)
    return lines[head].kind in _DEFINITIONS


def _laid_out(line: Line) -> list[Printed]:
    """A logical line as it is printed."""
    indent = INDENT * line.depth
    first = line.elements[0]
    if len(line.elements) == 1 and isinstance(first, Piece) and first.kind == "STRING":
        first.text = _docstring(first.text, indent)
    else:
        for piece in all_pieces(line.elements):
            piece.text = _canonical(piece.kind, piece.text)
    comma = next((i for i, e in enumerate(line.elements) if isinstance(e, Piece) and e.kind == "COMMA"), 0)
    # What a comment allows is on its own line: nothing may leave that.
    keeps = any(_ALLOW.match(piece.beside) for piece in all_pieces(line.elements))
    if line.kind == "REQUIRE" and comma:
        # A message stays on the line of its condition, however long it is.
        condition = document(line.elements[:comma])
        keeps |= not condition.forced and indent + condition.first <= WIDTH
    printer = Printer(indent, _ANY if keeps else WIDTH, 2 * INDENT if line.kind in _HEADERS else INDENT)
    return printer.printed(document(line.elements))


# ------------------------------------------------------------------ tokens


def _canonical(kind: str, text: str) -> str:
    match kind:
        case "INT":
            return re.sub(r"^[0_]+(?=[0-9])", "", text)
        case "FLOAT":
            number, mark, exponent = text.lower().partition("e")
            number = re.sub(r"^[0_]+(?=[0-9])", "", number)
            sign = "-" if exponent.startswith("-") else ""
            return f"{number}{mark}{sign}{exponent.lstrip('+-').lstrip('0') or '0'}" if mark else number
        case "STRING":
            return _string(text)
    return text


def _string(text: str) -> str:
    """A string in double quotes where that takes no escapes; what is in braces is laid out as elsewhere."""
    if text.startswith('"""'):
        return text
    text = _quoted(text)
    parts = re.split(r"(\{\{|\}\}|\{[^}]*\})", text)
    return "".join(_hole(part) if i % 2 else part for i, part in enumerate(parts))


def _hole(text: str) -> str:
    if text in ("{{", "}}") or "#" in text:
        return text
    elements = flat(text[1:-1])
    for piece in all_pieces(elements):
        if piece.kind != "STRING":
            piece.text = _canonical(piece.kind, piece.text)
    return f"{{{flat_text(document(elements, 1))}}}"


def _docstring(text: str, indent: int) -> str:
    """A docstring, its lines indented as its first one is."""
    if not text.startswith('"""'):
        return _quoted(text)
    first, *lines = text[3:-3].split("\n")
    if "\\" in text or not lines:
        return text
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    moved = [" " * indent + line[margin:].rstrip() if line.strip() else "" for line in lines]
    if not lines[-1].strip():
        moved[-1] = " " * indent
    return "\n".join(['"""' + first.strip(), *moved]) + '"""'


def _quoted(text: str) -> str:
    """A string in double quotes where that takes no escapes."""
    quote, body = text[0], text[1:-1]
    if quote == "'" and '"' not in body:
        return '"' + re.sub(r"\\(.)", lambda m: m[1] if m[1] == "'" else m[0], body) + '"'
    return text


# ------------------------------------------------------------------ comments


def _align_comments(printed: list[Printed]) -> None:
    """Put comments behind lines two spaces from them, and those of neighbouring lines, or of the same brackets, in one column."""
    groups: dict[object, list[Printed]] = {}
    above: Printed | None = None
    number = 0
    for line in printed:
        if line.beside:
            if above is None or not above.beside or _indent(above) != _indent(line):
                number += 1
            groups.setdefault(id(line.group) if line.group else -number, []).append(line)
        above = line
    for lines in groups.values():
        fitting = [line for line in lines if len(line.text) + 2 + len(line.beside) <= WIDTH]
        column = max((len(line.text) + 2 for line in fitting), default=0)
        aligned = all(column + len(line.beside) <= WIDTH for line in fitting)
        for line in lines:
            line.text = line.text.ljust(column if aligned and line in fitting else 0)
            line.beside = line.beside if line.text.endswith("  ") else f"  {line.beside}"


def _indent(line: Printed) -> int:
    return len(line.text) - len(line.text.lstrip())


# ------------------------------------------------------------------ safety


def _require_same(before: t.File, result: str, path: str) -> None:
    """SpecError unless the result says what the text said: a mistake here must not change what anyone wrote."""
    try:
        after: t.File | None = parse_file(Source(path, result))
    except SpecError:
        after = None
    if after is None or not same(before, after):
        message = f"{path} cannot be formatted: the result would say something else"
        raise SpecError.of(
            codes.SYNTAX, message, help="this is a mistake in archspec: please report it with the file"
        )


def same(before: t.File, after: t.File) -> bool:
    """Whether two files say the same, with the same comments: whatever they look like."""
    if [_plain(comment) for comment in before.comments] != [_plain(comment) for comment in after.comments]:
        return False
    stack: list[tuple[object, object]] = [(before.statements, after.statements)]
    while stack:
        left, right = stack.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, t.Tree):
            names = left.field_names
            stack += [(getattr(left, name), getattr(right, name)) for name in names if name != "span"]
        elif isinstance(left, tuple) and isinstance(right, tuple):
            if len(left) != len(right):
                return False
            stack += zip(left, right, strict=True)
        elif left != right:
            return False
    return True


def _plain(comment: t.Comment) -> str:
    return "".join(comment.text.split())
