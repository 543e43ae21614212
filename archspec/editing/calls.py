"""The call that is being written at an offset, told from the text alone, since it can seldom be parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKENS = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*|[()\[\]{},=:]|\n', re.S
)
_FARTHEST = 10_000  # letters that are looked at
_LONGEST = 500  # of what is called


@dataclass(frozen=True)
class OpenCall:
    """A call whose bracket is open: what is called, the arguments given so far by name, and the one being written.

    `position` counts the arguments before it, `by_position` those without a name; `head` says that these are the parameters of a definition.
    """

    callee: str
    start: int
    position: int
    by_position: int
    named: frozenset[str]
    argument: str
    head: bool


def open_call(text: str, offset: int) -> OpenCall | None:
    """The innermost call that is open at an offset; None where there is none, or where a list is open within it."""
    begin = max(0, offset - _FARTHEST)
    opened: list[tuple[str, int]] = []
    commas: dict[int, list[int]] = {}
    for match in _TOKENS.finditer(text, begin, offset):
        token = match.group()
        if token in "([{":
            opened.append((token, match.start()))
            commas[match.start()] = []
        elif token in ")]}" and opened:
            opened.pop()
        elif token == "," and opened:
            commas[opened[-1][1]].append(match.start())
        elif token == "\n" and opened and re.match(r"(?:model|block|def|from|claims)\b", text[match.end() :]):
            opened.clear()  # what was open there was never closed
    if not opened or opened[-1][0] != "(":
        return None
    bracket = opened[-1][1]
    line_start = text.rfind("\n", 0, bracket) + 1
    before = text[max(line_start, bracket - _LONGEST) : bracket]
    callee = re.search(r"([A-Za-z_]\w*)\s*$", before)
    if callee is None:
        return None
    pieces, start = [], bracket + 1
    for comma in (*commas[bracket], offset):
        pieces.append(text[start:comma])
        start = comma + 1
    names = [re.match(r"\s*([A-Za-z_]\w*)\s*=(?!=)", piece) for piece in pieces]
    named = frozenset(name[1] for name in names if name)
    is_head = bool(re.fullmatch(r"\s*(?:model|block|def)\s+", before[: callee.start()]))
    by_position = sum(name is None for name in names[:-1])
    argument = names[-1][1] if names[-1] else ""
    return OpenCall(callee[1], bracket, len(pieces) - 1, by_position, named, argument, is_head)
