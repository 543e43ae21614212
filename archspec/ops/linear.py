"""Linear maps of vectors, and tables of vectors by index."""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, TensorType, fixed
from archspec.op import Movement, NonNegativeInt, Op, PositiveInt, Weight
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import Reach, points
from archspec.op.initialisation import Init, normal, torch_default, zero_row
from archspec.op.inputs import require_real

if TYPE_CHECKING:
    from torch import nn


class Linear(Op):
    """Map the last axis by a learned matrix, and add a learned vector [Rosenblatt, 1958].

    Shapes: [*S, in] -> [*S, out]
    MACs:   in per output value
    FLOPs:  2 MACs; 1 per output value with a bias
    Raises: when there is no axis, or its size is free
    """

    out: PositiveInt
    bias: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(in_features=FROM_INPUT, out_features="out", bias="bias")

    bias_axis = -1
    image = "kept"
    examples = (
        "f32[16] -> Linear(10) -> f32[10]",
        "f32[49, 16] -> Linear(48, bias=false) -> f32[49, 48]",
        "f32[7, 7, 16] -> Linear(4, init=trunc_normal(0.02), bias_init=zeros) -> f32[7, 7, 4]",
    )
    overwritable = True
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S, in] -> [*S, out]."""
        require_real(x, self)
        self._width(x)
        return x.with_shape((*x.shape[:-1], self.out))

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` [out, in] and `bias` [out], PyTorch's default initialisation unless given."""
        biases = self.out if self.bias else 0
        return weight_and_bias((self.out, self._width(x)), biases, x.dtype, self.init, self.bias_init)

    def macs(self, x: TensorType) -> int:
        """in per output value."""
        return self._width(x) * self.infer(x).values

    def flops(self, x: TensorType) -> int:
        """2 MACs; 1 per output value with a bias."""
        return 2 * self.macs(x) + self.bias * self.infer(x).values

    def feature_axis(self, x: TensorType) -> int | None:
        """The last."""
        return x.rank - 1

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of the last axis."""
        return (points(x, x.rank - 1),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Linear`."""
        from torch import nn

        return nn.Linear(self._width(x), self.out, self.bias, device="meta")

    def _width(self, x: TensorType) -> int:
        """The size of the last axis."""
        return fixed(x.shape[x.axis(-1)], "the size of the last axis")


class Embedding(Movement):
    """Look up a learned vector for each index [Bengio et al., 2003]; the one at `padding` stays 0.

    Shapes: i64[*S] -> f32[*S, width], also from i32
    FLOPs: 0
    Raises: when the input is not i64 or i32, or `padding` is not an index
    """

    count: PositiveInt
    width: PositiveInt
    padding: NonNegativeInt | None = None
    init: Init | None = None

    pytorch = arguments(num_embeddings="count", embedding_dim="width", padding_idx="padding")

    examples = (
        "i64[12] -> Embedding(100, 16) -> f32[12, 16]",
        "i32[3, 4] -> Embedding(10, 8, padding=0) -> f32[3, 4, 8]",
        "i64[] -> Embedding(10, 8, init=normal(0.02)) -> f32[8]",
    )
    without_batch = True
    saves = ("inputs",)

    def infer(self, x: TensorType) -> TensorType:
        """i64[*S] -> f32[*S, width]."""
        if x.dtype not in ("i64", "i32"):
            raise Mistake(
                f"Embedding takes indices, i64 or i32, not {x.dtype}",
                codes.DTYPE,
                help="use Linear for real numbers",
            )
        if self.padding is not None and self.padding >= self.count:
            raise Mistake(
                f"`padding` is {self.padding}, but indices go from 0 to {self.count - 1}",
                codes.ARGUMENT,
                label="no such index",
            )
        return TensorType((*x.shape, self.width), "f32", x.batched)

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` [count, width], normal unless given."""
        init = self.init or normal()
        if self.padding is not None:
            init = zero_row(init=init, row=self.padding)
        return {"weight": Weight(shape=(self.count, self.width), init=init)}

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place."""
        return (points(x),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Embedding`."""
        from torch import nn

        return nn.Embedding(self.count, self.width, self.padding, device="meta")


def weight_and_bias(
    shape: tuple[int, ...], biases: int, dtype: DType, init: Init | None, bias_init: Init | None
) -> dict[str, Weight]:
    """The `weight` [_, in, *window] of a linear map and its `bias`, if any, with PyTorch's first values."""
    default = torch_default(prod(shape[1:]))
    weights = {"weight": Weight(shape=shape, init=init or default, dtype=dtype)}
    if biases:
        weights["bias"] = Weight(shape=(biases,), init=bias_init or default, dtype=dtype)
    return weights
