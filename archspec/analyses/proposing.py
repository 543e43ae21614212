"""A map of names proposed for an unknown file: by structure and shape, with names deciding between what is alike in these.

Layers whose names differ in numbers only are a group. A group here and one of the file belong together where they have as many layers,
and each weight has a counterpart whose shape it has, or would have once it is rearranged in a way that is common between frameworks. What is
proposed is for review: which of several counterparts is meant, no shape tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archspec.analyses.layer_groups import Group, groups_of, in_order
from archspec.analyses.layer_pairs import Pair, Pairing, counterparts
from archspec.analyses.renaming import COUNTED, Names, Shapes
from archspec.graph import Graph, NameMap, Renaming
from archspec.graph.templates import LONGEST_KEY
from archspec.ground.literals import written
from archspec.ground.source import Location
from archspec.syntax.formatting import format_text

_LETTERS = "ijklmnp"  # with `{rest}` as many as a key may have holes
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Proposal:
    """What a file's keys may be: rules, with what is doubtful of each; and the keys on both sides that have none."""

    model: str
    title: str
    rules: tuple[tuple[Renaming, str], ...]
    lacking: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def text(self) -> str:
        """The map as a spec has it, with comments on what to look at."""
        lines = [f"names {self.model} {written(self.title)}:"] if self.rules else []
        for rule, doubt in self.rules:
            lines += [f"    # {_printable(doubt)}"] if doubt else []
            lines += [f"    {rule.text}"]
        found = format_text("\n".join(lines) + "\n") if lines else ""
        for what, keys in (
            ("no key of the file was found for", self.lacking),
            ("nothing here was found for", self.extra),
        ):
            shown = [f"# {what} {_printable(key)}\n" for key in keys[:_MOST_SHOWN]]
            more = [f"# and for {len(keys) - _MOST_SHOWN} more\n"] if len(keys) > _MOST_SHOWN else []
            found += "".join([*shown, *more])
        return found


def propose(graph: Graph, shapes: Shapes, title: str = "a file") -> Proposal:
    """A map for a file with these keys and shapes. It is a guess: nothing is right that was not looked at."""
    ours = {key: weight.shape for key, weight in graph.weights.items() if weight.saved}
    # Of keys that are longer than any of a map, and may not come from a net at all, nothing is proposed.
    short = {key: shape for key, shape in shapes.items() if 2 * len(key) < LONGEST_KEY}
    same = {key for key in ours.keys() & shapes.keys() if ours[key] == shapes[key]}
    proposing = Pairing(
        [*groups_of({key: shape for key, shape in ours.items() if key not in same})],
        [*groups_of({key: shape for key, shape in in_order(short).items() if key not in same})],
        {name: value for name, value in graph.arguments.items() if type(value) is int},
        is_in_order=[*shapes] != sorted(shapes),
    )
    rules = [rule for pair, doubt in proposing.run() for rule in _rules(pair, doubt)]
    rules = _folded(rules, graph, title)
    fit = _names(graph, title, [rule for rule, _ in rules]).fit(shapes)
    lacking = tuple(key for key in fit.lacking if not key.endswith(COUNTED))
    return Proposal(graph.name, title, tuple(rules), lacking, fit.extra)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _rules(pair: Pair, doubt: str) -> Iterator[tuple[Renaming, str]]:
    """A rule for each weight of all layers of a pair where each number is shifted alike, else of each value of one that is not."""
    first = pair.theirs[0]
    shifts: dict[int, int] = {}
    for a, b in pair.columns:
        found = {y - x for x, y in zip(pair.ours.columns[a], first.columns[b], strict=True)}
        if len(found) == 1 and pair.ours.widths[a] == 1 and len(_digits(first, b)) <= 2:
            shifts[a] = found.pop()
    there_of = dict(pair.columns)
    letters = dict(zip(shifts, _LETTERS, strict=False))
    seen: set[str] = set()
    for here, there in counterparts(pair.ours, first, pair.columns):
        left, right = list[object](there), list[object](here)
        for a, letter in letters.items():
            shift, b = shifts[a], there_of[a]
            zeros, test = _padding(first, b, there[b], min(shift, 0) - shift)
            right[a] = f"{{{letter}{test}}}" if shift >= 0 else f"{{{letter} + {-shift}}}"
            held = (
                f"{{{letter} + {shift}}}"
                if shift > 0
                else f"{{{letter}}}"
                if shift == 0
                else f"{{{letter}{test}}}"
            )
            left[b] = zeros + held
        layer = pair.ours.name(right)
        if layer in seen:
            continue
        seen.add(layer)
        sources = tuple(group.name(left) for group in pair.theirs)
        same = all(leaf == name and not pattern for leaf, (name, pattern) in pair.leaves.items())
        if same and len(sources) == 1 and len(pair.leaves) > 1:
            yield _rule((sources[0] + "{rest}",), layer + "{rest}", ""), doubt
            continue
        for leaf, (name, pattern) in pair.leaves.items():
            yield _rule(tuple(source + name for source in sources), layer + leaf, pattern), doubt


def _digits(group: Group, place: int) -> list[int]:
    """How many digits the numbers at a place of a group have, where zeros stand before them; one entry where none do."""
    width = group.widths[place]
    return sorted({min(len(str(value)), width) for value in group.columns[place]}) if width > 1 else [1]


def _padding(group: Group, place: int, number: int, shift: int) -> tuple[str, str]:
    """The zeros before a number at a place of a group, and a test, on that number and `shift`, that parts it from numbers with others."""
    digits, width = _digits(group, place), group.widths[place]
    own = min(len(str(number)), width)
    zeros = "0" * (width - own)
    if len(digits) < 2:
        return zeros, ""
    return zeros, f" {'<' if own == digits[0] else '>='} {10 ** digits[0] + shift}"


def _rule(sources: tuple[str, ...], target: str, pattern: str) -> Renaming:
    return Renaming.unchecked(
        sources=sources, target=target, pattern=pattern, reason="", location=Location("proposed", 1, 1)
    )


def _folded(rules: list[tuple[Renaming, str]], graph: Graph, title: str) -> list[tuple[Renaming, str]]:
    """The rules; those with `{rest}` weight by weight where two would be of one key."""
    names = _names(graph, title, [rule for rule, _ in rules])
    twice = {rule for misfit in names.misfits for rule in misfit.rules}
    found: list[tuple[Renaming, str]] = []
    for rule, doubt in rules:
        if rule not in twice or not rule.target.endswith("{rest}"):
            found.append((rule, doubt))
            continue
        head, leaves = rule.target.removesuffix("{rest}"), set[str]()
        for key in names.shapes:
            values = rule.ours.values(key)
            if values is not None and "." not in values["rest"]:
                leaves.add(values["rest"])
        source = rule.sources[0].removesuffix("{rest}")
        found += [(_rule((source + leaf,), head + leaf, ""), doubt) for leaf in sorted(leaves)]
    return found


def _names(graph: Graph, title: str, rules: Iterable[Renaming]) -> Names:
    one = NameMap.unchecked(
        title=title, model=graph.name, paths=("",), rules=tuple(rules), location=Location("proposed", 1, 1)
    )
    return Names(graph, title, [one])
