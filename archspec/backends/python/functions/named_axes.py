"""Patterns of named axes, as methods that split, move and merge axes by their places."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, Writer, permuted
from archspec.op.axes import Fitted, Group, Side, fitted, flat, parsed, pieces_of
from archspec.ops import rearrange, reduction

AXIS = "axis"
"""What the roles of sizes begin with that a pattern names: `axis h`."""


def _rearranged(applied: Applied) -> py.Expression | None:
    """Axes split, moved, repeated and merged, each by its place, so that no other size is needed."""
    fitted = _fitted(applied)
    if fitted is None:
        return None
    offset = applied.types[0].offset
    left, right = _with_ones(fitted.left, fitted.right)
    kept, known = set(flat(right)), set(flat(left))
    pieces = _within_axes(left, pieces_of(left, right))
    x: py.Expression = applied.x
    # From the last axis on, so that the places of those before it stay.
    for axes, parts in reversed(_segments(left, pieces)):
        place = axes[0] + offset
        if not parts:
            x = py.method(x, "squeeze", py.number(place))
        elif len(axes) > 1:
            x = py.method(x, "flatten", py.number(place), py.number(place + len(axes) - 1))
        elif len(parts) > 1:
            sizes = [_of_piece(piece, fitted) for piece in parts]
            if sizes.count(None) > 1:
                return None
            x = py.method(x, "unflatten", py.number(place), py.Listed(tuple(map(_split, sizes, parts))))
    gone = [place for place, piece in enumerate(pieces) if piece[0] not in kept]
    reduce = applied.settings.get("reduce", "")
    if gone and not reduce:
        return None
    if gone:
        dims = tuple(place - len(pieces) for place in gone)
        x = py.method(x, reduce, py.number(dims[0] if len(dims) == 1 else dims))
    moving = [piece for piece in pieces if piece[0] in kept]
    where = {name: place for place, piece in enumerate(moving) for name in piece}
    order = list(dict.fromkeys(where[name] for name in flat(right) if name in where))
    x = permuted(x, [*range(offset), *(place + offset for place in order)])
    # Each axis of the result: the pieces that it is made of, in order, and the names that are new.
    groups = [
        list(dict.fromkeys(moving[where[name]] if name in where else (name,) for name in group))
        for group in right
    ]
    x, place = _with_new(x, groups, known, fitted, offset), offset
    for parts_ in groups:
        if not parts_:
            x = py.method(x, "unsqueeze", py.number(place))
        elif len(parts_) > 1:
            x = py.method(x, "flatten", py.number(place), py.number(place + len(parts_) - 1))
        place += 1
    return x


def _split(size: int | None, piece: Group) -> py.Expression:
    """A size in which an axis is split; -1 for that which follows from the others."""
    name = "".join(filter(str.isalnum, piece[0]))
    return py.number(-1) if size is None else py.Literal(size, f"{AXIS} {name}")


def _with_new(
    x: py.Expression, groups: Sequence[Sequence[Group]], known: set[str], fitted: Fitted, offset: int
) -> py.Expression:
    """A tensor repeated along the axes that it has not yet."""
    pieces = [piece for group in groups for piece in group]
    new = [place for place, piece in enumerate(pieces) if piece[0] not in known]
    for place in new:
        x = py.method(x, "unsqueeze", py.number(place + offset))
    if not new:
        return x
    sizes: list[py.Expression] = [py.number(-1)] * (len(pieces) + offset)
    for place in new:
        sizes[place + offset] = _split(_of_piece(pieces[place], fitted), pieces[place])
    return py.method(x, "expand", *sizes)


def _within_axes(left: Side, pieces: Sequence[Group]) -> list[Group]:
    """The pieces, those parted that are a part of one axis and something of the next."""
    ends, count = set(), 0
    for group in left:
        count += len(group)
        ends.add(count)
    found: list[Group] = []
    at = 0
    for piece in pieces:
        inner = sorted(end - at for end in ends if at < end < at + len(piece))
        whole = (at in ends or at == 0) and at + len(piece) in ends
        cuts = [0, *([] if whole else inner), len(piece)]
        found += [piece[a:b] for a, b in itertools.pairwise(cuts)]
        at += len(piece)
    return found


def _with_ones(left: Side, right: Side) -> tuple[Side, Side]:
    """The sides with names for axes of size 1, where there are as many on both: these move."""
    counts = [side.count(()) for side in (left, right)]
    if counts[0] != counts[1]:
        return left, right
    sides = []
    for side in (left, right):
        names = iter(range(counts[0]))
        sides.append(tuple(group or (f"one{next(names)}",) for group in side))
    return sides[0], sides[1]


def _segments(left: Side, pieces: Sequence[Group]) -> list[tuple[list[int], list[Group]]]:
    """Axes of a tensor beside the pieces that they become: one axis of several, several of one, or one of one."""
    found: list[tuple[list[int], list[Group]]] = []
    waiting = list(pieces)
    axes: list[int] = []
    names: list[str] = []
    for axis, group in enumerate(left):
        if not group and not axes:
            found.append(([axis], []))
            continue
        axes.append(axis)
        names += group
        parts: list[Group] = []
        taken = 0
        for piece in waiting:
            if taken + len(piece) > len(names):
                break
            taken += len(piece)
            parts.append(piece)
        if taken == len(names):
            found.append((axes, parts))
            waiting = waiting[len(parts) :]
            axes, names = [], []
    return found


def _fitted(applied: Applied) -> Fitted | None:
    op, x = applied.op, applied.types[0]
    if isinstance(op, rearrange.Rearrange):
        return fitted(parsed(op.pattern), x, op.sizes, applied.option_types.get("sizes_of"))
    if isinstance(op, reduction.Reduce) and isinstance(op.axes, str):
        return fitted(parsed(op.axes), x, op.sizes)
    return None


def _of_piece(piece: Sequence[str], fitted: Fitted) -> int | None:
    """The size of names that stay together, as far as it is given; else it follows from the tensor's."""
    size = 1
    for name in piece:
        term = fitted.terms.get(name)
        if term is None:
            continue  # an axis of size 1
        if term.axes or term.free:
            return None
        size *= term.factor
    return size


def _multiplied(applied: Applied) -> py.Expression:
    """`torch.einsum`, with letters that people use: the batch is a `b`, or what is left."""
    equation: str = applied.settings["equation"]
    used = set(equation)
    return py.call(
        "torch.einsum",
        py.Literal(equation.replace("Z", next(c for c in "nzyxwvu" if c not in used))),
        *applied.inputs,
    )


WRITERS: dict[Callable[..., Any], Writer] = {
    rearrange.rearranged: _rearranged,
    rearrange.multiplied: _multiplied,
}
