"""Layers as their names tell them: what is called alike but for numbers is a group, and a group has parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from archspec.analyses.renaming import COUNTED, Shapes, Sizes

Numbers = tuple[int, ...]
Signature = frozenset[tuple[str, Sizes]]
Layer = dict[str, Sizes]
"""The shapes of a layer's weights, by what they are called."""

_NUMBER = re.compile(r"(?<!\d)\d{1,9}(?!\d)", re.ASCII)  # more digits are text
_UNPADDED = re.compile(
    r"(?<![1-9])(?:(?<=0)|(?<!\d))[1-9]\d{0,8}(?!\d)|(?<!\d)0(?!\d)", re.ASCII
)  # zeros before it are text
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_WORD = re.compile(r"[a-z]+|\d+")

_SORTS = {
    "weight": ("weight", "kernel", "scale", "gamma", "w", "weights", "embedding", "table"),
    "bias": ("bias", "beta", "offset", "b", "biases"),
    "mean": ("running_mean", "moving_mean", "mean"),
    "variance": ("running_var", "moving_variance", "moving_var", "var", "variance"),
    "gain": ("gain",),
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

    `places` are where among all layers each of them stands, as a share; `widths` are the least digits that each number is written with.
    """

    texts: tuple[str, ...]
    members: Mapping[Numbers, Layer]
    places: Mapping[Numbers, float]
    words: frozenset[str]
    widths: tuple[int, ...]

    def name(self, numbers: Sequence[object]) -> str:
        """The layer with these numbers, or what stands for them, as templates of keys have it."""
        written = [
            f"{number:0{width}}" if isinstance(number, int) else str(number)
            for number, width in zip(numbers, self.widths, strict=True)
        ]
        return "".join(
            text.replace("{", "{{").replace("}", "}}") + number
            for text, number in zip(self.texts, [*written, ""], strict=True)
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
        return replace(self, members={numbers: self.members[numbers] for numbers in chosen})


def groups_of(shapes: Shapes) -> Iterator[Group]:
    """The groups of the layers whose weights have these keys and shapes."""
    layers: dict[str, Layer] = {}
    for key, shape in shapes.items():
        name, leaf = _parted(key)
        layers.setdefault(name, {})[leaf] = shape
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in layers:
        alike.setdefault(tuple(_NUMBER.split(name)), []).append(name)
    places = {name: place / len(layers) for place, name in enumerate(layers)}
    for names in alike.values():
        widths = _widths(names)
        split = (
            _UNPADDED if widths is None else _NUMBER
        )  # texts have no place where zeros are some here, some there
        parts: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            parts.setdefault(tuple(split.split(name)), []).append(name)
        for texts, same in parts.items():
            numbers = {name: tuple(map(int, split.findall(name))) for name in same}
            yield Group(
                texts,
                {numbers[name]: layers[name] for name in same},
                {numbers[name]: places[name] for name in same},
                frozenset(_words("".join(texts))),
                widths or (1,) * (len(texts) - 1),
            )


def _widths(names: Sequence[str]) -> tuple[int, ...] | None:
    """The least digits that each number of names is written with, where that is the same in all; None where zeros differ."""
    widths = []
    for column in zip(*(_NUMBER.findall(name) for name in names), strict=True):
        padded = {len(number) for number in column if number.startswith("0") and len(number) > 1}
        width = min(map(len, column))
        if padded and padded != {width}:
            return None
        widths.append(width if padded else 1)
    return tuple(widths)


def _parted(key: str) -> tuple[str, str]:
    """The name of a layer, and what its weight is called; all of a key where that does not tell."""
    name, leaf = _stem(key), key[len(_stem(key)) :]
    if sort_of(leaf):
        return name, leaf
    head, joint, last = key.rpartition("_")  # as in `in_proj_weight`
    return (head + joint, last) if last in ("weight", "bias") else (key, "")


def in_order(shapes: Shapes) -> Shapes:
    """The keys as the file has them; by their numbers where it sorts them as text."""
    keys = list(shapes)
    if keys == sorted(keys):
        keys.sort(
            key=lambda key: [
                (i % 2 == 0, len(part.lstrip("0")) if i % 2 else 0, part)
                for i, part in enumerate(_DIGITS.split(key))
            ]
        )
    return {key: shapes[key] for key in keys}


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()):
        yield next((row[0] for row in _ALIKE if word in row), word)


def sort_of(leaf: str) -> str:
    """What sort of weight is called so; empty where that says nothing."""
    return next((sort for sort, words in _SORTS.items() if leaf.lower() in words), "")


def _stem(key: str) -> str:
    """The key up to its last level."""
    return key[: max(key.rfind("."), key.rfind("/")) + 1]


def block_of(group: Group) -> str:
    """What the names of a group's layers have before their last level."""
    return _stem(str(group).rstrip("./"))


def signature(layer: Layer) -> Signature:
    """The shapes of a layer's weights, whatever the order of their axes, without those of size 1."""
    return frozenset(
        (sort_of(leaf), tuple(sorted(size for size in shape if size > 1)))
        for leaf, shape in layer.items()
        if leaf != COUNTED
    )
