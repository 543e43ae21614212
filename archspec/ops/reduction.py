"""Reductions: the mean, sum or extreme of values along axes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Lowered, Op
from archspec.op.dependence import WHOLE, Along, Reach

if TYPE_CHECKING:
    from torch import Tensor


class Reduce(Op):
    """The mean, sum, largest or smallest value over axes, which are removed, or kept with size 1 if `keep`.

    Shapes: [*S] -> [*S without `axes`]
    FLOPs: for n values to m, n - m; n for the mean
    Raises: when an axis is missing or named twice, and for the mean of integers
    """

    how: Literal["mean", "sum", "max", "min"]
    axes: int | tuple[int, ...]
    keep: bool = False

    examples = (
        'f32[8, 4, 4] -> Reduce("mean", [1, 2]) -> f32[8]',
        'f32[8, 4, 4] -> Reduce("sum", -1) -> f32[8, 4]',
        'f32[8, 4, 4] -> Reduce("max", 0, keep=true) -> f32[1, 4, 4]',
        'i64[8, 4] -> Reduce("min", [0, 1]) -> i64[]',
        'bool[8, 4] -> Reduce("sum", 1) -> i64[8]',
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S without `axes`]."""
        if self.how == "mean" and not x.floating:
            raise Mistake(f"cannot take the mean of {x.dtype}", kind="shape", help="multiply by 1.0 first")
        axes = self._axes(x)
        sizes = [
            1 if axis in axes else size for axis, size in enumerate(x.shape) if self.keep or axis not in axes
        ]
        whole = self.how == "sum" and not x.floating
        return replace(x.with_shape(sizes), dtype="i64" if whole else x.dtype)

    def flops(self, x: TensorType) -> int:
        """n - m, for n values to m; a mean adds m quotients."""
        return x.values - (0 if self.how == "mean" else self.infer(x).values)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """Input and output for the largest and smallest value, to find where it was; nothing for sums."""
        return ("inputs", "outputs") if self.how in ("max", "min") else ()

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of `axes`."""
        gone = self._axes(x)
        left = [axis for axis in range(x.rank) if self.keep or axis not in gone]
        return (tuple(WHOLE if axis in gone else Along((left.index(axis),)) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.mean`, `torch.sum`, `torch.amax` or `torch.amin`."""
        import torch

        functions: dict[str, Callable[..., Tensor]] = {
            "mean": torch.mean,
            "sum": torch.sum,
            "max": torch.amax,
            "min": torch.amin,
        }
        axes = tuple(axis - x.rank for axis in self._axes(x))
        return partial(functions[self.how], dim=axes, keepdim=self.keep)

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes counted from the front."""
        axes = tuple(x.axis(axis) for axis in ((self.axes,) if isinstance(self.axes, int) else self.axes))
        if not axes or len(set(axes)) < len(axes):
            raise Mistake("`axes` must name at least one axis, and no axis twice")
        return axes
