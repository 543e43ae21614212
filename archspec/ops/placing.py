"""Placing: values taken from, and put at, the places that a tensor of indices says; values spread out and turned round."""

from functools import partial
from typing import TYPE_CHECKING, Literal

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use, use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import TensorType, show
from archspec.op import Lowered, Movement, Op, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import POINT, Along, Reach, aligned, points
from archspec.op.inputs import require_numbers

if TYPE_CHECKING:
    from torch import Tensor


class TakeAlong(Movement):
    """Of each row along an axis, the values at the places that an index of as many axes gives, as `torch.gather`.

    Shapes: [*A, n, *B], i64[*A, m, *B] -> [*A, m, *B]
    FLOPs: 0
    Raises: when the index is not i64, or differs in another size than that of the axis
    """

    axis: int = -1

    positional = ()
    pytorch = arguments(dim="axis")

    saves = ("inputs",)

    examples = (
        "(f32[4, 8], i64[4, 2]) -> TakeAlong -> f32[4, 2]",
        "(f32[8, 3], i64[5, 3]) -> TakeAlong(axis=0) -> f32[5, 3]",
    )

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        """[*A, n, *B], i64[*A, m, *B] -> [*A, m, *B]."""
        require_along(x, index, self.axis, self)
        return x.with_shape(index.shape)

    def reach(self, x: TensorType, index: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the index in its place, and on the whole of the axis."""
        return points(x, x.axis(self.axis)), points(index)

    def lower(self, x: TensorType, index: TensorType) -> Lowered:
        """`torch.gather`."""
        return partial(taken, axis=x.axis(self.axis) - x.rank)


class Scatter(Op):
    """Put each value of a row at the place of an axis that an index gives, and combine those that meet; 0 where none comes.

    Shapes: [*A, n, *B], i64[*A, n, *B] -> [*A, size, *B]
    FLOPs: 1 per value
    Raises: when the index is not i64, or differs from the values in its sizes, and for the mean of integers
    """

    size: PositiveInt
    axis: int = -1
    how: Literal["sum", "mean", "max", "min"] = "sum"

    pytorch = arguments(dim="axis", reduce="how")

    examples = (
        "(f32[4, 8], i64[4, 8]) -> Scatter(10) -> f32[4, 10]",
        '(f32[6, 3], i64[6, 3]) -> Scatter(4, axis=0, how="max") -> f32[4, 3]',
        '(f32[6], i64[6]) -> Scatter(4, how="mean") -> f32[4]',
        "(i64[6], i64[6]) -> Scatter(4) -> i64[4]",
    )

    def infer(self, x: TensorType, index: TensorType) -> TensorType:
        """[*A, n, *B], i64[*A, n, *B] -> [*A, size, *B]."""
        require_numbers(x, self)
        if self.how == "mean" and not x.floating:
            raise Mistake(f"cannot take the mean of {x.dtype}", codes.DTYPE, help="multiply by 1.0 first")
        axis = require_along(x, index, self.axis, self)
        if not always_equal(x.shape[axis], index.shape[axis]):
            raise Mistake(f"Scatter takes an index of {show(x.shape)}, not {show(index.shape)}", codes.SHAPES)
        use_unless_same(x.shape[axis], index.shape[axis])
        return x.with_shape((*x.shape[:axis], self.size, *x.shape[axis + 1 :]))

    def flops(self, x: TensorType, index: TensorType) -> int:
        """1 per value: a sum or a comparison with what is there."""
        return x.values

    def saved(self, x: TensorType, index: TensorType) -> tuple[str | TensorType, ...]:
        """The index; for other than sums what was combined, and how often."""
        if self.how == "sum":
            return ("index",)
        out = self.infer(x, index)
        return ("inputs", out, out) if self.how == "mean" else ("inputs", "outputs", out)

    def reach(self, x: TensorType, index: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of the axis, in its row."""
        axis = x.axis(self.axis)
        return points(x, axis), points(index, axis)

    def lower(self, x: TensorType, index: TensorType) -> Lowered:
        """`scattered`."""
        return partial(scattered, size=self.size, axis=x.axis(self.axis) - x.rank, how=self.how)


class CumSum(Op):
    """The sum of each value along an axis and of all before it.

    Shapes: [*S] -> [*S]; integers and truth values give i64
    FLOPs: n - 1 for each n values
    Raises: when there is no such axis
    """

    axis: int = -1

    positional = ()
    pytorch = arguments(dim="axis")

    examples = (
        "f32[4, 8] -> CumSum -> f32[4, 8]",
        "bool[8, 3] -> CumSum(axis=0) -> i64[8, 3]",
    )
    without_batch = True
    saves = ()

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        x.axis(self.axis)
        return x if x.floating else TensorType(x.shape, "i64", x.batched)

    def flops(self, x: TensorType) -> int:
        """n - 1 for each n values."""
        axis = x.axis(self.axis)
        return x.values - x.with_shape((*x.shape[:axis], *x.shape[axis + 1 :])).values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on those before it along the axis."""
        return (points(x, x.axis(self.axis)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.cumsum`."""
        import torch

        return partial(torch.cumsum, dim=x.axis(self.axis) - x.rank)


class Expand(Movement):
    """Repeat what has size 1 along axes, or along new axes in front, without copying: to a shape, or to that of a tensor `like`.

    In a shape, -1 leaves an axis as it is. `like` may have free sizes; a weight that is expanded like a tensor with samples has a
    copy for each. Operators stretch by themselves: this is for where each place must exist.

    Shapes: [*S] -> shape, or the shape of `like`
    FLOPs: 0
    Raises: when an axis of another size than 1 would change, and unless exactly one of `shape` and `like` is given
    """

    shape: tuple[PositiveInt | Literal[-1], ...] | None = None

    positional = ("shape",)
    pytorch = arguments(size="shape")

    examples = (
        "f32[1, 8] -> Expand([4, -1]) -> f32[4, 8]",
        "f32[8] -> Expand([3, 2, 8]) -> f32[3, 2, 8]",
        "i64[1, 1] -> Expand([2, 3]) -> i64[2, 3]",
        "f32[8, 1] -> Expand(like=i64[4, 8, 3]) -> f32[4, 8, 3]",
    )
    without_batch = True
    view = True
    sized_by = ("like",)

    def infer(self, x: TensorType, *, like: TensorType | None = None) -> TensorType:
        """[*S] -> shape, or the shape of `like`."""
        if (self.shape is None) == (like is None):
            raise Mistake(
                "Expand takes either a shape or a tensor that has it",
                codes.EXCLUSIVE,
                help="write `x -> Expand([4, -1])` or `x -> Expand(like=y)`",
            )
        shape = like.shape if like is not None else self.shape or ()
        behind = len(shape) - x.rank
        if behind < 0 or -1 in shape[: max(behind, 0)]:
            raise Mistake(f"cannot expand {show(x.shape)} to {show(shape)}", codes.RESHAPE)
        sizes: list[Size] = list(shape[:behind])
        for have, want in zip(x.shape, shape[behind:], strict=True):
            if want == -1:
                sizes.append(have)
            elif always_equal(have, want):
                sizes.append(want)
                use_unless_same(have, want)
            elif isinstance(have, int) and have == 1:
                use(have)
                sizes.append(want)
            else:
                raise Mistake(
                    f"cannot expand {show(x.shape)} to {show(shape)}",
                    codes.RESHAPE,
                    label=f"only an axis of size 1 can be repeated, not one of {have}",
                )
        return TensorType(tuple(sizes), x.dtype, x.batched or (like is not None and like.batched))

    def reach(self, x: TensorType, *, like: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one that it repeats, and on no value of `like`."""
        own = aligned(x, self.infer(x, like=like))
        return (own,) if like is None else (own, None)

    def lower(self, x: TensorType, *, like: TensorType | None = None) -> Lowered:
        """`expanded` or `expanded_like`."""
        rank = self.infer(x, like=like).rank
        if like is None:
            return partial(expanded, shape=self.shape or (), ones=rank - x.rank, batched=x.batched)
        return partial(expanded_like, rank=rank, ones=rank - x.rank, batched=(x.batched, like.batched))


class Flip(Movement):
    """The values in reverse order along axes.

    Shapes: [*S] -> [*S]
    FLOPs: 0
    Raises: when an axis is missing or named twice
    """

    axes: int | tuple[int, ...]

    pytorch = arguments(dims="axes")

    examples = ("f32[3, 8, 4] -> Flip(-1) -> f32[3, 8, 4]", "i64[4, 8] -> Flip([0, 1]) -> i64[4, 8]")
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        self._axes(x)
        return x

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one at the other end."""
        axes = self._axes(x)
        return (tuple(Along((axis,), POINT, axis not in axes) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.flip`."""
        import torch

        return partial(torch.flip, dims=tuple(axis - x.rank for axis in self._axes(x)))

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes counted from the front."""
        axes = tuple(x.axis(axis) for axis in ((self.axes,) if isinstance(self.axes, int) else self.axes))
        if not axes or len(set(axes)) < len(axes):
            raise Mistake("`axes` must name at least one axis, and no axis twice", codes.AXES)
        return axes


class Noise(Movement):
    """Random numbers in the shape of the input, drawn at each run from PyTorch's generator, at inference too:
    others for each value and sample.

    `normal` has mean 0 and variance 1, `uniform` is between 0 and 1. `torch.manual_seed` makes a run repeatable.

    Shapes: [*S] -> [*S]
    FLOPs: 0
    Raises: when the values are not real numbers
    """

    kind: Literal["normal", "uniform"] = "normal"

    positional = ("kind",)
    stops_gradients = True

    examples = ("f32[8, 4] -> Noise -> f32[8, 4]", 'f32[3] -> Noise("uniform") -> f32[3]')

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        if not x.floating:
            raise Mistake(f"Noise takes real numbers, not {x.dtype}", codes.DTYPE)
        return x

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Noise does not depend on the values."""
        return (None,)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.randn_like` or `torch.rand_like`."""
        import torch

        return torch.randn_like if self.kind == "normal" else torch.rand_like


def require_along(x: TensorType, index: TensorType, axis: int, op: Op) -> int:
    """The axis counted from the front. Mistake unless the index fits the values but for the size of that axis."""
    name = type(op).__name__
    if index.dtype != "i64":
        raise Mistake(f"{name} takes an index of i64, not {index}", codes.DTYPE, help='Cast("i64") first')
    at = x.axis(axis)
    others = [(a, b) for i, (a, b) in enumerate(zip(x.shape, index.shape, strict=False)) if i != at]
    if x.rank != index.rank or not all(always_equal(*pair) for pair in others):
        raise Mistake(
            f"{name} takes an index that differs from {show(x.shape)} in axis {at} alone, not {show(index.shape)}",
            codes.SHAPES,
        )
    if x.batched != index.batched:
        raise Mistake(
            f"{name} takes values and an index that both have samples, or neither",
            codes.NO_BATCH,
            help="Expand(like=x) gives a weight or a constant the samples of `x`",
        )
    for pair in others:
        use_unless_same(*pair)
    return at


def taken(x: "Tensor", index: "Tensor", *, axis: int) -> "Tensor":
    """The values at the index along an axis."""
    return x.gather(axis, index)


def scattered(x: "Tensor", index: "Tensor", *, size: int, axis: int, how: str) -> "Tensor":
    """Zeros, with values combined at the index along an axis."""
    shape = list(x.shape)
    shape[axis] = size
    empty = x.new_zeros(shape)
    if how == "sum":
        return empty.scatter_add(axis, index, x)
    names = {"mean": "mean", "max": "amax", "min": "amin"}
    return empty.scatter_reduce(axis, index, x, names[how], include_self=False)


def expanded(x: "Tensor", *, shape: tuple[int, ...], ones: int, batched: bool) -> "Tensor":
    """The tensor stretched to a shape behind the batch."""
    if not batched:
        return x.expand(shape)
    return x[(slice(None),) + (None,) * ones].expand(-1, *shape) if ones else x.expand(-1, *shape)


def expanded_like(
    x: "Tensor", *, like: "Tensor", rank: int, ones: int, batched: tuple[bool, bool]
) -> "Tensor":
    """The tensor stretched to the shape of another behind the batch; if only that has a batch, for each of its samples."""
    shape = tuple(like.shape[axis] for axis in range(-rank, 0))
    if not batched[0]:
        return x.expand((like.shape[0], *shape) if batched[1] else shape)
    return expanded(x, shape=shape, ones=ones, batched=True)
