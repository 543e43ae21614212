"""The two edges of a searched cell that compute nothing: the identity, and zeros."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.ground.tensor import TensorType
from archspec.op import Elementwise, Movement
from archspec.op.dependence import Reach
from archspec.op.inputs import channels_of
from archspec.op.window import Window, Windows, per_axis

if TYPE_CHECKING:
    from torch import Tensor, nn


class Identity(Movement, Elementwise):
    """The input, unchanged [He et al., 2016].

    Shapes: [*S] -> [*S]
    FLOPs: 0
    """

    examples = ("f32[8, 4, 4] -> Identity -> f32[8, 4, 4]", "i64[5] -> Identity -> i64[5]")
    without_batch = True
    view = True
    only_trains = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        return x

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Identity`."""
        from torch import nn

        return nn.Identity()


class Zero(Movement):
    """Zeros in the shape of a pool with that stride: an edge that a cell omits [Liu et al., 2019].

    Shapes: [C, *S] -> [C, *S'], S' = (S - 1) // stride + 1
    FLOPs: 0
    Raises: when there are no channels, or `stride` lists another number of axes
    """

    stride: Window = 1

    examples = (
        "f32[8, 4, 4] -> Zero -> f32[8, 4, 4]",
        "f32[8, 9, 8] -> Zero(stride=2) -> f32[8, 5, 4]",
        "f32[8, 9] -> Zero(stride=2) -> f32[8, 5]",
        "f32[2, 3, 4, 5] -> Zero(stride=[1, 2, 2]) -> f32[2, 3, 2, 3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S']."""
        channels_of(x)
        return x.with_shape((x.shape[0], *Windows.of(x.rank - 1, 1, self.stride, 0).places(x.shape[1:])))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """No value depends on the input."""
        return (None,)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """Zeros like every `stride`-th value."""
        return partial(zeros_of_pool, strides=per_axis(self.stride, x.rank - 1, "stride"))


def zeros_of_pool(x: "Tensor", strides: tuple[int, ...]) -> "Tensor":
    """Zeros of the shape that is left when each of the last axes keeps one value of `stride`."""
    from torch import zeros_like

    kept: tuple[Any, ...] = (..., *(slice(None, None, stride) for stride in strides))
    return zeros_like(x[kept])
