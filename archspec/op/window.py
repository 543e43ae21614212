"""Sliding windows: kernel, stride, padding and dilation, for convolutions and pools alike."""

from typing import Annotated, Literal

from pydantic import Field

from archspec.ground.declared import derived, number
from archspec.ground.errors import Mistake
from archspec.ground.size import Size, require_least
from archspec.ground.tensor import Shape, show
from archspec.op.dependence import Along, Slide

WIDEST = 2**24  # PyTorch's kernels compute the sizes of windows in 32 bits, some of two axes at once
Extent = Annotated[int, Field(ge=1, le=WIDEST)]
Margin = Annotated[int, Field(ge=0, le=WIDEST)]
Window = Extent | tuple[Extent, ...]
Padding = Margin | tuple[Margin, ...] | Literal["same", "valid"]


def per_axis(value: int | tuple[int, ...], axes: int, name: str) -> tuple[int, ...]:
    """One number per axis; Mistake if a list has another length."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise Mistake(f"`{name}` has {len(value)} numbers for {axes} axes", kind="shape")
    return value


def padded(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: Padding, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """The padding at both ends of each axis.

    `valid` pads nothing. `same` pads both ends equally, by the least that makes the output S / stride
    wherever the stride divides S: (window - stride) / 2, rounded up, where a window spans
    dilation * (kernel - 1) + 1 values. Raises Mistake if no such padding exists: for an even window
    with stride 1.
    """
    if padding == "valid":
        return (0,) * len(kernel)
    if padding != "same":
        return per_axis(padding, len(kernel), "padding")
    amounts = []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        window = d * (k - 1) + 1
        if s == 1 and window % 2 == 0:
            raise Mistake(
                f"`same` padding cannot be symmetric for a window of {window} with stride 1",
                help="use `padding=0` or another number, or Pad first",
            )
        amounts.append(max(0, window - s + 1) // 2)
    return tuple(amounts)


def seen_by(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Along, ...]:
    """The part of the spatial axes that windows of dilation * (kernel - 1) + 1 positions cover."""
    windows = zip(kernel, stride, padding, dilation, strict=True)
    return tuple(
        Along((axis,), Slide.window(d * (k - 1) + 1, s, p)) for axis, (k, s, p, d) in enumerate(windows, 1)
    )


def slide(
    sizes: Shape,
    kernel: Window,
    stride: Window,
    padding: Padding,
    dilation: Window = 1,
    *,
    ceil: bool = False,
) -> tuple[Size, ...]:
    """The number of positions of a window along each axis.

    (S + 2 padding - dilation (kernel - 1) - 1) // stride + 1. With `ceil`, the quotient is rounded up, so that
    a window may extend past the padding, if it starts inside the input or the left padding (PyTorch's rule).
    Raises Mistake if the window does not fit.
    """
    axes = len(sizes)
    kernels, strides = per_axis(kernel, axes, "kernel"), per_axis(stride, axes, "stride")
    dilations = per_axis(dilation, axes, "dilation")
    paddings = padded(kernels, strides, padding, dilations)
    places: list[Size] = []
    for size, k, s, p, d in zip(sizes, kernels, strides, paddings, dilations, strict=True):
        room = size + (2 * p - d * (k - 1) - 1 + (s - 1 if ceil else 0))
        require_least(room, 0, f"a window of {d * (k - 1) + 1} does not fit into {show(sizes)} padded by {p}")
        count = room // s + 1
        if ceil:
            if (count - 1) * s >= size + p:
                count -= 1
            count = derived(number(count), size, how=f"windows of {k}, {s}, {p}, {d}, rounded up")
        places.append(count)
    return tuple(places)
