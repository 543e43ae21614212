"""Windows: an image cut into windows, and put back together."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import Shape, TensorType, show
from archspec.op import Movement, PositiveInt
from archspec.op.dependence import Along, Reach
from archspec.op.inputs import require_rank
from archspec.op.window import Margin, Window, per_axis

if TYPE_CHECKING:
    from torch import Tensor


class WindowPartition(Movement):
    """Cut an image, channels last, into the windows that tile it [Liu et al., 2021].

    With a `halo`, each window extends that many pixels into its neighbours on all sides; outside the image they are 0
    [Vaswani et al., 2021, Section 2.2].

    Shapes: [H, W, C] -> [windows, h * w, C], `size` is h and w, to which twice the halo is added; windows and their values
            row by row
    FLOPs: 0
    Raises: when the windows do not tile the image
    """

    size: Window
    halo: Margin | tuple[Margin, ...] = 0

    examples = (
        "f32[8, 12, 3] -> WindowPartition(4) -> f32[6, 16, 3]",
        "f32[8, 12, 3] -> WindowPartition([8, 3]) -> f32[4, 24, 3]",
        "f32[8, 12, 3] -> WindowPartition(4, halo=[1, 2]) -> f32[6, 48, 3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[H, W, C] -> [windows, h * w, C]."""
        require_rank(x, 3, self, "[H, W, C]")
        size, halo = per_axis(self.size, 2, "size"), per_axis(self.halo, 2, "halo")
        if any(halo):  # PyTorch would leave out the rest that fills no window
            use(*(have % window for have, window in zip(x.shape[:2], size, strict=True)))
        values = prod(inner + 2 * outer for inner, outer in zip(size, halo, strict=True))
        return x.with_shape((_windows(x.shape[:2], size), values, x.shape[2]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one place, which the window and the place in it stand for."""
        return ((*(Along((0, 1), straight=False),) * 2, Along((2,))),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """Both axes unfolded, and their inner halves brought together."""
        size, halo = per_axis(self.size, 2, "size"), per_axis(self.halo, 2, "halo")
        return (
            partial(window_partition, size=size, halo=halo)
            if any(halo)
            else partial(window_partition, size=size)
        )


class WindowReverse(Movement):
    """Put windows back together as an image of `height` and `width`: WindowPartition's inverse.

    Shapes: [windows, h * w, C] -> [height, width, C], `size` is h and w
    FLOPs: 0
    Raises: when the windows do not tile the image
    """

    size: Window
    height: PositiveInt
    width: PositiveInt

    examples = (
        "f32[6, 16, 3] -> WindowReverse(4, 8, 12) -> f32[8, 12, 3]",
        "f32[4, 24, 3] -> WindowReverse([8, 3], height=8, width=12) -> f32[8, 12, 3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[windows, h * w, C] -> [height, width, C]."""
        require_rank(x, 3, self, "[windows, values, C]")
        size = per_axis(self.size, 2, "size")
        count = _windows((self.height, self.width), size)
        use(x.shape[0], x.shape[1])
        if not (always_equal(x.shape[0], count) and always_equal(x.shape[1], prod(size))):
            raise Mistake(
                f"{show(x.shape)} does not make an image of {self.height} x {self.width}",
                codes.RESHAPE,
                label=f"needs {count} windows of {prod(size)} values",
            )
        return x.with_shape((self.height, self.width, x.shape[2]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one place, which row and column stand for."""
        return ((*(Along((0, 1), straight=False),) * 2, Along((2,))),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """As WindowPartition, backwards."""
        size = per_axis(self.size, 2, "size")
        return partial(window_reverse, size=size, columns=self.width // size[1])


def window_partition(x: "Tensor", *, size: tuple[int, ...], halo: tuple[int, ...] = (0, 0)) -> "Tensor":
    """[*, H, W, C] -> [*, windows, (h + 2 * halo) * (w + 2 * halo), C]."""
    from torch import unflatten
    from torch.nn import functional

    if any(halo):
        x = functional.pad(x, (0, 0, halo[1], halo[1], halo[0], halo[0]))
        for inner, outer in zip(size, halo, strict=True):
            x = x.unfold(
                -3, inner + 2 * outer, inner
            )  # rows, then columns: each puts the places in windows behind all
        tiles = x.movedim(-3, -1)  # [*, H / h, W / w, h + 2 * halo, w + 2 * halo, C]
    else:
        tiles = unflatten(unflatten(x, -3, (-1, size[0])), -2, (-1, size[1])).transpose(-4, -3)
    return tiles.flatten(-3, -2).flatten(-4, -3)


def window_reverse(x: "Tensor", *, size: tuple[int, ...], columns: int) -> "Tensor":
    """[*, windows, h * w, C] -> [*, H, W, C], with `columns` windows per row."""
    from torch import unflatten

    tiles = unflatten(unflatten(x, -2, size), -4, (-1, columns))  # [*, H / h, W / w, h, w, C]
    return tiles.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)


def _windows(sizes: Shape, size: tuple[int, ...]) -> Size:
    """How many windows fill an image."""
    if any(have % window for have, window in zip(sizes, size, strict=True)):
        raise Mistake(
            f"windows of {show(size)} do not tile {show(sizes)}",
            codes.INDIVISIBLE,
            help="Pad to a multiple of the window first",
        )
    return prod(have // window for have, window in zip(sizes, size, strict=True))
