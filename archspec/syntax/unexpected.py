"""Syntax errors, in the words of whoever wrote the text."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from archspec.ground import codes

_STRINGS_COMMENTS_BRACKETS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[()\[\]{}]', re.S
)


@dataclass(frozen=True)
class Unexpected:
    """A syntax error: offsets into the text, the message, and how to mend it."""

    start: int
    end: int
    message: str
    help: str = ""
    code: str = codes.SYNTAX
    instead: str | None = None  # what to write in this place, where that is sure


def unexpected(
    text: str, offset: int, token: str | None, kind: str, expected: Set[str], whole: str
) -> Unexpected:
    """The error for the first place where a text departs from the grammar.

    `token` is the word found there, None for a character that starts none; `kind` is the grammar's name for it, `expected`
    the names of the tokens that could follow instead. `whole` is what the text is: file, or expression.
    """
    opened = _open_bracket(text, offset)
    if kind == "$END" or (not text[offset:].strip() and kind != "_NL"):
        if opened is not None:
            return Unexpected(opened, opened + 1, f"unclosed `{text[opened]}`", code=codes.UNCLOSED)
        end = len(text.rstrip())
        return Unexpected(end, end + 1, f"unexpected end of {whole}", _expected(expected))
    if token is None:
        return _character(text, offset)
    line = text.rfind("\n", 0, offset) + 1
    if expected == {"_INDENT"}:
        offset += len(text[offset:]) - len(text[offset:].lstrip())
        message = "expected an indented block after the line above"
        return Unexpected(
            offset, _line_end(text, offset), message, "indent its lines by four spaces", codes.INDENTATION
        )
    if kind == "_INDENT":
        offset += len(text[offset:]) - len(text[offset:].lstrip())
        message = "unexpected indentation"
        return Unexpected(
            offset, _line_end(text, offset), message, indentation_help(text, offset), codes.INDENTATION
        )
    if kind == "_NL":
        return Unexpected(offset, offset + 1, "unexpected end of line", _expected(expected))
    return (
        _misplaced_word(text, line, offset)
        or _assignment(text, line, offset, token, expected)
        or _other(text, line, offset, token, expected, opened)
    )


def indentation_help(text: str, offset: int) -> str:
    """How to indent the line that begins at an offset."""
    line = text.rfind("\n", 0, offset) + 1
    if "\t" in text[line:offset]:
        return "indent with spaces: a tab counts as eight"
    return "the lines of a block start in the same column; indent each level by four spaces"


def _character(text: str, offset: int) -> Unexpected:
    """The error for a character that starts no token."""
    character = text[offset]
    if character in "\"'":
        long = text.startswith('"""', offset)
        return Unexpected(
            offset,
            _line_end(text, offset),
            "unterminated string",
            'close it with `"""`' if long else "close it on this line, or use triple quotes",
            codes.UNCLOSED,
        )
    if character == "-" and text.startswith("->", offset):
        return Unexpected(offset, offset + 2, "unexpected `->`", _ARROW)
    shown = f"`{character}`" if character.isprintable() else f"character U+{ord(character):04X}"
    help_ = _INSTEAD.get(character, "")
    if character.isalpha():
        help_ = "names consist of ASCII letters, digits and `_`"
    return Unexpected(offset, offset + 1, f"unexpected {shown}", help_, codes.CHARACTER, _SURE.get(character))


def _misplaced_word(text: str, line: int, offset: int) -> Unexpected | None:
    """The error for a line that starts with a word of Python, or with one that belongs elsewhere."""
    first = re.compile(r"[ \t]*(\w+)[ \t]*").match(text, line)
    if first is None or first.end() != offset:
        return None
    word, start, end = first.group(1), *first.span(1)
    if word in _PYTHON:
        return Unexpected(start, end, f"there is no `{word}`", _PYTHON[word], codes.OTHER_LANGUAGE)
    if word in ("else", "elif"):
        return Unexpected(start, end, f"`{word}` without an `if`", "indent it like its `if`", codes.MISPLACED)
    if start == line and word in _INSIDE:
        help_ = "indent it under `block Name:` or `model Name:`"
        return Unexpected(start, end, f"`{word}` outside of a block or model", help_, codes.MISPLACED)
    if start > line and word in _OUTSIDE:
        return Unexpected(
            start, end, f"`{word}` inside of a block", "move it to the top level", codes.MISPLACED
        )
    return None


def _assignment(text: str, line: int, offset: int, token: str, expected: Set[str]) -> Unexpected | None:
    """The error for `=` where `==` is meant, and for a statement without `=`."""
    first = text[line:offset].split(maxsplit=1)
    if token == "=" and first and first[0] in ("if", "elif", "require"):
        return Unexpected(offset, offset + 1, "unexpected `=`", "write `==` to compare", instead="==")
    own = re.fullmatch(r"\s*(weight|buffer|constant|shared)\s+(\w+)\s*", text[line:offset])
    if token == "as" and own:
        help_ = f'a key before `as` is a string: `{own[1]} "{own[2]}" as name`'
        return Unexpected(offset, offset + 2, "unexpected `as`", help_)
    if {"EQUAL"} <= expected <= {"EQUAL", "COMMA", "AUGMENTED"}:
        if first and first[0] == "return":
            return Unexpected(offset, offset + len(token), f"unexpected `{token}`", _OUTPUTS)
        help_ = "assign the value, as in `y = x -> ReLU`, or `return` it"
        return Unexpected(offset, offset + len(token), f"unexpected `{token}`", help_)
    return None


def _other(
    text: str, line: int, offset: int, token: str, expected: Set[str], opened: int | None
) -> Unexpected:
    help_ = _expected(expected)
    if token == ">" and text.startswith("->", offset - 1):
        offset, token, help_ = offset - 1, "->", _ARROW
    elif token == "->":
        help_ = _ARROW
    elif opened is not None and opened < line:
        number = text.count("\n", 0, opened) + 1
        help_ = f"the `{text[opened]}` in line {number} is still open"
    return Unexpected(offset, offset + len(token), f"unexpected `{token}`", help_)


def _open_bracket(text: str, offset: int) -> int | None:
    """The offset of the innermost bracket that is open at an offset."""
    opened: list[int] = []
    for match in _STRINGS_COMMENTS_BRACKETS.finditer(text, 0, offset):
        if match.group() in ("(", "[", "{"):
            opened.append(match.start())
        elif match.group() in (")", "]", "}") and opened:
            opened.pop()
    return opened[-1] if opened else None


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def _expected(expected: Set[str]) -> str:
    """A help line with what could follow, if that is short enough to help."""
    words = sorted({word for name in expected if (word := _WORDS.get(name, ""))})
    if not 0 < len(words) <= 4:
        return ""
    *others, last = words
    return f"expected {', '.join(others)} or {last}" if others else f"expected {last}"


_OUTPUTS = "name every output, as in `return a=x, b=y`, or none"
_ARROW = "`->` takes a tensor and a layer: `x -> ReLU`"
_PYTHON = {
    "class": "write `block Name:` for what is used again",
    "while": "loops run over lists: `for i in range(n):`",
    "import": "write `from family import Name`",
}
_SURE = {
    "→": "->", "⟶": "->", "⇒": "->", "×": "*", "−": "-", "“": '"', "”": '"', "‘": '"', "’": '"',
}  # fmt: skip
_INSIDE = {"return", "input", "shared", "weight", "buffer", "constant"}
_OUTSIDE = {"from", "block", "model", "def", "claims"}
_INSTEAD = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "^": "write `**` for powers",
    "→": "write `->`", "⟶": "write `->`", "⇒": "write `->`", "×": "write `*`", "−": "write `-`",
    "“": 'write straight quotes, `"`', "”": 'write straight quotes, `"`', "‘": 'write straight quotes, `"`',
    "’": 'write straight quotes, `"`', ";": "start a new line for each statement",
}  # fmt: skip
_WORDS = {
    "NAME": "a name", "INT": "a number", "FLOAT": "", "FIGURE": "a figure such as `25.56M`",
    "STRING": "a string", "_NL": "the end of the line", "_INDENT": "an indented line", "_DEDENT": "",
    "$END": "the end of the file", "COMPARE": "a comparison", "ADDITIVE": "`+`", "MULTIPLICATIVE": "",
    "KIND": "`block`", "OWN": "", "AS": "`as`", "EQUAL": "`=`", "AUGMENTED": "", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`",
    "LBRACE": "`{`", "RBRACE": "`}`", "COMMA": "`,`", "COLON": "`:`", "DOT": "", "__ANON_0": "", "STAR": "",
}  # fmt: skip
