"""Normalisations: values shifted and scaled to mean 0 and variance 1, then by learned numbers."""

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, TensorType, fixed, show
from archspec.op import Elementwise, Epsilon, Op, PositiveInt, Probability, Weight
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import Along, Reach, Slide, normalised
from archspec.op.initialisation import Init, ones, zeros
from archspec.op.inputs import by_axes, channels_of, require_real, space_of
from archspec.op.window import Extent

if TYPE_CHECKING:
    from torch import nn


class BatchNorm(Elementwise):
    """Normalise each channel over the batch, at inference by running averages [Ioffe & Szegedy, 2015].

    Shapes: [C, *S] -> [C, *S]
    FLOPs: 2 per value, since averages and weights combine into one factor and one offset per channel
    Raises: when there is no channel, or more than three axes after it
    """

    eps: Epsilon = 1e-5
    momentum: Probability = 0.1
    affine: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(
        num_features=FROM_INPUT,
        eps="eps",
        momentum="momentum",
        affine="affine",
        track_running_stats="is always true here",
    )

    image = "made"
    examples = (
        "f32[8, 4, 4] -> BatchNorm -> f32[8, 4, 4]",
        "f32[8] -> BatchNorm(eps=1e-3, momentum=0.01) -> f32[8]",
        "f32[8, 20] -> BatchNorm(affine=false) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> BatchNorm(momentum=0.01, init=zeros) -> f32[2, 3, 4, 5]",
    )
    one_sample = True
    overwritable = True
    flops_per_value = 2  # running averages, `weight` and `bias` make one factor and one offset per channel

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        channels_of(x)
        if x.rank > 4:
            raise Mistake(f"BatchNorm takes [C] to [C, D, H, W], not {show(x.shape)}", codes.RANK)
        return super().infer(x)

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` [C], 1 and 0 unless given; running averages [C], and of how many batches."""
        channels = channels_of(x)

        def buffer(init: Init) -> Weight:
            return Weight(shape=(channels,), init=init, dtype=x.dtype, trainable=False)

        return {
            **(scale_and_shift(channels, x.dtype, self.init, self.bias_init) if self.affine else {}),
            "running_mean": buffer(zeros()),
            "running_var": buffer(ones()),
            "num_batches_tracked": Weight(shape=(), init=zeros(), dtype="i64", trainable=False),
        }

    def centres(self, x: TensorType) -> bool:
        """It does."""
        return True

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and for each channel the mean and the deviation over the batch."""
        channel = TensorType((channels_of(x),), x.dtype, batched=False)
        return "inputs", channel, channel

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.BatchNorm1d`, `nn.BatchNorm2d` or `nn.BatchNorm3d`."""
        from torch import nn

        module = nn.BatchNorm1d if x.rank == 1 else by_axes(x, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        return module(channels_of(x), self.eps, self.momentum, self.affine, device="meta")


class LayerNorm(Op):
    """Normalise each sample along one axis: the last, or the channels with `axis=0` [Ba et al., 2016]; or over several `axes`.

    Shapes: [*S] -> [*S]
    FLOPs: 5 n + 3 for each n values normalised; 1 per value for each of `weight` and `bias`
    Raises: when there is no such axis, its size is free, an axis is given twice, or both `axis` and `axes` are given
    """

    eps: Epsilon = 1e-5
    affine: bool = True
    bias: bool = True
    axis: int = -1
    axes: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(normalized_shape=FROM_INPUT, eps="eps", elementwise_affine="affine", bias="bias")

    image = "kept"
    examples = (
        "f32[49, 16] -> LayerNorm -> f32[49, 16]",
        "f32[16, 7, 7] -> LayerNorm(eps=1e-6, axis=0) -> f32[16, 7, 7]",
        "f32[7, 7, 16] -> LayerNorm(bias=false) -> f32[7, 7, 16]",
        "f32[16] -> LayerNorm(affine=false) -> f32[16]",
        "f32[3, 4, 5] -> LayerNorm(axis=-2, init=zeros) -> f32[3, 4, 5]",
        "f32[3, 4, 5] -> LayerNorm(axes=[0, 1, 2]) -> f32[3, 4, 5]",
        "f32[3, 4, 5] -> LayerNorm(axes=[-3, -1], bias=false) -> f32[3, 4, 5]",
    )
    overwritable = True
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        self._sizes(x)
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` of the sizes of the axes, 1 and 0 unless given."""
        if not self.affine:
            return {}
        weights = scale_and_shift(self._sizes(x), x.dtype, self.init, self.bias_init)
        return weights if self.bias else {"weight": weights["weight"]}

    def flops(self, x: TensorType) -> int:
        """5 n + 3 for each n values; 1 for each value and each of `weight` and `bias`."""
        size = prod(self._sizes(x))
        return standardising(x.values // size, size) + len(self.weights(x)) * x.values

    def centres(self, x: TensorType) -> bool:
        """Where it normalises within each channel."""
        return 0 not in self._axes(x)

    def feature_axis(self, x: TensorType) -> int | None:
        """The one that it normalises, if it is one."""
        axes = self._axes(x)
        return axes[0] if len(axes) == 1 else None

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and the mean and the deviation of each n values."""
        axes = self._axes(x)
        row = x.with_shape(tuple(size for axis, size in enumerate(x.shape) if axis not in axes))
        return "inputs", row, row

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and all of the axes through their statistics."""
        return (normalised(x, *self._axes(x)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.LayerNorm`, or the same along other axes."""
        from torch import nn

        from archspec.op.torch_layers import LayerNormAlong

        axes = tuple(axis - x.rank for axis in self._axes(x))
        module = nn.LayerNorm if axes == tuple(range(-len(axes), 0)) else partial(LayerNormAlong, axes)
        return module(self._sizes(x), self.eps, self.affine, self.bias, device="meta")

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes normalised along, in order."""
        if self.axes is None:
            return (x.axis(self.axis),)
        if self.axis != -1:
            raise Mistake("LayerNorm takes either `axis` or `axes`", codes.EXCLUSIVE)
        axes = sorted({x.axis(axis) for axis in self.axes})
        if len(axes) < len(self.axes):
            raise Mistake(f"`axes` gives an axis twice: {list(self.axes)}", codes.AXES)
        return tuple(axes)

    def _sizes(self, x: TensorType) -> tuple[int, ...]:
        """The sizes of the axes normalised along."""
        return tuple(fixed(x.shape[axis], "the size of the axis") for axis in self._axes(x))


class GroupNorm(Op):
    """Normalise each sample over groups of neighbouring channels [Wu & He, 2018].

    Shapes: [C, *S] -> [C, *S]
    FLOPs: 5 n + 3 for each group of n values; 2 per value when affine
    Raises: when the groups do not divide C, or each has a single value, which would become 0
    """

    groups: PositiveInt
    eps: Epsilon = 1e-5
    affine: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(num_groups="groups", num_channels=FROM_INPUT, eps="eps", affine="affine")

    image = "made"
    examples = (
        "f32[8, 4, 4] -> GroupNorm(2) -> f32[8, 4, 4]",
        "f32[8] -> GroupNorm(4, eps=1e-6) -> f32[8]",
        "f32[6, 20] -> GroupNorm(1, affine=false) -> f32[6, 20]",
        "f32[2, 3, 4, 5] -> GroupNorm(2, init=zeros) -> f32[2, 3, 4, 5]",
    )
    one_sample = True
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        require_real(x, self)
        if channels_of(x) % self.groups:
            raise Mistake(
                f"{x.shape[0]} channels are not divisible into {self.groups} groups", codes.INDIVISIBLE
            )
        if x.shape[0] == self.groups and all(size == 1 for size in x.shape[1:]):
            raise Mistake(
                f"GroupNorm needs more than one value per group, not {self.groups} groups of {show(x.shape)}",
                codes.TOO_SMALL,
                help="use fewer groups, or remove it",
            )
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` [C], 1 and 0 unless given."""
        return scale_and_shift(channels_of(x), x.dtype, self.init, self.bias_init) if self.affine else {}

    def flops(self, x: TensorType) -> int:
        """5 n + 3 for each group of n values; 2 for each value when affine."""
        return standardising(self.groups, x.values // self.groups) + 2 * self.affine * x.values

    def centres(self, x: TensorType) -> bool:
        """With a group for each channel."""
        return bool(self.groups == x.shape[0])

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and the mean and the deviation of each group."""
        group = x.with_shape((self.groups,))
        return "inputs", group, group

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and all of the group's channels through its statistics."""
        return (normalised(x, *range(int(x.shape[0] == self.groups), x.rank)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.GroupNorm`, also of single values where sizes are free."""
        from torch import nn

        from archspec.op.torch_layers import GroupNormOfAny

        several = x.shape[0] != self.groups or any(isinstance(size, int) and size > 1 for size in x.shape[1:])
        module = nn.GroupNorm if several else GroupNormOfAny
        return module(self.groups, channels_of(x), self.eps, self.affine, device="meta")


class InstanceNorm(Op):
    """Normalise each channel of each sample by itself [Ulyanov et al., 2016].

    Shapes: [C, *S] -> [C, *S]
    FLOPs: 5 n + 3 for each channel of n values; 2 per value when affine
    Raises: when a channel has a single value, which would become 0
    """

    eps: Epsilon = 1e-5
    affine: bool = False
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(
        num_features=FROM_INPUT,
        eps="eps",
        momentum="is not needed, since no averages are kept",
        affine="affine",
    )

    image = "made"
    examples = (
        "f32[8, 4, 4] -> InstanceNorm -> f32[8, 4, 4]",
        "f32[8, 20] -> InstanceNorm(eps=1e-6, affine=true) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> InstanceNorm(affine=true, init=zeros) -> f32[2, 3, 4, 5]",
    )
    one_sample = True
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        channels_of(x)
        if all(size == 1 for size in space_of(x, self)):
            raise Mistake(
                f"InstanceNorm needs more than one value per channel, not {show(x.shape)}",
                codes.TOO_SMALL,
                help="use LayerNorm(axis=0) to normalise over the channels, or remove it",
            )
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` [C] when affine, 1 and 0 unless given."""
        return scale_and_shift(channels_of(x), x.dtype, self.init, self.bias_init) if self.affine else {}

    def flops(self, x: TensorType) -> int:
        """5 n + 3 for each channel of n values; 2 for each value when affine."""
        channels = channels_of(x)
        return standardising(channels, x.values // channels) + 2 * self.affine * x.values

    def centres(self, x: TensorType) -> bool:
        """It does."""
        return True

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and the mean and the deviation of each channel."""
        channel = x.with_shape((channels_of(x),))
        return "inputs", channel, channel

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and all of its channel through its statistics."""
        return (normalised(x, *range(1, x.rank)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.InstanceNorm1d`, `nn.InstanceNorm2d` or `nn.InstanceNorm3d`, of any number of samples and values."""
        from archspec.op import torch_layers as layers

        module = by_axes(x, layers.InstanceNorm1d, layers.InstanceNorm2d, layers.InstanceNorm3d)
        return module(channels_of(x), self.eps, affine=self.affine, device="meta")


class LocalResponseNorm(Op):
    """Divide by (k + alpha mean(y²))^beta over the nearest `size` channels [Krizhevsky et al., 2012].

    Shapes: [C, *S] -> [C, *S]
    FLOPs: `size` + 5 per value
    Raises: when there is no axis after the channels
    """

    size: Extent
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    pytorch = arguments(size="size", alpha="alpha", beta="beta", k="k")

    image = "made"
    examples = (
        "f32[8, 4, 4] -> LocalResponseNorm(5) -> f32[8, 4, 4]",
        "f32[8, 20] -> LocalResponseNorm(4, k=2.0) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> LocalResponseNorm(3, alpha=1e-3, beta=0.5) -> f32[2, 3, 4, 5]",
    )
    one_sample = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        space_of(x, self)
        return x

    def flops(self, x: TensorType) -> int:
        """For each value its square, the mean of `size` squares, and product, sum, power and quotient."""
        return (self.size + 5) * x.values

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, the squares padded, and what they are divided by, before and after its power."""
        return "inputs", x.with_shape((channels_of(x) + self.size - 1, *x.shape[1:])), x, x

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the channels around it, at its position."""
        around = Along((0,), Slide.window(self.size, padding=self.size // 2))
        return ((around, *(Along((axis,)) for axis in range(1, x.rank))),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.LocalResponseNorm`, computed in f32 for values in half precision."""
        from archspec.op.torch_layers import LocalResponseNorm

        return LocalResponseNorm(**dict(self))


def standardising(groups: int, size: int) -> int:
    """Floating-point operations that bring groups of n values to mean 0 and variance 1: 5 n + 3 for each.

    n for the mean, n to subtract it, 2 n for the mean square, 3 for the sum with `eps`, the root and its
    inverse, n to multiply by that.
    """
    return groups * (5 * size + 3)


def scale_and_shift(
    size: int | tuple[int, ...], dtype: DType, init: Init | None, bias_init: Init | None
) -> dict[str, Weight]:
    """The learned `weight` and `bias` that follow a normalisation: 1 and 0 unless given."""
    shape = (size,) if isinstance(size, int) else size
    return {
        "weight": Weight(shape=shape, init=init or ones(), dtype=dtype),
        "bias": Weight(shape=shape, init=bias_init or zeros(), dtype=dtype),
    }
