"""Sampling: values of an image at computed places."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, show
from archspec.op import Op
from archspec.op.dependence import POINT, WHOLE, Along, Reach
from archspec.op.inputs import require_rank, require_real

if TYPE_CHECKING:
    from torch import Tensor

_TAPS = {"nearest": 1, "bilinear": 4, "bicubic": 16}


class GridSample(Op):
    """Sample an image at the places of a grid, as `functional.grid_sample` [Jaderberg et al., 2015].

    Each place is x and y, from -1 at the left and upper edge to 1: the edges of pixels, or with `align_corners` their centres.
    `padding` says what lies outside: zeros, the nearest pixel, or the image reflected.

    Shapes: x [C, H, W], grid [H', W', 2] -> [C, H', W']
    FLOPs: 12 per place; for each value 7 if "bilinear", of 4 pixels, and 31 if "bicubic", of 16
    Raises: when shapes or dtypes are others, or a tensor has no batch
    """

    mode: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    positional = ()

    examples = (
        "(f32[3, 6, 7], f32[4, 5, 2]) -> GridSample -> f32[3, 4, 5]",
        '(f32[3, 6, 7], f32[4, 5, 2]) -> GridSample(mode="nearest", padding="border") -> f32[3, 4, 5]',
        '(f32[3, 6, 7], f32[4, 5, 2]) -> GridSample(mode="bicubic", padding="reflection", align_corners=true)'
        " -> f32[3, 4, 5]",
    )

    def infer(self, x: TensorType, grid: TensorType) -> TensorType:
        """x [C, H, W], grid [H', W', 2] -> [C, H', W']."""
        require_real(x, self)
        require_rank(x, 3, self, "[C, H, W]")
        if grid.rank != 3 or not always_equal(grid.shape[2], 2):
            raise Mistake(
                f"a grid is [H, W, 2], with x and y of each place, not {show(grid.shape)}", codes.RANK
            )
        if grid.dtype != x.dtype:
            raise Mistake(f"the grid must be {x.dtype} like the image, not {grid.dtype}", codes.DTYPES)
        if not (x.batched and grid.batched):
            raise Mistake(
                "the image and the grid must both depend on the input", codes.NO_BATCH, label="has no batch"
            )
        return x.with_shape((x.shape[0], *grid.shape[:2]))

    def flops(self, x: TensorType, grid: TensorType) -> int:
        """12 for each place, which is found in the image; a product for each pixel that is mixed, and their sums."""
        taps = _TAPS[self.mode]
        return 6 * grid.values + (0 if taps == 1 else 2 * taps - 1) * self.infer(x, grid).values

    def saved(self, x: TensorType, grid: TensorType) -> tuple[str | TensorType, ...]:
        """The image and the grid, in single precision at least."""
        if x.dtype in ("f32", "f64"):
            return ("inputs",)
        return replace(x, dtype="f32"), replace(grid, dtype="f32")

    def reach(self, x: TensorType, grid: TensorType) -> tuple[Reach, ...]:
        """Each value depends on all of its channel, and on its place."""
        return (Along((0,), POINT), WHOLE, WHOLE), (Along((1,)), Along((2,)), WHOLE)

    def lower(self, x: TensorType, grid: TensorType) -> "Callable[..., Tensor]":
        """`functional.grid_sample`."""
        return partial(sampled, mode=self.mode, padding=self.padding, align_corners=self.align_corners)


def sampled(x: "Tensor", grid: "Tensor", *, mode: str, padding: str, align_corners: bool) -> "Tensor":
    """`functional.grid_sample` in single precision at least: half has too few digits for places in a large image."""
    from torch.nn.functional import grid_sample

    from archspec.op.torch_layers import single

    return grid_sample(single(x), single(grid), mode, padding, align_corners).to(x.dtype)
