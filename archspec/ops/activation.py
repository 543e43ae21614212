"""Activations: the nonlinear functions between layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat

from archspec.ground.tensor import TensorType, fixed
from archspec.op import Elementwise, Probability, Weight
from archspec.op.calling import INPLACE, arguments
from archspec.op.dependence import Reach, points
from archspec.op.initialisation import Init, constant
from archspec.op.inputs import channels_of

if TYPE_CHECKING:
    from torch import nn


class _Activation(Elementwise):
    """A PyTorch module of the same name, with the same arguments."""

    without_batch = True
    activates = True

    def lower(self, x: TensorType) -> "nn.Module":
        """The module of that name."""
        from torch import nn

        module: nn.Module = getattr(nn, type(self).__name__)(**self._settings(x))
        return module

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The arguments of PyTorch's module."""
        return dict(self)


class ReLU(_Activation):
    """max(0, x) [Nair & Hinton, 2010].

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> ReLU -> f32[8, 4, 4]", "f32[5] -> ReLU -> f32[5]")
    flops_per_value = 1  # the larger
    overwrites = True
    idempotent = True
    saves = ("outputs",)


class ReLU6(_Activation):
    """min(max(0, x), 6) [Krizhevsky, 2010].

    Shapes: [*S] -> [*S]
    FLOPs: 2 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> ReLU6 -> f32[8, 4, 4]", "f32[5] -> ReLU6 -> f32[5]")
    flops_per_value = 2  # the larger, the smaller
    overwrites = True
    idempotent = True


class LeakyReLU(_Activation):
    """x, times `slope` below 0 [Maas et al., 2013].

    Shapes: [*S] -> [*S]
    FLOPs: 2 per value
    Raises: when the values are not real numbers
    """

    slope: Probability = 0.01

    positional = ("slope",)
    pytorch = arguments(negative_slope="slope", inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> LeakyReLU -> f32[8, 4, 4]", "f32[5] -> LeakyReLU(0.2) -> f32[5]")
    flops_per_value = 2  # comparison, product
    overwrites = True

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The slope, by PyTorch's name."""
        return {"negative_slope": self.slope}


class PReLU(_Activation):
    """x, times a learned slope below 0, one for all values or one per channel [He et al., 2015].

    Shapes: [*S] -> [*S]; [C, *S] -> [C, *S] with a slope per channel
    FLOPs: 2 per value
    Raises: when the values are not real numbers, and when slopes are per channel but there are no channels
    """

    per_channel: bool = False
    init: Init | None = None

    pytorch = arguments(
        num_parameters="is 1 by default, and the number of channels with `per_channel=true`",
        init="init",
    )

    examples = (
        "f32[8, 4, 4] -> PReLU -> f32[8, 4, 4]",
        "f32[8, 4, 4] -> PReLU(per_channel=true) -> f32[8, 4, 4]",
        "f32[5] -> PReLU(per_channel=true, init=zeros) -> f32[5]",
    )
    without_batch = False
    one_sample = True
    flops_per_value = 2  # comparison, product

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        self._slopes(x)
        return super().infer(x)

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight`, [1] or [C], 0.25 unless given."""
        init = self.init or constant(value=0.25)
        return {"weight": Weight(shape=(self._slopes(x),), init=init, dtype=x.dtype)}

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.PReLU`."""
        from torch import nn

        return nn.PReLU(self._slopes(x), device="meta")

    def _slopes(self, x: TensorType) -> int:
        """How many slopes are learned."""
        return channels_of(x) if self.per_channel else 1


class ELU(_Activation):
    """x, and alpha (exp(x) - 1) below 0 [Clevert et al., 2016].

    Shapes: [*S] -> [*S]
    FLOPs: 4 per value
    Raises: when the values are not real numbers
    """

    alpha: PositiveFloat = 1.0

    positional = ("alpha",)
    pytorch = arguments(alpha="alpha", inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> ELU -> f32[8, 4, 4]", "f32[5] -> ELU(0.5) -> f32[5]")
    flops_per_value = 4  # comparison, exp, difference, product
    overwrites = True


class GELU(_Activation):
    """x Φ(x), where Φ is the normal distribution function, or an approximation by tanh [Hendrycks & Gimpel, 2016].

    Shapes: [*S] -> [*S]
    FLOPs: 5 per value, 9 with "tanh"
    Raises: when the values are not real numbers
    """

    approximate: Literal["none", "tanh"] = "none"

    positional = ("approximate",)
    pytorch = arguments(approximate="approximate")

    examples = ("f32[8, 4, 4] -> GELU -> f32[8, 4, 4]", 'f32[5] -> GELU("tanh") -> f32[5]')

    def flops(self, x: TensorType) -> int:
        """5 for each value: x / sqrt(2), erf, + 1, * 0.5, * x; 9 by tanh, which takes a cubic polynomial."""
        return (9 if self.approximate == "tanh" else 5) * x.values


class SiLU(_Activation):
    """x sigmoid(x), also called Swish [Elfwing et al., 2018].

    Shapes: [*S] -> [*S]
    FLOPs: 5 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> SiLU -> f32[8, 4, 4]", "f32[5] -> SiLU -> f32[5]")
    flops_per_value = 5  # a Sigmoid, and a product
    overwrites = True


class Mish(_Activation):
    """x tanh(softplus(x)) [Misra, 2020].

    Shapes: [*S] -> [*S]
    FLOPs: 5 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> Mish -> f32[8, 4, 4]", "f32[5] -> Mish -> f32[5]")
    flops_per_value = 5  # exp, sum, log, tanh, product
    overwrites = True


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)) [Rumelhart et al., 1986].

    Shapes: [*S] -> [*S]
    FLOPs: 4 per value
    Raises: when the values are not real numbers
    """

    examples = ("f32[8, 1, 1] -> Sigmoid -> f32[8, 1, 1]", "f32[5] -> Sigmoid -> f32[5]")
    flops_per_value = 4  # sign, exp, sum, quotient
    saves = ("outputs",)


class Tanh(_Activation):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)) [LeCun et al., 1989].

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are not real numbers
    """

    examples = ("f32[8, 4, 4] -> Tanh -> f32[8, 4, 4]", "f32[5] -> Tanh -> f32[5]")
    flops_per_value = 1  # tanh
    saves = ("outputs",)


class Hardswish(_Activation):
    """x min(max(0, x + 3), 6) / 6 [Howard et al., 2019].

    Shapes: [*S] -> [*S]
    FLOPs: 5 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 4, 4] -> Hardswish -> f32[8, 4, 4]", "f32[5] -> Hardswish -> f32[5]")
    flops_per_value = 5  # sum, the larger, the smaller, product, quotient
    overwrites = True


class Hardsigmoid(_Activation):
    """min(max(0, x + 3), 6) / 6 [Howard et al., 2019].

    Shapes: [*S] -> [*S]
    FLOPs: 4 per value
    Raises: when the values are not real numbers
    """

    pytorch = arguments(inplace=INPLACE)

    examples = ("f32[8, 1, 1] -> Hardsigmoid -> f32[8, 1, 1]", "f32[5] -> Hardsigmoid -> f32[5]")
    flops_per_value = 4  # sum, the larger, the smaller, quotient
    overwrites = True


class Softplus(_Activation):
    """log(1 + exp(beta x)) / beta, and x itself where beta x is above `threshold` [Dugas et al., 2001].

    Shapes: [*S] -> [*S]
    FLOPs: 6 per value
    Raises: when the values are not real numbers
    """

    beta: PositiveFloat = 1.0
    threshold: float = 20.0

    positional = ("beta",)
    pytorch = arguments(beta="beta", threshold="threshold")

    activates = False  # Mish is made of it and Tanh
    examples = (
        "f32[8, 4, 4] -> Softplus -> f32[8, 4, 4]",
        "f32[5] -> Softplus(2.0, threshold=10.0) -> f32[5]",
    )
    flops_per_value = 6  # product, comparison, exp, sum, log, quotient


class _AlongAxis(_Activation):
    """A function of all values along one axis."""

    axis: int = -1

    saves = ("outputs",)

    activates = False

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        x.axis(self.axis)
        return super().infer(x)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and all of the axis."""
        return (points(x, x.axis(self.axis)),)

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The axis, counted from the back: a batch may come first."""
        return {"dim": x.axis(self.axis) - x.rank}


class Softmax(_AlongAxis):
    """exp(x) / sum(exp(x)) along an axis [Bridle, 1990].

    Shapes: [*S] -> [*S]
    FLOPs: 5 n - 2 for each n values along the axis
    Raises: when there is no such axis, and when the values are not real numbers
    """

    pytorch = arguments(dim="axis")

    examples = (
        "f32[10] -> Softmax -> f32[10]",
        "f32[4, 7, 7] -> Softmax(axis=0) -> f32[4, 7, 7]",
        "f32[4, 7, 9] -> Softmax(axis=-2) -> f32[4, 7, 9]",
    )

    def flops(self, x: TensorType) -> int:
        """5 n - 2 for each n values: their largest, differences, exps, sum, quotients."""
        return 5 * x.values - 2 * (x.values // fixed(x.shape[x.axis(self.axis)], "the size of the axis"))


class LogSoftmax(_AlongAxis):
    """x - log(sum(exp(x))) along an axis: the logarithm of Softmax [Bridle, 1990].

    Shapes: [*S] -> [*S]
    FLOPs: 5 n - 1 for each n values along the axis
    Raises: when there is no such axis, and when the values are not real numbers
    """

    pytorch = arguments(dim="axis")

    examples = (
        "f32[10] -> LogSoftmax -> f32[10]",
        "f32[4, 7, 7] -> LogSoftmax(axis=0) -> f32[4, 7, 7]",
    )

    def flops(self, x: TensorType) -> int:
        """5 n - 1 for each n values: their largest, differences, exps, sum, log, differences."""
        return 5 * x.values - x.values // fixed(x.shape[x.axis(self.axis)], "the size of the axis")
