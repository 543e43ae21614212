"""Reductions: one axis summed up by its mean, its sum or its largest value."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from archspec.op import Op
from archspec.ops.inputs import require_real
from archspec.reach import WHOLE, Along, Reach
from archspec.tensor import TensorType

if TYPE_CHECKING:
    from torch import Tensor


class _Reduction(Op):
    """One number for all values along an axis; with `keep`, the axis stays as one."""

    axis: int
    keep: bool = False

    def infer(self, x: TensorType) -> TensorType:
        """[*S, N, *T] -> [*S, *T], or [*S, 1, *T] with `keep`."""
        require_real(x, self)
        axis = x.axis(self.axis)
        return x.with_shape((*x.shape[:axis], *((1,) if self.keep else ()), *x.shape[axis + 1 :]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place, and all of the axis."""
        axis = x.axis(self.axis)
        behind = axis + self.keep  # where the axis that follows has gone
        places = [*range(axis), None, *range(behind, behind + x.rank - axis - 1)]
        return (tuple(WHOLE if place is None else Along((place,)) for place in places),)

    def _lowered(self, x: TensorType, function: "Callable[..., Tensor]") -> "Callable[..., Tensor]":
        """A function of PyTorch's along the axis, counted from the end: the batch stands before the first."""
        return partial(function, dim=x.axis(self.axis) - x.rank, keepdim=self.keep)


class Mean(_Reduction):
    """The mean along an axis [Harris et al., 2020].

    Shapes: [*S, N, *T] -> [*S, *T], or [*S, 1, *T] with `keep`
    FLOPs: 1 for each value of the input
    Raises: when there is no such axis, and when the values are not real numbers
    """

    examples = (
        "f32[8, 7, 5] -> Mean(0) -> f32[7, 5]",
        "f32[8, 7, 5] -> Mean(axis=1, keep=true) -> f32[8, 1, 5]",
        "f32[8] -> Mean(-1) -> f32[]",
    )
    saves = ()

    def flops(self, x: TensorType) -> int:
        """1 for each value: sums, and a quotient for each of the output."""
        return x.values

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`torch.mean`."""
        import torch

        return self._lowered(x, torch.mean)


class Sum(_Reduction):
    """The sum along an axis [Harris et al., 2020].

    Shapes: [*S, N, *T] -> [*S, *T], or [*S, 1, *T] with `keep`
    FLOPs: 1 for each value of the input, less one for each of the output
    Raises: when there is no such axis, and when the values are not real numbers
    """

    examples = (
        "f32[8, 7, 5] -> Sum(0) -> f32[7, 5]",
        "f32[8, 7, 5] -> Sum(axis=-1, keep=true) -> f32[8, 7, 1]",
    )
    saves = ()

    def flops(self, x: TensorType) -> int:
        """A sum for each value but the first along the axis."""
        return x.values - self.infer(x).values

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`torch.sum`."""
        import torch

        return self._lowered(x, torch.sum)


class Max(_Reduction):
    """The largest value along an axis [Harris et al., 2020].

    Shapes: [*S, N, *T] -> [*S, *T], or [*S, 1, *T] with `keep`
    FLOPs: 1 for each value of the input, less one for each of the output
    Raises: when there is no such axis, and when the values are not real numbers
    """

    examples = (
        "f32[8, 7, 5] -> Max(0) -> f32[7, 5]",
        "f32[8, 7, 5] -> Max(axis=-1, keep=true) -> f32[8, 7, 1]",
    )
    saves = ("inputs", "outputs")

    def flops(self, x: TensorType) -> int:
        """A comparison for each value but the first along the axis."""
        return x.values - self.infer(x).values

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`torch.amax`."""
        import torch

        return self._lowered(x, torch.amax)
