"""Arithmetic: two tensors combined value by value."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, broadcast
from archspec.op import Lowered, Op
from archspec.op.dependence import Reach, aligned
from archspec.op.inputs import require_numbers

if TYPE_CHECKING:
    from torch import Tensor


class _Pairwise(Op):
    """Two tensors combined value by value, broadcast like NumPy [Harris et al., 2020]."""

    function: ClassVar[str]
    verb: ClassVar[str]

    without_batch = True
    overwritable = True

    image = "kept"

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return broadcast(a, b, verb=self.verb)

    def flops(self, a: TensorType, b: TensorType) -> int:
        """1 per output value."""
        return broadcast(a, b, verb=self.verb).values

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place of both, broadcast."""
        out = self.infer(a, b)
        return aligned(a, out), aligned(b, out)

    def lower(self, a: TensorType, b: TensorType) -> Lowered:
        """The operator, or `pairwise` where a batch would meet another axis, or both tensors are stretched."""
        return of_two(self.function, a, b, copies=not self.saves)


class _Several(_Pairwise):
    """Two or more tensors combined value by value, from the first on, broadcast like NumPy [Harris et al., 2020]."""

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'], ... -> all shapes broadcast."""
        if len(xs) < 2:
            raise Mistake(
                f"{type(self).__name__} takes two tensors or more, not {len(xs)}", codes.TENSORS, help=_HOW
            )
        return broadcast(*xs, verb=self.verb)

    def flops(self, *xs: TensorType) -> int:
        """1 per value of each combination."""
        return sum(made.values for made in combined(xs))

    def saved(self, *xs: TensorType) -> tuple[str | TensorType, ...]:
        """What a combination of two saves, and what all but the last give."""
        return (*self.saves, *combined(xs)[:-1]) if self.saves else ()

    def reach(self, *xs: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the value in its place of all, broadcast."""
        out = self.infer(*xs)
        return tuple(aligned(x, out) for x in xs)

    def lower(self, *xs: TensorType) -> Lowered:
        """As for two tensors; more are combined from the first on."""
        return of_several(self.function, xs, copies=not self.saves)


_HOW = "give it several as a tuple or a list: `(a, b) -> layer`"


class Add(_Several):
    """Sum of two tensors or more, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'], ... -> all broadcast: aligned at the last axis, a size of 1 stretched
    FLOPs: 1 per value of each sum of two
    Raises: when sizes differ, or several hold bool, of which PyTorch would not count those that are true
    """

    function, verb = "add", "add"

    examples = (
        "(f32[64, 8, 8], f32[64, 8, 8]) -> Add -> f32[64, 8, 8]",
        "(f32[64, 8, 8], f32[64, 1, 1]) -> Add -> f32[64, 8, 8]",
        "(f32[8], f32[4, 8]) -> Add -> f32[4, 8]",
        "(i64[3], f32[3]) -> Add -> f32[3]",
        "(f32[4, 1], f32[8], f32[3, 4, 8]) -> Add -> f32[3, 4, 8]",
    )
    saves = ()

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'], ... -> all shapes broadcast."""
        if sum(x.dtype == "bool" for x in xs) > 1:
            raise Mistake(
                "a sum of truth values would be a truth value",
                codes.DTYPE,
                help='write `a or b`, or count them with Cast("i64")',
            )
        return super().infer(*xs)


class Sub(_Pairwise):
    """Difference of two tensors, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 per output value
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
            require_numbers(x, self)
        return super().infer(a, b)


class Mul(_Several):
    """Product of two tensors or more value by value, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'], ... -> all broadcast
    FLOPs: 1 per value of each product of two
    Raises: when sizes differ
    """

    function, verb = "mul", "multiply"

    examples = (
        "(f32[64, 8, 8], f32[64, 1, 1]) -> Mul -> f32[64, 8, 8]",
        "(f32[1, 8], f32[4, 1]) -> Mul -> f32[4, 8]",
        "(f32[], f32[4, 8]) -> Mul -> f32[4, 8]",
        "(f32[4, 8], f32[4, 8], f32[1, 8]) -> Mul -> f32[4, 8]",
    )


class Div(_Pairwise):
    """Quotient of two tensors as real numbers, broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S], [*S'] -> both broadcast
    FLOPs: 1 per output value
    Raises: when sizes differ
    """

    function, verb = "truediv", "divide"

    examples = (
        "(f32[4, 8], f32[4, 1]) -> Div -> f32[4, 8]",
        "(i64[4, 8], i64[8]) -> Div -> f32[4, 8]",
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return as_real(super().infer(a, b))


def of_two(function: str, a: TensorType, b: TensorType, *, copies: bool) -> Lowered:
    """A function of two tensors that are broadcast; `copies` says whether tensors may be copied for it.

    A copy of what the backward pass needs would be kept in addition.
    """
    rank = max(a.rank, b.rank)
    ones = tuple(rank - x.rank if x.batched else 0 for x in (a, b))
    dense = copies and broadcast(a, b).shape not in (a.shape, b.shape)
    if not any(ones) and not dense:
        return function_named(function)
    return partial(pairwise, function=function, ones=ones, dense=dense)


def of_several(function: str, xs: Sequence[TensorType], *, copies: bool) -> Lowered:
    """A function of two tensors, applied from the first of several on: each time as `of_two` would."""
    pairs = zip((xs[0], *combined(xs)), xs[1:], strict=False)
    lowered = [of_two(function, a, b, copies=copies) for a, b in pairs]
    settings = [made.keywords if isinstance(made, partial) else {} for made in lowered]
    if len(lowered) == 1:
        return lowered[0]
    if not any(settings):
        return partial(folded, function=function)
    return partial(
        folded,
        function=function,
        ones=tuple(made.get("ones", (0, 0)) for made in settings),
        dense=tuple(made.get("dense", False) for made in settings),
    )


def combined(xs: Sequence[TensorType], verb: str = "combine") -> list[TensorType]:
    """What tensors combined two by two give, from the first on, broadcast."""
    return list(accumulate(xs, partial(broadcast, verb=verb)))[1:]


def pairwise(
    a: "Tensor", b: "Tensor", *, function: str, ones: tuple[int, ...], dense: bool = False
) -> "Tensor":
    """A function of two tensors, each given `ones` axes of size 1 after its batch first.

    The result inherits their memory layout. With `dense`, they are made contiguous first: where both tensors are stretched,
    that is cheaper than doing it to the result.
    """
    left, right = (with_ones(x, count, at=1) if count else x for x, count in zip((a, b), ones, strict=True))
    if dense:
        left, right = left.contiguous(), right.contiguous()
    combined: Tensor = function_named(function)(left, right)
    return combined


def folded(
    *xs: "Tensor",
    function: str,
    ones: tuple[tuple[int, ...], ...] = (),
    dense: tuple[bool, ...] = (),
) -> "Tensor":
    """Several tensors combined from the first on, each time as `pairwise` does with these `ones` and `dense`."""
    if not ones:
        return reduce(function_named(function), xs)
    made = xs[0]
    for x, count, first in zip(xs[1:], ones, dense, strict=True):
        made = pairwise(made, x, function=function, ones=count, dense=first)
    return made


def with_ones(x: "Tensor", count: int, *, at: int) -> "Tensor":
    """The tensor with `count` axes of size 1 inserted at `at`; 1 is after the batch, which then aligns with no other axis."""
    return x[(slice(None),) * at + (None,) * count]


def function_named(function: str) -> Callable[..., Any]:
    """Python's operator of that name, else PyTorch's function."""
    import torch

    return getattr(operator, function) if hasattr(operator, function) else getattr(torch, function)  # type: ignore[no-any-return]


def as_real(x: TensorType) -> TensorType:
    """The type as real numbers: f32 unless it is already real."""
    return x if x.floating else replace(x, dtype="f32")
