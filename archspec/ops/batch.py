"""The batch: all samples of it as one tensor."""

from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.size import Free
from archspec.ground.tensor import BATCH, TensorType
from archspec.op import Lowered, Movement
from archspec.op.dependence import WHOLE, Reach

if TYPE_CHECKING:
    from torch import Tensor


class Batch(Movement):
    """All samples of the batch in one tensor that has none: `x @ (x -> Batch -> Permute([1, 0]))` compares each with all.

    What is computed of it alone is computed once per batch, as of a weight, and may be an output, such as a loss. Its first size is
    called `batch`.

    Shapes: [*S] -> [batch, *S], without a batch
    FLOPs: 0
    Raises: when the tensor has no batch
    """

    examples = ("f32[8] -> Batch -> f32[batch, 8]", "i64[2, 3] -> Batch -> i64[batch, 2, 3]")
    without_batch = True  # to say itself what is wrong there
    view = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [batch, *S]."""
        if not x.batched:
            raise Mistake("Batch takes a tensor of each sample, not one without a batch", codes.NO_BATCH)
        return TensorType((Free.named(BATCH), *x.shape), x.dtype, batched=False)

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one value of one sample; which sample, is not told."""
        return ((WHOLE,) * x.rank,)

    def lower(self, x: TensorType) -> Lowered:
        """`samples`."""
        return samples


def samples(x: "Tensor") -> "Tensor":
    """The tensor as it is: its batch is an axis like the others now."""
    return x.view_as(x)
