"""Syntax errors, in the words of whoever wrote the text."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from archspec.ground import codes
from archspec.syntax.automaton import Stuck
from archspec.syntax.other_languages import construct_at

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


def unexpected(text: str, fault: Stuck, whole: str) -> Unexpected:
    """The error for a place where a text, a `whole` file or expression, departs from the grammar."""
    offset, token, kind, expected = fault.start, fault.token, fault.kind, fault.expected
    opened = _open_bracket(text, fault.since, offset)
    if kind == "$END" or (not text[offset:].strip() and kind != "_NL"):
        if opened is not None:
            return Unexpected(opened, opened + 1, f"unclosed `{text[opened]}`", code=codes.UNCLOSED)
        end = len(text.rstrip())
        return Unexpected(end, end + 1, f"unexpected end of {whole}", _expected(expected))
    line = text.rfind("\n", 0, offset) + 1
    if found := construct_at(text, line, _line_end(text, offset), offset):
        start, end, construct = found
        return Unexpected(
            start, end, construct.message, construct.help, codes.OTHER_LANGUAGE, construct.instead
        )
    if token is None:
        return _character(text, offset)
    if opened is not None and opened < line and _indentation(text, line) <= _indentation(text, opened):
        number = text.count("\n", 0, offset) + 1
        help_ = f"`{token}` in line {number} cannot stand in it" if token.strip() else ""
        return Unexpected(opened, opened + 1, f"unclosed `{text[opened]}`", help_, codes.UNCLOSED)
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
        help_ = _expected(expected) or _missing(text[line:offset])
        sure = ":\n" if "COLON" in expected and re.match(_WITH_COLON, text[line:offset]) else None
        return Unexpected(offset, offset + 1, "unexpected end of line", help_, instead=sure)
    return (
        _misplaced_word(text, line, offset, expected)
        or _item(text, line, offset, token, expected)
        or _side_by_side(text, line, offset, token)
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
    help_, sure = _INSTEAD.get(character, ""), _SURE.get(character)
    if character == ";" and not text[offset + 1 : _line_end(text, offset)].split("#")[0].strip():
        help_, sure = "a statement ends with its line", ""
    if character.isalpha():
        help_ = "names consist of ASCII letters, digits and `_`"
    return Unexpected(offset, offset + 1, f"unexpected {shown}", help_, codes.CHARACTER, sure)


def _misplaced_word(text: str, line: int, offset: int, expected: Set[str]) -> Unexpected | None:
    """The error for a line that starts with a word of Python, or with one that belongs elsewhere."""
    first = re.compile(r"[ \t]*(\w+)[ \t]*").match(text, line)
    if first is None or first.end() != offset:
        return None
    word, start, end = first.group(1), *first.span(1)
    if word == "else" and expected == {"COLON"}:
        help_ = f"write `elif {text[offset : _line_end(text, offset)].split('#')[0].strip()}`"
        return Unexpected(start, end, "`else` has no condition", help_, codes.MISPLACED, "elif")
    if word == "else" or (word == "elif" and "EQUAL" in expected):
        return Unexpected(start, end, f"`{word}` without an `if`", "indent it like its `if`", codes.MISPLACED)
    if start == line and word in _INSIDE:
        help_ = "indent it under `block Name:` or `model Name:`"
        return Unexpected(start, end, f"`{word}` outside of a block or model", help_, codes.MISPLACED)
    if start > line and word in _OUTSIDE:
        return Unexpected(
            start, end, f"`{word}` inside of a block", "move it to the top level", codes.MISPLACED
        )
    return None


def _item(text: str, line: int, offset: int, token: str, expected: Set[str]) -> Unexpected | None:
    """The error for two items of a list, or two arguments, without a comma between them."""
    before = re.search(r"([\w.]+(?:\([^()\n]*\))?)[ \t]+\Z", text[line:offset])
    if before is None or not {"COMMA"} <= expected or not re.match(r"[A-Za-z_]\w*\Z", token):
        return None
    if not expected & {"RSQB", "RPAR"}:
        return None
    help_ = f"write a comma between them, `{before[1]}, {token}`; or an arrow, `{before[1]} -> {token}`"
    return Unexpected(offset, offset + len(token), f"unexpected `{token}`", help_)


def _side_by_side(text: str, line: int, offset: int, token: str) -> Unexpected | None:
    """The error for two words between which something is missing or too much."""
    before = text[line:offset]
    for looks_before, looks_here, said in _SIDE_BY_SIDE:
        if re.search(looks_before, before) and re.match(looks_here, token):
            match = re.search(r"(\w+)\s*=?\Z", before)
            help_ = said.format(before=match[1] if match else "", here=token)
            return Unexpected(offset, offset + len(token), f"unexpected `{token}`", help_)
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
    elif token == ">" and (parted := re.search(r"-[ \t]+\Z", text[line:offset])):
        start = line + parted.start()
        return Unexpected(start, offset + 1, "unexpected `>`", "write `->` in one", instead="->")
    elif token == "->":
        help_ = _ARROW
    elif token == ":" and "RPAR" in expected and not text[offset + 1 : _line_end(text, offset)].strip():
        return Unexpected(offset, offset + 1, "unexpected `:`", "close the `(` before it", instead="):")
    elif opened is not None and opened < line:
        number = text.count("\n", 0, opened) + 1
        help_ = f"the `{text[opened]}` in line {number} is still open"
    return Unexpected(offset, offset + len(token), f"unexpected `{token}`", help_)


def _open_bracket(text: str, start: int, offset: int) -> int | None:
    """The offset of the innermost bracket that is open at an offset, of those behind `start`."""
    opened: list[int] = []
    for match in _STRINGS_COMMENTS_BRACKETS.finditer(text, start, offset):
        if match.group() in ("(", "[", "{"):
            opened.append(match.start())
        elif match.group() in (")", "]", "}") and opened:
            opened.pop()
    return opened[-1] if opened else None


def _indentation(text: str, offset: int) -> int:
    """In which column the line of an offset starts."""
    start = text.rfind("\n", 0, offset) + 1
    return next((at for at in range(start, len(text)) if text[at] != " "), len(text)) - start


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


def _missing(before: str) -> str:
    """What a line lacks that ends too soon."""
    if before.rstrip().endswith("->"):
        return "a layer follows `->`: `x -> ReLU`"
    if before.rstrip().endswith(","):
        return "remove the comma, or write what follows it"
    return "a value is missing" if before.strip() else ""


_SIDE_BY_SIDE = (
    (r"->[^:]*\)?\s\Z", "as\\Z", "the name of a step comes first: `x -> name: Layer`"),
    (
        r"\A\s*\w+\s*\Z",
        ":\\Z",
        "values have no types: `{before} = 3`; an input is `input {before}: [3, 32, 32]`",
    ),
    (r"\A\s*\w+\s*=\Z", "=\\Z", "one `=` assigns, two compare: `{before} = 3`"),
    (r"\A\s*input\s+\w+\s*:[^\[]*\Z", ",\\Z", "a shape stands in brackets: `[3, 32, 32]`"),
    (r"''\Z", "'", 'long strings stand between `"""`'),
    (r"\(\s*\w+\s*\Z", ":\\Z", "the name of a step stands behind `->` or in a list: `[{before}: ReLU]`"),
    (r"\d\Z", r"\.\.\Z", "numbers in a row are `range(1, 4)`: 1, 2 and 3"),
    (r"(?<![\w.])\d+\Z", "[A-Za-z_]", "write `{before} * {here}`; a name does not begin with a digit"),
    (r"\b[A-Z]\w*\s+\Z", r"\d|[\"']", "arguments stand in brackets: `{before}({here})`"),
    (r"[\w)\]]\s+\Z", "[A-Z]\\w*\\Z", "write `->` between a tensor and a layer: `{before} -> {here}`"),
)
"""Of a word that cannot stand there: what is before it, how it looks, and what to write."""
_WITH_COLON = re.compile(r"\s*(?:if|elif|else|for|block|model|def|defaults|claims|names)\b")
_OUTPUTS = "name every output, as in `return a=x, b=y`, or none"
_ARROW = "`->` takes a tensor and a layer: `x -> ReLU`"
_SURE = {
    "→": "->", "⟶": "->", "⇒": "->", "×": "*", "−": "-", "“": '"', "”": '"', "‘": '"', "’": '"',
}  # fmt: skip
_INSIDE = {"return", "input", "shared", "weight", "buffer", "constant"}
_OUTSIDE = {"from", "block", "model", "def", "claims", "names"}
_INSTEAD = {
    "&": "write `and`", "|": "write `or`; the arrow is `->`", "^": "write `**` for powers",
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
