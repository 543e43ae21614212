"""Arithmetic: sums and products of tensors, and their reduction."""

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archspec.ground.errors import Mistake
from archspec.ground.size import always_equal
from archspec.ground.tensor import TensorType, broadcast, fixed, show
from archspec.op import Lowered, Op
from archspec.op.dependence import WHOLE, Along, Reach, aligned, points
from archspec.ops.inputs import require_held

if TYPE_CHECKING:
    from torch import Tensor


class _Pairwise(Op):
    """Two tensors combined value by value, broadcast like NumPy [Harris et al., 2020]."""

    function: ClassVar[str]
    verb: ClassVar[str]

    without_batch = True
    overwritable = True

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return broadcast(a, b, verb=self.verb)

    def flops(self, a: TensorType, b: TensorType) -> int:
        """1 for each value of the output."""
        return broadcast(a, b, verb=self.verb).values

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place of both, broadcast."""
        out = self.infer(a, b)
        return aligned(a, out), aligned(b, out)

    def lower(self, a: TensorType, b: TensorType) -> Lowered:
        """The operator, or `pairwise` where a batch would meet another axis, or both tensors are stretched."""
        rank = max(a.rank, b.rank)
        ones = tuple(rank - x.rank if x.batched else 0 for x in (a, b))
        # Of what is kept for the backward pass, a copy would be kept besides.
        dense = not self.saves and broadcast(a, b, verb=self.verb).shape not in (a.shape, b.shape)
        if not any(ones) and not dense:
            return _named(self.function)
        return partial(pairwise, function=self.function, ones=ones, dense=dense)


class Add(_Pairwise):
    """Sum of two tensors, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast: aligned at the last axis, a size of 1 stretched
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "add", "add"

    examples = (
        "(f32[64, 8, 8], f32[64, 8, 8]) -> Add -> f32[64, 8, 8]",
        "(f32[64, 8, 8], f32[64, 1, 1]) -> Add -> f32[64, 8, 8]",
        "(f32[8], f32[4, 8]) -> Add -> f32[4, 8]",
        "(i64[3], f32[3]) -> Add -> f32[3]",
    )
    saves = ()


class Sub(_Pairwise):
    """Difference of two tensors, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ, or one of them holds bool
    """

    function, verb = "sub", "subtract"

    examples = (
        "(f32[4, 8], f32[4, 8]) -> Sub -> f32[4, 8]",
        "(f32[4, 8], f32[4, 1]) -> Sub -> f32[4, 8]",
        "(i64[2, 4, 1], i64[4]) -> Sub -> i64[2, 4, 4]",
    )
    saves = ()

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        for x in (a, b):
            _require_numbers(x, self)
        return super().infer(a, b)


class Mul(_Pairwise):
    """Product of two tensors value by value, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "mul", "multiply"

    examples = (
        "(f32[64, 8, 8], f32[64, 1, 1]) -> Mul -> f32[64, 8, 8]",
        "(f32[1, 8], f32[4, 1]) -> Mul -> f32[4, 8]",
        "(f32[], f32[4, 8]) -> Mul -> f32[4, 8]",
    )


class Div(_Pairwise):
    """Quotient of two tensors as real numbers, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "truediv", "divide"

    examples = (
        "(f32[4, 8], f32[4, 1]) -> Div -> f32[4, 8]",
        "(i64[4, 8], i64[8]) -> Div -> f32[4, 8]",
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return _real(super().infer(a, b))


class Maximum(_Pairwise):
    """The larger of two values, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "maximum", "compare"

    examples = (
        "(f32[4, 8], f32[4, 8]) -> Maximum -> f32[4, 8]",
        "(f32[8], f32[3, 4, 8]) -> Maximum -> f32[3, 4, 8]",
    )


class Minimum(_Pairwise):
    """The smaller of two values, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "minimum", "compare"

    examples = (
        "(f32[4, 8], f32[4, 8]) -> Minimum -> f32[4, 8]",
        "(i64[4, 8], i64[1]) -> Minimum -> i64[4, 8]",
    )


class Equal(_Pairwise):
    """Whether two values are equal, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> bool, both broadcast
    FLOPs: 1 for each value of the output
    Raises: when sizes differ
    """

    function, verb = "eq", "compare"

    examples = (
        "(i64[4, 8], i64[4, 8]) -> Equal -> bool[4, 8]",
        "(f32[3, 4], f32[4]) -> Equal -> bool[3, 4]",
    )
    saves = ()

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> bool, both shapes broadcast."""
        return replace(super().infer(a, b), dtype="bool")


class MatMul(_Pairwise):
    """Product of matrices, the axes before them broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S, n, k], [*S', k, m] -> [both broadcast, n, m]
    MACs:   k, for each value of the output
    FLOPs:  2 MACs
    Raises: when k or S differ, when there are no matrices, and when dtypes differ or are bool
    """

    function, verb = "matmul", "multiply"
    autocasts = True

    examples = (
        "(f32[4, 8], f32[8, 2]) -> MatMul -> f32[4, 2]",
        "(f32[3, 4, 8], f32[3, 8, 2]) -> MatMul -> f32[3, 4, 2]",
        "(f32[4, 8], f32[3, 8, 2]) -> MatMul -> f32[3, 4, 2]",
        "(f32[5, 1, 4, 8], f32[3, 8, 2]) -> MatMul -> f32[5, 3, 4, 2]",
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S, n, k], [*S', k, m] -> [both broadcast, n, m]."""
        _require_numbers(a, self)
        if a.dtype != b.dtype:
            raise Mistake(f"MatMul takes one dtype, not {a.dtype} and {b.dtype}", kind="shape")
        shapes = f"{show(a.shape)} and {show(b.shape)}"
        if min(a.rank, b.rank) < 2:
            raise Mistake(
                f"MatMul takes matrices, not {shapes}",
                kind="shape",
                help="Reshape a vector to [1, n] or [n, 1] first",
            )
        if not always_equal(a.shape[-1], b.shape[-2]):
            raise Mistake(
                f"cannot multiply matrices {shapes}",
                kind="shape",
                label=f"rows of {a.shape[-1]} meet columns of {b.shape[-2]}",
            )
        stacks = (x.with_shape(x.shape[:-2]) for x in (a, b))
        stack = broadcast(*stacks, verb="multiply stacks of matrices")
        return stack.with_shape((*stack.shape, a.shape[-2], b.shape[-1]))

    def macs(self, a: TensorType, b: TensorType) -> int:
        """k, for each value of the output."""
        return fixed(a.shape[-1], "the length of the rows") * self.infer(a, b).values

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value sees its row of a and its column of b, whole."""
        out = self.infer(a, b)
        stack = out.with_shape(out.shape[:-2])
        left, right = (aligned(x.with_shape(x.shape[:-2]), stack) or () for x in (a, b))
        return (*left, Along((out.rank - 2,)), WHOLE), (*right, WHOLE, Along((out.rank - 1,)))

    def flops(self, a: TensorType, b: TensorType) -> int:
        """Twice the multiply-adds."""
        return 2 * self.macs(a, b)

    def saved(self, a: TensorType, b: TensorType) -> tuple[str | TensorType, ...]:
        """Both matrices; a stack that is broadcast, as the copy that PyTorch makes to multiply it."""
        out = self.infer(a, b)
        return tuple(_multiplied(name, x, out) for name, x in (("a", a), ("b", b)))


class _EachValue(Op):
    """One function of each value; whole numbers stay whole."""

    function: ClassVar[str]

    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        _require_numbers(x, self)
        return x

    def flops(self, x: TensorType) -> int:
        """1 for each value."""
        return x.values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place."""
        return (points(x),)

    def lower(self, x: TensorType) -> Lowered:
        """The operator or PyTorch's function."""
        return _named(self.function)


class Negate(_EachValue):
    """The value with the other sign.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    Raises: when the values are bool
    """

    function = "neg"

    examples = ("f32[4, 8] -> Negate -> f32[4, 8]", "i64[3] -> Negate -> i64[3]")
    saves = ()


class Abs(_EachValue):
    """The value without its sign.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    Raises: when the values are bool
    """

    function = "abs"

    examples = ("f32[4, 8] -> Abs -> f32[4, 8]", "i32[3] -> Abs -> i32[3]")


class _EachReal(_EachValue):
    """One function of each value, a real number."""

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        return _real(x)


class Sqrt(_EachReal):
    """The square root; that of a negative number is NaN.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    """

    function = "sqrt"

    examples = ("f32[4, 8] -> Sqrt -> f32[4, 8]", "i64[3] -> Sqrt -> f32[3]")
    saves = ("outputs",)


class Exp(_EachReal):
    """e to the power of the value.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    """

    function = "exp"

    examples = ("f32[4, 8] -> Exp -> f32[4, 8]", "f16[] -> Exp -> f16[]")
    saves = ("outputs",)


class Log(_EachReal):
    """The natural logarithm; that of a negative number is NaN.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    """

    function = "log"

    examples = ("f32[4, 8] -> Log -> f32[4, 8]", "i64[3] -> Log -> f32[3]")


class Sin(_EachReal):
    """The sine of an angle in radians.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    """

    function = "sin"

    examples = ("f32[4, 8] -> Sin -> f32[4, 8]", "i64[3] -> Sin -> f32[3]")


class Cos(_EachReal):
    """The cosine of an angle in radians.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
    """

    function = "cos"

    examples = ("f32[4, 8] -> Cos -> f32[4, 8]", "i64[3] -> Cos -> f32[3]")


class Power(Op):
    """The value to the power of `exponent`; whole numbers stay whole when it is whole.

    Shapes: [*S] -> [*S]
    FLOPs: 1 a value
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
                f"{x.dtype} has no power of {self.exponent}",
                help=f"write {float(self.exponent)} for real numbers",
            )
        return out

    def flops(self, x: TensorType) -> int:
        """1 for each value."""
        return x.values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place."""
        return (points(x),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.pow`."""
        import torch

        return partial(torch.pow, exponent=self.exponent)


class Scale(Op):
    """The value times `factor` plus `offset`: what `x * 0.5`, `x + 1` and `1 - x` mean.

    Shapes: [*S] -> [*S], whole numbers stay whole when both are whole
    FLOPs: 2 a value; 1 without an offset, or where the factor is 1 or -1
    Raises: when the dtype of the values holds no such number
    """

    factor: int | float
    offset: int | float = 0

    examples = (
        "f32[4, 8] -> Scale(0.5) -> f32[4, 8]",
        "f32[4, 8] -> Scale(1, 1) -> f32[4, 8]",
        "f16[4, 8] -> Scale(-1, 1.0) -> f16[4, 8]",
        "f32[] -> Scale(2, offset=-1) -> f32[]",
        "u8[3] -> Scale(2, 1) -> u8[3]",
        "i64[3] -> Scale(2, 1.0) -> f32[3]",
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

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place."""
        return (points(x),)

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


class Reduce(Op):
    """The mean, sum, largest or smallest value over axes, which go, or stay with size 1 if `keep`.

    Shapes: [*S] -> [*S without `axes`]
    FLOPs: for n values to m, n - m; n for the mean
    Raises: when an axis is missing or named twice, and for the mean of whole numbers
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
            raise Mistake(
                f"the mean of {x.dtype} is no {x.dtype}", kind="shape", help="multiply by 1.0 first"
            )
        axes = self._axes(x)
        sizes = [
            1 if axis in axes else size for axis, size in enumerate(x.shape) if self.keep or axis not in axes
        ]
        whole = self.how == "sum" and not x.floating
        return replace(x.with_shape(sizes), dtype="i64" if whole else x.dtype)

    def flops(self, x: TensorType) -> int:
        """n - m, for n values to m; a mean takes as many quotients besides."""
        return x.values - (0 if self.how == "mean" else self.infer(x).values)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """Input and output for the largest and smallest value, to find where it was; nothing for sums."""
        return ("inputs", "outputs") if self.how in ("max", "min") else ()

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees the whole of `axes`."""
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
            raise Mistake("`axes` must name at least one axis, and none twice")
        return axes


def pairwise(
    a: "Tensor", b: "Tensor", *, function: str, ones: tuple[int, ...], dense: bool = False
) -> "Tensor":
    """A function of two tensors, each given so many axes of 1 behind its batch first.

    The result takes the order of their axes in memory. If they are `dense`, that is made the usual one first: of two tensors
    that are stretched it costs less than it does of the result.
    """
    left, right = (with_ones(x, count, at=1) if count else x for x, count in zip((a, b), ones, strict=True))
    if dense:
        left, right = left.contiguous(), right.contiguous()
    combined: Tensor = _named(function)(left, right)
    return combined


def scaled(x: "Tensor", *, factor: float, offset: float) -> "Tensor":
    """`x * factor + offset`."""
    return x * factor + offset


def with_ones(x: "Tensor", count: int, *, at: int) -> "Tensor":
    """The tensor with so many axes of 1 put in: at 1 behind its batch, which then meets no other axis."""
    return x[(slice(None),) * at + (None,) * count]


def _named(function: str) -> Callable[..., Any]:
    """Python's operator of that name, else PyTorch's function."""
    import torch

    return getattr(operator, function) if hasattr(operator, function) else getattr(torch, function)  # type: ignore[no-any-return]


def _multiplied(name: str, x: TensorType, out: TensorType) -> str | TensorType:
    """What is kept of a matrix operand: itself if its stack is that of the product, else a copy stacked so."""
    ones = (1,) * (out.rank - x.rank)
    # A single matrix for all samples is not copied: the rows of the other are multiplied by it at once.
    if (x.rank == 2 and not x.batched) or (
        (*ones, *x.shape)[:-2] == out.shape[:-2] and x.batched == out.batched
    ):
        return name
    return replace(x, shape=(*out.shape[:-2], *x.shape[-2:]), batched=out.batched)


def _require_numbers(x: TensorType, op: Op) -> None:
    if x.dtype == "bool":
        raise Mistake(
            f"{type(op).__name__} takes numbers, not bool", kind="shape", help="multiply by 1 first"
        )


def _real(x: TensorType) -> TensorType:
    """The type of values made real: f32 unless they are."""
    return x if x.floating else replace(x, dtype="f32")


def _with_numbers(x: TensorType, *numbers: int | float) -> TensorType:
    """The type of values combined with numbers, which are as wide as the tensor of their kind."""
    if any(isinstance(number, float) for number in numbers):
        return _real(x)
    return replace(x, dtype="i64") if x.dtype == "bool" else x
