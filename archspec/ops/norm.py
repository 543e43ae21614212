"""Normalisations: values brought to mean 0 and variance 1, then scaled and shifted by learned numbers."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from archspec.errors import Mistake
from archspec.initialisation import Init, ones, zeros
from archspec.op import Op, PositiveInt, Probability, Weight
from archspec.ops.inputs import by_axes, channels_of, require_real, space_of
from archspec.tensor import DType, TensorType, fixed, show

if TYPE_CHECKING:
    from torch import Tensor, nn

Epsilon = Annotated[float, Field(ge=0)]


class BatchNorm(Op):
    """Normalise each channel over the batch, and at inference by running averages [Ioffe & Szegedy, 2015].

    Shapes: [C, *S] -> [C, *S]
    Raises: when there is no channel, or more than three axes behind it
    """

    eps: Epsilon = 1e-5
    momentum: Probability = 0.1
    affine: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    examples = (
        "f32[8, 4, 4] -> BatchNorm -> f32[8, 4, 4]",
        "f32[8] -> BatchNorm(1e-3, 0.01) -> f32[8]",
        "f32[8, 20] -> BatchNorm(affine=false) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> BatchNorm(momentum=0.01, init=zeros) -> f32[2, 3, 4, 5]",
    )
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        require_real(x, self)
        channels_of(x)
        if x.rank > 4:
            raise Mistake(f"BatchNorm takes [C] to [C, D, H, W], not {show(x.shape)}", kind="shape")
        return x

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

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.BatchNorm1d`, `nn.BatchNorm2d` or `nn.BatchNorm3d`."""
        from torch import nn

        module = nn.BatchNorm1d if x.rank == 1 else by_axes(x, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        return module(channels_of(x), self.eps, self.momentum, self.affine, device="meta")


class LayerNorm(Op):
    """Normalise each sample along one axis: the last, or the channels with `axis=0` [Ba et al., 2016].

    Shapes: [*S] -> [*S]
    Raises: when there is no such axis, or its size is free
    """

    eps: Epsilon = 1e-5
    affine: bool = True
    bias: bool = True
    axis: int = -1
    init: Init | None = None
    bias_init: Init | None = None

    examples = (
        "f32[49, 16] -> LayerNorm -> f32[49, 16]",
        "f32[16, 7, 7] -> LayerNorm(1e-6, axis=0) -> f32[16, 7, 7]",
        "f32[7, 7, 16] -> LayerNorm(bias=false) -> f32[7, 7, 16]",
        "f32[16] -> LayerNorm(affine=false) -> f32[16]",
        "f32[3, 4, 5] -> LayerNorm(axis=-2, init=zeros) -> f32[3, 4, 5]",
    )
    overwritable = True
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        self._size(x)
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` of the size of the axis, 1 and 0 unless given."""
        if not self.affine:
            return {}
        weights = scale_and_shift(self._size(x), x.dtype, self.init, self.bias_init)
        return weights if self.bias else {"weight": weights["weight"]}

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.LayerNorm`, or the same along another axis."""
        from torch import nn

        from archspec.torch_layers import LayerNormAlong

        axis = x.axis(self.axis) - x.rank
        module = nn.LayerNorm if axis == -1 else partial(LayerNormAlong, axis)
        return module(self._size(x), self.eps, self.affine, self.bias, device="meta")

    def _size(self, x: TensorType) -> int:
        """The size of the axis normalised along."""
        return fixed(x.shape[x.axis(self.axis)], "the size of the axis")


class GroupNorm(Op):
    """Normalise each sample over groups of neighbouring channels [Wu & He, 2018].

    Shapes: [C, *S] -> [C, *S]
    Raises: when the groups do not divide C
    """

    groups: PositiveInt
    eps: Epsilon = 1e-5
    affine: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    examples = (
        "f32[8, 4, 4] -> GroupNorm(2) -> f32[8, 4, 4]",
        "f32[8] -> GroupNorm(4, 1e-6) -> f32[8]",
        "f32[6, 20] -> GroupNorm(1, affine=false) -> f32[6, 20]",
        "f32[2, 3, 4, 5] -> GroupNorm(2, init=zeros) -> f32[2, 3, 4, 5]",
    )
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        require_real(x, self)
        if channels_of(x) % self.groups:
            raise Mistake(f"{self.groups} groups do not divide the {x.shape[0]} channels", kind="shape")
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` [C], 1 and 0 unless given."""
        return scale_and_shift(channels_of(x), x.dtype, self.init, self.bias_init) if self.affine else {}

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.GroupNorm`."""
        from torch import nn

        return nn.GroupNorm(self.groups, channels_of(x), self.eps, self.affine, device="meta")


class InstanceNorm(Op):
    """Normalise each channel of each sample by itself [Ulyanov et al., 2016].

    Shapes: [C, *S] -> [C, *S]
    Raises: when a channel has a single value, which leaves nothing of it
    """

    eps: Epsilon = 1e-5
    affine: bool = False
    init: Init | None = None
    bias_init: Init | None = None

    examples = (
        "f32[8, 4, 4] -> InstanceNorm -> f32[8, 4, 4]",
        "f32[8, 20] -> InstanceNorm(1e-6, affine=true) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> InstanceNorm(affine=true, init=zeros) -> f32[2, 3, 4, 5]",
    )
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        channels_of(x)
        if all(size == 1 for size in space_of(x, self)):
            raise Mistake(
                f"InstanceNorm takes several values of each channel, not {show(x.shape)}",
                kind="shape",
                help="normalise over the channels with LayerNorm(axis=0), or leave it out",
            )
        return x

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` and `bias` [C] when affine, 1 and 0 unless given."""
        return scale_and_shift(channels_of(x), x.dtype, self.init, self.bias_init) if self.affine else {}

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.InstanceNorm1d`, `nn.InstanceNorm2d` or `nn.InstanceNorm3d`."""
        from torch import nn

        module = by_axes(x, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
        return module(channels_of(x), self.eps, affine=self.affine, device="meta")


class LocalResponseNorm(Op):
    """Divide by (k + alpha mean(y²))^beta over the `size` channels around [Krizhevsky et al., 2012].

    Shapes: [C, *S] -> [C, *S]
    Raises: when there is no axis behind the channels
    """

    size: PositiveInt
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    examples = (
        "f32[8, 4, 4] -> LocalResponseNorm(5) -> f32[8, 4, 4]",
        "f32[8, 20] -> LocalResponseNorm(4, k=2.0) -> f32[8, 20]",
        "f32[2, 3, 4, 5] -> LocalResponseNorm(3, 1e-3, 0.5) -> f32[2, 3, 4, 5]",
    )

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        space_of(x, self)
        return x

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`local_response_norm`."""
        from torch.nn import functional

        return partial(functional.local_response_norm, **dict(self))


def scale_and_shift(size: int, dtype: DType, init: Init | None, bias_init: Init | None) -> dict[str, Weight]:
    """The learned `weight` and `bias` that follow a normalisation: 1 and 0 unless given."""
    return {
        "weight": Weight(shape=(size,), init=init or ones(), dtype=dtype),
        "bias": Weight(shape=(size,), init=bias_init or zeros(), dtype=dtype),
    }
