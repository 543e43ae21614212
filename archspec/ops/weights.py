"""Tensors that a spec declares itself: `weight`, `buffer`, `constant`, and the weight of a shared layer."""

from collections.abc import Mapping

from archspec.ground.tensor import DType, TensorType
from archspec.op import Lowered, Movement, Weight

_LONGEST = 40  # letters of an initialisation, which may list values


class Own(Movement):
    """A weight or buffer of a block: `weight table: [169, heads] = trunc_normal(0.02)`.

    Shapes: () -> the weight's, without a batch
    FLOPs: 0
    """

    weight: Weight
    without_batch = True

    def infer(self) -> TensorType:
        """The weight's own shape."""
        return TensorType(self.weight.shape, self.weight.dtype, batched=False)

    def weights(self) -> Mapping[str, Weight]:
        """Itself, under the node's own name."""
        return {"": self.weight}

    def __str__(self) -> str:
        """As a spec declares it, without its name and its shape: `weight = trunc_normal(std=0.02)`."""
        kind = "weight" if self.weight.trainable else "buffer" if self.weight.saved else "constant"
        start = str(self.weight.init)
        return f"{kind} = {start if len(start) <= _LONGEST else f'{start[:_LONGEST]} ...'}"

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
