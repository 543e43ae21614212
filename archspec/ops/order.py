"""Order: the largest values along an axis, where they are, and values in order."""

from dataclasses import replace
from functools import partial
from math import ceil, log2
from typing import TYPE_CHECKING

from archspec.ground.bounds import require_least
from archspec.ground.tensor import TensorType, fixed
from archspec.op import Lowered, Op, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import Reach, points
from archspec.op.inputs import require_numbers

if TYPE_CHECKING:
    from torch import Tensor


class _Place(Op):
    """Where along an axis a value is that stands out; of several, the first."""

    axis: int = -1
    keep: bool = False

    pytorch = arguments(dim="axis", keepdim="keep")
    without_batch = True
    saves = ()

    def infer(self, x: TensorType) -> TensorType:
        """[*A, n, *B] -> i64[*A, *B]."""
        require_numbers(x, self)
        axis = x.axis(self.axis)
        kept = (1,) if self.keep else ()
        return replace(x.with_shape((*x.shape[:axis], *kept, *x.shape[axis + 1 :])), dtype="i64")

    def flops(self, x: TensorType) -> int:
        """n - 1 comparisons for each n values."""
        return x.values - self.infer(x).values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each place depends on the whole of the axis."""
        axis = x.axis(self.axis)
        if self.keep:
            return (points(x, axis),)
        below = points(x.with_shape((*x.shape[:axis], *x.shape[axis + 1 :])))
        assert below is not None
        whole = points(x, axis)
        assert whole is not None
        return ((*below[:axis], whole[axis], *below[axis:]),)


class ArgMax(_Place):
    """Where along an axis the largest value is; of several, the first.

    Shapes: [*A, n, *B] -> i64[*A, *B], or i64[*A, 1, *B] with `keep`
    FLOPs: n - 1 for each n values
    Raises: when there is no such axis, or the values are bool
    """

    examples = (
        "f32[4, 8] -> ArgMax -> i64[4]",
        "f32[4, 8, 3] -> ArgMax(axis=1) -> i64[4, 3]",
        "i64[4, 8] -> ArgMax(axis=0, keep=true) -> i64[1, 8]",
    )

    def lower(self, x: TensorType) -> Lowered:
        """`torch.argmax`."""
        import torch

        return partial(torch.argmax, dim=x.axis(self.axis) - x.rank, keepdim=self.keep)


class ArgMin(_Place):
    """Where along an axis the smallest value is; of several, the first.

    Shapes: [*A, n, *B] -> i64[*A, *B], or i64[*A, 1, *B] with `keep`
    FLOPs: n - 1 for each n values
    Raises: when there is no such axis, or the values are bool
    """

    examples = ("f32[4, 8] -> ArgMin -> i64[4]", "f32[4, 8] -> ArgMin(axis=0, keep=true) -> i64[1, 8]")

    def lower(self, x: TensorType) -> Lowered:
        """`torch.argmin`."""
        import torch

        return partial(torch.argmin, dim=x.axis(self.axis) - x.rank, keepdim=self.keep)


class _Ordered(Op):
    """Values along an axis in order, and where they were."""

    axis: int = -1

    without_batch = True

    def _count(self, x: TensorType) -> int:
        """How many values of the axis are given."""
        raise NotImplementedError

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        """[*A, n, *B] -> [*A, m, *B], i64[*A, m, *B]."""
        require_numbers(x, self)
        axis = x.axis(self.axis)
        out = x.with_shape((*x.shape[:axis], self._count(x), *x.shape[axis + 1 :]))
        return out, replace(out, dtype="i64")

    def flops(self, x: TensorType) -> int:
        """About log2(m) + 1 comparisons for each value, m of which are given."""
        return x.values * (ceil(log2(self._count(x))) + 1)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """Where the values were."""
        return (self.infer(x)[1],)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of the axis."""
        return (points(x, x.axis(self.axis)),)


class TopK(_Ordered):
    """The `count` largest values along an axis, the largest first, and where they are; or the smallest.

    Shapes: [*A, n, *B] -> [*A, count, *B], i64[*A, count, *B]
    FLOPs: about log2(count) + 1 per value
    Raises: when the axis is shorter, or the values are bool
    """

    count: PositiveInt
    largest: bool = True

    pytorch = arguments(k="count", dim="axis", largest="largest", sorted="is always true here")

    examples = (
        "f32[4, 8] -> TopK(2) -> (f32[4, 2], i64[4, 2])",
        "f32[8, 3] -> TopK(1, axis=0, largest=false) -> (f32[1, 3], i64[1, 3])",
        "i64[5] -> TopK(5) -> (i64[5], i64[5])",
    )

    def _count(self, x: TensorType) -> int:
        """`count`."""
        size = x.shape[x.axis(self.axis)]
        require_least(size - self.count, 0, f"there are no {self.count} values along an axis of {size}")
        return self.count

    def lower(self, x: TensorType) -> Lowered:
        """`torch.topk`."""
        return partial(topk, count=self.count, axis=x.axis(self.axis) - x.rank, largest=self.largest)


class Sort(_Ordered):
    """The values along an axis from the least to the greatest, and where they were; equal values keep their order.

    Shapes: [*A, n, *B] -> [*A, n, *B], i64[*A, n, *B]
    FLOPs: about log2(n) + 1 per value
    Raises: when there is no such axis, or the values are bool
    """

    descending: bool = False

    pytorch = arguments(dim="axis", descending="descending", stable="is always true here")
    positional = ()

    examples = (
        "f32[4, 8] -> Sort -> (f32[4, 8], i64[4, 8])",
        "i64[4, 8] -> Sort(axis=0, descending=true) -> (i64[4, 8], i64[4, 8])",
    )

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        """[*A, n, *B] -> [*A, n, *B], i64[*A, n, *B]."""
        require_numbers(x, self)
        x.axis(self.axis)
        return x, replace(x, dtype="i64")

    def _count(self, x: TensorType) -> int:
        """All of them."""
        return fixed(x.shape[x.axis(self.axis)], "the size of the axis")

    def lower(self, x: TensorType) -> Lowered:
        """`torch.sort`, stable."""
        return partial(in_order, axis=x.axis(self.axis) - x.rank, descending=self.descending)


def topk(x: "Tensor", *, count: int, axis: int, largest: bool) -> "tuple[Tensor, Tensor]":
    """The largest or smallest values, and where they are."""
    values, places = x.topk(count, dim=axis, largest=largest)
    return values, places


def in_order(x: "Tensor", *, axis: int, descending: bool) -> "tuple[Tensor, Tensor]":
    """The values in order, and where they were."""
    values, places = x.sort(dim=axis, descending=descending, stable=True)
    return values, places
