"""Whole division: quotients rounded down, and what they leave."""

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op.inputs import require_numbers
from archspec.ops.comparison import _Against


class FloorDivide(_Against):
    """The quotient of two values rounded down, broadcast like NumPy [Harris et al., 2020]: what `x // 2` means.

    Shapes: [*S], [*S'] -> both broadcast; [*S] -> [*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ, values are bool, or the number is 0
    """

    function, verb = "floordiv", "divide"

    examples = (
        "(f32[4, 8], f32[8]) -> FloorDivide -> f32[4, 8]",
        "i64[4, 8] -> FloorDivide(3) -> i64[4, 8]",
    )
    saves = ()

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return _divided(self, xs)


class Remainder(_Against):
    """What the quotient rounded down leaves, with the sign of the divisor: what `x % 2` means.

    Shapes: [*S], [*S'] -> both broadcast; [*S] -> [*S] with a number
    FLOPs: 1 per output value
    Raises: when sizes differ, values are bool, or the number is 0
    """

    function, verb = "mod", "divide"

    examples = (
        "(f32[4, 8], f32[8]) -> Remainder -> f32[4, 8]",
        "i64[4, 8] -> Remainder(3) -> i64[4, 8]",
    )

    def infer(self, *xs: TensorType) -> TensorType:
        """[*S], [*S'] -> both shapes broadcast."""
        return _divided(self, xs)


def _divided(op: _Against, xs: tuple[TensorType, ...]) -> TensorType:
    """The type of a quotient. Mistake for bool, and for 0 as the divisor."""
    for x in xs:
        require_numbers(x, op)
    if op.number == 0:
        raise Mistake("division by zero", codes.DIVISION_BY_ZERO)
    return _Against.infer(op, *xs)
