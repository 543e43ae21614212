"""Lengths: norms of vectors, and vectors divided by them."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, fixed
from archspec.op import Epsilon, Lowered, Op, Weight
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import WHOLE, Along, Reach, normalised
from archspec.op.initialisation import Init, ones
from archspec.op.inputs import require_real

if TYPE_CHECKING:
    from torch import nn


class RMSNorm(Op):
    """Divide each sample by its root mean square along one axis, and multiply by learned numbers [Zhang & Sennrich, 2019].

    `eps` is added to the mean square: by default what `nn.RMSNorm` adds to f32, also in a module that is cast.

    Shapes: [*S] -> [*S]
    FLOPs: 3 n + 2 for each n values; 1 per value when affine
    Raises: when there is no such axis, or its size is free
    """

    eps: Epsilon = 2.0**-23
    affine: bool = True
    axis: int = -1
    init: Init | None = None

    pytorch = arguments(normalized_shape=FROM_INPUT, eps="eps", elementwise_affine="affine")
    positional = ()

    image = "kept"
    examples = (
        "f32[49, 16] -> RMSNorm -> f32[49, 16]",
        "f32[16] -> RMSNorm(eps=1e-5, affine=false) -> f32[16]",
        "f32[7, 7, 16] -> RMSNorm(init=zeros) -> f32[7, 7, 16]",
        "f32[16, 7, 7] -> RMSNorm(axis=0) -> f32[16, 7, 7]",
    )
    overwritable = True
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        self._width(x)
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` of the size of the axis, 1 unless given."""
        if not self.affine:
            return {}
        return {"weight": Weight(shape=(self._width(x),), init=self.init or ones(), dtype=x.dtype)}

    def flops(self, x: TensorType) -> int:
        """A square, a sum and a product for each value; a quotient and a root for each row, and 1 per value when affine."""
        width = self._width(x)
        return 3 * x.values + 2 * (x.values // width) + self.affine * x.values

    def feature_axis(self, x: TensorType) -> int | None:
        """The one that it normalises."""
        return x.axis(self.axis)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and of each row what it is multiplied by; when affine also the product."""
        axis = x.axis(self.axis)
        row = x.with_shape((*x.shape[:axis], *x.shape[axis + 1 :]))
        return ("inputs", row, x) if self.affine else ("inputs", row)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and on all of the axis through its square mean."""
        return (normalised(x, x.axis(self.axis)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.RMSNorm`, or the same along another axis."""
        from torch import nn

        from archspec.op.torch_layers import RMSNormAlong

        axis = x.axis(self.axis) - x.rank
        module = nn.RMSNorm if axis == -1 else partial(RMSNormAlong, axis)
        return module(self._width(x), self.eps, self.affine, device="meta")

    def _width(self, x: TensorType) -> int:
        """The size of the axis."""
        return fixed(x.shape[x.axis(self.axis)], "the size of the axis")


class Norm(Op):
    """The Euclidean length of vectors along axes, which are removed, or kept with size 1 if `keep`.

    Shapes: [*S] -> [*S without `axes`]
    FLOPs: 2 per value
    Raises: when an axis is missing or named twice, or the values are not real
    """

    axes: int | tuple[int, ...] = -1
    keep: bool = False

    positional = ("axes",)
    pytorch = arguments(ord="is always 2 here", dim="axes", keepdim="keep")

    examples = (
        "f32[8, 4, 4] -> Norm -> f32[8, 4]",
        "f32[8, 4, 4] -> Norm([1, 2]) -> f32[8]",
        "f32[8, 4] -> Norm(0, keep=true) -> f32[1, 4]",
    )
    without_batch = True
    saves = ("inputs", "outputs")

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S without `axes`]."""
        require_real(x, self)
        axes = self._axes(x)
        return x.with_shape(
            [
                1 if axis in axes else size
                for axis, size in enumerate(x.shape)
                if self.keep or axis not in axes
            ]
        )

    def flops(self, x: TensorType) -> int:
        """A square and a sum for each value; the roots take the place of the sums that are one fewer."""
        return 2 * x.values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each length depends on the whole of `axes`."""
        gone = self._axes(x)
        left = [axis for axis in range(x.rank) if self.keep or axis not in gone]
        return (tuple(WHOLE if axis in gone else Along((left.index(axis),)) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.linalg.vector_norm`."""
        import torch

        axes = tuple(axis - x.rank for axis in self._axes(x))
        return partial(torch.linalg.vector_norm, dim=axes, keepdim=self.keep)

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes counted from the front."""
        axes = tuple(x.axis(axis) for axis in ((self.axes,) if isinstance(self.axes, int) else self.axes))
        if not axes or len(set(axes)) < len(axes):
            raise Mistake("`axes` must name at least one axis, and no axis twice", codes.AXES)
        return axes


class Normalize(Op):
    """Divide vectors along an axis by their Euclidean length, or by `eps` if that is larger.

    Shapes: [*S] -> [*S]
    FLOPs: 3 n + 1 for each n values
    Raises: when there is no such axis, or the values are not real
    """

    axis: int = -1
    eps: Epsilon = 1e-12

    positional = ()
    pytorch = arguments(p="is always 2 here", dim="axis", eps="eps")

    examples = (
        "f32[49, 16] -> Normalize -> f32[49, 16]",
        "f32[16, 7, 7] -> Normalize(axis=0, eps=1e-6) -> f32[16, 7, 7]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        x.axis(self.axis)
        return x

    def flops(self, x: TensorType) -> int:
        """A square, a sum and a quotient for each value, and a comparison for each length."""
        return 3 * x.values + self._lengths(x).values

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and the lengths before and after they are bounded."""
        return "inputs", self._lengths(x), self._lengths(x)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and on all of the axis through the length."""
        return (normalised(x, x.axis(self.axis)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.nn.functional.normalize`."""
        from torch.nn import functional

        return partial(functional.normalize, dim=x.axis(self.axis) - x.rank, eps=self.eps)

    def _lengths(self, x: TensorType) -> TensorType:
        axis = x.axis(self.axis)
        return x.with_shape((*x.shape[:axis], 1, *x.shape[axis + 1 :]))
