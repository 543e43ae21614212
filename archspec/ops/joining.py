"""Joining tensors, and splitting them."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import Shape, TensorType, promote, show
from archspec.op import Lowered, Movement, Op, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import POINT, Along, Reach, points

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = -3
"""The axis of an image's channels."""


class Concat(Movement):
    """Join tensors along an axis, in order.

    Shapes: [*A, n, *B], [*A, m, *B], ... -> [*A, n + m + ..., *B]
    FLOPs: 0
    Raises: when the other axes differ
    """

    axis: int = 0

    pytorch = arguments(dim="axis")

    image = "kept"
    examples = (
        "(f32[3, 8, 8], f32[5, 8, 8]) -> Concat -> f32[8, 8, 8]",
        "(f32[4, 2], f32[4, 1], f32[4, 3]) -> Concat(axis=-1) -> f32[4, 6]",
        "(i64[4], f32[2]) -> Concat(axis=0) -> f32[6]",
        "f32[4, 2] -> Concat -> f32[4, 2]",
    )
    without_batch = True

    def infer(self, *xs: TensorType) -> TensorType:
        """[*A, n, *B], [*A, m, *B], ... -> [*A, n + m + ..., *B]."""
        axis = _first(xs, self).axis(self.axis)
        _require_alike(xs, "concatenate", along=axis)
        shape = list(xs[0].shape)
        for x in xs[1:]:
            shape[axis] += x.shape[axis]
        return TensorType(tuple(shape), promote(*xs), any(x.batched for x in xs))

    def reach(self, *xs: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one value of one input, at another position along the axis."""
        axis = xs[0].axis(self.axis)
        if len(xs) == 1:
            return (points(xs[0]),)
        one = tuple(Along((i,), POINT, i != axis) for i in range(xs[0].rank))
        return (one,) * len(xs)

    def lower(self, *xs: TensorType) -> Lowered:
        """`torch.cat`."""
        return partial(concat, axis=xs[0].axis(self.axis) - xs[0].rank, **_mixed(xs))


class Stack(Movement):
    """Join tensors along a new axis, in order.

    Shapes: n times [*A, *B] -> [*A, n, *B]
    FLOPs: 0
    Raises: when shapes differ
    """

    axis: int = 0

    pytorch = arguments(dim="axis")

    examples = (
        "(f32[8, 8], f32[8, 8]) -> Stack -> f32[2, 8, 8]",
        "(f32[4], f32[4], f32[4]) -> Stack(axis=-1) -> f32[4, 3]",
        "(i64[], f32[]) -> Stack -> f32[2]",
    )
    without_batch = True

    def infer(self, *xs: TensorType) -> TensorType:
        """n times [*A, *B] -> [*A, n, *B]."""
        rows = _first(xs, self).with_shape((1, *xs[0].shape))
        _require_alike(xs, "stack")
        shape = list(xs[0].shape)
        shape.insert(rows.axis(self.axis), len(xs))
        return TensorType(tuple(shape), promote(*xs), any(x.batched for x in xs))

    def reach(self, *xs: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one value of one input."""
        out = self.infer(*xs)
        axis = out.axis(self.axis)
        return (tuple(Along((i + (i >= axis),)) for i in range(xs[0].rank)),) * len(xs)

    def lower(self, *xs: TensorType) -> Lowered:
        """`torch.stack`."""
        out = self.infer(*xs)
        return partial(stack, axis=out.axis(self.axis) - out.rank, **_mixed(xs))


_MOST_PARTS = 1_000_000  # the most items of a list in the language


class Split(Movement):
    """Split a tensor along an axis into equal parts, or into parts of the given sizes.

    Shapes: [*A, n, *B] -> [*A, n / parts, *B], ...; or [*A, part, *B] for each of `parts`
    FLOPs: 0
    Raises: when `parts` does not divide n, or its sizes do not sum to n
    """

    parts: PositiveInt | tuple[PositiveInt, ...]
    axis: int = 0

    pytorch = arguments(chunks="parts", dim="axis")

    examples = (
        "f32[6, 4] -> Split(2) -> (f32[3, 4], f32[3, 4])",
        "f32[5, 6] -> Split(3, axis=-1) -> (f32[5, 2], f32[5, 2], f32[5, 2])",
        "f32[6, 4] -> Split([1, 3, 2]) -> (f32[1, 4], f32[3, 4], f32[2, 4])",
        "f32[6, 4] -> Split(1) -> f32[6, 4]",
    )
    without_batch = True
    view = True

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        """[*A, n, *B] -> a tensor for each part."""
        axis = x.axis(self.axis)
        return tuple(
            x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in self._sizes(x.shape[axis])
        )

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one value, at another position along the axis."""
        axis = x.axis(self.axis)
        alone = len(self.infer(x)) == 1
        return (tuple(Along((i,), POINT, alone or i != axis) for i in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.chunk` or `torch.split`; one part is the tensor itself."""
        import torch
        from torch import nn

        axis = x.axis(self.axis) - x.rank
        if len(self.infer(x)) == 1:
            return nn.Identity()
        if isinstance(self.parts, int):
            return partial(torch.chunk, chunks=self.parts, dim=axis)
        sizes: Any = self.parts  # a tuple, which PyTorch takes though its types do not say so
        return partial(torch.split, split_size_or_sections=sizes, dim=axis)

    def _sizes(self, size: Size) -> Sequence[Size]:
        if isinstance(self.parts, int):
            if self.parts > _MOST_PARTS:
                raise Mistake(f"cannot split into more than {_MOST_PARTS:,} parts", codes.TOO_LARGE)
            rest = size % self.parts
            use(rest)  # PyTorch would make the last part smaller
            if rest:
                raise Mistake(f"cannot split {size} into {self.parts} equal parts", codes.INDIVISIBLE)
            return (size // self.parts,) * self.parts
        if not always_equal(sum(self.parts), size):
            raise Mistake(
                f"cannot split {size} into parts of {', '.join(map(str, self.parts))}",
                codes.INDIVISIBLE,
                label=f"the parts sum to {sum(self.parts)}",
            )
        return self.parts


def concat(*tensors: "Tensor", axis: int, batched: tuple[bool, ...] = ()) -> "Tensor":
    """`torch.cat`; where `batched` says that only some have a batch, the others are expanded over it."""
    import torch

    joined = over_batch(tensors, batched)
    if axis == CHANNELS and torch.compiler.is_compiling() and any(_channels_last(image) for image in joined):
        # TorchInductor knows no layout for what is not yet in memory: it would make all of it contiguous, and then undo that.
        return torch.cat([image.permute(0, 2, 3, 1) for image in joined], -1).permute(0, 3, 1, 2)
    return torch.cat(joined, axis)


def _channels_last(image: "Tensor") -> bool:
    """Whether a tensor is a batch of images in channels-last layout, and not contiguous as well."""
    import torch

    return (
        image.ndim == 4
        and image.is_contiguous(memory_format=torch.channels_last)
        and not image.is_contiguous()
    )


def stack(*tensors: "Tensor", axis: int, batched: tuple[bool, ...] = ()) -> "Tensor":
    """`torch.stack`; where `batched` says that only some have a batch, the others are expanded over it."""
    import torch

    return torch.stack(over_batch(tensors, batched), axis)


def over_batch(tensors: "Sequence[Tensor]", batched: Sequence[bool]) -> "list[Tensor]":
    """The tensors, expanded over the batch where they have none; unchanged if `batched` is empty."""
    if not batched:
        return list(tensors)
    batch = tensors[batched.index(True)].shape[0]
    return [x if has else x.expand(batch, *x.shape) for x, has in zip(tensors, batched, strict=True)]


def _mixed(xs: tuple[TensorType, ...]) -> dict[str, tuple[bool, ...]]:
    """`batched` for `over_batch`, where only some tensors have a batch."""
    batched = tuple(x.batched for x in xs)
    return {"batched": batched} if len(set(batched)) > 1 else {}


def _first(xs: tuple[TensorType, ...], op: Op) -> TensorType:
    if not xs:
        raise Mistake(f"{type(op).__name__} takes at least one tensor", codes.TENSORS)
    return xs[0]


def _require_alike(xs: tuple[TensorType, ...], verb: str, *, along: int | None = None) -> None:
    """Mistake if shapes differ, other than along one axis."""

    def others(shape: Shape) -> Shape:
        return tuple(size for axis, size in enumerate(shape) if axis != along)

    first = xs[0].shape
    for shape in (x.shape for x in xs[1:]):
        alike = len(shape) == len(first) and all(map(always_equal, others(shape), others(first)))
        if not alike:
            place = "" if along is None else f" along axis {along}"
            raise Mistake(f"cannot {verb} {show(first)} and {show(shape)}{place}", codes.SHAPES)
