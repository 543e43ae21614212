"""Regularisation: noise in training that is gone at inference."""

from typing import TYPE_CHECKING

from archspec.errors import Mistake
from archspec.op import Op, Probability
from archspec.ops.inputs import by_axes, require_real, space_of
from archspec.size import always_equal
from archspec.tensor import TensorType

if TYPE_CHECKING:
    from torch import nn


class Dropout(Op):
    """Zero each value with probability `p` in training, and scale up the rest [Srivastava et al., 2014].

    Shapes: [*S] -> [*S]
    Raises: when the values are not real numbers
    """

    p: Probability = 0.5

    examples = ("f32[64] -> Dropout -> f32[64]", "f32[49, 16] -> Dropout(0.1) -> f32[49, 16]")
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        return x

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Dropout`."""
        from torch import nn

        return nn.Dropout(self.p)


class ChannelDropout(Op):
    """Zero each channel with probability `p` in training, and scale up the rest [Tompson et al., 2015].

    Shapes: [C, *S] -> [C, *S]
    Raises: when the input is no signal, image or volume
    """

    p: Probability = 0.5

    examples = (
        "f32[8, 20] -> ChannelDropout -> f32[8, 20]",
        "f32[8, 4, 4] -> ChannelDropout(0.1) -> f32[8, 4, 4]",
        "f32[2, 3, 4, 5] -> ChannelDropout(p=0.2) -> f32[2, 3, 4, 5]",
    )

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        space_of(x, self)
        return x

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Dropout1d`, `nn.Dropout2d` or `nn.Dropout3d`."""
        from torch import nn

        return by_axes(x, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)(self.p)


class DropPath(Op):
    """Zero whole samples with probability `p` in training, and scale up the rest [Huang et al., 2016].

    Shapes: [*S] -> [*S]
    Raises: when the values are not real numbers
    """

    p: Probability

    examples = (
        "f32[8, 4, 4] -> DropPath(0.2) -> f32[8, 4, 4]",
        "f32[49, 16] -> DropPath(0.0) -> f32[49, 16]",
    )

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        return x

    def lower(self, x: TensorType) -> "nn.Module":
        """`torch_layers.DropPath`."""
        from archspec.torch_layers import DropPath

        return DropPath(self.p)


class Shake(Op):
    """Mix two branches: in training by random shares, drawn anew for the gradient [Gastaldi, 2017].

    Each sample has its own shares, which add up to 1; at inference both are one half.

    Shapes: [*S], [*S] -> [*S]
    Raises: when the branches differ in shape or dtype
    """

    examples = (
        "(f32[8, 4, 4], f32[8, 4, 4]) -> Shake -> f32[8, 4, 4]",
        "(f32[5], f32[5]) -> Shake -> f32[5]",
    )

    def infer(self, left: TensorType, right: TensorType) -> TensorType:
        """[*S], [*S] -> [*S]."""
        require_real(left, self)
        shapes = zip(left.shape, right.shape, strict=False)
        alike = left.rank == right.rank and all(always_equal(a, b) for a, b in shapes)
        if not alike or left.dtype != right.dtype or left.batched != right.batched:
            raise Mistake(
                f"Shake takes two branches alike, not {left} and {right}",
                kind="shape",
                help="bring both to one shape with a Conv",
            )
        return left

    def lower(self, left: TensorType, right: TensorType) -> "nn.Module":
        """`torch_layers.Shake`."""
        from archspec.torch_layers import Shake

        return Shake()
