"""Sliding windows: kernel, stride, padding and dilation, for convolutions and pools alike."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from archspec.ground import codes
from archspec.ground.bounds import require_least
from archspec.ground.declared import number
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import Shape, show
from archspec.op.dependence import WHOLE, Along, Slide

WIDEST = 2**24  # PyTorch's kernels compute the sizes of windows in 32 bits, some of two axes at once
Extent = Annotated[int, Field(ge=1, le=WIDEST)]
Margin = Annotated[int, Field(ge=0, le=WIDEST)]
Window = Extent | tuple[Extent, ...]
EvenPadding = Margin | tuple[Margin, ...] | Literal["same", "valid"]
Padding = Margin | tuple[Margin | tuple[Margin, Margin], ...] | Literal["same", "valid", "tf_same"]


def per_axis(value: int | tuple[int, ...], axes: int, name: str) -> tuple[int, ...]:
    """One number per axis; Mistake if a list has another length."""
    if isinstance(value, int):
        return (value,) * axes
    _require_axes(len(value), axes, name)
    return value


class Windows(NamedTuple):
    """A window that slides along each of several axes, which are padded before and after.

    A margin of None is TensorFlow's SAME: the least that makes the output S / stride, rounded up, half of it before the axis, and
    what cannot be halved behind it. So it depends on the size.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: tuple[tuple[int, int] | None, ...]

    @classmethod
    def of(
        cls, axes: int, kernel: Window, stride: Window, padding: Padding, dilation: Window = 1
    ) -> "Windows":
        """From the arguments of an op.

        Raises Mistake if a list has another number of axes, or if `same` padding cannot be symmetric.
        """
        each = (
            per_axis(kernel, axes, "kernel"),
            per_axis(stride, axes, "stride"),
            per_axis(dilation, axes, "dilation"),
        )
        return cls(*each, _margins(*each, padding))

    @property
    def extents(self) -> tuple[int, ...]:
        """How many positions a window spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def padding(self) -> tuple[int, ...] | None:
        """The padding of each axis, as PyTorch's layers take it; None where both ends differ, or the size decides."""
        alike = tuple(margin[0] for margin in self.margins if margin is not None and margin[0] == margin[1])
        return alike if len(alike) == len(self.margins) else None

    def around(self, sizes: Shape) -> tuple[tuple[int, int], ...]:
        """What is added before and after axes of these sizes. Raises Mistake where that depends on a free size."""
        found = []
        for size, extent, s, margin in zip(sizes, self.extents, self.stride, self.margins, strict=True):
            if margin is None:
                missing = max(0, extent - 1 - number((size - 1) % s))
                margin = missing // 2, missing - missing // 2
            found.append(margin)
        return tuple(found)

    def padded(self, sizes: Shape) -> Shape:
        """The sizes with the padding."""
        return tuple(size + sum(margin) for size, margin in zip(sizes, self.around(sizes), strict=True))

    def seen(self, sizes: Shape) -> tuple[Along, ...]:
        """The part of axes of these sizes that windows cover: all of it where a free size decides where they begin."""
        found = []
        windows = zip(sizes, self.extents, self.stride, self.margins, strict=True)
        for axis, (size, extent, s, margin) in enumerate(windows):
            if margin is None and not isinstance(size, int):
                found.append(WHOLE)
                continue
            before = self.around(sizes)[axis][0] if margin is None else margin[0]
            found.append(Along((axis + 1,), Slide.window(extent, s, before)))
        return tuple(found)

    def places(self, sizes: Shape, *, ceil: bool = False) -> tuple[Size, ...]:
        """The number of positions of a window along axes of these sizes, behind that of the channels.

        (S + before + after - dilation (kernel - 1) - 1) // stride + 1. With `ceil`, the quotient is rounded up, so that
        a window may extend past the padding, if it starts inside the input or the left padding (PyTorch's rule).
        Raises Mistake if the window does not fit.
        """
        places: list[Size] = []
        for size, extent, s, margin in zip(sizes, self.extents, self.stride, self.margins, strict=True):
            if margin is None:
                places.append((size + s - 1) // s)
                continue
            last = sum(margin) - extent + (s - 1 if ceil else 0)
            by = margin[0] if margin[0] == margin[1] else f"{margin[0]} and {margin[1]}"
            wrong = f"a window of {extent} does not fit into {show(sizes)} padded by {by}"
            require_least(size + last, 0, wrong)
            if ceil:
                last = min(last, margin[0] - 1)
            count = (size + last) // s + 1
            places.append(count)
        return tuple(places)


def _margins(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], padding: Padding
) -> tuple[tuple[int, int] | None, ...]:
    """The padding before and after each axis.

    `valid` pads nothing. `same` pads both ends equally, by the least that makes the output S / stride
    wherever the stride divides S: (window - stride) / 2, rounded up, where a window spans
    dilation * (kernel - 1) + 1 values. Raises Mistake if no such padding exists: for an even window
    with stride 1. `tf_same` is fixed only where no size makes a difference.
    """
    axes = len(kernel)
    if not isinstance(padding, str):
        sides = (padding,) * axes if isinstance(padding, int) else padding
        _require_axes(len(sides), axes, "padding")
        return tuple((side, side) if isinstance(side, int) else side for side in sides)
    found: list[tuple[int, int] | None] = []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        window = d * (k - 1) + 1
        if padding == "valid" or (padding == "tf_same" and window == 1):
            found.append((0, 0))
        elif padding == "tf_same":
            found.append(((window - 1) // 2, window // 2) if s == 1 else None)
        elif s == 1 and window % 2 == 0:
            raise Mistake(
                f"`same` padding cannot be symmetric for a window of {window} with stride 1",
                codes.ARGUMENT,
                help="use `padding=0` or another number, one before and one after as in `[[0, 1], [0, 1]]`,"
                ' or "tf_same"',
            )
        else:
            found.append((max(0, window - s + 1) // 2,) * 2)
    return tuple(found)


def _require_axes(given: int, axes: int, name: str) -> None:
    if given != axes:
        raise Mistake(f"`{name}` has {given} number{'s' * (given != 1)} for {axes} axes", codes.AXES)
