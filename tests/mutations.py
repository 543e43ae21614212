"""Texts changed by chance: by token, by character and by line."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|\n[ ]*|[ ]+|->|\.\.|//|\*\*|[=!<>]=|[^\w\s]')
_WORDS = """
    0 -1 1_ 1e999 1e308 10**20 2**63 none true len range Conv ReLU Conv(8) constant zeros normal concat x x.shape free C
    *S [] () [1] [[1]] "" "a{{" "{x}" "a.b" "__class__" half type -> : , = .. in not if else return input weight buffer
    shared block model require claims # \\ ( ) [ ] { } ' " @ % // ** == <= + - * / . [0] [1:-1] [::0] .weight .shape
    sum max min GlobalAvgPool Flatten AdaptiveAvgPool(1) Index Scale f16 i64 bool def defaults import from as for at by
    and or += == != floor ceil round index any all sorted reversed zip enumerate
"""
WORDS = _WORDS.split()
CHARACTERS = list(" \n\t\r\f\v\"'#\\()[]{}:,=.+-*/@%<>!_0179aZé😀２\x1b\u0301\u2028\u202e\ufeff")


def by_token(text: str, draw: random.Random) -> str:
    """The text with a few tokens dropped, doubled, swapped, replaced or put in."""
    tokens = TOKEN.findall(text) or [""]
    for _ in range(draw.randint(1, 3)):
        _change(tokens, WORDS, draw)
    return "".join(tokens)


def by_character(text: str, draw: random.Random) -> str:
    """The text with a few characters dropped, doubled, swapped, replaced or put in."""
    characters = list(text) or [""]
    for _ in range(draw.randint(1, 3)):
        _change(characters, CHARACTERS, draw)
    return "".join(characters)


def by_line(text: str, draw: random.Random) -> str:
    """The text with a few lines dropped, doubled, swapped, indented otherwise or put in elsewhere, or cut off."""
    lines = text.splitlines(keepends=True) or [""]
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(lines))
        match draw.randrange(4):
            case 0 | 1:
                _change(lines, lines[:], draw)
            case 2:
                lines[at] = draw.choice(["", " ", "    ", "\t"]) + lines[at].lstrip()
            case _:
                lines[at] = lines[at][: draw.randint(0, len(lines[at]))]
    return "".join(lines)


MUTATIONS: dict[str, Callable[[str, random.Random], str]] = {
    "token": by_token,
    "character": by_character,
    "line": by_line,
}


def _change(parts: list[str], others: list[str], draw: random.Random) -> None:
    at, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    match draw.randrange(5):
        case 0:
            parts[at] = ""
        case 1:
            parts[at] *= 2
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts[at] = draw.choice(others)
        case _:
            parts.insert(at, draw.choice(others))
