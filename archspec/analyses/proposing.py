"""A map of names proposed for an unknown file: by structure and shape, with names deciding between what is alike in these.

Layers whose names differ in numbers only are a group. A group here and one of the file belong together where they have as many layers,
and each weight has a counterpart whose shape it has, or would have once it is rearranged in a way that is common between frameworks. What is
proposed is for review: which of several counterparts is meant, no shape tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import permutations

from archspec.analyses.renaming import COUNTED, Names, Origin, Shapes, Sizes
from archspec.graph import Graph, NameMap, Renaming
from archspec.graph.name_maps import rearranged
from archspec.ground.errors import Mistake
from archspec.ground.literals import written
from archspec.ground.source import Location
from archspec.syntax.formatting import format_text

Numbers = tuple[int, ...]
Signature = frozenset[tuple[str, Sizes]]
Layer = dict[str, Sizes]
"""The shapes of a layer's weights, by what they are called."""

_NUMBER = re.compile(r"(?:(?<=0)|(?<!\d))[1-9]\d*|(?<!\d)0(?!\d)")  # zeros before it are text
_WORD = re.compile(r"[a-z]+|\d+")
_LETTERS = "ijklmnpq"
_CLOSE = 0.05  # scores no further apart do not tell which is meant
_ROUNDS = 4
_MOST_SHOWN = 20
_TOGETHER = 0.5  # what it counts that other layers of two blocks are paired

_PATTERNS = (
    "i o -> o i",
    "h w i o -> o i h w",
    "h w c m -> (c m) 1 h w",
    "l i o -> o i l",
    "o i 1 1 -> o i",
    "o i -> o i 1 1",
    "d heads k -> (heads k) d",
    "heads k d -> d (heads k)",
    "heads k -> (heads k)",
)
"""How frameworks lay out what PyTorch lays out otherwise: TensorFlow's and JAX's dense layers, convolutions and attention."""

_SORTS = {
    "weight": ("weight", "kernel", "scale", "gamma", "w", "weights", "embedding", "table"),
    "bias": ("bias", "beta", "offset", "b", "biases"),
    "mean": ("running_mean", "moving_mean", "mean"),
    "variance": ("running_var", "moving_variance", "moving_var", "var", "variance"),
    "count": (COUNTED,),
}
_ALIKE = (
    ("norm", "bn", "ln", "layernorm", "batchnorm", "groupnorm", "layer_norm"),
    ("attn", "attention", "self", "msa"),
    ("proj", "out", "output", "project"),
    ("fc", "dense", "linear", "mlp", "ffn"),
    ("head", "classifier", "logits", "last"),
    ("layer", "block", "encoderblock", "layers", "blocks", "stage", "stages"),
    ("embed", "embedding", "stem", "patch", "root"),
    ("pos", "posembed", "position", "positional"),
    ("cls", "class", "token"),
    ("downsample", "shortcut", "skip"),
    ("q", "query"),
    ("k", "key"),
    ("v", "value"),
)


@dataclass(frozen=True, eq=False)
class Group:
    """Layers whose names differ in numbers only: the texts between these, and the shapes of the weights of each by its numbers.

    `places` are where among all layers each of them stands, as a share.
    """

    texts: tuple[str, ...]
    members: Mapping[Numbers, Layer]
    places: Mapping[Numbers, float]
    words: frozenset[str]

    def name(self, numbers: Sequence[object]) -> str:
        """The layer with these numbers, or what stands for them, as templates of keys have it."""
        return "".join(
            text.replace("{", "{{").replace("}", "}}") + (str(number) if number is not None else "")
            for text, number in zip(self.texts, [*numbers, None], strict=True)
        )

    def __str__(self) -> str:
        return self.name(["*"] * (len(self.texts) - 1))

    @cached_property
    def columns(self) -> list[list[int]]:
        """The values of each number, in order."""
        return [sorted(set(column)) for column in zip(*self.members, strict=True)]

    @cached_property
    def varying(self) -> list[int]:
        """The places of numbers that are not the same in all layers."""
        return [place for place, values in enumerate(self.columns) if len(values) > 1]

    @cached_property
    def order(self) -> float:
        """Where the first of them stands."""
        return min(self.places[numbers] for numbers in self.members)

    @property
    def first(self) -> Layer:
        """The shapes of the first layer."""
        return next(iter(self.members.values()))

    def singles(self) -> list[Group]:
        """A group for each layer."""
        return [self._of([numbers]) for numbers in self.members]

    def parted(self) -> list[Group]:
        """The groups with one value of the number that has the fewest."""
        if not self.varying:
            return [self]
        place = min(self.varying, key=lambda place: len(self.columns[place]))
        return [
            self._of(numbers for numbers in self.members if numbers[place] == value)
            for value in self.columns[place]
        ]

    def _of(self, chosen: Iterable[Numbers]) -> Group:
        return Group(
            self.texts, {numbers: self.members[numbers] for numbers in chosen}, self.places, self.words
        )


@dataclass(frozen=True, eq=False)
class Pair:
    """A group here and its counterparts, more than one where their tensors are joined; what each weight is called there and how
    its values are rearranged; places of numbers here and there; and how sure it is."""

    ours: Group
    theirs: tuple[Group, ...]
    leaves: Mapping[str, tuple[str, str]]
    columns: tuple[tuple[int, int], ...]
    score: float


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
    same = {key for key in ours.keys() & shapes.keys() if ours[key] == shapes[key]}
    proposing = _Proposing(
        [*_groups({key: shape for key, shape in ours.items() if key not in same})],
        [*_groups({key: shape for key, shape in _ordered(shapes).items() if key not in same})],
        {name: value for name, value in graph.arguments.items() if type(value) is int},
    )
    rules = [rule for pair, doubt in proposing.run() for rule in _rules(pair, doubt)]
    rules = _folded(rules, graph, title)
    fit = _names(graph, title, [rule for rule, _ in rules]).fit(shapes)
    lacking = tuple(key for key in fit.lacking if not key.endswith(COUNTED))
    return Proposal(graph.name, title, tuple(rules), lacking, fit.extra)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# ------------------------------------------------------------------ groups


def _groups(shapes: Shapes) -> Iterator[Group]:
    layers: dict[str, Layer] = {}
    for key, shape in shapes.items():
        name, leaf = _parted(key)
        layers.setdefault(name, {})[leaf] = shape
    found: dict[tuple[str, ...], dict[Numbers, Layer]] = {}
    places: dict[tuple[str, ...], dict[Numbers, float]] = {}
    for place, (name, layer) in enumerate(layers.items()):
        texts, numbers = tuple(_NUMBER.split(name)), tuple(map(int, _NUMBER.findall(name)))
        found.setdefault(texts, {})[numbers] = layer
        places.setdefault(texts, {})[numbers] = place / len(layers)
    for texts, members in found.items():
        yield Group(texts, members, places[texts], frozenset(_words("".join(texts))))


def _parted(key: str) -> tuple[str, str]:
    """The name of a layer, and what its weight is called; all of a key where that does not tell."""
    name, leaf = _stem(key), key[len(_stem(key)) :]
    if _sort(leaf):
        return name, leaf
    head, joint, last = key.rpartition("_")  # as in `in_proj_weight`
    return (head + joint, last) if last in ("weight", "bias") else (key, "")


def _ordered(shapes: Shapes) -> Shapes:
    """The keys as the file has them; by their numbers where it sorts them as text."""
    keys = list(shapes)
    if keys == sorted(keys):
        keys.sort(
            key=lambda key: [
                (not part.isdigit(), int(part) if part.isdigit() else 0, part)
                for part in re.split(r"(\d+)", key)
            ]
        )
    return {key: shapes[key] for key in keys}


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()):
        yield next((row[0] for row in _ALIKE if word in row), word)


def _sort(leaf: str) -> str:
    """What sort of weight is called so; empty where that says nothing."""
    return next((sort for sort, words in _SORTS.items() if leaf.lower() in words), "")


def _stem(key: str) -> str:
    """The key up to its last level."""
    return key[: max(key.rfind("."), key.rfind("/")) + 1]


# ------------------------------------------------------------------ counterparts


class _Proposing:
    """Pairs groups round by round: first those that correspond as they are, then their parts, and single layers last."""

    def __init__(self, mine: list[Group], other: list[Group], heads: Mapping[str, int]) -> None:
        self.mine, self.other, self.heads = mine, other, heads
        self.here: dict[str, str] = {}  # the blocks that are paired
        self.there: dict[str, str] = {}
        self.transposed = self._transposes()

    def run(self) -> list[tuple[Pair, str]]:
        """All pairs, in the order of the network, with what is doubtful of each."""
        found: list[tuple[Pair, str]] = []
        for _ in range(_ROUNDS):
            found += self._round()
            self.mine = [part for group in self.mine for part in group.parted()]
            self.other = [part for group in self.other for part in group.parted()]
        found += [(pair, "by their order alone") for pair in self._in_order()]
        return sorted(found, key=lambda pair: pair[0].ours.order)

    def _round(self) -> list[tuple[Pair, str]]:
        self._count()
        candidates = [pair for group in self.mine for pair in self._candidates(group)]
        left, found = candidates, list[Pair]()
        while left:
            best = max(left, key=self._score)
            found.append(best)
            ours, theirs = _block(best.ours), _block(best.theirs[0])
            self.here.setdefault(ours, theirs)
            self.there.setdefault(theirs, ours)
            taken = {best.ours, *best.theirs}
            left = [pair for pair in left if taken.isdisjoint((pair.ours, *pair.theirs))]
        done = {pair.ours for pair in found}
        used = {group for pair in found for group in pair.theirs}
        self.mine = [group for group in self.mine if group not in done]
        self.other = [group for group in self.other if group not in used]
        return [(pair, _doubt(pair, candidates)) for pair in found]

    def _count(self) -> None:
        """How many groups have the shapes of each sort of layer, here and there."""
        self.known: dict[Signature, list[int]] = {}
        for side, groups in enumerate((self.mine, self.other)):
            for layer in (layer for group in groups for layer in group.members.values()):
                self.known.setdefault(_signature(layer), [0, 0])[side] += 1
        sizes: dict[int, list[Group]] = {}
        for group in self.other:
            sizes.setdefault(len(group.members), []).append(group)
        self.rows = {
            size: [row for parts in (3, 2) for row in _alike(groups, parts)] for size, groups in sizes.items()
        }

    def _score(self, pair: Pair) -> float:
        ours, theirs = _block(pair.ours), _block(pair.theirs[0])
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
        for joined in self.rows.get(len(group.members), ()):
            if pair := self._pair(group, joined):
                yield pair

    def _are_only(self, ours: Group, theirs: Group) -> bool:
        """Whether no other groups have the shapes that two single layers have, here and there."""
        shapes = _signature(ours.first)
        return shapes == _signature(theirs.first) and self.known[shapes] == [1, 1]

    def _in_order(self) -> Iterator[Pair]:
        """Single layers of equal shapes, where there are as many here as there, in their order."""
        classes: dict[Signature, tuple[list[Group], list[Group]]] = {}
        for side, groups in enumerate((self.mine, self.other)):
            for single in sorted((single for group in groups for single in group.singles()), key=_order):
                classes.setdefault(_signature(single.first), ([], []))[side].append(single)
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
        pairs = list(_counterparts(ours, theirs[0], columns))
        if any(there not in group.members for group in theirs for _, there in pairs):
            return None
        for leaf in ours.first:
            names = [name for name in theirs[0].first if _sort(name) == _sort(leaf)]
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


def _block(group: Group) -> str:
    return _stem(str(group).rstrip("./"))


def _signature(layer: Layer) -> Signature:
    """The shapes of a layer's weights, whatever the order of their axes, without those of size 1."""
    return frozenset(
        (_sort(leaf), tuple(sorted(size for size in shape if size > 1)))
        for leaf, shape in layer.items()
        if leaf != COUNTED
    )


def _alike(groups: list[Group], parts: int) -> Iterator[tuple[Group, ...]]:
    """Rows of groups that have the same numbers and shapes, and names that differ in one word."""
    for first in groups:
        row = [
            there
            for there in groups
            if there.members == first.members
            and len(there.texts) == len(first.texts)
            and len(first.words ^ there.words) <= 2
        ]
        if len(row) == parts and row[0] is first:
            yield tuple(sorted(row, key=_turn))


def _turn(group: Group) -> int:
    """Queries come first, then keys, then values; else the order of the file."""
    return next((i for i, name in enumerate("qkv") if name in group.words), 3)


def _alike_names(ours: Group, theirs: Group) -> float:
    """How alike names are, and the places among the others."""
    words = len(ours.words & theirs.words) / max(1, len(ours.words | theirs.words))
    letters = SequenceMatcher(None, "".join(ours.texts), "".join(theirs.texts), autojunk=False).ratio()
    return words + 0.5 * letters - 0.5 * abs(ours.order - theirs.order)


def _counterparts(
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


# ------------------------------------------------------------------ rules


def _rules(pair: Pair, doubt: str) -> Iterator[tuple[Renaming, str]]:
    """A rule for each weight of all layers of a pair where each number is shifted alike, else of each value of one that is not."""
    first = pair.theirs[0]
    shifts: dict[int, int] = {}
    for a, b in pair.columns:
        found = {y - x for x, y in zip(pair.ours.columns[a], first.columns[b], strict=True)}
        if len(found) == 1:
            shifts[a] = found.pop()
    there_of = dict(pair.columns)
    letters = dict(zip(shifts, _LETTERS, strict=False))
    seen: set[str] = set()
    for here, there in _counterparts(pair.ours, first, pair.columns):
        left, right = list[object](there), list[object](here)
        for a, letter in letters.items():
            shift = shifts[a]
            right[a] = f"{{{letter}}}" if shift >= 0 else f"{{{letter} + {-shift}}}"
            left[there_of[a]] = f"{{{letter} + {shift}}}" if shift > 0 else f"{{{letter}}}"
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
