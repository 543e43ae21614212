"""Weights of one resolution for a network of another: tables of positions are resized [Dosovitskiy et al., 2021, Section 3.2]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional

from archspec.analyses.positions import tables
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError, suggest
from archspec.op.table import Table

Sizes = tuple[int, ...]  # of a grid or a window: height and width
Grids = Sizes | Mapping[str, Sizes]

MOST_SAID = 5
_DECLARED = "a spec says what a weight is a table of in its shape: `[1, 1 + grid(h, w), dim]`"


def resized(weight: Tensor, old: Table, new: Table) -> Tensor:
    """A table of positions of another grid or window, interpolated in single precision at least; tokens are handed on.

    Grids are resized bicubic and smoothed where they shrink, as timm does it and Pillow; windows bicubic alone, as the authors
    of Swin do it. A table of the same sizes is handed on as it is.

    Raises Mistake when the weight is no such table, and when the two are not laid out alike.
    """
    name = f"[{', '.join(map(str, weight.shape))}]"
    if not old.fits(tuple(weight.shape)):
        raise Mistake(f"{name} is not {old}", codes.POSITIONS)
    if old.of(new.sizes) != new:
        raise Mistake(f"{name} is {old}, and {new} is laid out otherwise", codes.POSITIONS)
    if not weight.is_floating_point():
        raise Mistake(f"values of {weight.dtype} cannot be interpolated", codes.POSITIONS)
    if old.sizes == new.sizes:
        return weight
    axes = len(old.shape)
    last = tuple(range(-axes, 0))
    moved = weight.movedim(tuple(range(old.axis, old.axis + axes)), last)
    lead = moved.shape[:-axes]
    before, after = moved[..., :0], moved[..., :0]
    if not old.spread:
        end = moved.shape[-1] - old.after
        before, moved, after = moved[..., : old.before], moved[..., old.before : end], moved[..., end:]
    plane = (1, *old.spans)[-2:], (1, *new.spans)[-2:]
    found = _interpolated(moved.reshape(1, -1, *plane[0]), plane[1], smoothed=old.kind == "grid")
    if old.spread:
        found = found.reshape(*lead, *new.spans)
    else:
        found = torch.cat([before, found.reshape(*lead, -1), after], -1)
    return found.movedim(last, tuple(range(old.axis, old.axis + axes))).contiguous()


def _interpolated(plane: Tensor, size: Sizes, *, smoothed: bool) -> Tensor:
    """[1, N, H, W] -> [1, N, *size], bicubic, in single precision at least; `smoothed` where it shrinks."""
    if size[1] == 1 < size[0]:  # PyTorch 2.13 repeats the first value of a column; a row it gets right
        return _interpolated(plane.mT, (1, size[0]), smoothed=smoothed).mT
    precise = plane if plane.element_size() >= 4 else plane.float()
    return functional.interpolate(precise, size, mode="bicubic", antialias=smoothed).to(plane.dtype)


def resize_positions(
    weights: Mapping[str, Tensor],
    graph: Graph,
    before: Grids | Graph | None = None,
    after: Grids | None = None,
) -> dict[str, Tensor]:
    """The weights, with each table of positions resized from its grid `before` to that of the graph.

    See `archspec.resize_positions`.
    """
    wanted = {name: weight.shape for name, weight in graph.weights.items() if weight.saved}
    present = [name for name in weights if name in wanted]
    known = {name: table for name, table in tables(graph).items() if name in weights}
    old = _Spec(before) if isinstance(before, Graph) else _Given("before", before, known)
    _Given("after", after, known).require(known)
    found = dict(weights)
    others: list[str] = []
    unfit: list[str] = []
    unclear: dict[str, str] = {}
    for name in present:
        shape, table = tuple(weights[name].shape), known.get(name)
        try:
            if table is not None and (source := old.table(name, shape, table)) is not None:
                found[name] = resized(weights[name], source, table)
        except _Unclear as mistake:
            unclear[name] = mistake.message
        except Mistake as mistake:
            unfit.append(f"`{name}`: {mistake.message}")
        else:
            if table is None and isinstance(old, _Spec) and name in old.tables:
                unfit.append(
                    f"`{name}` is {old.tables[name]} in {old.name}, and {graph.name} does not say so"
                )
            elif tuple(found[name].shape) != wanted[name]:
                others.append(f"`{name}` {list(shape)}, where {list(wanted[name])} is wanted")
    if others:
        raise SpecError.of(
            codes.POSITIONS,
            f"no tables of positions, so they cannot be resized: {_listed(others)}",
            help=f"these weights are of another model, or of other settings of it; {_DECLARED}",
        )
    if unfit:
        raise SpecError.of(
            codes.POSITIONS,
            f"other grids than those given: {_listed(unfit)}",
            help='give tables of several grids each its own, `before={"pos_embed": (14, 14)}`, or the graph of the spec that'
            " the weights are of",
        )
    if unclear:
        said = _listed(f"`{name}` {list(weights[name].shape)}" for name in unclear)
        raise SpecError.of(
            codes.POSITIONS,
            f"weights do not say of which grid a table is: {said}",
            help=next(iter(unclear.values())),
        )
    return found


class _Unclear(Mistake):
    """A table whose grid only the caller knows; the message says how to give it."""


class _Spec:
    """The grids of the tables, as another spec says them: that which the weights are of."""

    def __init__(self, graph: Graph) -> None:
        self.tables = tables(graph)
        self.name = graph.name
        self.shapes = {name: weight.shape for name, weight in graph.weights.items()}

    def table(self, name: str, shape: Sizes, new: Table) -> Table | None:
        """What a weight is a table of. Raises Mistake where that spec says nothing of it, or has it in another shape."""
        if name not in self.tables:
            lacks = "has no such weight" if name not in self.shapes else "does not say of which grid it is"
            raise Mistake(f"{self.name} {lacks}", codes.POSITIONS)
        if shape != self.shapes[name]:
            raise Mistake(
                f"{list(shape)} is not of {self.name}, which has {list(self.shapes[name])}", codes.POSITIONS
            )
        return self.tables[name]


class _Given:
    """The grids that the caller gave, for all tables or by name."""

    def __init__(self, argument: str, given: Grids | None, known: Mapping[str, Table]) -> None:
        self.argument = argument
        self.named = dict(given) if isinstance(given, Mapping) else None
        self.sizes = None if isinstance(given, Mapping) else given
        for name in self.named or ():
            if name not in known:
                raise SpecError.of(
                    codes.POSITIONS,
                    f"`{argument}` names `{name}`, which is no table of positions of both the file and the network",
                    help=suggest(str(name), known) or _DECLARED,
                )
        for sizes in [*(self.named or {}).values(), *([] if self.sizes is None else [self.sizes])]:
            if (
                not isinstance(sizes, tuple | list)
                or not 1 <= len(sizes) <= 2
                or not all(type(side) is int and side > 0 for side in sizes)
            ):
                raise SpecError.of(
                    codes.POSITIONS,
                    f"`{argument}` is the height and width of a grid, as in `{argument}=(14, 14)`, not {sizes!r}",
                    help="or the graph of the spec that the weights are of" if argument == "before" else "",
                )
        if self.sizes is not None and not known:
            raise SpecError.of(
                codes.POSITIONS,
                f"there is no table of positions, so `{argument}` would change nothing",
                help=_DECLARED,
            )

    def of(self, name: str) -> Sizes | None:
        """The grid given for a table."""
        found = self.sizes if self.named is None else self.named.get(name)
        return None if found is None else tuple(found)

    def require(self, known: Mapping[str, Table]) -> None:
        """SpecError when a grid was given that is not the network's own."""
        wrong = [
            f"`{name}` is {table}, not {' x '.join(map(str, sizes))}"
            for name, table in known.items()
            for sizes in [self.of(name)]
            if sizes not in (None, table.sizes)
        ]
        if wrong:
            raise SpecError.of(
                codes.POSITIONS,
                f"the network has other grids than `{self.argument}`: {_listed(wrong)}",
                help=f"leave out `{self.argument}`: the graph says what its tables are of",
            )

    def table(self, name: str, shape: Sizes, new: Table) -> Table | None:
        """What a weight of that shape is a table of; None where it is to be handed on.

        Raises _Unclear when nothing says it, Mistake when what was given does not fit.
        """
        sizes = self.of(name)
        seen = shown_sizes(shape, new)
        if sizes is None and seen is None:
            if self.named is not None and new.fits(shape):
                return None  # tables are given by name, and this is none of them
            raise _Unclear(_how(name, shape, new))
        if seen is not None and sizes not in (None, seen):
            raise Mistake(
                f"{list(shape)} is of {' x '.join(map(str, seen))} places, not {' x '.join(map(str, sizes or ()))}",
                codes.POSITIONS,
            )
        return new.of(sizes or seen or ())


def shown_sizes(shape: Sizes, table: Table) -> Sizes | None:
    """The grid that the shape of a table shows: that of a map, and of a table along one axis."""
    spans = shape[table.axis : table.axis + len(table.shape)]
    if len(spans) < len(table.shape) or (len(table.sizes) > 1 and not table.spread):
        return None
    if not table.spread:
        spans = (spans[0] - table.before - table.after,)
    sizes = tuple((span + 1) // 2 for span in spans) if table.kind == "relative" else spans
    return sizes if min(sizes) >= 1 and table.of(sizes).fits(shape) else None


def _how(name: str, shape: Sizes, table: Table) -> str:
    """How to say what grid a table is of, with the square one as the example."""
    what = "height and width of its " + ("window" if table.kind == "relative" else "grid")
    places = shape[table.axis] - table.before - table.after if table.axis < len(shape) else 0
    side = isqrt(max(places, 0))
    if table.kind == "relative":
        side = (side + 1) // 2
    square = side > 0 and table.of((side, side)).fits(shape)
    given = f"`before={(side, side)}` if they are square" if square else f"`before={{{name!r}: (h, w)}}`"
    return (
        f"give {what}, {given}, or the graph of the spec that the weights are of: `before=archspec.read(...)`"
    )


def _listed(items: Iterable[str]) -> str:
    said = list(items)
    more = f" and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
    return ", ".join(said[:MOST_SAID]) + more
