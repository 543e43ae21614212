"""Bases for the two most common kinds of op: functions of each value, and moves of values."""

# Annotations here are evaluated, not kept as strings, as in `contract`.

from typing import Any, ClassVar, Literal

from archspec.ground.tensor import TensorType
from archspec.op.contract import Op
from archspec.op.dependence import Reach, points
from archspec.op.inputs import require_real


class Elementwise(Op):
    """A function of each value of a tensor of real numbers; the output has the type of the input.

    An op that takes other dtypes, or returns another type, overrides `infer`.
    """

    image: ClassVar[Literal["made", "kept"] | None] = "kept"
    flops_per_value: ClassVar[int] = 1

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        require_real(x, self)
        return x

    def flops(self, x: TensorType) -> int:
        """`flops_per_value` for each value."""
        return self.flops_per_value * x.values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place."""
        return (points(x),)


class Movement(Op):
    """Copies, reorders, selects or returns values, without arithmetic; the backward pass moves gradients back."""

    saves: ClassVar[tuple[str, ...]] = ()

    def flops(self, *inputs: Any, **optional: Any) -> int:
        """0: copying, indexing and padding are not arithmetic."""
        return 0
