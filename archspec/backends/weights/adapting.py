"""What may be done to weights that are of another shape: each rule says where it applies, and is carried out only where asked for.

Which layers the image reaches first, and which give the classes, is read off the graph, not off names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from archspec.analyses.ends import Entry, entries, exits
from archspec.analyses.positions import tables
from archspec.backends.torch_positions import resized, shown_sizes
from archspec.backends.weights import values
from archspec.backends.weights.plan import Change
from archspec.graph import Graph, Node
from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest
from archspec.ground.tensor import show
from archspec.op import Weight
from archspec.op.table import Table
from archspec.ops.conv import _Conv

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Fitted:
    """A weight brought nearer to the network's shape: how, and the shape that it then has.

    A weight that `fills` keeps some of its first values, which are handed on behind the tensor.
    """

    change: Change
    shape: Shape
    fills: bool = False


@dataclass(frozen=True)
class New:
    """A weight that is to stay as it is drawn, and why."""

    why: str


@dataclass(frozen=True)
class Unfit:
    """A rule is the right one, but cannot be carried out."""

    why: str
    help: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the rules make of a weight: changes, in order, when it fits in the end; or that it stays new; or why it does not fit."""

    changes: tuple[Change, ...] = ()
    fits: bool = True
    fills: bool = False
    new: str = ""
    offers: tuple[str, ...] = ()
    why: str = ""
    help: str = ""


class Case:
    """A network, the network that a file is of, and the adaptations that are asked for; with what is known of both graphs.

    Where nothing is said of the file, and it fits another network as well, that is its `rival`.
    """

    def __init__(self, graph: Graph, source: Graph, rival: Graph | None, asked: Mapping[str, object]) -> None:
        self.graph = graph
        self.source = source
        self.rival = {} if rival is None else tables(rival)
        self.asked = asked

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The layers that an input reaches first."""
        return entries(self.graph)

    @cached_property
    def exits(self) -> dict[str, Node]:
        """The layers that give the outputs."""
        return exits(self.graph)

    @cached_property
    def tables(self) -> tuple[dict[str, Table], dict[str, Table]]:
        """The tables of positions of the network that the file is of, and of the network."""
        new = tables(self.graph)
        return (new if self.source is self.graph else tables(self.source)), new

    def outcome(self, name: str, old: str, step: str, shape: Shape, weight: Weight) -> Outcome:
        """What becomes of a tensor of a shape that is to be a weight of the network, of the step; `old` is its name where it comes from."""
        changes: list[Change] = []
        offers: list[str] = []
        fills = False
        for rule_name, rule in RULES.items():
            found = rule(self, Subject(name, old, step, shape, weight), self.asked.get(rule_name))
            if found is None:
                continue
            if rule_name not in self.asked:
                if isinstance(found, Unfit):
                    return Outcome(fits=False, why=found.why, help=found.help)
                offers.append(rule_name)
                shape = found.shape if isinstance(found, Fitted) else weight.shape
                continue
            if isinstance(found, New):
                return Outcome(new=found.why)
            if isinstance(found, Unfit):
                return Outcome(fits=False, why=found.why, help=found.help)
            changes.append(found.change)
            shape, fills = found.shape, fills or found.fills
        if shape != weight.shape:
            return Outcome(fits=False)
        return Outcome(tuple(changes), not offers, fills, offers=tuple(offers))


@dataclass(frozen=True)
class Subject:
    """A tensor on its way into a weight: its shape so far, and the weight."""

    name: str
    old: str
    step: str
    shape: Shape
    weight: Weight


Rule = Callable[[Case, Subject, Any], "Fitted | New | Unfit | None"]


# -------------------------------------------------------------- the rules


def _channels(case: Case, subject: Subject, choice: Any) -> Fitted | Unfit | None:
    """Other channels of the image: one is the sum of all, more are cycled and rescaled [Wightman, 2019, timm's `adapt_input_conv`]."""
    before, after = subject.shape, subject.weight.shape
    entry = case.entries.get(subject.step)
    if entry is None or len(before) != len(after) or len(before) < 2 or before[1] == after[1]:
        return None
    if before[0] != after[0] or not subject.name.endswith(".weight"):
        return None
    op = entry.node.op
    if not isinstance(op, _Conv):
        return None
    if entry.behind or op.groups != 1:
        how = f"behind `{entry.behind}`" if entry.behind else f"in {op.groups} groups"
        return Unfit(
            f"has `{subject.name}` of shape {show(before)}, not {show(after)}, whose channels are the image's {how}",
            "channels can be adapted where a convolution takes the image as it is",
        )
    made = f"channels {before[1]} -> {after[1]}: " + ("summed" if after[1] == 1 else "cycled, rescaled")
    return Fitted(
        Change(made, partial(values.with_channels, count=after[1])), (before[0], after[1], *before[2:])
    )


def _patch(case: Case, subject: Subject, choice: Any) -> Fitted | None:
    """Another size of patches, by the pseudo-inverse of resizing an image [Beyer et al., 2023, FlexiViT, Section 3.4]."""
    before, after = subject.shape, subject.weight.shape
    entry = case.entries.get(subject.step)
    if entry is None or len(before) != len(after) or before[2:] == after[2:] or before[0] != after[0]:
        return None
    op = entry.node.op
    if not isinstance(op, _Conv) or len(before) != 4 or entry.behind or before[1] != after[1]:
        return None
    if not _tiles(op, after[2:]):
        return None
    said = f"patches {before[2]} x {before[3]} -> {after[2]} x {after[3]}: by the pseudo-inverse of resizing"
    return Fitted(Change(said, partial(values.with_patches, size=(after[2], after[3]))), after)


def _tiles(op: _Conv, kernel: tuple[int, ...]) -> bool:
    """Whether a convolution's windows lie side by side."""
    stride = op.stride if isinstance(op.stride, tuple | list) else (op.stride,) * len(kernel)
    return tuple(stride) == tuple(kernel)


def _grid(case: Case, subject: Subject, choice: Any) -> Fitted | Unfit | None:
    """Tables of positions of another grid or window, bicubic [Dosovitskiy et al., 2021, Section 3.2]."""
    old_tables, new_tables = case.tables
    new = new_tables.get(subject.name)
    if new is None:
        return None
    old = old_tables.get(subject.old)
    if case.source is case.graph and subject.shape != subject.weight.shape:
        shown = shown_sizes(subject.shape, new)
        old = None if shown is None else new.of(shown)
    if subject.name in case.rival and (other := case.rival[subject.name]) != new:
        return Unfit(
            f"has `{subject.name}`, which may be {other}, as at the default settings, or {new}", _SAY
        )
    if old == new:
        return None
    shapes = f"has `{subject.name}` of shape {show(subject.shape)}, not {show(subject.weight.shape)}"
    if old is None:
        return Unfit(f"{shapes}, and does not say of which grid", _SAY)
    if old.of(new.sizes) != new or not old.fits(subject.shape):
        return Unfit(f"{shapes}: it is {old}, and {new} is laid out otherwise")
    what = "windows" if new.kind == "relative" else "grid"
    said = f"{what} {_by(old.sizes)} -> {_by(new.sizes)}: bicubic"
    return Fitted(Change(said, partial(resized, old=old, new=new)), subject.weight.shape)


_SAY = "say of which network the file is: `from_=`, or `--from` and `--from-set`: a spec with its settings"


def _by(sizes: Shape) -> str:
    return " x ".join(map(str, sizes))


def _classes(case: Case, subject: Subject, choice: Any) -> Fitted | New | None:
    """Another last layer: as it is drawn, or with the rows of those of the file's classes that are named."""
    before, after = subject.shape, subject.weight.shape
    if subject.step not in case.exits or before[1:] != after[1:] or not after:
        return None
    if choice is None or choice is True:
        return New(f"a new head, {before[0]} -> {after[0]} classes") if before != after else None
    rows = _rows(choice, before[0], after[0])
    said = f"rows of {len(rows)} of {before[0]} classes"
    fills = len(rows) < after[0]
    return Fitted(Change(said, partial(values.with_rows, rows=rows), fills=fills), after, fills)


def _rows(choice: Any, before: int, after: int) -> dict[int, int]:
    """The row of the file for each row of the network. SpecError when there is no such row."""
    pairs = dict(choice) if isinstance(choice, Mapping) else dict(enumerate(choice))
    pairs = {new: old for new, old in pairs.items() if old is not None}
    for new, old in pairs.items():
        for which, index, count in (("the network", new, after), ("the file", old, before)):
            if type(index) is not int or not 0 <= index < count:
                raise SpecError.of(
                    codes.OPTION,
                    f"`classes` names class {index!r}, and {which} has {count}, from 0 on",
                    help="as in `adapt={'classes': [5, 7]}`: the classes of the file, in the network's order",
                )
    return pairs


RULES: dict[str, Rule] = {"channels": _channels, "patch": _patch, "grid": _grid, "classes": _classes}
"""The adaptations of single weights, in the order in which they are carried out."""

ADAPTATIONS = ("classes", "channels", "grid", "patch", "fold")
"""All adaptations, as they are asked for."""


def adaptations(adapt: object) -> dict[str, object]:
    """The adaptations that are asked for by name: one, several, "all", or a mapping that may say how.

    Raises SpecError when there is none of that name, or it cannot be done that way.
    """
    if adapt is None or adapt is False:
        return {}
    if adapt is True:
        adapt = "all"
    asked: Mapping[Any, object]
    if isinstance(adapt, str):
        asked = {adapt: True}
    elif isinstance(adapt, Mapping):
        asked = adapt
    elif isinstance(adapt, list | tuple | set | frozenset) and all(isinstance(name, str) for name in adapt):
        asked = dict.fromkeys(adapt, True)
    else:
        raise SpecError.of(codes.CHOICE, f"`adapt` names adaptations, not {adapt!r}", help=_KNOWN)
    if "all" in asked:
        asked = {**dict.fromkeys(ADAPTATIONS, True), **{n: c for n, c in asked.items() if n != "all"}}
    for name, choice in asked.items():
        if name not in ADAPTATIONS:
            near = suggest(name, ADAPTATIONS) if isinstance(name, str) else ""
            raise SpecError.of(codes.CHOICE, f"there is no adaptation {name!r}", help=near or _KNOWN)
        listed = name == "classes" and isinstance(choice, list | tuple | Mapping)
        if not isinstance(choice, bool) and not listed:
            how = "True, or the classes of the file" if name == "classes" else "True or False"
            raise SpecError.of(codes.OPTION, f"the adaptation `{name}` is {how}, not {choice!r}")
    return {name: choice for name, choice in asked.items() if choice is not False}


_KNOWN = f"there are {', '.join(f'`{name}`' for name in ADAPTATIONS)}, and `all`"
