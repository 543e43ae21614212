"""Gathering: rows of a table selected by a tensor of indices, and tensors of positions."""

from functools import partial
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, show
from archspec.op import Lowered, Movement
from archspec.op.dependence import WHOLE, Along, Reach, points

if TYPE_CHECKING:
    from torch import Tensor


class Gather(Movement):
    """Select the rows of a table at `index`, as `table[index]` in NumPy [Harris et al., 2020].

    Shapes: [n, *S], [*I] -> [*I, *S]
    FLOPs: 0
    Raises: when the index is not i32 or i64, or the table has no rows
    """

    examples = (
        "(f32[5, 3], i64[4]) -> Gather -> f32[4, 3]",
        "(f32[5, 3], i32[2, 2]) -> Gather -> f32[2, 2, 3]",
        "(f32[7], i64[2, 3]) -> Gather -> f32[2, 3]",
    )
    without_batch = True

    def infer(self, table: TensorType, index: TensorType) -> TensorType:
        """[n, *S], [*I] -> [*I, *S]."""
        if index.dtype not in ("i32", "i64"):
            raise Mistake(f"Gather takes an index of i32 or i64, not {index}", codes.DTYPE)
        if not table.rank:
            raise Mistake(f"Gather takes a table with rows, not {show(table.shape)}", codes.RANK)
        shape = (*index.shape, *table.shape[1:])
        return TensorType(shape, table.dtype, table.batched or index.batched)

    def saved(self, table: TensorType, index: TensorType) -> tuple[str | TensorType, ...]:
        """The index, and where both differ from sample to sample, the number of each sample."""
        # An index that does not depend on the input is a constant, which is kept anyway.
        if not index.batched:
            return ()
        return ("index", TensorType((), "i64")) if table.batched else ("index",)

    def reach(self, table: TensorType, index: TensorType) -> tuple[Reach, ...]:
        """Each value depends on its number, and its place in all rows."""
        return (WHOLE, *(Along((axis + index.rank - 1,)) for axis in range(1, table.rank))), points(index)

    def lower(self, table: TensorType, index: TensorType) -> Lowered:
        """`rows`."""
        return partial(rows, batched=(table.batched, index.batched))


class Positions(Movement):
    """The positions 0, 1, 2 ... along an axis, whose size may be free [Vaswani et al., 2017].

    Shapes: [*S, n, *T] -> i64[n]
    FLOPs: 0
    Raises: when there is no such axis
    """

    axis: int = 0

    examples = ("f32[5, 3] -> Positions -> i64[5]", "i64[4] -> Positions(axis=-1) -> i64[4]")

    def infer(self, x: TensorType) -> TensorType:
        """[*S, n, *T] -> i64[n]."""
        return TensorType((x.shape[x.axis(self.axis)],), "i64", x.batched)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """The positions do not depend on the values."""
        return (None,)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.arange`, the same for each sample."""
        return partial(positions, axis=x.axis(self.axis) - x.rank, batched=x.batched)


def positions(x: "Tensor", *, axis: int, batched: bool) -> "Tensor":
    """0, 1, 2 ... along an axis, for each sample."""
    import torch

    numbers = torch.arange(x.shape[axis], device=x.device)
    return numbers.expand(x.shape[0], -1) if batched else numbers


def rows(table: "Tensor", index: "Tensor", *, batched: tuple[bool, bool]) -> "Tensor":
    """`table[index]`, for each sample where there are samples."""
    import torch

    if not batched[0]:
        return table[index]
    if not batched[1]:
        return table[:, index]
    samples = torch.arange(table.shape[0], device=index.device).view(-1, *(1,) * (index.ndim - 1))
    return table[samples, index]
