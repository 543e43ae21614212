"""Regularisation: noise in training that is absent at inference."""

from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Elementwise, Movement, Op, Probability
from archspec.op.calling import INPLACE, arguments
from archspec.op.dependence import Reach, points
from archspec.op.inputs import by_axes, require_real, space_of

if TYPE_CHECKING:
    from torch import nn


class _Noise(Movement, Elementwise):
    """Noise with a probability: none at all where that is 0."""

    p: Probability

    view = True
    only_trains = True

    @property
    def idle(self) -> bool:
        """Whether the probability is 0."""
        return self.p == 0


class Dropout(_Noise):
    """Zero each value with probability `p` in training, and scale up the rest [Srivastava et al., 2014].

    Shapes: [*S] -> [*S]
    FLOPs: 0, since at inference it returns its input
    Raises: when the values are not real numbers
    """

    p: Probability = 0.5

    positional = ("p",)
    pytorch = arguments(p="p", inplace=INPLACE)

    examples = ("f32[64] -> Dropout -> f32[64]", "f32[49, 16] -> Dropout(0.1) -> f32[49, 16]")
    without_batch = True

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """What each value was multiplied by."""
        # The CPU keeps it in the dtype of the input; CUDA keeps a byte for each.
        return (x,)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Dropout`."""
        from torch import nn

        return nn.Dropout(self.p)


class ChannelDropout(_Noise):
    """Zero each channel with probability `p` in training, and scale up the rest [Tompson et al., 2015].

    Shapes: [C, *S] -> [C, *S]
    FLOPs: 0, since at inference it returns its input
    Raises: when the input is no signal, image or volume
    """

    p: Probability = 0.5

    positional = ("p",)
    pytorch = arguments(p="p", inplace=INPLACE)

    image = "made"
    examples = (
        "f32[8, 20] -> ChannelDropout -> f32[8, 20]",
        "f32[8, 4, 4] -> ChannelDropout(0.1) -> f32[8, 4, 4]",
        "f32[2, 3, 4, 5] -> ChannelDropout(p=0.2) -> f32[2, 3, 4, 5]",
    )

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        space_of(x, self)
        return x

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """What each channel was multiplied by."""
        return (x.with_shape(x.shape[:1]),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Dropout1d`, `nn.Dropout2d` or `nn.Dropout3d`."""
        from torch import nn

        return by_axes(x, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)(self.p)


class DropPath(_Noise):
    """Zero whole samples with probability `p` in training, and scale up the rest [Huang et al., 2016].

    Shapes: [*S] -> [*S]
    FLOPs: 0, since at inference it returns its input
    Raises: when the values are not real numbers
    """

    examples = (
        "f32[8, 4, 4] -> DropPath(0.2) -> f32[8, 4, 4]",
        "f32[49, 16] -> DropPath(0.1) -> f32[49, 16]",
    )

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """What each sample was multiplied by."""
        return (x.with_shape(()),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`torch_layers.DropPath`."""
        from archspec.op.torch_layers import DropPath

        return DropPath(self.p)


class Shake(Op):
    """Mix two branches: in training by random shares, drawn again for the gradient [Gastaldi, 2017].

    Each sample has its own shares, which add up to 1; at inference both are one half.

    Shapes: [*S], [*S] -> [*S]
    FLOPs: 2 per value
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
                f"Shake takes two branches of the same type, not {left} and {right}",
                codes.SHAPES,
                help="match their shapes with a Conv",
            )
        for pair in zip(left.shape, right.shape, strict=True):
            use_unless_same(*pair)  # PyTorch would stretch a 1
        return left

    def flops(self, left: TensorType, right: TensorType) -> int:
        """2 for each value: a sum and half of it."""
        return 2 * left.values

    def saved(self, left: TensorType, right: TensorType) -> tuple[str | TensorType, ...]:
        """The shares of each sample, forward and backward."""
        share = left.with_shape(())
        return share, share

    def reach(self, left: TensorType, right: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place of both."""
        return points(left), points(right)

    def lower(self, left: TensorType, right: TensorType) -> "nn.Module":
        """`torch_layers.Shake`."""
        from archspec.op.torch_layers import Shake

        return Shake()
