"""Tensors as layers of images take them, also where PyTorch has windows of a map in the place of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.drafting import Draft
from archspec.importing.elementwise import without
from archspec.importing.nodes import even
from archspec.importing.values import Value, whole
from archspec.ops.padding import Pad
from archspec.ops.reshape import Permute, Reshape
from archspec.ops.slicing import Index

Back = Callable[[Value], Value]


def as_image(draft: Draft, x: Value) -> tuple[Value, Back]:
    """A tensor as layers of images take it, the batch in front and alone; and what brings their result into its form.

    A weight has no batch, and an axis of size 1 in the place of it.
    """
    if x.layout.batch is None and x.type.rank > 2 and x.type.shape[0] == 1:
        return without(draft, x, 0), lambda made: draft.emit(Reshape(shape=(1, *made.type.shape)), made)
    if x.layout.batch != 0 or x.layout.held > 1:
        raise Mistake("its batch holds another axis too", codes.NOT_IMPORTED)
    return x, lambda made: made


def windows_of(x: Value) -> int:
    """How many windows of a map a tensor of PyTorch's has in the place of each sample."""
    return x.layout.held if x.layout.batch == 0 else 1


def as_channels(draft: Draft, x: Value) -> tuple[Value, Back]:
    """Windows as one image for what treats each channel alone: [n, C, *S] as [n C, *S]."""
    if windows_of(x) == 1:
        return as_image(draft, x)
    n, c, *_ = whole(x.type)
    flat = draft.emit(Reshape(shape=(n * c, *x.type.shape[2:])), x)
    return flat, lambda made: draft.emit(Reshape(shape=(n, c, *made.type.shape[1:])), made)


def as_rows(draft: Draft, x: Value) -> tuple[Value, Back]:
    """Windows as one image with one more axis in space, for what treats all places alike: [n, C, *S] as [C, n, *S]."""
    if windows_of(x) == 1:
        return as_image(draft, x)
    order = (1, 0, *range(2, x.type.rank))
    return draft.emit(Permute(axes=order), x), lambda made: draft.emit(Permute(axes=order), made)


def as_tiles(
    draft: Draft, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Value, Back]:
    """Windows as one image below each other, each with the zeros around it, for a convolution that then pads nothing."""
    if x.type.rank != 4:
        raise Mistake("its batch holds another axis too", codes.NOT_IMPORTED)
    n, c, h, w = whole(x.type)
    pads, steps = each(padding, 2), each(stride, 2)
    extents = [d * (k - 1) + 1 for k, d in zip(each(kernel, 2), each(dilation, 2), strict=True)]
    below = -(h + 2 * pads[0]) % steps[0]  # a tile begins where the layer steps to
    tall, wide = h + 2 * pads[0] + below, w + 2 * pads[1]
    around = ((pads[0], pads[0] + below), pads[1]) if below else pads
    padded = draft.emit(Pad(amounts=around), x) if any(pads) or below else x
    tiles = draft.emit(Reshape(shape=(c, n * tall, wide)), draft.emit(Permute(axes=(1, 0, 2, 3)), padded))
    each_makes = (h + 2 * pads[0] - extents[0]) // steps[0] + 1

    def back(made: Value) -> Value:
        out, rows, columns = whole(made.type)
        per_tile = tall // steps[0]
        lost = n * per_tile - rows
        full = draft.emit(Pad(amounts=((0, lost), 0)), made) if lost else made
        apart = draft.emit(Reshape(shape=(out, n, per_tile, columns)), full)
        kept = apart
        if each_makes != per_tile:
            kept = draft.emit(Index(at=(_WHOLE, _WHOLE, (None, each_makes, None))), apart)
        found: Value = draft.emit(Permute(axes=(1, 0, 2, 3)), kept)
        return found

    return tiles, back


_WHOLE = (None, None, None)


def each(value: Any, axes: int) -> tuple[int, ...]:
    """A number for each axis."""
    numbers: tuple[int, ...] = (value,) if isinstance(value, int) else tuple(value)
    return numbers * axes if len(numbers) == 1 else numbers


def same_or(padding: Any, kernel: Any, stride: Any, dilation: Any, axes: int) -> Any:
    """`padding` as our ops take it: "same" where that is what it is."""
    every = [each(value, axes) for value in (padding, kernel, stride, dilation)]
    rests = [(d * (k - 1) + 1 - s, s, p) for p, k, s, d in zip(*every, strict=True)]
    if all(p == -(-rest // 2) and (rest % 2 == 0 or s > 1) for rest, s, p in rests):
        return "same"
    return even(every[0], axes)
