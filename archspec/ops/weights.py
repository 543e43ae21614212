"""Tensors that a spec declares itself: `weight`, `buffer`, `constant`, and the weight of a shared layer."""

from collections.abc import Mapping

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, TensorType, is_real, show
from archspec.op import Lowered, Movement, Weight
from archspec.op.table import Table

_AS_SIZES = "write its sizes as numbers: `h * w`"
_LONGEST = 40  # letters of an initialisation, which may list values


def require_table(weight: Weight, table: Table) -> None:
    """Raise Mistake unless a weight can be such a table of positions."""
    if not table.fits(weight.shape):
        raise Mistake(f"{table} does not fit a weight of {show(weight.shape)}", codes.TABLE)
    if not is_real(weight.dtype):
        raise Mistake(
            f"a table of positions holds real numbers, not {weight.dtype}", codes.TABLE, help=_AS_SIZES
        )
    if not weight.saved:
        raise Mistake("a constant is in no file, so nothing would resize it", codes.TABLE, help=_AS_SIZES)


class Own(Movement):
    """A weight or buffer of a block: `weight pos_embed: [1, 1 + grid(h, w), dim] = trunc_normal(0.02)`.

    Shapes: () -> the weight's, without a batch
    FLOPs: 0
    """

    weight: Weight
    table: Table | None = None  # of positions, if the spec says so
    without_batch = True

    def _require_possible(self) -> None:
        if self.table is not None:
            require_table(self.weight, self.table)

    def infer(self) -> TensorType:
        """The weight's own shape."""
        return TensorType(self.weight.shape, self.weight.dtype, batched=False)

    def weights(self) -> Mapping[str, Weight]:
        """Itself, under the node's own name."""
        return {"": self.weight}

    def __str__(self) -> str:
        """As a spec declares it, without its name and its shape: `weight = trunc_normal(std=0.02)`, and what it is a table of."""
        kind = "weight" if self.weight.trainable else "buffer" if self.weight.saved else "constant"
        start = str(self.weight.init)
        table = f", {self.table}" if self.table else ""
        return f"{kind} = {start if len(start) <= _LONGEST else f'{start[:_LONGEST]} ...'}{table}"

    def lower(self) -> Lowered:
        """Nothing runs: the backend reads the attribute of that name."""
        raise NotImplementedError("a backend reads the weight itself")


class Constant(Own):
    """A tensor that is neither trained nor saved: `constant index: int64[49, 49] = [...]`.

    Shapes: () -> its shape, without a batch
    FLOPs: 0
    """


class Tied(Movement):
    """The weight of a shared layer as a tensor, such as `embed.weight` [Press & Wolf, 2017].

    Shapes: () -> the weight's, without a batch
    FLOPs: 0
    """

    target: str
    shape: tuple[int, ...]
    dtype: DType = "f32"
    without_batch = True

    def infer(self) -> TensorType:
        """The weight's own shape."""
        return TensorType(self.shape, self.dtype, batched=False)

    def lower(self) -> Lowered:
        """Nothing runs: the backend reads the attribute `target`."""
        raise NotImplementedError("a backend reads the weight itself")
