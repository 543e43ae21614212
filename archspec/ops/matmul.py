"""Matrix products of two computed tensors."""

from dataclasses import replace
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, broadcast, fixed, show
from archspec.op.dependence import WHOLE, Along, Reach, aligned
from archspec.op.inputs import require_numbers
from archspec.ops.arithmetic import _Pairwise

if TYPE_CHECKING:
    pass


class MatMul(_Pairwise):
    """Product of matrices, whose leading axes are broadcast like NumPy [Harris et al., 2020].

    Shapes: [*S, n, k], [*S', k, m] -> [both broadcast, n, m]
    MACs:   k per output value
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
        require_numbers(a, self)
        if a.dtype != b.dtype:
            raise Mistake(
                f"MatMul takes matrices of the same dtype, not {a.dtype} and {b.dtype}", codes.DTYPES
            )
        shapes = f"{show(a.shape)} and {show(b.shape)}"
        if min(a.rank, b.rank) < 2:
            raise Mistake(
                f"MatMul takes matrices, not {shapes}",
                codes.RANK,
                help="Reshape a vector to [1, n] or [n, 1] first",
            )
        if not always_equal(a.shape[-1], b.shape[-2]):
            raise Mistake(
                f"cannot multiply matrices {shapes}",
                codes.SHAPES,
                label=f"rows of {a.shape[-1]} do not match columns of {b.shape[-2]}",
            )
        stacks = (x.with_shape(x.shape[:-2]) for x in (a, b))
        stack = broadcast(*stacks, verb="multiply stacks of matrices")
        return stack.with_shape((*stack.shape, a.shape[-2], b.shape[-1]))

    def macs(self, a: TensorType, b: TensorType) -> int:
        """k per output value."""
        return fixed(a.shape[-1], "the length of the rows") * self.infer(a, b).values

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value depends on its row of a and its column of b, whole."""
        out = self.infer(a, b)
        stack = out.with_shape(out.shape[:-2])
        left, right = (aligned(x.with_shape(x.shape[:-2]), stack) or () for x in (a, b))
        return (*left, Along((out.rank - 2,)), WHOLE), (*right, WHOLE, Along((out.rank - 1,)))

    def flops(self, a: TensorType, b: TensorType) -> int:
        """Twice the multiply-adds."""
        return 2 * self.macs(a, b)

    def saved(self, a: TensorType, b: TensorType) -> tuple[str | TensorType, ...]:
        """Both matrices; if a stack is broadcast, the copy that PyTorch makes of it."""
        out = self.infer(a, b)
        return tuple(_multiplied(name, x, out) for name, x in (("a", a), ("b", b)))


def _multiplied(name: str, x: TensorType, out: TensorType) -> str | TensorType:
    """What is kept of an operand: itself if its stack has the product's shape, else a copy that has."""
    ones = (1,) * (out.rank - x.rank)
    # A single matrix for all samples is not copied: the rows of the other are multiplied by it at once.
    if (x.rank == 2 and not x.batched) or (
        (*ones, *x.shape)[:-2] == out.shape[:-2] and x.batched == out.batched
    ):
        return name
    return replace(x, shape=(*out.shape[:-2], *x.shape[-2:]), batched=out.batched)
