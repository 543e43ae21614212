"""What moves values and computes nothing: the base of ops that arrange, pick or hand on."""

from typing import Any, ClassVar

from archspec.op import Op


class _Movement(Op):
    """It moves values, or hands them on, and computes nothing; its backward pass moves them back."""

    saves: ClassVar[tuple[str, ...]] = ()

    def flops(self, *inputs: Any, **optional: Any) -> int:
        """0: copying, indexing and padding is no arithmetic."""
        return 0
