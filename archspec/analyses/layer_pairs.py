"""Layers here and their counterparts in a file: groups that have as many layers, and weights of the same shapes once they are rearranged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations, permutations

from archspec.analyses.layer_groups import Group, Layer, Numbers, Signature, block_of, signature, sort_of
from archspec.analyses.renaming import COUNTED, Origin
from archspec.graph.name_maps import rearranged
from archspec.ground.errors import Mistake

_CLOSE = 0.05  # scores no further apart do not tell which is meant
_TOGETHER = 0.5  # what it counts that other layers of two blocks are paired

_PATTERNS = (
    "i o -> o i",
    "h w i o -> o i h w",
    "h w c m -> (c m) 1 h w",
    "l i o -> o i l",
    "o i 1 1 -> o i",
    "o i -> o i 1 1",
    "i o -> o i 1 1",
    "o -> o 1 1 1",
    "d heads k -> (heads k) d",
    "heads k d -> d (heads k)",
    "heads k -> (heads k)",
)
"""How frameworks lay out what PyTorch lays out otherwise: TensorFlow's and JAX's dense layers, convolutions and attention."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A group here and its counterparts, more than one where their tensors are joined; what each weight is called there and how
    its values are rearranged; places of numbers here and there; and how sure it is."""

    ours: Group
    theirs: tuple[Group, ...]
    leaves: Mapping[str, tuple[str, str]]
    columns: tuple[tuple[int, int], ...]
    score: float


class Pairing:
    """Pairs groups round by round: first those that correspond as they are, then their parts, and single layers last."""

    def __init__(
        self, mine: list[Group], other: list[Group], heads: Mapping[str, int], *, is_in_order: bool
    ) -> None:
        self.mine, self.other, self.heads = mine, other, heads
        self.is_in_order = is_in_order  # as the other code has its layers, not its names
        self.here: dict[str, str] = {}  # the blocks that are paired
        self.there: dict[str, str] = {}
        self.transposed = self._transposes()

    def run(self) -> list[tuple[Pair, str]]:
        """All pairs, in the order of the network, with what is doubtful of each."""
        found = self._round()
        # Groups that have the most numbers are parted first: `norm{i}` of each block beside `before` and `after`.
        while most := max((len(group.varying) for group in (*self.mine, *self.other)), default=0):
            self.mine, self.other = (
                [
                    part
                    for group in side
                    for part in (group.parted() if len(group.varying) == most else [group])
                ]
                for side in (self.mine, self.other)
            )
            found += self._round()
        found += [(pair, "by their order alone") for pair in self._in_order()]
        return sorted(found, key=lambda pair: pair[0].ours.order)

    def _round(self) -> list[tuple[Pair, str]]:
        self._count()
        candidates = [pair for group in self.mine for pair in self._candidates(group)]
        left, found = candidates, list[Pair]()
        while left:
            best = max(left, key=self._score)
            found.append(best)
            ours, theirs = block_of(best.ours), block_of(best.theirs[0])
            self.here.setdefault(ours, theirs)
            self.there.setdefault(theirs, ours)
            taken = {best.ours, *best.theirs}
            left = [pair for pair in left if taken.isdisjoint((pair.ours, *pair.theirs))]
        if self.is_in_order:
            self._put_in_order(found, candidates)
        done = {pair.ours for pair in found}
        used = {group for pair in found for group in pair.theirs}
        self.mine = [group for group in self.mine if group not in done]
        self.other = [group for group in self.other if group not in used]
        return [(pair, _doubt(pair, candidates)) for pair in found]

    def _put_in_order(self, found: list[Pair], candidates: list[Pair]) -> None:
        """Exchange the counterparts of pairs that stand the other way round, where names say next to nothing of which is whose."""
        known = {(pair.ours, pair.theirs): pair for pair in candidates}
        for i, j in combinations(range(len(found)), 2):
            one, two = found[i], found[j]
            if (one.ours.order < two.ours.order) == (one.theirs[0].order < two.theirs[0].order):
                continue
            first, second = known.get((one.ours, two.theirs)), known.get((two.ours, one.theirs))
            if first is None or second is None:
                continue
            loss = self._score(one) + self._score(two) - self._score(first) - self._score(second)
            if loss < 2 * _CLOSE:
                found[i], found[j] = first, second

    def _count(self) -> None:
        """How many groups have the shapes of each sort of layer, here and there."""
        self.known: dict[Signature, list[int]] = {}
        for side, groups in enumerate((self.mine, self.other)):
            for layer in (layer for group in groups for layer in group.members.values()):
                self.known.setdefault(signature(layer), [0, 0])[side] += 1
        sizes: dict[int, list[Group]] = {}
        for group in self.other:
            sizes.setdefault(len(group.members), []).append(group)
        self.rows = {
            size: [row for parts in (3, 2) for row in _alike(groups, parts)] for size, groups in sizes.items()
        }

    def _score(self, pair: Pair) -> float:
        ours, theirs = block_of(pair.ours), block_of(pair.theirs[0])
        if ours not in self.here and theirs not in self.there:
            return pair.score
        return pair.score + (_TOGETHER if self.here.get(ours) == theirs else -_TOGETHER)

    def _candidates(self, group: Group) -> Iterator[Pair]:
        for there in self.other:
            if len(there.members) != len(group.members):
                continue
            if len(group.members) == 1 and not self._are_only(group, there):
                continue
            if pair := self._pair(group, (there,)):
                yield pair
        for joined in self.rows.get(len(group.members), ()) if _is_matrix(group.first) else ():
            if pair := self._pair(group, joined):
                yield pair

    def _are_only(self, ours: Group, theirs: Group) -> bool:
        """Whether no other groups have the shapes that two single layers have, here and there."""
        shapes = signature(ours.first)
        return shapes == signature(theirs.first) and self.known[shapes] == [1, 1]

    def _in_order(self) -> Iterator[Pair]:
        """Single layers of equal shapes, where there are as many here as there, in their order."""
        classes: dict[Signature, tuple[list[Group], list[Group]]] = {}
        for side, groups in enumerate((self.mine, self.other)):
            for single in sorted((single for group in groups for single in group.singles()), key=_order):
                classes.setdefault(signature(single.first), ([], []))[side].append(single)
        for mine, other in classes.values():
            if len(mine) == len(other):
                for ours, theirs in zip(mine, other, strict=True):
                    if pair := self._pair(ours, (theirs,)):
                        yield pair

    def _pair(self, ours: Group, theirs: tuple[Group, ...]) -> Pair | None:
        """The pair of a group here and of its counterparts; None where they cannot be that."""
        first, best = theirs[0], None
        if len(ours.varying) != len(first.varying):
            return None
        for order in permutations(first.varying):
            columns = tuple(zip(ours.varying, order, strict=True))
            if any(len(ours.columns[a]) != len(first.columns[b]) for a, b in columns):
                continue
            leaves = self._leaves(ours, theirs, columns)
            if leaves is None:
                continue
            score = _alike_names(ours, first) - 0.2 * (list(order) != first.varying)
            # Numbers that are the same, or shifted, are likelier than those that are only as many.
            for a, b in columns:
                shifts = {y - x for x, y in zip(ours.columns[a], first.columns[b], strict=True)}
                score += 0.1 if shifts == {0} else 0.05 if len(shifts) == 1 else 0
            if best is None or score > best.score:
                best = Pair(ours, theirs, leaves, columns, score)
        return best

    def _leaves(
        self, ours: Group, theirs: tuple[Group, ...], columns: tuple[tuple[int, int], ...]
    ) -> dict[str, tuple[str, str]] | None:
        """What each weight of a layer is called there, and how its values are rearranged; None where one has no counterpart."""
        found: dict[str, tuple[str, str]] = {}
        pairs = list(counterparts(ours, theirs[0], columns))
        if any(there not in group.members for group in theirs for _, there in pairs):
            return None
        for leaf in ours.first:
            names = [name for name in theirs[0].first if sort_of(name) == sort_of(leaf)]
            if not names and leaf == COUNTED:
                continue
            if len(names) != 1:
                return None
            pattern = self._pattern(ours, theirs, pairs, leaf, names[0])
            if pattern is None:
                return None
            found[leaf] = names[0], pattern
        used = {name for name, _ in found.values()}
        return (
            found if all(set(layer) == used for group in theirs for layer in group.members.values()) else None
        )

    def _pattern(
        self,
        ours: Group,
        theirs: tuple[Group, ...],
        pairs: list[tuple[Numbers, Numbers]],
        leaf: str,
        name: str,
    ) -> str | None:
        """How tensors are rearranged that they have our shapes, one way for all; None where there is none."""
        known = [*_PATTERNS[:1], "", *_PATTERNS[1:]] if self.transposed else ["", *_PATTERNS]
        for pattern in known:
            names = rearranged(pattern).there.names() if pattern else set()
            if "heads" in names and "heads" not in self.heads:
                continue
            sizes = (("heads", self.heads["heads"]),) if "heads" in names else ()
            origin = Origin(tuple(map(str, range(len(theirs)))), pattern, sizes)
            try:
                if all(
                    origin.shape({str(i): group.members[there][name] for i, group in enumerate(theirs)})
                    == ours.members[here].get(leaf)
                    for here, there in pairs
                ):
                    return pattern
            except (Mistake, KeyError):
                continue
        return None

    def _transposes(self) -> bool:
        """Whether matrices of the file are transposed: as those are that are not square, and fit in one way only."""
        self.transposed = False
        self._count()
        votes = 0
        for group in self.mine:
            for pair in self._candidates(group):
                for leaf, (_, pattern) in pair.leaves.items():
                    shape = group.first[leaf]
                    if len(shape) == 2 and shape[0] != shape[1]:
                        votes += 1 if pattern == _PATTERNS[0] else -1 if not pattern else 0
        return votes > 0


def _order(group: Group) -> float:
    return group.order


def _alike(groups: list[Group], parts: int) -> Iterator[tuple[Group, ...]]:
    """Rows of groups that have the same numbers and shapes, and stand in one block."""
    for first in groups:
        row = [
            there for there in groups if there.members == first.members and block_of(there) == block_of(first)
        ]
        if len(row) == parts and row[0] is first:
            yield tuple(sorted(row, key=_turn))


def _is_matrix(layer: Layer) -> bool:
    """Whether a layer may be of several: a matrix, or a bias alone. No code has the vectors of norms in one."""
    shapes = [shape for leaf, shape in layer.items() if sort_of(leaf) == "weight"]
    return all(len(shape) > 1 and set(shape[2:]) <= {1} for shape in shapes)


def _turn(group: Group) -> int:
    """Queries come first, then keys, then values; else the order of the file."""
    return next((i for i, name in enumerate("qkv") if name in group.words), 3)


def _alike_names(ours: Group, theirs: Group) -> float:
    """How alike names are, and the places among the others."""
    words = len(ours.words & theirs.words) / max(1, len(ours.words | theirs.words))
    letters = SequenceMatcher(None, "".join(ours.texts), "".join(theirs.texts), autojunk=False).ratio()
    return words + 0.5 * letters - 0.5 * abs(ours.order - theirs.order)


def counterparts(
    ours: Group, theirs: Group, columns: tuple[tuple[int, int], ...]
) -> Iterator[tuple[Numbers, Numbers]]:
    """The numbers of each layer here, and those of its counterpart: the n-th value of a number is that of the n-th there."""
    fixed = next(iter(theirs.members))
    places = [(a, b, dict(zip(ours.columns[a], theirs.columns[b], strict=True))) for a, b in columns]
    for numbers in ours.members:
        found = list(fixed)
        for a, b, values in places:
            found[b] = values[numbers[a]]
        yield numbers, tuple(found)


def _doubt(pair: Pair, candidates: list[Pair]) -> str:
    """What is to be looked at: another counterpart that is nearly as likely, an order, a matrix that shows nothing of its layout."""
    said = []
    rivals = [rival for rival in candidates if rival.ours is pair.ours and rival.theirs != pair.theirs]
    near = [rival for rival in rivals if rival.score > pair.score - _CLOSE]
    if near:
        said.append(f"or from {near[0].theirs[0]}")
    if len(pair.theirs) > 1:
        said.append("is this their order?")
    for leaf, (_, pattern) in pair.leaves.items():
        shapes = [layer[leaf] for layer in pair.ours.members.values()]
        if pattern in ("", _PATTERNS[0]) and all(len(s) == 2 and s[0] == s[1] for s in shapes):
            said.append("square: transposed, or not?")
    return ", ".join(said)
