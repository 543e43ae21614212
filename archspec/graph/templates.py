"""Keys with holes, `blocks.{i + 1}.{rest}`: what fits them, and what they are once the holes are filled."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import Final, NamedTuple

from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake

REST: Final = "rest"
"""The hole that stands for all that remains, levels and all; any other stands for a level, or for a part of one."""
MOST_HOLES: Final = 8
LONGEST_KEY: Final = 1000

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")
_NAME = r"\s*[A-Za-z_]\w*\s*"
_HOLE = re.compile(
    rf"(?:\s*index\(({_NAME}(?:,{_NAME})+)\)\s*|({_NAME}))(?:([-+]|<=?|>=?|==|!=)\s*(\d{{1,9}})\s*)?",
    re.ASCII,
)
_TESTS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class Hole(NamedTuple):
    """`{i}`, `{i + 1}`, or `{i > 0}`: a number that the value is shifted by, or what must hold of it.

    `{index(i, j)}` is which of all (i, j) in the network it is, counted from 0; `counted` are the names of the holes.
    """

    name: str
    sign: str = ""
    number: int = 0
    counted: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{{{self.name} {self.sign} {self.number}}}" if self.sign else f"{{{self.name}}}"

    @property
    def is_number(self) -> bool:
        """Whether only a number can stand there."""
        return bool(self.sign or self.counted)

    @property
    def shift(self) -> int:
        """What is added to the value of its name."""
        return {"+": self.number, "-": -self.number}.get(self.sign, 0)

    def allows(self, value: int) -> bool:
        """Whether what must hold of the value does, and it is a number that can stand in a key once it is shifted."""
        test = _TESTS.get(self.sign)
        return value + self.shift >= 0 and (test is None or test(value, self.number))


class Template(NamedTuple):
    """The parts of a key: texts, and holes between them."""

    parts: tuple[str | Hole, ...]

    def __str__(self) -> str:
        return "".join(
            str(part) if isinstance(part, Hole) else part.replace("{", "{{").replace("}", "}}")
            for part in self.parts
        )

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Its holes, in order."""
        return tuple(part for part in self.parts if isinstance(part, Hole))

    @property
    def names(self) -> set[str]:
        """The names of its holes, and of those that are counted."""
        return {name for hole in self.holes for name in (hole.counted or (hole.name,))}

    @property
    def numbers(self) -> set[str]:
        """The names of holes that only numbers fit."""
        return {name for hole in self.holes if hole.is_number for name in (hole.counted or (hole.name,))}

    def filled(self, values: Mapping[str, str]) -> str:
        """The key that it is with these values of its holes; whole numbers where they are shifted."""
        return "".join(
            part
            if isinstance(part, str)
            else str(int(values[part.name]) + part.shift)
            if part.shift
            else values[part.name]
            for part in self.parts
        )


class Matcher:
    """What fits a template whose holes of some names are numbers, and are tested elsewhere too."""

    def __init__(self, template: Template, numbers: Iterable[str] = (), tests: Iterable[Hole] = ()) -> None:
        self.template = template
        self.numbers = template.numbers | set(numbers)
        self.tests = [hole for hole in (*template.holes, *tests) if hole.sign and not hole.counted]

    def __repr__(self) -> str:
        return brief(self, str(self.template))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        looks = ""
        for part in self.template.parts:
            if isinstance(part, str):
                looks += re.escape(part)
            elif part.name in seen:
                looks += f"(?P={part.name})"
            else:
                seen.add(part.name)
                looks += f"(?P<{part.name}>{self._of(part.name)})"
        return re.compile(looks, re.ASCII)

    def _of(self, name: str) -> str:
        return r"0|[1-9]\d{0,8}" if name in self.numbers else ".+" if name == REST else r"[^./]+"

    def counts(self, names: tuple[str, ...]) -> Matcher:
        """What fits the template up to the last hole of these names, whatever the numbers are."""
        last = max(
            i for i, part in enumerate(self.template.parts) if isinstance(part, Hole) and part.name in names
        )
        parts = [
            part._replace(sign="") if isinstance(part, Hole) else part
            for part in self.template.parts[: last + 1]
        ]
        return Matcher(Template((*parts, Hole(REST))), self.numbers)

    def values(self, key: str) -> dict[str, str] | None:
        """The values of the holes in a key; None where it does not fit."""
        found = self._pattern.fullmatch(key) if len(key) <= LONGEST_KEY else None
        if found is None:
            return None
        values = found.groupdict()
        for hole in self.template.holes:
            if hole.shift:
                values[hole.name] = str(int(values[hole.name]) - hole.shift)
        numbers = ((hole, int(values[hole.name])) for hole in self.tests)
        allowed = all(value >= 0 and hole.allows(value) for hole, value in numbers)
        return values if allowed else None


@cache
def template(text: str) -> Template:
    """The template that a text is. Raises Mistake where it is none."""
    parts: list[str | Hole] = []
    for found in _PART.finditer(text):
        part = found.group()
        if part in ("{{", "}}"):
            parts.append(part[0])
        elif found[1] is not None:
            parts.append(hole(found[1]))
        elif part in "{}":
            raise Mistake(f"unmatched `{part}` in a key", codes.BRACE, help=f"write `{part * 2}` for itself")
        else:
            parts.append(part)
    return made(_joined(parts))


def hole(text: str) -> Hole:
    """The hole that stands in braces. Raises Mistake where it is none."""
    found = _HOLE.fullmatch(text)
    if found is None:
        raise Mistake(f"`{{{text}}}` is no hole of a key", codes.NOT_A_MAP, help=_HOLES)
    counted = tuple(name.strip() for name in (found[1] or "").split(",") if name.strip())
    name = f"index({', '.join(counted)})" if counted else found[2].strip()
    if counted and found[3] and found[3] not in "+-":
        raise Mistake(f"`{{{text}}}` tests a number that is counted", codes.NOT_A_MAP, help=_HOLES)
    return Hole(name, found[3] or "", int(found[4] or 0), counted)


def made(parts: Iterable[str | Hole]) -> Template:
    """The template of these parts. Raises Mistake where a key could fit it in two ways."""
    found = Template(tuple(parts))
    shown = f'"{found}"'
    if not found.parts:
        raise Mistake("a key cannot be empty", codes.NOT_A_MAP)
    if len(str(found)) > LONGEST_KEY:
        raise Mistake(f"a key has at most {LONGEST_KEY:,} characters", codes.NOT_A_MAP)
    if len(found.holes) > MOST_HOLES:
        raise Mistake(f"{shown} has more than {MOST_HOLES} holes", codes.NOT_A_MAP)
    for left, right in zip(found.parts, found.parts[1:], strict=False):
        if isinstance(left, Hole) and isinstance(right, Hole):
            message = f"where `{left}` ends and `{right}` begins cannot be told"
            raise Mistake(
                message, codes.NOT_A_MAP, help="write what stands between them, or one hole for both"
            )
    names = [hole.name for hole in found.holes]
    for hole in found.holes:
        if hole.name == REST and hole.sign:
            raise Mistake(f"`{REST}` stands for text, not for a number", codes.NOT_A_MAP)
        if hole.sign and names.count(hole.name) > 1:
            message = f"`{hole}` stands in a key that has another `{hole.name}`"
            raise Mistake(message, codes.NOT_A_MAP, help="write the condition on the other side of `->`")
    return found


_HOLES: Final = (
    "a hole is a name, `{i}`, a number shifted, `{i + 1}`, one of which something holds, `{i > 0}`, or one that is"
    " counted through, `{index(i, j)}`"
)


def _joined(parts: list[str | Hole]) -> list[str | Hole]:
    """The parts with neighbouring texts as one."""
    found: list[str | Hole] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found
