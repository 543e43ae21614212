"""Resampling: windows as columns and back, pixels between channels and space, upsampling."""

from fractions import Fraction
from functools import partial
from math import ceil, floor, prod
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from archspec.ground import codes
from archspec.ground.bounds import always_equal, require_least
from archspec.ground.declared import derived, number
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Lowered, Movement, Op, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import WHOLE, Along, Reach, Slide
from archspec.op.inputs import channels_of, require_rank, require_real, space_of
from archspec.op.window import WIDEST, EvenPadding, Extent, Window, Windows, per_axis

if TYPE_CHECKING:
    from torch import Tensor, nn


Factor: TypeAlias = Extent | Annotated[float, Field(gt=0, le=WIDEST)]


class Unfold(Movement):
    """Copy the window at each position of an image or a signal into a column, as `nn.Unfold` [Chellapilla et al., 2006].

    Shapes: [C, *S] -> [C * prod(kernel), L], L = places of the window, as Conv has them
    FLOPs: 0
    Raises: when the window does not fit
    """

    kernel: Window
    stride: Window = 1
    padding: EvenPadding = 0
    dilation: Window = 1

    pytorch = arguments(kernel_size="kernel", dilation="dilation", padding="padding", stride="stride")

    examples = (
        "f32[3, 8, 8] -> Unfold(3) -> f32[27, 36]",
        "f32[3, 8, 8] -> Unfold([2, 4], stride=[2, 4]) -> f32[24, 8]",
        'f32[3, 9, 9] -> Unfold(3, stride=2, padding="same", dilation=2) -> f32[27, 25]',
        "f32[3, 9] -> Unfold(3, stride=2, padding=1) -> f32[9, 5]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C * prod(kernel), L]."""
        require_real(x, self)
        if x.rank != 2:
            require_rank(x, 3, self, "[C, H, W] or [C, L]")
        windows = _windows(self, x.rank - 1)
        return x.with_shape((x.shape[0] * prod(windows.kernel), prod(windows.places(x.shape[1:]))))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each column depends on a window; all its rows count as seeing all of it."""
        seen = _windows(self, x.rank - 1).seen(x.shape[1:])
        in_order = len(seen) == 1
        return ((Along((0,), straight=False), *(Along((1,), along.slide, in_order) for along in seen)),)

    def lower(self, x: TensorType) -> Lowered:
        """`nn.Unfold`, of a signal as an image of one row."""
        from torch import nn

        if x.rank == 2:
            return partial(unfold_signal, **_window_settings(self, 1))
        return nn.Unfold(**_window_settings(self, 2))


class Fold(Op):
    """Add columns back to the positions that they came from, as `nn.Fold`: Unfold's transpose.

    `output_size` is that of an image, or with one number in a list, of a signal.

    Shapes: [C * prod(kernel), L] -> [C, *output_size], L = places of the window, as Conv has them
    FLOPs: 1 per columns value
    Raises: when the number of columns is not that of the places, or their length not a multiple of the window
    """

    output_size: Window
    kernel: Window
    stride: Window = 1
    padding: EvenPadding = 0
    dilation: Window = 1

    pytorch = arguments(
        output_size="output_size",
        kernel_size="kernel",
        dilation="dilation",
        padding="padding",
        stride="stride",
    )

    image = "made"
    examples = (
        "f32[27, 36] -> Fold(8, 3) -> f32[3, 8, 8]",
        "f32[24, 8] -> Fold([8, 8], [2, 4], stride=[2, 4]) -> f32[3, 8, 8]",
        'f32[27, 25] -> Fold(9, 3, stride=2, padding="same", dilation=2) -> f32[3, 9, 9]',
        "f32[9, 5] -> Fold([9], 3, stride=2, padding=1) -> f32[3, 9]",
    )
    without_batch = True
    saves = ()

    def infer(self, x: TensorType) -> TensorType:
        """[C * prod(kernel), L] -> [C, *output_size]."""
        require_real(x, self)
        require_rank(x, 2, self, "[C * prod(kernel), L]")
        size = self._size
        windows = _windows(self, len(size))
        window, places = prod(windows.kernel), prod(windows.places(size))
        if x.shape[0] % window or not always_equal(x.shape[1], places):
            raise Mistake(
                f"cannot fold {show(x.shape)} into {show(size)}",
                codes.RESHAPE,
                label=f"needs {places} columns, each a multiple of {window} long",
            )
        return x.with_shape((x.shape[0] // window, *size))

    def flops(self, x: TensorType) -> int:
        """1 per columns value: it is added to the others of its place."""
        return x.values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the columns of the windows that it lies in, and some of their rows."""
        return ((WHOLE, Along(tuple(range(1, len(self._size) + 1)), None, False)),)

    def lower(self, x: TensorType) -> Lowered:
        """`nn.Fold`, of a signal as an image of one row."""
        from torch import nn

        if len(self._size) == 1:
            return partial(fold_signal, output_size=(1, *self._size), **_window_settings(self, 1))
        return nn.Fold(self._size, **_window_settings(self, 2))

    @property
    def _size(self) -> tuple[int, ...]:
        """The sizes of the signal or the image."""
        if isinstance(self.output_size, tuple) and len(self.output_size) == 1:
            return self.output_size
        return per_axis(self.output_size, 2, "output_size")


class PixelShuffle(Movement):
    """Move channels into squares of `factor` x `factor` pixels [Shi et al., 2016].

    Shapes: [C * factor^2, H, W] -> [C, H * factor, W * factor]
    FLOPs: 0
    Raises: when factor^2 does not divide the channels
    """

    factor: Extent

    pytorch = arguments(upscale_factor="factor")

    image = "made"
    examples = (
        "f32[12, 4, 5] -> PixelShuffle(2) -> f32[3, 8, 10]",
        "f32[9, 2, 2] -> PixelShuffle(3) -> f32[1, 6, 6]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C * factor^2, H, W] -> [C, H * factor, W * factor]."""
        require_rank(x, 3, self, "[C, H, W]")
        channels, height, width = x.shape
        if channels % self.factor**2:
            raise Mistake(f"{channels} channels are not divisible by {self.factor**2}", codes.INDIVISIBLE)
        return x.with_shape((channels // self.factor**2, height * self.factor, width * self.factor))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the pixel that its square is made of."""
        square = Slide((0,) * self.factor, (0,) * self.factor, 1)
        return ((WHOLE, Along((1,), square), Along((2,), square)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.PixelShuffle`."""
        from torch import nn

        return nn.PixelShuffle(self.factor)


class PixelUnshuffle(Movement):
    """Move squares of `factor` x `factor` pixels into channels: PixelShuffle's inverse [Shi et al., 2016].

    Shapes: [C, H, W] -> [C * factor^2, H / factor, W / factor]
    FLOPs: 0
    Raises: when `factor` does not divide both H and W
    """

    factor: Extent

    pytorch = arguments(downscale_factor="factor")

    image = "made"
    examples = (
        "f32[3, 8, 10] -> PixelUnshuffle(2) -> f32[12, 4, 5]",
        "f32[1, 6, 6] -> PixelUnshuffle(3) -> f32[9, 2, 2]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, H, W] -> [C * factor^2, H / factor, W / factor]."""
        require_rank(x, 3, self, "[C, H, W]")
        channels, height, width = x.shape
        if height % self.factor or width % self.factor:
            raise Mistake(f"{height} x {width} pixels are not divisible by {self.factor}", codes.INDIVISIBLE)
        return x.with_shape((channels * self.factor**2, height // self.factor, width // self.factor))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one pixel; all those of its place count as seeing the whole square."""
        square = Slide.window(self.factor, self.factor)
        return ((WHOLE, Along((1,), square), Along((2,), square)),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.PixelUnshuffle`, for batches of no samples too."""
        from archspec.op.torch_layers import PixelUnshuffle

        return PixelUnshuffle(self.factor)


class ChannelShuffle(Movement):
    """Deal the channels of each group out over all groups [Zhang et al., 2018].

    Shapes: [C, *S] -> [C, *S]; channel i of group g becomes channel i * groups + g
    FLOPs: 0
    Raises: when `groups` does not divide C
    """

    groups: PositiveInt

    image = "made"
    examples = (
        "f32[6, 4, 5] -> ChannelShuffle(3) -> f32[6, 4, 5]",
        "f32[8] -> ChannelShuffle(2) -> f32[8]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        if channels_of(x) % self.groups:
            raise Mistake(
                f"{x.shape[0]} channels are not divisible into {self.groups} groups", codes.INDIVISIBLE
            )
        return x

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, in another channel."""
        return (tuple(Along((axis,), straight=axis > 0) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`nn.ChannelShuffle`; of vectors and weights, the channels as a table of groups, read column by column."""
        from torch import nn

        if x.batched and x.rank > 1:
            return nn.ChannelShuffle(self.groups)
        return partial(channel_shuffle, groups=self.groups, axis=x.offset)


class Upsample(Op):
    """Resize a signal, an image or a volume by interpolation, as `nn.Upsample` [Keys, 1981, for bicubic]: to a size, by a scale,
    or to the size of a tensor `like`.

    `like` may have other channels, another dtype and free sizes; of weights and constants, the result has no batch either.

    Shapes: [C, *S] -> [C, *size], or [C, S * scale rounded down], or [C, *T] for `like` [D, *T]
    FLOPs: 2 taps - 1 per output value, of 2, 4, 8 or for bicubic 16 taps; 0 for "nearest"; if `antialias`, an axis
           that shrinks has so many times its 2 or 4 taps, rounded up
    Raises: unless exactly one of `scale`, `size` and `like` is given, when `like` has another number of axes, or `mode` is for one,
            when "nearest" is to align corners, and when `antialias` is given for other modes than "bilinear" and "bicubic"
    """

    scale: Factor | tuple[Factor, ...] | None = None
    size: Window | None = None
    mode: Literal["nearest", "linear", "bilinear", "bicubic", "trilinear"] = "nearest"
    align_corners: bool = False
    antialias: bool = False

    pytorch = arguments(size="size", scale_factor="scale", mode="mode", align_corners="align_corners")

    image = "made"
    examples = (
        "f32[3, 4, 5] -> Upsample(scale=2) -> f32[3, 8, 10]",
        'f32[3, 4, 5] -> Upsample(size=[7, 9], mode="bilinear", align_corners=true) -> f32[3, 7, 9]',
        'f32[3, 4, 5] -> Upsample(scale=[1.5, 0.5], mode="bicubic") -> f32[3, 6, 2]',
        "f32[3, 5] -> Upsample(scale=1.5) -> f32[3, 7]",
        "f32[3, 2, 3, 4] -> Upsample(size=6) -> f32[3, 6, 6, 6]",
        'f32[3, 12, 9] -> Upsample(size=[5, 12], mode="bilinear", antialias=true) -> f32[3, 5, 12]',
        'f32[3, 12, 9] -> Upsample(scale=0.4, mode="bicubic", antialias=true) -> f32[3, 4, 3]',
        "f32[3, 4, 5] -> Upsample(like=f32[2, 7, 10]) -> f32[3, 7, 10]",
        'f32[3, 4, 5] -> Upsample(mode="bilinear", like=i64[1, 6, 3]) -> f32[3, 6, 3]',
        'f32[3, 12, 9] -> Upsample(mode="bicubic", antialias=true, like=f32[3, 5, 12]) -> f32[3, 5, 12]',
    )
    saves = ()
    one_sample = True
    sized_by = ("like",)

    def infer(self, x: TensorType, *, like: TensorType | None = None) -> TensorType:
        """[C, *S] -> [C, *S']."""
        space = space_of(x, self)
        if [self.scale, self.size, like].count(None) != 2:
            raise Mistake(
                "Upsample takes exactly one of `scale`, `size` and `like`",
                codes.EXCLUSIVE,
                help="Upsample(scale=2), Upsample(size=[14, 14]), or Upsample(like=y) for the size of a tensor",
            )
        axes = _AXES.get(self.mode, len(space))
        if axes != len(space):
            raise Mistake(f'mode "{self.mode}" takes {axes} spatial axes, not {show(space)}', codes.RANK)
        if self.align_corners and self.mode == "nearest":
            raise Mistake('"nearest" has no corners to align', codes.NO_EFFECT, help='use `mode="bilinear"`')
        if self.antialias and self.mode not in ("bilinear", "bicubic"):
            raise Mistake(
                f'mode "{self.mode}" has no `antialias`',
                codes.NO_EFFECT,
                help='use `mode="bilinear"` or "bicubic"',
            )
        if self.size is not None:
            return x.with_shape((x.shape[0], *per_axis(self.size, len(space), "size")))
        if like is not None:
            if like.rank != x.rank:
                raise Mistake(
                    f"Upsample takes a tensor `like` with {x.rank} axes, as {show(x.shape)} has, not {show(like.shape)}",
                    codes.RANK,
                )
            return x.with_shape((x.shape[0], *like.shape[1:]))
        scale = 1 if self.scale is None else self.scale
        scales = scale if isinstance(scale, tuple) else (scale,) * len(space)
        if len(scales) != len(space):
            raise Mistake(f"`scale` has {len(scales)} numbers for {len(space)} axes", codes.AXES)
        sizes = [_scaled(size, scale) for size, scale in zip(space, scales, strict=True)]
        for size in sizes:
            require_least(size, 1, f"scaling {show(space)} by {self.scale} leaves nothing")
        return x.with_shape((x.shape[0], *sizes))

    def flops(self, x: TensorType, *, like: TensorType | None = None) -> int:
        """A product for each tap and their sums, per output value; nothing for "nearest"."""
        # The weights of the taps are the same for all channels and samples: not counted.
        if self.mode == "nearest":
            return 0
        out, taps = self.infer(x, like=like), _TAPS[self.mode]
        if self.antialias:
            taps = 1
            for size, places in zip(x.shape[1:], out.shape[1:], strict=True):
                before, after = fixed(size, "the size of an axis"), fixed(places, "the size of an axis")
                taps *= -(-2 * _AROUND[self.mode] * max(before, after) // after)
        return (2 * taps - 1) * out.values

    def reach(self, x: TensorType, *, like: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the values that it lies between: 1 when nearest, 2 when linear, 4 when cubic; on none of `like`."""
        seen = [Along((0,))]
        out = self.infer(x, like=like)
        for axis, (size, places) in enumerate(zip(x.shape[1:], out.shape[1:], strict=True), 1):
            scale = self.scale[axis - 1] if isinstance(self.scale, tuple) else self.scale
            if scale is not None and not self.align_corners:
                ratio = 1 / Fraction(str(scale))  # PyTorch uses the given scale, not the ratio of the sizes
            elif isinstance(size, int) and isinstance(places, int):
                corners = int(self.align_corners)
                ratio = (
                    Fraction(size - corners, max(places - corners, 1)) if places > corners else Fraction(0)
                )
            else:
                seen.append(WHOLE)
                continue
            if self.antialias:
                seen.append(_blended(axis, ratio, _AROUND[self.mode], self.align_corners))
            else:
                seen.append(_interpolated(axis, ratio, self.mode, self.align_corners))
        return (tuple(seen),) if like is None else (tuple(seen), None)

    def lower(self, x: TensorType, *, like: TensorType | None = None) -> Lowered:
        """`nn.Upsample`, or `functional.interpolate` with antialiasing or to the size of a tensor."""
        from torch import nn

        corners = None if self.mode == "nearest" else self.align_corners
        if like is not None:
            return partial(
                resized_like, axes=x.rank - 1, mode=self.mode, corners=corners, antialias=self.antialias
            )
        if self.antialias:
            return partial(antialiased, size=self.size, scale=self.scale, mode=self.mode, corners=corners)
        return nn.Upsample(self.size, self.scale, self.mode, corners)


def resized_like(
    x: "Tensor", *, like: "Tensor", axes: int, mode: str, corners: bool | None, antialias: bool
) -> "Tensor":
    """A signal, an image or a volume resized to the last axes of another tensor."""
    from torch.nn import functional

    size = tuple(like.shape[axis] for axis in range(-axes, 0))
    if antialias:
        return antialiased(x, size=size, scale=None, mode=mode, corners=corners)
    return functional.interpolate(x, size=size, mode=mode, align_corners=corners)


def antialiased(x: "Tensor", *, size: Any, scale: Any, mode: str, corners: bool | None) -> "Tensor":
    """An image resized without aliasing; in f32 on a CPU, which has no kernel for half precision."""
    from torch.nn import functional

    halved = x.device.type == "cpu" and x.element_size() == 2
    resized = functional.interpolate(
        x.float() if halved else x,
        size=size,
        scale_factor=scale,
        mode=mode,
        align_corners=corners,
        antialias=True,
    )
    return resized.to(x.dtype)


_LARGEST_EXACT = 2**10  # the denominator of a scale by which a float multiplies any size exactly
_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_AROUND = {"bilinear": 1, "bicubic": 2}
"""How many positions on either side an antialiased value reads, of the coarser grid."""
_TAPS = {"linear": 2, "bilinear": 4, "bicubic": 16, "trilinear": 8}


def channel_shuffle(x: "Tensor", *, groups: int, axis: int) -> "Tensor":
    """The channels, which stand at that axis, dealt out over the groups."""
    from torch import unflatten

    return unflatten(x, axis, (groups, -1)).transpose(axis, axis + 1).flatten(axis, axis + 1)


def _windows(op: "Unfold | Fold", axes: int) -> Windows:
    return Windows.of(axes, op.kernel, op.stride, op.padding, op.dilation)


def _window_settings(op: "Unfold | Fold", axes: int) -> dict[str, Any]:
    """The arguments of PyTorch's fold and unfold: of a signal, as an image of one row."""
    windows, rows = _windows(op, axes), 2 - axes
    assert windows.padding is not None
    return {
        "kernel_size": (1,) * rows + windows.kernel,
        "stride": (1,) * rows + windows.stride,
        "padding": (0,) * rows + windows.padding,
        "dilation": (1,) * rows + windows.dilation,
    }


def unfold_signal(x: "Tensor", **settings: Any) -> "Tensor":
    """Windows of [*N, C, L] as columns [*N, C * kernel, places]."""
    from torch.nn import functional

    return functional.unfold(x.unsqueeze(-2), **settings)


def fold_signal(x: "Tensor", **settings: Any) -> "Tensor":
    """Columns [*N, C * kernel, places] added back to a signal [*N, C, L]."""
    from torch.nn import functional

    return functional.fold(x, **settings).squeeze(-2)


def _interpolated(axis: int, ratio: Fraction, mode: str, align_corners: bool) -> Along:
    """The values between which each position of an upsampled axis lies, `ratio` of them per position."""

    def seen(position: int) -> tuple[int, int]:
        if mode == "nearest":
            return (floor(position * ratio),) * 2
        source = position * ratio if align_corners else (2 * position + 1) * ratio / 2 - Fraction(1, 2)
        further = 1 if mode == "bicubic" and source.denominator > 1 else 0
        return floor(source) - further, ceil(source) + further

    return Along((axis,), Slide.resampled(ratio, seen))


def _blended(axis: int, ratio: Fraction, around: int, align_corners: bool) -> Along:
    """The values that each position of an antialiased axis blends: those within a support that is as wide as it shrinks."""
    support = around * max(ratio, Fraction(1))

    def seen(position: int) -> tuple[int, int]:
        middle = position * ratio + Fraction(1, 2) if align_corners else (position + Fraction(1, 2)) * ratio
        return floor(middle - support), ceil(middle + support) - 1

    return Along((axis,), Slide.resampled(ratio, seen))


def _scaled(size: Size, scale: float) -> Size:
    """The size times the scale, rounded down as PyTorch does."""
    if isinstance(scale, int):
        return size * scale
    if isinstance(size, Free):
        above, below = scale.as_integer_ratio()
        if below > _LARGEST_EXACT:  # PyTorch multiplies by what a float holds of it
            fixed(size, f"a size scaled by {scale}")
        return size * above // below
    return derived(int(number(size) * scale), size, how=f"times {scale}")
