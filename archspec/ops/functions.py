"""Elementary functions: of each value by itself."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Elementwise, Lowered
from archspec.op.inputs import require_held, require_numbers
from archspec.ops.arithmetic import as_real, function_named

if TYPE_CHECKING:
    from torch import Tensor


class _EachValue(Elementwise):
    """One function of each value; integers stay integers."""

    function: ClassVar[str]

    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_numbers(x, self)
        return x

    def lower(self, x: TensorType) -> Lowered:
        """The operator or PyTorch's function."""
        return function_named(self.function)


class Negate(_EachValue):
    """The value with the other sign.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "neg"

    examples = ("f32[4, 8] -> Negate -> f32[4, 8]", "i64[3] -> Negate -> i64[3]")
    saves = ()


class Abs(_EachValue):
    """The value without its sign.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "abs"

    examples = ("f32[4, 8] -> Abs -> f32[4, 8]", "i32[3] -> Abs -> i32[3]")


class Sign(_EachValue):
    """-1, 0 or 1: the sign of the value.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "sign"

    examples = ("f32[4, 8] -> Sign -> f32[4, 8]", "i64[3] -> Sign -> i64[3]")
    saves = ()


class Floor(_EachValue):
    """The next whole number below, of the same dtype.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "floor"

    examples = ("f32[4, 8] -> Floor -> f32[4, 8]", "i64[3] -> Floor -> i64[3]")
    saves = ()


class Ceil(_EachValue):
    """The next whole number above, of the same dtype.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "ceil"

    examples = ("f32[4, 8] -> Ceil -> f32[4, 8]", "i64[3] -> Ceil -> i64[3]")
    saves = ()


class Round(_EachValue):
    """The nearest whole number, halves to the even one, of the same dtype.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when the values are bool
    """

    function = "round"

    examples = ("f32[4, 8] -> Round -> f32[4, 8]", "i64[3] -> Round -> i64[3]")
    saves = ()


class _EachReal(_EachValue):
    """One function of each value, a real number."""

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        return as_real(x)


class Sqrt(_EachReal):
    """The square root; that of a negative number is NaN.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "sqrt"

    examples = ("f32[4, 8] -> Sqrt -> f32[4, 8]", "i64[3] -> Sqrt -> f32[3]")
    saves = ("outputs",)


class Exp(_EachReal):
    """e to the power of the value.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "exp"

    examples = ("f32[4, 8] -> Exp -> f32[4, 8]", "f16[] -> Exp -> f16[]")
    saves = ("outputs",)


class Log(_EachReal):
    """The natural logarithm; that of a negative number is NaN.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "log"

    examples = ("f32[4, 8] -> Log -> f32[4, 8]", "i64[3] -> Log -> f32[3]")


class Erf(_EachReal):
    """The error function, the integral of the normal distribution.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "erf"

    examples = ("f32[4, 8] -> Erf -> f32[4, 8]", "i64[3] -> Erf -> f32[3]")


class Sin(_EachReal):
    """The sine of an angle in radians.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "sin"

    examples = ("f32[4, 8] -> Sin -> f32[4, 8]", "i64[3] -> Sin -> f32[3]")


class Cos(_EachReal):
    """The cosine of an angle in radians.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    """

    function = "cos"

    examples = ("f32[4, 8] -> Cos -> f32[4, 8]", "i64[3] -> Cos -> f32[3]")


class Power(Elementwise):
    """The value to the power of `exponent`; integers stay integers when it is whole.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value
    Raises: when whole numbers meet a negative whole exponent
    """

    exponent: int | float

    examples = (
        "f32[4, 8] -> Power(2) -> f32[4, 8]",
        "f32[4, 8] -> Power(-0.5) -> f32[4, 8]",
        "i64[3] -> Power(3) -> i64[3]",
        "i64[3] -> Power(0.5) -> f32[3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        out = _with_numbers(x, self.exponent)
        if out.floating:
            require_held(out, self.exponent)
        if self.exponent < 0 and not out.floating:
            raise Mistake(
                f"cannot raise {x.dtype} to the power of {self.exponent}",
                codes.DTYPE,
                help=f"write {float(self.exponent)} to compute real numbers",
            )
        return out

    def lower(self, x: TensorType) -> Lowered:
        """`torch.pow`."""
        import torch

        return partial(torch.pow, exponent=self.exponent)


class Scale(Elementwise):
    """The value times `factor` plus `offset`: what `x * 0.5`, `x + 1` and `1 - x` mean.

    Shapes: [*S] -> [*S], integers stay integers when both are whole
    FLOPs: 2 per value; 1 without an offset, or where the factor is 1 or -1
    Raises: when the dtype of the values holds no such number
    """

    factor: int | float
    offset: int | float = 0

    examples = (
        "f32[4, 8] -> Scale(0.5) -> f32[4, 8]",
        "f32[4, 8] -> Scale(1, offset=1) -> f32[4, 8]",
        "f16[4, 8] -> Scale(-1, offset=1.0) -> f16[4, 8]",
        "f32[] -> Scale(2, offset=-1) -> f32[]",
        "u8[3] -> Scale(2, offset=1) -> u8[3]",
        "i64[3] -> Scale(2, offset=1.0) -> f32[3]",
        "bool[3] -> Scale(1) -> i64[3]",
    )
    without_batch = True
    overwritable = True
    saves = ()

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        out = _with_numbers(x, self.factor, self.offset)
        for number in (self.factor, self.offset):
            require_held(out, number)
        return out

    def flops(self, x: TensorType) -> int:
        """2 for each value; 1 without an offset, or where the factor is 1 or -1."""
        return x.values * (1 if self.offset == 0 or self.factor in (1, -1) else 2)

    def lower(self, x: TensorType) -> Lowered:
        """One product or sum where that is enough, else `scaled`."""
        import torch

        if x.floating and self.offset == 0:
            return partial(torch.mul, other=self.factor)
        if x.floating and self.factor == 1:
            return partial(torch.add, other=self.offset)
        if x.floating and self.factor == -1:
            return partial(torch.rsub, other=self.offset)
        return partial(scaled, factor=self.factor, offset=self.offset)


def scaled(x: "Tensor", *, factor: float, offset: float) -> "Tensor":
    """`x * factor + offset`."""
    return x * factor + offset


def _with_numbers(x: TensorType, *numbers: int | float) -> TensorType:
    """The type of values combined with numbers, which are as wide as the tensor of their kind."""
    if any(isinstance(number, float) for number in numbers):
        return as_real(x)
    return replace(x, dtype="i64") if x.dtype == "bool" else x
