"""What is wrong with a text that does not parse, said as its writer would see it."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

_STRINGS_COMMENTS_BRACKETS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[()\[\]{}]', re.S
)


@dataclass(frozen=True)
class Unexpected:
    """What cannot stand where it does: offsets into the text, what is said of it, and the mend."""

    start: int
    end: int
    message: str
    help: str = ""


def unexpected(
    text: str, offset: int, token: str | None, kind: str, expected: Set[str], whole: str
) -> Unexpected:
    """What to say of the first place at which the text is not what the grammar expects.

    `token` is the word found there, None for a character that begins none, and `kind` the name that the
    grammar gives it; `expected` are the names of those that may stand there. `whole` is what the text is:
    a file, or an expression.
    """
    opened = _open_bracket(text, offset)
    if kind == "$END" or (not text[offset:].strip() and kind != "_NL"):
        if opened is not None:
            return Unexpected(opened, opened + 1, f"the `{text[opened]}` is never closed")
        end = len(text.rstrip())
        return Unexpected(end, end + 1, f"{whole} ends too early", _expected(expected))
    if token is None:
        return _character(text, offset)
    line = text.rfind("\n", 0, offset) + 1
    if expected == {"_INDENT"}:
        offset += len(text[offset:]) - len(text[offset:].lstrip())
        message = "the line above opens a block, but this line is not indented"
        return Unexpected(
            offset, _line_end(text, offset), message, "indent the lines of a block by four spaces"
        )
    if kind == "_INDENT":
        offset += len(text[offset:]) - len(text[offset:].lstrip())
        message = "the line is indented, but the line above opens no block"
        return Unexpected(offset, _line_end(text, offset), message, indentation_help(text, offset))
    if kind == "_NL":
        return Unexpected(offset, offset + 1, "the line ends too early", _expected(expected))
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
    return "the lines of one block begin in the same column; indent each level by four spaces"


def _character(text: str, offset: int) -> Unexpected:
    """What to say of a character that begins no word of the language."""
    character = text[offset]
    if character in "\"'":
        long = text.startswith('"""', offset)
        return Unexpected(
            offset,
            _line_end(text, offset),
            "the string does not end",
            'close it with `"""`' if long else "close it on the same line, or use triple quotes",
        )
    if character == "-" and text.startswith("->", offset):
        return Unexpected(offset, offset + 2, "`->` cannot stand here", _ARROW)
    shown = f"`{character}`" if character.isprintable() else f"the character U+{ord(character):04X}"
    help_ = _INSTEAD.get(character, "")
    if character.isalpha():
        help_ = "names are made of the letters a to z and A to Z, digits and `_`"
    return Unexpected(offset, offset + 1, f"{shown} cannot stand here", help_)


def _misplaced_word(text: str, line: int, offset: int) -> Unexpected | None:
    """What to say of a line that begins with a word of Python, or with one that stands elsewhere."""
    first = re.compile(r"[ \t]*(\w+)[ \t]*").match(text, line)
    if first is None or first.end() != offset:
        return None
    word, start, end = first.group(1), *first.span(1)
    if word in _PYTHON:
        return Unexpected(start, end, f"there is no `{word}`", _PYTHON[word])
    if word in ("else", "elif"):
        return Unexpected(
            start, end, f"`{word}` has no `if`", "it is indented like the `if` that it belongs to"
        )
    if start == line and word in _INSIDE:
        help_ = "indent it under a `block Name:` or a `model Name:`"
        return Unexpected(start, end, f"`{word}` stands inside a block or a model only", help_)
    if start > line and word in _OUTSIDE:
        return Unexpected(start, end, f"`{word}` stands outside of blocks only", "do not indent it")
    return None


def _assignment(text: str, line: int, offset: int, token: str, expected: Set[str]) -> Unexpected | None:
    """What to say of `=` where it compares nothing, and of a statement that has no `=`."""
    first = text[line:offset].split(maxsplit=1)
    if token == "=" and first and first[0] in ("if", "elif", "require"):
        return Unexpected(offset, offset + 1, "`=` cannot stand here", "to compare, write `==`")
    if {"EQUAL"} <= expected <= {"EQUAL", "COMMA"}:
        target = text[line:offset].strip()
        if text.startswith("=", offset + len(token)) and token in ("+", "-", "*", "/", "//", "%", "**"):
            message = f"there is no `{token}=`"
            return Unexpected(
                offset, offset + len(token) + 1, message, f"write `{target} = {target} {token} ...`"
            )
        if first and first[0] == "return":
            return Unexpected(offset, offset + len(token), f"`{token}` cannot stand here", _OUTPUTS)
        help_ = "give the value a name, as in `y = x -> ReLU`, or `return` it"
        return Unexpected(offset, offset + len(token), f"`{token}` cannot stand here", help_)
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
        help_ = f"the `{text[opened]}` of line {number} is still open"
    return Unexpected(offset, offset + len(token), f"`{token}` cannot stand here", help_)


def _open_bracket(text: str, offset: int) -> int | None:
    """Where the innermost bracket that is open at an offset stands."""
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
    """What may stand at a place, if that is little enough to be worth saying."""
    words = sorted({word for name in expected if (word := _WORDS.get(name, ""))})
    return f"here may stand {' or '.join(words)}" if 0 < len(words) <= 4 else ""


_OUTPUTS = "name all outputs, as in `return a=x, b=y`, or none"
_ARROW = "`->` stands between a tensor and a layer: `x -> ReLU`"
_PYTHON = {
    "def": "what can be used again is a `block Name:`",
    "class": "what can be used again is a `block Name:`",
    "while": "repetition is over finite lists: `for i in range(n):`",
    "import": "write `from family import Name`",
}
_INSIDE = {"if", "for", "return", "input", "require", "shared", "weight", "buffer", "constant"}
_OUTSIDE = {"from", "block", "model", "claims"}
_INSTEAD = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "^": "a power is `**`",
    "→": "write `->`", "⟶": "write `->`", "⇒": "write `->`", "×": "write `*`", "−": "write `-`",
    "“": 'write straight quotes, `"`', "”": 'write straight quotes, `"`', "‘": 'write straight quotes, `"`',
    "’": 'write straight quotes, `"`', ";": "each statement has a line of its own",
}  # fmt: skip
_WORDS = {
    "NAME": "a name", "INT": "a number", "FLOAT": "", "FIGURE": "a figure such as `25.56M`",
    "STRING": "a string", "_NL": "the end of the line", "_INDENT": "an indented line", "_DEDENT": "",
    "$END": "the end of the file", "COMPARE": "a comparison", "ADDITIVE": "`+`", "MULTIPLICATIVE": "",
    "KIND": "`block`", "OWN": "", "EQUAL": "`=`", "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`",
    "LBRACE": "`{`", "RBRACE": "`}`", "COMMA": "`,`", "COLON": "`:`", "DOT": "", "__ANON_0": "", "STAR": "",
}  # fmt: skip
