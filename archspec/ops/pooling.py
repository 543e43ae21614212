"""Pools: windows, and whole images, reduced to their mean or their maximum."""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, prod
from typing import TYPE_CHECKING, Any

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Op
from archspec.op.calling import NO_PADDING, arguments
from archspec.op.dependence import POINT, WHOLE, Along, Reach, Slide
from archspec.op.inputs import by_axes, space_of
from archspec.op.window import Padding, Window, Windows, per_axis
from archspec.ops.conv import padding_settings, read_by

if TYPE_CHECKING:
    from torch import nn


class _Pool(Op):
    """A window that slides over each channel; the stride is its size by default."""

    kernel: Window
    stride: Window | None = None
    padding: Padding = "same"
    ceil: bool = False

    pytorch_defaults = NO_PADDING
    one_sample = True

    image = "made"

    @property
    def _dilation(self) -> Window:
        """The distance between neighbouring values of a window."""
        return 1

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S']."""
        space = space_of(x, self)
        windows = self._windows(x)
        for k, extent, margin in zip(windows.kernel, windows.extents, windows.margins, strict=True):
            most = extent // 2 if margin is None else max(margin)
            if 2 * most > k:
                raise Mistake(
                    f"{type(self).__name__} pads by at most half its kernel, not by {most} for a kernel of {k}",
                    codes.ARGUMENT,
                    help="use `padding=0` or another number, or Pad first",
                )
        if self.ceil and windows.padding is None:
            raise Mistake(
                f"{type(self).__name__} rounds up by `ceil` only where both ends are padded alike, by fixed numbers",
                codes.ARGUMENT,
                help="leave `ceil` out, and pad the end by more",
            )
        return x.with_shape((x.shape[0], *windows.places(space, ceil=self.ceil)))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on a window of its channel."""
        return ((Along((0,)), *self._windows(x).seen(x.shape[1:])),)

    def _windows(self, x: TensorType) -> Windows:
        """What slides over each channel."""
        stride = self.kernel if self.stride is None else self.stride
        return Windows.of(x.rank - 1, self.kernel, stride, self.padding, self._dilation)

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The arguments that PyTorch's modules have in common, and `margins` where they have none for such padding."""
        windows = self._windows(x)
        return {
            "kernel_size": windows.kernel,
            "stride": windows.stride,
            **padding_settings(windows),
            "ceil_mode": self.ceil,
        }


class MaxPool(_Pool):
    """The largest value of each window [Ranzato et al., 2007].

    Shapes: [C, *S] -> [C, *S'], S' = (S + 2 padding - dilation (kernel - 1) - 1) // stride + 1;
            with `ceil`, the quotient is rounded up; S' = S / stride rounded up with `padding="tf_same"`
    FLOPs: prod(kernel) - 1, per output value
    Raises: when the window does not fit, the padding is more than half of the kernel, or `ceil` meets ends padded differently
    """

    dilation: Window = 1

    pytorch = arguments(
        kernel_size="kernel",
        stride="stride",
        padding="padding",
        dilation="dilation",
        return_indices="is always false here",
        ceil_mode="ceil",
    )

    examples = (
        "f32[8, 9, 9] -> MaxPool(3, stride=2) -> f32[8, 5, 5]",
        "f32[8, 9, 9] -> MaxPool(2) -> f32[8, 4, 4]",
        "f32[8, 8, 8] -> MaxPool(3, stride=2, padding=0, ceil=true) -> f32[8, 4, 4]",
        "f32[4, 20] -> MaxPool(3, stride=1, padding=1, dilation=2) -> f32[4, 18]",
        "f32[2, 4, 6, 8] -> MaxPool([1, 2, 2]) -> f32[2, 4, 3, 4]",
        'f32[8, 8, 9] -> MaxPool(3, stride=2, padding="tf_same") -> f32[8, 4, 5]',
        "f32[4, 9] -> MaxPool(2, stride=1, padding=[[0, 1]]) -> f32[4, 9]",
        'f32[2, 3, 4, 5] -> MaxPool(2, stride=1, padding="tf_same") -> f32[2, 3, 4, 5]',
    )

    @property
    def _dilation(self) -> Window:
        """The distance between neighbouring values of a window."""
        return self.dilation

    def flops(self, x: TensorType) -> int:
        """prod(kernel) - 1 comparisons per output value."""
        return (prod(self._windows(x).kernel) - 1) * self.infer(x).values

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, with what is added around it where PyTorch's kernels do not, and the indices of the maxima."""
        return read_by(self._windows(x), x), replace(self.infer(x), dtype="i64")

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.MaxPool1d`, `nn.MaxPool2d` or `nn.MaxPool3d`; one of them behind padding that they do not have."""
        from torch import nn

        settings = {**self._settings(x), "dilation": self._windows(x).dilation}
        if "margins" in settings:
            from archspec.op import padded_layers as padded

            pool = by_axes(x, padded.PaddedMaxPool1d, padded.PaddedMaxPool2d, padded.PaddedMaxPool3d)
            made: nn.Module = pool(**settings)
            return made
        return by_axes(x, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)(**settings)


class AvgPool(_Pool):
    """The mean of each window [LeCun et al., 1989]; padding counts as zeros by default.

    Shapes: [C, *S] -> [C, *S'], S' = (S + 2 padding - kernel) // stride + 1;
            with `ceil`, the quotient is rounded up; S' = S / stride rounded up with `padding="tf_same"`
    FLOPs: prod(kernel) per output value; where ends are padded differently and padding does not count, 1 more, and
           prod(kernel) per place
    Raises: when the window does not fit, in a volume even without its padding, the padding is more than half of the
            kernel, or `ceil` meets ends padded differently
    """

    count_include_pad: bool = True

    overwritable = True
    pytorch = arguments(
        kernel_size="kernel",
        stride="stride",
        padding="padding",
        ceil_mode="ceil",
        count_include_pad="count_include_pad",
    )

    examples = (
        "f32[8, 9, 9] -> AvgPool(3, stride=1) -> f32[8, 9, 9]",
        "f32[8, 8, 8] -> AvgPool(2) -> f32[8, 4, 4]",
        "f32[8, 7, 7] -> AvgPool(2, ceil=true, count_include_pad=false) -> f32[8, 4, 4]",
        'f32[4, 20] -> AvgPool(5, stride=3, padding="valid") -> f32[4, 6]',
        "f32[2, 4, 6, 8] -> AvgPool([1, 3, 3], stride=[1, 2, 2]) -> f32[2, 4, 3, 4]",
        'f32[8, 8, 9] -> AvgPool(3, stride=2, padding="tf_same") -> f32[8, 4, 5]',
        'f32[8, 8, 9] -> AvgPool(3, stride=2, padding="tf_same", count_include_pad=false) -> f32[8, 4, 5]',
        "f32[4, 9] -> AvgPool(2, stride=1, padding=[[0, 1]], count_include_pad=false) -> f32[4, 9]",
        'f32[2, 3, 4, 5] -> AvgPool(2, stride=1, padding="tf_same") -> f32[2, 3, 4, 5]',
    )

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S']."""
        out = super().infer(x)
        windows = self._windows(x)
        kernel, padded = windows.kernel, windows.padding is None
        if x.rank == 4 and not padded and any(size < k for size, k in zip(x.shape[1:], kernel, strict=True)):
            raise Mistake(  # PyTorch's rule, for volumes only
                f"AvgPool takes volumes at least as large as its kernel {show(kernel)}, not {show(x.shape[1:])}",
                codes.TOO_SMALL,
                help="Pad first, with `padding=0`",
            )
        return out

    def flops(self, x: TensorType) -> int:
        """prod(kernel) - 1 sums and a quotient per output value; the same per place and a quotient for shares."""
        out, taps = self.infer(x), prod(self._windows(x).kernel)
        shares = self._shares(x)
        return taps * out.values + (0 if shares is None else taps * shares.values + out.values)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, with what is added around it where PyTorch's kernels do not, and the shares of windows inside."""
        shares = self._shares(x)
        return (read_by(self._windows(x), x), *(() if shares is None else (shares,)))

    def _shares(self, x: TensorType) -> TensorType | None:
        """Which share of each window lies inside, where the means are divided by it."""
        if self.count_include_pad or self._windows(x).padding is not None:
            return None
        return TensorType((1, *self.infer(x).shape[1:]), x.dtype, batched=False)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.AvgPool1d`, `nn.AvgPool2d` or `nn.AvgPool3d`; one of them behind padding that they do not have."""
        from torch import nn

        from archspec.op.torch_layers import AvgPool3d

        settings = {**self._settings(x), "count_include_pad": self.count_include_pad}
        made: nn.Module
        if "margins" in settings:
            from archspec.op import padded_layers as padded

            made = by_axes(x, padded.PaddedAvgPool1d, padded.PaddedAvgPool2d, padded.PaddedAvgPool3d)(
                **settings
            )
        else:
            made = by_axes(x, nn.AvgPool1d, nn.AvgPool2d, AvgPool3d)(**settings)
        return made


class _GlobalPool(Op):
    """One number for each channel; with `keep`, the axes stay as ones."""

    keep: bool = False
    one_sample = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C], or [C, 1, ...] with `keep`."""
        ones = (1,) * len(space_of(x, self))
        return x.with_shape((x.shape[0], *(ones if self.keep else ())))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of its channel."""
        return ((Along((0,)), *(WHOLE,) * (x.rank - 1)),)


class GlobalAvgPool(_GlobalPool):
    """The mean of each channel [Lin et al., 2014].

    Shapes: [C, *S] -> [C], or [C, 1, ...] with `keep`
    FLOPs: 1 per input value
    Raises: when the input is no signal, image or volume
    """

    examples = (
        "f32[8, 7, 7] -> GlobalAvgPool -> f32[8]",
        "f32[8, 7, 7] -> GlobalAvgPool(keep=true) -> f32[8, 1, 1]",
        "f32[8, 20] -> GlobalAvgPool -> f32[8]",
        "f32[2, 3, 4, 5] -> GlobalAvgPool(keep=true) -> f32[2, 1, 1, 1]",
    )
    overwritable = True
    saves = ()

    def flops(self, x: TensorType) -> int:
        """1 for each value: sums, and a quotient for each channel."""
        return x.values

    def lower(self, x: TensorType) -> "nn.Module":
        """The mean of all axes behind the channels; where they stay, `nn.AdaptiveAvgPool1d` and its like of size 1."""
        from torch import nn

        from archspec.op.torch_layers import GlobalAvgPool

        if self.keep:
            pool: nn.Module = by_axes(x, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)(1)
            return pool
        return GlobalAvgPool(x.rank - 1)


class GlobalMaxPool(_GlobalPool):
    """The largest value of each channel [Oquab et al., 2015].

    Shapes: [C, *S] -> [C], or [C, 1, ...] with `keep`
    FLOPs: 1 per input value, less one per channel
    Raises: when the input is no signal, image or volume
    """

    examples = (
        "f32[8, 7, 7] -> GlobalMaxPool -> f32[8]",
        "f32[8, 7, 7] -> GlobalMaxPool(keep=true) -> f32[8, 1, 1]",
        "f32[8, 20] -> GlobalMaxPool -> f32[8]",
        "f32[2, 3, 4, 5] -> GlobalMaxPool(keep=true) -> f32[2, 1, 1, 1]",
    )
    saves = ("inputs", "outputs")

    def flops(self, x: TensorType) -> int:
        """A comparison for each value of a channel but the first."""
        return x.values - self.infer(x).values

    def lower(self, x: TensorType) -> "nn.Module":
        """The largest value of all axes behind the channels: PyTorch's pools would also keep its index."""
        from archspec.op.torch_layers import GlobalMaxPool

        return GlobalMaxPool(x.rank - 1, self.keep)


class _AdaptivePool(Op):
    """`size` windows, spread evenly over each axis."""

    size: Window
    one_sample = True

    image = "made"

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *size]."""
        space = space_of(x, self)
        return x.with_shape((x.shape[0], *per_axis(self.size, len(space), "size")))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on a window of its channel: from S i / S' rounded down to S (i + 1) / S' rounded up."""
        sizes = enumerate(zip(x.shape, self.infer(x).shape, strict=True))
        return (tuple(Along((axis,), POINT) if axis == 0 else _even(axis, *pair) for axis, pair in sizes),)

    def _sizes(self, x: TensorType) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        return per_axis(self.size, x.rank - 1, "size")

    def _window_values(self, x: TensorType) -> int:
        """How many values all windows have; window i of n reaches from i S // n to (i + 1) S / n rounded up."""
        sizes = [fixed(size, "the size of an axis") for size in x.shape[1:]]
        counts = per_axis(self.size, len(sizes), "size")
        lengths = (
            sum(-(-(i + 1) * size // count) - i * size // count for i in range(count))
            for size, count in zip(sizes, counts, strict=True)
        )
        return fixed(x.shape[0], "the number of channels") * prod(lengths)


class AdaptiveAvgPool(_AdaptivePool):
    """The means of `size` windows, whatever the size of the input [He et al., 2014].

    Shapes: [C, *S] -> [C, *size]
    FLOPs: 1 for each value in each window
    Raises: when `size` lists another number of axes
    """

    pytorch = arguments(output_size="size")

    examples = (
        "f32[8, 13, 13] -> AdaptiveAvgPool(6) -> f32[8, 6, 6]",
        "f32[8, 7, 7] -> AdaptiveAvgPool(1) -> f32[8, 1, 1]",
        "f32[8, 7, 9] -> AdaptiveAvgPool([1, 3]) -> f32[8, 1, 3]",
        "f32[8, 20] -> AdaptiveAvgPool(3) -> f32[8, 3]",
        "f32[2, 3, 4, 5] -> AdaptiveAvgPool([2, 4, 7]) -> f32[2, 2, 4, 7]",
    )

    def flops(self, x: TensorType) -> int:
        """The size of each window: its sums, and a quotient."""
        return self._window_values(x)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input; nothing where PyTorch takes the mean of it all."""
        return () if all(size == 1 for size in self.infer(x).shape[1:]) else ("inputs",)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.AdaptiveAvgPool1d`, `nn.AdaptiveAvgPool2d` or `nn.AdaptiveAvgPool3d`."""
        from torch import nn

        return by_axes(x, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)(self._sizes(x))


class AdaptiveMaxPool(_AdaptivePool):
    """The largest values of `size` windows, whatever the size of the input [He et al., 2014].

    Shapes: [C, *S] -> [C, *size]
    FLOPs: 1 for each value in each window, less one per window
    Raises: when `size` lists another number of axes
    """

    pytorch = arguments(output_size="size")

    examples = (
        "f32[8, 13, 13] -> AdaptiveMaxPool(6) -> f32[8, 6, 6]",
        "f32[8, 7, 9] -> AdaptiveMaxPool([1, 3]) -> f32[8, 1, 3]",
        "f32[8, 20] -> AdaptiveMaxPool(3) -> f32[8, 3]",
        "f32[2, 3, 4, 5] -> AdaptiveMaxPool([2, 4, 7]) -> f32[2, 2, 4, 7]",
    )

    def flops(self, x: TensorType) -> int:
        """A comparison for each value of a window but the first."""
        return self._window_values(x) - self.infer(x).values

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, and the indices of the maxima."""
        return "inputs", replace(self.infer(x), dtype="i64")

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.AdaptiveMaxPool1d`, `nn.AdaptiveMaxPool2d` or `nn.AdaptiveMaxPool3d`."""
        from torch import nn

        return by_axes(x, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)(self._sizes(x))


def _even(axis: int, size: Size, places: Size) -> Along:
    """Windows spread evenly over an axis; the whole of it where its size is free."""
    if not isinstance(size, int) or not isinstance(places, int):
        return WHOLE
    ratio = Fraction(size, places)
    return Along((axis,), Slide.resampled(ratio, lambda i: (floor(i * ratio), ceil((i + 1) * ratio) - 1)))
