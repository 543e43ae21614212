"""Weights of one resolution for a network of another: tables of positions are resized [Dosovitskiy et al., 2021, Section 3.2]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import isqrt, prod

import torch
from torch import Tensor
from torch.nn import functional

from archspec.analyses.positions import Grid, Table, tables
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError, suggest

MOST_TOKENS = 2  # before a grid that only the caller knows: one for the class, one for distillation
MOST_SAID = 5


def resize_positions(
    weights: Mapping[str, Tensor],
    graph: Graph,
    before: Grid | Mapping[str, Grid] | None = None,
    after: Grid | Mapping[str, Grid] | None = None,
) -> dict[str, Tensor]:
    """The weights, with each table of positions resized from its grid `before` to that of the graph.

    See `archspec.resize_positions`.
    """
    shapes = {name: weight.shape for name, weight in graph.weights.items() if weight.saved}
    present = [name for name in weights if name in shapes]
    old, new = _Grids("before", before, present), _Grids("after", after, present)
    known, resized = tables(graph), dict(weights)
    wrong: list[str] = []
    unfit: list[str] = []
    unclear: dict[str, str] = {}
    for name in present:
        named = name in old.named or name in new.named
        table = known.get(name)
        if named and (table is None or table.kind == "unknown"):
            table = Table("sequence")
        try:
            resized[name] = _resized(name, weights[name], shapes[name], table, old, new)
        except _NoTable:
            wrong.append(f"`{name}` {list(weights[name].shape)}, where {list(shapes[name])} is wanted")
        except _Unclear as mistake:
            unclear[name] = mistake.message
        except Mistake as mistake:
            unfit.append(mistake.message)
    if wrong:
        raise SpecError.of(
            codes.POSITIONS,
            f"no tables of positions, so they cannot be resized: {_listed(wrong)}",
            help="these weights are of another model, or of other settings of it",
        )
    if unfit:
        raise SpecError.of(
            codes.POSITIONS,
            f"other grids than those given: {_listed(unfit)}",
            help='give tables of several grids each its own, as in `before={"pos_embed": (14, 14)}`',
        )
    if unclear:
        said = _listed(f"`{name}` {list(weights[name].shape)}" for name in unclear)
        raise SpecError.of(
            codes.POSITIONS,
            f"weights do not say of which grid a table is: {said}",
            help=next(iter(unclear.values())),
        )
    old.require_used()
    new.require_used()
    return resized


class _NoTable(Exception):  # noqa: N818  (the caller says what is wrong)
    """A weight of another shape is no table of positions."""


class _Unclear(Mistake):
    """A table whose grid only the caller knows; the message says how to give it."""


class _Grids:
    """The grids that the caller gave, for all tables or by name, and whether they were of use."""

    def __init__(self, argument: str, given: Grid | Mapping[str, Grid] | None, names: Iterable[str]) -> None:
        self.argument = argument
        self.named = dict(given) if isinstance(given, Mapping) else {}
        self.by_name = isinstance(given, Mapping)
        self.pair = None if given is None or isinstance(given, Mapping) else given
        self.used = False
        for name in self.named:
            if name not in names:
                raise SpecError.of(
                    codes.POSITIONS,
                    f"`{argument}` names `{name}`, which is not a weight of both the file and the network",
                    help=suggest(str(name), names),
                )
        for grid in (*self.named.values(), *([] if self.pair is None else [self.pair])):
            if (
                not isinstance(grid, tuple | list)
                or len(grid) != 2
                or not all(type(side) is int and side > 0 for side in grid)
            ):
                raise SpecError.of(
                    codes.POSITIONS,
                    f"`{argument}` is the height and width of a grid, as in `{argument}=(14, 14)`, not {grid!r}",
                )

    def of(self, name: str) -> Grid | None:
        """The grid given for a table."""
        found = self.named.get(name, self.pair)
        self.used = self.used or found is not None
        return None if found is None else (found[0], found[1])

    def require_used(self) -> None:
        """SpecError when a grid was given for all tables, and there is none."""
        if self.pair is not None and not self.used:
            raise SpecError.of(
                codes.POSITIONS,
                f"there is no table of positions, so `{self.argument}` would change nothing",
                help=f"if a weight is one, name it: `{self.argument}={{NAME: (height, width)}}`",
            )


def _resized(
    name: str, weight: Tensor, shape: tuple[int, ...], table: Table | None, old: _Grids, new: _Grids
) -> Tensor:
    """A weight in the shape of the network's. Raises _NoTable, _Unclear, or Mistake when a grid given does not fit."""
    same = tuple(weight.shape) == shape
    named = name in old.named or name in new.named
    if same and not named and (table is None or not table.certain):
        if table is not None and _might_move(weight, old, new):
            grid = old.pair or "(height, width)"
            raise _Unclear(
                f"if it is one, name it: `before={{{name!r}: {grid}}}`; if not, name those that are, or none: `before={{}}`"
            )
        return weight
    if table is not None and table.kind == "unknown":
        table = None
    if table is None or weight.ndim != len(shape) or not weight.is_floating_point():
        raise _NoTable
    if weight.shape[:-2] != shape[:-2] or (table.kind != "map" and weight.shape[-1:] != shape[-1:]):
        raise _NoTable
    if table.kind == "map":
        start, end = _agreed(name, old, _pair(weight.shape)), _agreed(name, new, _pair(shape))
        return weight if start == end else _interpolated(weight.reshape(1, -1, *start), end).reshape(shape)
    count, wanted = weight.shape[-2], shape[-2]
    start = _given(name, old, _before(count, table))
    end = (
        _agreed(name, new, table.grid)
        if table.grid
        else _given(name, new, "also give `after=(height, width)`")
    )
    sides = ((start, count), (end, wanted))
    if table.kind == "relative":
        for (height, width), rows in sides:
            if rows != (2 * height - 1) * (2 * width - 1):
                raise Mistake(
                    f"`{name}` has {rows} rows, not those of a window of {height} x {width}", codes.POSITIONS
                )
        start, end = ((2 * height - 1, 2 * width - 1) for height, width in (start, end))
        tokens, first = 0, 0
    else:
        tokens = wanted - end[0] * end[1]
        allowed = range(MOST_TOKENS + 1) if table.tokens is None else (sum(table.tokens),)
        for (height, width), rows in reversed(sides):
            if rows != height * width + tokens or tokens not in allowed:
                beside = f" beside {tokens} tokens" if rows != wanted and tokens > 0 else ""
                raise Mistake(f"`{name}` has {rows} places, not {height} x {width}{beside}", codes.POSITIONS)
        if tokens and table.tokens is None and start != end:
            raise Mistake(
                f"`{name}` has {wanted} rows, of which the graph does not show where the {tokens} beside a grid of"
                f" {end[0]} x {end[1]} stand",
                codes.POSITIONS,
            )
        first = table.tokens[0] if table.tokens else 0
    if start == end:
        return weight
    vectors = weight.reshape(count, -1)
    before, places, behind = torch.tensor_split(vectors, (first, count - tokens + first))
    moved = _interpolated(places.T.reshape(1, -1, *start), end).flatten(2)[0].T
    return torch.cat([before, moved, behind]).reshape(shape)


def _might_move(weight: Tensor, old: _Grids, new: _Grids) -> bool:
    """Whether a weight of the right size could be a table of another grid, of which nothing said by name would tell."""
    if old.by_name:
        return False
    if old.pair is None:
        return True
    if new.pair is not None and tuple(old.pair) == tuple(new.pair):
        return False
    sizes = [*weight.shape, *map(prod, pairwise(weight.shape))]
    return any(0 <= size - prod(old.pair) <= MOST_TOKENS for size in sizes)


def _before(count: int, table: Table) -> str:
    """How to say what grid a table is of, with the square one as the example."""
    places, what = count - sum(table.tokens or ()), "the height and width of its grid"
    if table.kind == "relative":
        what = "the height and width of its windows"
        side = (isqrt(places) + 1) // 2
        square = (2 * side - 1) ** 2 == places
    else:
        side = isqrt(places)
        square = side * side == places
    return (
        f"give {what}: `before={(side, side)}` if they are square" if square else f"give {what}, as `before`"
    )


def _given(name: str, grids: _Grids, help: str) -> Grid:
    found = grids.of(name)
    if found is None:
        raise _Unclear(help)
    return found


def _agreed(name: str, grids: _Grids, known: Grid) -> Grid:
    """The grid that is known; Mistake when another was given."""
    found = grids.of(name)
    if found not in (None, known):
        raise Mistake(
            f"`{name}` is of {known[0]} x {known[1]} places, not {found[0]} x {found[1]}", codes.POSITIONS
        )
    return known


def _pair(shape: tuple[int, ...]) -> Grid:
    return shape[-2], shape[-1]


def _listed(items: Iterable[str]) -> str:
    said = list(items)
    more = f" and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
    return ", ".join(said[:MOST_SAID]) + more


def _interpolated(grid: Tensor, size: Grid) -> Tensor:
    """[1, C, H, W] -> [1, C, *size], bicubic, smoothed where it shrinks, in single precision at least."""
    if size[1] == 1 < size[0]:  # PyTorch 2.13 repeats the first value of a column; a row it gets right
        return _interpolated(grid.mT, (1, size[0])).mT
    precise = grid if grid.element_size() >= 4 else grid.float()
    return functional.interpolate(precise, size, mode="bicubic", antialias=True).to(grid.dtype)
