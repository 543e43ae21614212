"""Comparisons: of two tensors or of a tensor and a number, and what is done with the truth values."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, TensorType, broadcast, torch_name
from archspec.op import Elementwise, Lowered, Movement, Op
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import Reach, aligned, points
from archspec.op.inputs import require_held, require_numbers
from archspec.ops.arithmetic import as_real, combined, function_named, of_several, of_two, with_ones

if TYPE_CHECKING:
    from torch import Tensor


class _Against(Op):
    """Two tensors combined value by value, or a tensor and a number."""

    number: int | float | None = None

    function: ClassVar[str]
    verb: ClassVar[str] = "compare"

    positional = ("number",)
    without_batch = True

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return self._both(xs)

    def _both(self, xs: tuple[TensorType, ...]) -> TensorType:
        """The type of both, or of the tensor with the number. Mistake unless there are two of them in all."""
        name, needed = type(self).__name__, 2 if self.number is None else 1
        if len(xs) != needed:
            what = "two tensors" if needed == 2 else f"one tensor beside {self.number}"
            raise Mistake(
                f"{name} takes {what}, not {len(xs)}",
                codes.TENSORS,
                help=f"`(a, b) -> {name}` compares two tensors, `x -> {name}(0)` one with a number",
            )
        if self.number is None:
            return broadcast(*xs, verb=self.verb)
        require_numbers(xs[0], self)
        out = as_real(xs[0]) if isinstance(self.number, float) else xs[0]
        require_held(out, self.number)
        return out

    def flops(self, *xs: TensorType) -> int:
        """1 per output value."""
        return self._both(xs).values

    def reach(self, *xs: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place, broadcast."""
        if len(xs) == 1:
            return (points(xs[0]),)
        out = self._both(xs)
        return tuple(aligned(x, out) for x in xs)

    def lower(self, *xs: TensorType) -> Lowered:
        """The operator or PyTorch's function; with a number, of `against`."""
        if self.number is not None:
            return partial(against, function=self.function, number=self.number)
        return of_two(self.function, xs[0], xs[1], copies=not self.saves)


class _Extreme(_Against):
    """The largest or smallest of two values or more, or of a value and a number."""

    image = "kept"

    def _both(self, xs: tuple[TensorType, ...]) -> TensorType:
        """As for two; without a number, there may be more."""
        return broadcast(*xs, verb=self.verb) if self.number is None and len(xs) > 2 else super()._both(xs)

    def flops(self, *xs: TensorType) -> int:
        """1 per value of each comparison of two."""
        return sum(made.values for made in combined(xs)) if len(xs) > 1 else super().flops(*xs)

    def saved(self, *xs: TensorType) -> tuple[str | TensorType, ...]:
        """The inputs, and what all comparisons of two but the last give."""
        return (*self.saves, *combined(xs)[:-1])

    def lower(self, *xs: TensorType) -> Lowered:
        """As for two; more are compared from the first on."""
        return super().lower(*xs) if len(xs) == 1 else of_several(self.function, xs, copies=not self.saves)


class Maximum(_Extreme):
    """The largest of two values or more, broadcast like NumPy [Harris et al., 2020], or of a value and a number.

    Shapes: [*S], [*S'], ... -> all broadcast; [*S] -> [*S] with a number
    FLOPs: 1 per value of each comparison of two
    Raises: when sizes differ
    """

    function = "maximum"

    examples = (
        "(f32[4, 8], f32[4, 8]) -> Maximum -> f32[4, 8]",
        "(f32[8], f32[3, 4, 8]) -> Maximum -> f32[3, 4, 8]",
        "(f32[4, 8], f32[4, 8], f32[4, 8], f32[8]) -> Maximum -> f32[4, 8]",
        "f32[4, 8] -> Maximum(0) -> f32[4, 8]",
        "i64[4] -> Maximum(1) -> i64[4]",
    )


class Minimum(_Extreme):
    """The smallest of two values or more, broadcast like NumPy [Harris et al., 2020], or of a value and a number.

    Shapes: [*S], [*S'], ... -> all broadcast; [*S] -> [*S] with a number
    FLOPs: 1 per value of each comparison of two
    Raises: when sizes differ
    """

    function = "minimum"

    examples = (
        "(f32[4, 8], f32[4, 8]) -> Minimum -> f32[4, 8]",
        "(i64[4, 8], i64[1]) -> Minimum -> i64[4, 8]",
        "(f32[4, 8], f32[3, 1, 8], f32[4, 8]) -> Minimum -> f32[3, 4, 8]",
        "f32[4, 8] -> Minimum(6.0) -> f32[4, 8]",
    )


class _Comparison(_Against):
    """Whether two values stand in a relation."""

    saves = ()

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'] -> bool, both shapes broadcast."""
        return replace(self._both(xs), dtype="bool")


class Equal(_Comparison):
    """Whether two values are equal, broadcast like NumPy [Harris et al., 2020]: what `a == b` and `x == 0` mean.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "eq"

    examples = (
        "(i64[4, 8], i64[4, 8]) -> Equal -> bool[4, 8]",
        "(f32[3, 4], f32[4]) -> Equal -> bool[3, 4]",
        "i64[3, 4] -> Equal(0) -> bool[3, 4]",
    )


class NotEqual(_Comparison):
    """Whether two values differ, broadcast like NumPy [Harris et al., 2020]: what `a != b` and `x != 0` mean.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "ne"

    examples = (
        "(i64[4, 8], i64[4, 8]) -> NotEqual -> bool[4, 8]",
        "f32[3, 4] -> NotEqual(0.5) -> bool[3, 4]",
    )


class Less(_Comparison):
    """Whether the first value is the smaller one, broadcast like NumPy [Harris et al., 2020]: what `a < b` means.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "lt"

    examples = ("(i64[4, 1], i64[4]) -> Less -> bool[4, 4]", "f32[3, 4] -> Less(0.5) -> bool[3, 4]")


class LessEqual(_Comparison):
    """Whether the first value is smaller or equal, broadcast like NumPy [Harris et al., 2020]: what `a <= b` means.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "le"

    examples = ("(i64[4, 1], i64[4]) -> LessEqual -> bool[4, 4]", "i64[3] -> LessEqual(2) -> bool[3]")


class Greater(_Comparison):
    """Whether the first value is the larger one, broadcast like NumPy [Harris et al., 2020]: what `a > b` means.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "gt"

    examples = ("(f32[4, 8], f32[8]) -> Greater -> bool[4, 8]", "f32[3, 4] -> Greater(0) -> bool[3, 4]")


class GreaterEqual(_Comparison):
    """Whether the first value is larger or equal, broadcast like NumPy [Harris et al., 2020]: what `a >= b` means.

    Shapes: [*S], [*S'] -> bool, both broadcast; [*S] -> bool[*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function = "ge"

    examples = (
        "(f32[4, 8], f32[8]) -> GreaterEqual -> bool[4, 8]",
        "i64[3, 4] -> GreaterEqual(1) -> bool[3, 4]",
    )


# ------------------------------------------------------------------ truth values


class _Truths(Op):
    """Two tensors of truth values combined, broadcast like NumPy [Harris et al., 2020]."""

    function: ClassVar[str]

    without_batch = True
    saves = ()

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """bool[*S], bool[*S'] -> both shapes broadcast."""
        for x in (a, b):
            require_truths(x, self)
        return broadcast(a, b)

    def flops(self, a: TensorType, b: TensorType) -> int:
        """1 per output value."""
        return broadcast(a, b).values

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place of both, broadcast."""
        out = self.infer(a, b)
        return aligned(a, out), aligned(b, out)

    def lower(self, a: TensorType, b: TensorType) -> Lowered:
        """PyTorch's function."""
        return of_two(self.function, a, b, copies=True)


class And(_Truths):
    """Whether both are true: what `a and b` means between tensors.

    Shapes: bool[*S], bool[*S'] -> both broadcast
    FLOPs: 1 per output value
    Raises: when sizes differ, or values are not bool
    """

    function = "logical_and"

    examples = (
        "(bool[4, 8], bool[4, 8]) -> And -> bool[4, 8]",
        "(bool[4, 1], bool[8]) -> And -> bool[4, 8]",
    )


class Or(_Truths):
    """Whether one of both is true: what `a or b` means between tensors.

    Shapes: bool[*S], bool[*S'] -> both broadcast
    FLOPs: 1 per output value
    Raises: when sizes differ, or values are not bool
    """

    function = "logical_or"

    examples = (
        "(bool[4, 8], bool[4, 8]) -> Or -> bool[4, 8]",
        "(bool[8], bool[4, 8]) -> Or -> bool[4, 8]",
    )


class Not(Elementwise):
    """The other truth value: what `not a` means for a tensor.

    Shapes: bool[*S] -> bool[*S]
    FLOPs: 1 per value
    Raises: when values are not bool
    """

    examples = ("bool[4, 8] -> Not -> bool[4, 8]", "bool[] -> Not -> bool[]")
    without_batch = True
    saves = ()

    def infer(self, x: TensorType) -> TensorType:
        """bool[*S] -> bool[*S]."""
        require_truths(x, self)
        return x

    def lower(self, x: TensorType) -> Lowered:
        """`torch.logical_not`."""
        return function_named("logical_not")


class Where(Movement):
    """Of two values, the first where a condition is true, else the other, all broadcast like NumPy [Harris et al., 2020].

    Either can be a number, `then` or `other`: `(mask, x) -> Where(other=0)` is x where the mask is true, and 0 elsewhere.

    Shapes: bool[*S], [*S'], [*S''] -> all broadcast; one tensor fewer for each number
    FLOPs: 0, since values are only selected
    Raises: when sizes differ, or the condition is not bool
    """

    then: int | float | None = None
    other: int | float | None = None

    pytorch = arguments(condition=FROM_INPUT, input=FROM_INPUT, other="other")

    image = "kept"
    examples = (
        "(bool[4, 8], f32[4, 8], f32[4, 8]) -> Where -> f32[4, 8]",
        "(bool[4, 1], f32[8], f32[]) -> Where -> f32[4, 8]",
        "(bool[4, 8], f32[4, 8]) -> Where(other=0) -> f32[4, 8]",
        "(bool[8], f32[4, 8]) -> Where(then=-1e9) -> f32[4, 8]",
        "bool[4] -> Where(then=1, other=0) -> i64[4]",
    )
    positional = ()
    without_batch = True
    takes_truths = True

    def infer(self, *xs: TensorType) -> TensorType:
        """bool[*S], [*S'], [*S''] -> all shapes broadcast."""
        numbers = [number for number in (self.then, self.other) if number is not None]
        if len(xs) != 3 - len(numbers):
            raise Mistake(
                f"Where takes a condition and two values, not {len(xs)} tensors and {len(numbers)} numbers",
                codes.TENSORS,
                help="`(condition, a, b) -> Where`, or a number in the place of one: `(condition, a) -> Where(other=0)`",
            )
        require_truths(xs[0], self)
        shaped = broadcast(*xs)
        if not xs[1:]:
            dtype: DType = "f32" if any(isinstance(number, float) for number in numbers) else "i64"
            return replace(shaped, dtype=dtype)
        values = broadcast(*xs[1:])
        for number in numbers:
            values = as_real(values) if isinstance(number, float) else values
            values = replace(values, dtype="i64") if values.dtype == "bool" else values
            require_held(values, number)
        return replace(shaped, dtype=values.dtype)

    def saved(self, *xs: TensorType) -> tuple[str | TensorType, ...]:
        """The condition, if real numbers are selected."""
        return (xs[0],) if any(x.floating for x in xs[1:]) else ()

    def reach(self, *xs: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place of all, broadcast."""
        out = self.infer(*xs)
        return tuple(aligned(x, out) for x in xs)

    def lower(self, *xs: TensorType) -> Lowered:
        """`selected`."""
        rank = max(x.rank for x in xs)
        ones = tuple(rank - x.rank if x.batched else 0 for x in xs)
        return partial(selected, then=self.then, other=self.other, ones=ones, dtype=self.infer(*xs).dtype)


class Clamp(Elementwise):
    """The value, but at least `min` and at most `max`.

    Shapes: [*S] -> [*S]
    FLOPs: 1 per value for each bound
    Raises: when there is no bound, or they are the wrong way round
    """

    min: int | float | None = None
    max: int | float | None = None

    positional = ("min", "max")

    examples = (
        "f32[4, 8] -> Clamp(0, 1) -> f32[4, 8]",
        "f32[4, 8] -> Clamp(min=1e-6) -> f32[4, 8]",
        "i64[3] -> Clamp(max=7) -> i64[3]",
        "i64[3] -> Clamp(min=0.5) -> f32[3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_numbers(x, self)
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if not bounds:
            raise Mistake("Clamp needs `min`, `max` or both", codes.MISSING_ARGUMENT)
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise Mistake(f"`min` of Clamp is {bounds[0]}, above `max`, {bounds[1]}", codes.ARGUMENT)
        out = as_real(x) if any(isinstance(bound, float) for bound in bounds) else x
        for bound in bounds:
            require_held(out, bound)
        return out

    def flops(self, x: TensorType) -> int:
        """1 for each value and bound."""
        return x.values * ((self.min is not None) + (self.max is not None))

    def lower(self, x: TensorType) -> Lowered:
        """`torch.clamp`."""
        import torch

        return partial(torch.clamp, min=self.min, max=self.max)


def require_truths(x: TensorType, op: Op) -> None:
    """Mistake unless the values are bool."""
    if x.dtype != "bool":
        raise Mistake(
            f"{type(op).__name__} takes truth values, not {x.dtype}",
            codes.DTYPE,
            help="compare first: `x > 0`, `x != 0`",
        )


def against(x: "Tensor", *, function: str, number: float) -> "Tensor":
    """A function of each value and a number."""
    import torch

    if function == "maximum":
        return torch.clamp(x, min=number)
    if function == "minimum":
        return torch.clamp(x, max=number)
    result: Tensor = function_named(function)(x, number)
    return result


def selected(
    condition: "Tensor",
    *values: "Tensor",
    then: float | None,
    other: float | None,
    ones: tuple[int, ...],
    dtype: DType,
) -> "Tensor":
    """`torch.where`, each tensor given `ones` axes of size 1 behind its batch first."""
    import torch

    condition, *values_ = (
        with_ones(x, count, at=1) if count else x for x, count in zip((condition, *values), ones, strict=True)
    )
    given: list[Any] = list(values_)
    first = given.pop(0) if then is None else then
    second = given.pop(0) if other is None else other
    if not values_:
        first = torch.tensor(first, dtype=getattr(torch, torch_name(dtype)), device=condition.device)
    return torch.where(condition, first, second)
