"""What other code calls the weights of a network: maps between its keys and ours, with rearranged values where they differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache, cached_property
from typing import NamedTuple

from archspec.graph.records import Record, Several
from archspec.graph.templates import Matcher, Template, template
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake
from archspec.ground.source import Location
from archspec.op.axes import Pattern, flat, parsed

FURTHER = ""
"""The title of a map that says no other code's names, but keys that weights have besides in the network's own `state_dict`."""


class Renaming(Record):
    """A rule of a map: keys of the other code with holes, and the key here whose weight they are, joined along the first axis.

    `pattern` says how the values of each are rearranged on the way here, in einops' notation; empty for as they are. An axis
    that is named like a whole number among the model's parameters has its size. An empty `target` says that there is none
    here, for the `reason`.
    """

    sources: Several[str]
    target: str = ""
    pattern: str = ""
    reason: str = ""
    location: Location

    def __repr__(self) -> str:
        return brief(self, f"{self.text} ({self.location})")

    @property
    def text(self) -> str:
        """The rule as a spec has it."""
        shown = ", ".join(map(_quoted, self.sources))
        left = f"({shown})" if len(self.sources) > 1 else shown
        if not self.target:
            return f"{left} -> none {_quoted(self.reason)}"
        return f"{left} -> {_quoted(self.target)}" + (f": {_quoted(self.pattern)}" if self.pattern else "")

    @cached_property
    def templates(self) -> tuple[Template, ...]:
        """The keys of the other code."""
        return tuple(map(template, self.sources))

    @cached_property
    def ours(self) -> Matcher:
        """What the key here fits. Not for rules without."""
        holes = [hole for source in self.templates for hole in source.holes]
        numbers = set[str]().union(*(source.numbers for source in self.templates))
        return Matcher(template(self.target), numbers, holes)

    @property
    def counted(self) -> set[tuple[str, ...]]:
        """The names of holes that are counted through together."""
        return {hole.counted for source in self.templates for hole in source.holes if hole.counted}

    @cached_property
    def ignored(self) -> Matcher:
        """What fits the key of the other code, of a rule without a key here."""
        return Matcher(self.templates[0])


class NameMap(Record):
    """A map of a model's keys, from those that its `title` tells of, and where in the network the model stands.

    Keys that no rule has are called alike.
    """

    title: str
    model: str
    paths: Several[str] = ("",)
    rules: Several[Renaming]
    location: Location

    def __repr__(self) -> str:
        return brief(self, f'names {self.model} "{self.title}": {len(self.rules)} rules ({self.location})')

    @property
    def changes_values(self) -> bool:
        """Whether a rule rearranges or joins tensors."""
        return any(rule.pattern or len(rule.sources) > 1 for rule in self.rules)


class Rearranged(NamedTuple):
    """A pattern of a rule that can be undone, with every axis on both sides, and the same back; and the sizes that it says."""

    there: Pattern
    back: Pattern
    sizes: tuple[tuple[str, int], ...]


@cache
def rearranged(text: str) -> Rearranged:
    """The pattern of a rule, there and back. Raises Mistake where it is none, or cannot be undone."""
    named, sizes = _with_names(text)
    there = parsed(named)
    if len(there.taken) != 1:
        raise Mistake(
            f'the pattern "{text}" takes {len(there.taken)} tensors',
            codes.PATTERN,
            help="several keys are joined along the first axis, each rearranged by the pattern of one",
        )
    left, right = (set(flat(side)) for side in (there.taken[0], there.made))
    if left != right:
        said = (f"`{sizes.get(name, name)}`" for name in sorted(left ^ right))
        names = ", ".join(dict.fromkeys(said))
        message = f'the pattern "{text}" cannot be undone: {names} must stand on both sides'
        raise Mistake(
            message,
            codes.MAP_PATTERN,
            help="a map goes both ways, so that no axis may go or come but of size 1",
        )
    taken, _, made = named.partition("->")
    return Rearranged(there, parsed(f"{made} -> {taken}"), tuple(sizes.items()))


def _with_names(text: str) -> tuple[str, dict[str, int]]:
    """A pattern in which numbers have names, in the order of those that are equal on each side; and the numbers."""
    sizes: dict[str, int] = {}
    sides = []
    for side in text.split("->"):
        met = Counter[str]()

        def name(found: re.Match[str], met: Counter[str] = met) -> str:
            number = found.group()
            if number == "1" or len(number) > 9 or int(number) < 1:
                return number
            met[number] += 1
            made = f"axis{number}of{met[number]}"
            sizes[made] = int(number)
            return made

        sides.append(re.sub(r"(?<!\w)\d+(?!\w)", name, side))
    return "->".join(sides), sizes


def require_rule(rule: Renaming) -> None:
    """Mistake unless a rule can be followed both ways: every hole of a key here is in those of the other code, and no other is."""
    if not rule.sources:
        raise Mistake("a rule has no key of the other code", codes.NOT_A_MAP)
    if not rule.target:
        if len(rule.sources) > 1 or rule.pattern:
            raise Mistake(
                "a key without one here stands alone", codes.NOT_A_MAP, help="write a line for each"
            )
        if not rule.reason.strip():
            raise Mistake("a key without one here needs a reason", codes.NOT_A_MAP, help=_REASON)
        template(rule.sources[0])
        return
    target = template(rule.target)
    if any(hole.counted for hole in target.holes):
        raise Mistake(
            "what is counted stands on the left", codes.NOT_A_MAP, help="`index` counts the keys here"
        )
    for source in rule.templates:
        for name in sorted(source.names ^ target.names):
            side = "the left" if name in source.names else "the right"
            raise one_sided(name, side)
    if rule.pattern:
        rearranged(rule.pattern)


def require_further(rule: Renaming) -> None:
    """Mistake unless a rule gives a weight one more key, and leaves its values as they are."""
    if not rule.target or len(rule.sources) != 1 or rule.pattern:
        raise Mistake(
            'names without a title give weights further keys, one each: `"head.weight" -> "embed.weight"`',
            codes.NOT_A_MAP,
            help='names of other code have a title that says whose they are: `names Net "timm":`',
        )


def one_sided(name: str, side: str) -> Mistake:
    """The mistake of a hole that is on one side of a rule only."""
    return Mistake(
        f"the hole `{name}` is on {side} only",
        codes.HOLES,
        help="what stands in it is handed from one key to the other: write it on both sides",
    )


def _quoted(text: str) -> str:
    """A string of a spec, whose holes stay."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def by_title(maps: tuple[NameMap, ...]) -> Mapping[str, list[NameMap]]:
    """The maps of each title: a network may hold several models that the same code has names for."""
    found: dict[str, list[NameMap]] = {}
    for one in maps:
        if one.title != FURTHER:
            found.setdefault(one.title, []).append(one)
    return found


_REASON = 'say why: `"mean" -> none "computed anew"`'
