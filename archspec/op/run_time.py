"""Sizes that are computed at run time, from those of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import linear
from archspec.ground.errors import Mistake
from archspec.ground.size import QUOTIENTS, Free, Size
from archspec.ground.tensor import Shape, TensorType, show

if TYPE_CHECKING:
    from torch import Tensor

Source = tuple[int, int, int, int] | tuple["Terms", int]
"""A free size, as (tensor, axis, factor, offset) of an axis that is `factor * size + offset`; or a quotient rounded down."""
Terms = tuple[tuple[int, tuple[Source, ...]], ...]  # a sum of products


def total(terms: Terms, given: tuple[Tensor, ...]) -> int:
    """A sum of products of sizes of tensors."""
    found = 0
    for factor, sources in terms:
        for source in sources:
            if len(source) == 2:
                factor = factor * (total(source[0], given) // source[1])
            else:
                tensor, axis, times, offset = source
                size = given[tensor].shape[axis]
                factor = factor * (size if (times, offset) == (1, 0) else (size - offset) // times)
        found = found + factor
    return found


def terms_of(size: Free, source: Callable[[str], Source | None]) -> Terms:
    """A size as `total` computes it; `source` says where a name, or a quotient, is read, and of other quotients None."""

    def read(name: str) -> Source:
        found = source(name)
        if found is None:
            above, below = QUOTIENTS[name]
            return terms_of(above, source), below
        return found

    return tuple((factor, tuple(map(read, names))) for names, factor in size.terms)


def shown_by(*shapes: Shape) -> dict[str, Source]:
    """Where each free name, or quotient, is read of tensors with these shapes, in order, whose axes are counted from the last."""
    found: dict[str, Source] = {}
    for tensor, shape in enumerate(shapes):
        for axis, size in enumerate(shape, -len(shape)):
            declares = linear(size, quotients=True) if isinstance(size, Free) else None
            if declares is not None:
                found.setdefault(declares[0], (tensor, axis, *declares[1:]))
    return found


def unread(size: Free, known: Mapping[str, Source]) -> set[str]:
    """The free names in a size that are not known, nor is a quotient that they are in."""
    missing: set[str] = set()
    for name in {name for names, _ in size.terms for name in names} - known.keys():
        missing |= unread(QUOTIENTS[name][0], known) if name in QUOTIENTS else {name}
    return missing


SIZES_OF = "sizes_of"
"""The optional tensor of which an op reads the free sizes in its arguments that its input does not show."""


def plan(size: Size, x: TensorType, sizes_of: TensorType | None) -> int | Terms:
    """How `computed` finds a size from an op's input and from `sizes_of`. Mistake where no axis of these shows one of its names."""
    if not isinstance(size, Free):
        return int(size)
    shapes = (x.shape,) if sizes_of is None else (x.shape, sizes_of.shape)
    known = shown_by(*shapes)
    missing = unread(size, known)
    if missing:
        raise Mistake(
            f"no axis of {' and '.join(map(show, shapes))} shows how much {', '.join(sorted(missing))} is",
            codes.FREE_QUESTION,
            help="compute it where a tensor with that axis is at hand, which then is `sizes_of`",
        )
    return terms_of(size, known.get)


def computed(size: int | Terms, x: Tensor, sizes_of: Tensor | None) -> int:
    """A size that was planned, at run time."""
    if isinstance(size, int):
        return size
    return total(size, (x,) if sizes_of is None else (x, sizes_of))
