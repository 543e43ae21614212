"""Numbers and strings as they are written: what each stands for."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isinf

from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Span
from archspec.syntax import tree as t

_HOLE = re.compile(r"\{\{|\}\}|\{|\}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "\n": ""}


def whole_number(text: str, span: Span) -> int:
    """The number that digits stand for. Raises SpecError where it has more than 30, or they are misplaced."""
    figures = digits(text, span)
    if len(figures) > 30:
        raise SpecError.of(codes.NOT_FINITE, "the number has more than 30 digits", span)
    return int(figures)


def decimal_number(text: str, span: Span) -> float:
    """The number that digits with a point or an exponent stand for. Raises SpecError where a float cannot hold it."""
    value = float(digits(text, span))
    if isinf(value):
        raise SpecError.of(codes.NOT_FINITE, "the number is too large for a float", span)
    return value


def docstring(token: str) -> str:
    """The text of a string that stands alone, without the indentation of its lines."""
    quotes = 3 if token.startswith('"""') else 1
    lines = _unescaped(token[quotes:-quotes]).split("\n")
    return "\n".join([lines[0].strip(), *_dedented(lines[1:])]).strip()


def string(
    token: str, span: Span, hole: Callable[[int, int], t.Expression]
) -> tuple[str | t.Expression, ...]:
    """The parts of a string, in which `{expression}` is a hole and `{{` a brace; `hole` parses what stands between two offsets.

    Raises SpecError for a brace without its partner, and what `hole` raises.
    """
    quotes = 3 if token.startswith('"""') else 1
    body, start = token[quotes:-quotes], span.start + quotes
    parts: list[str | t.Expression] = []
    position = 0
    while position < len(body):
        match = _HOLE.search(body, position)
        parts.append(_unescaped(body[position : match.start() if match else len(body)]))
        if match is None:
            break
        if match.group() in ("{{", "}}"):
            parts.append(match.group()[0])
            position = match.end()
            continue
        close = body.find("}", match.end())
        if match.group() == "}" or close < 0:
            raise SpecError.of(
                codes.BRACE,
                f"unmatched `{match.group()}` in a string",
                Span(span.source, start + match.start(), start + match.end()),
                help=f"write `{match.group() * 2}` for the brace itself",
            )
        parts.append(hole(start + match.end(), start + close))
        position = close + 1
    return tuple(part for part in parts if part != "")


def digits(text: str, span: Span) -> str:
    """The text of a number without its underscores. SpecError when one does not stand between two digits."""
    if not text.isascii():
        raise SpecError.of(codes.SYNTAX, f"`{text}` is not a number", span, help="use the digits 0 to 9")
    if re.search(r"_(?![0-9])", text):
        raise SpecError.of(
            codes.SYNTAX, f"`{text}` is not a number", span, help="`_` goes between two digits: `1_000`"
        )
    return text.replace("_", "")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match.group(1), match.group()), text, flags=re.S)


def _dedented(lines: list[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[margin:].rstrip() for line in lines]
