"""What differs between a text and the same in another form, as few edits as whole lines can be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import accumulate
from typing import NamedTuple

_MOST_LINES = 3000  # that are compared: this takes up to their square
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Change(NamedTuple):
    """A text to write in the place of what stands between two offsets."""

    start: int
    end: int
    text: str


def changes(before: str, after: str) -> Iterator[Change]:
    """The edits that make one text of another, in order; lines with other ends are other lines."""
    old, new = _LINE.findall(before), _LINE.findall(after)
    if len(old) > _MOST_LINES or len(new) > _MOST_LINES:
        if before != after:
            yield Change(0, len(before), after)
        return
    starts = [0, *accumulate(map(len, old))]
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield Change(starts[i], starts[j], "".join(new[k:m]))
