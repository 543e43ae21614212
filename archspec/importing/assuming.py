"""What has to be assumed of free sizes, as requirements of a model."""

from __future__ import annotations

import re
from math import lcm

_ASSUMED = re.compile(r"`(require [^`]+)`")


def assumption(help: str) -> str | None:
    """The requirement that an error proposes, if it does."""
    found = _ASSUMED.search(help)
    return found[1] if found else None


def with_requirement(text: str, requirement: str) -> str:
    """A spec with one more requirement, behind the first input with a free size."""
    return re.sub(r"(?m)^(    input .*\bfree\b.*)$", rf"\1\n    {requirement}", text, count=1)


_REQUIRED = re.compile(r"(?m)^    require (\w+) (>=|% )\s*(\d+)(?: == 0)?\n")


def without_weaker(text: str) -> str:
    """A spec without requirements that others include: `H >= 16` beside `H >= 32`, `H % 2 == 0` beside `H % 4 == 0`."""
    strongest: dict[tuple[str, str], int] = {}
    for name, sign, number in _REQUIRED.findall(text):
        known = strongest.get((name, sign), 1)
        strongest[name, sign] = max(known, int(number)) if sign == ">=" else lcm(known, int(number))
    seen = set[tuple[str, str]]()

    def kept(found: re.Match[str]) -> str:
        key = found[1], found[2]
        if key in seen:
            return ""
        seen.add(key)
        number = strongest[key]
        said = f"{key[0]} >= {number}" if key[1] == ">=" else f"{key[0]} % {number} == 0"
        return f"    require {said}\n"

    return _REQUIRED.sub(kept, text)
