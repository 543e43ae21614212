"""Between resolutions: windows as columns and back, pixels between channels and space, upsampling."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from archspec.errors import Mistake
from archspec.op import Op, PositiveInt
from archspec.ops.inputs import channels_of, require_rank, require_real, space_of
from archspec.ops.window import Padding, Window, padded, per_axis, slide
from archspec.size import Size, always_equal
from archspec.tensor import TensorType, fixed, show

if TYPE_CHECKING:
    from torch import Tensor


Factor: TypeAlias = PositiveInt | Annotated[float, Field(gt=0)]


class Unfold(Op):
    """Lay out the window at each place of an image as a column, as `nn.Unfold` [Chellapilla et al., 2006].

    Shapes: [C, H, W] -> [C * prod(kernel), L], L = places of the window, as Conv has them
    Raises: when the window does not fit
    """

    kernel: Window
    stride: Window = 1
    padding: Padding = 0
    dilation: Window = 1

    examples = (
        "f32[3, 8, 8] -> Unfold(3) -> f32[27, 36]",
        "f32[3, 8, 8] -> Unfold([2, 4], stride=[2, 4]) -> f32[24, 8]",
        'f32[3, 9, 9] -> Unfold(3, 2, "same", 2) -> f32[27, 25]',
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, H, W] -> [C * prod(kernel), L]."""
        require_real(x, self)
        require_rank(x, 3, self, "[C, H, W]")
        places = slide(x.shape[1:], self.kernel, self.stride, self.padding, self.dilation)
        return x.with_shape((x.shape[0] * prod(per_axis(self.kernel, 2, "kernel")), prod(places)))

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`functional.unfold`."""
        from torch.nn import functional

        return partial(functional.unfold, **_window_settings(self))


class Fold(Op):
    """Sum columns back into the places of an image that they came from, as `nn.Fold`: Unfold's transpose.

    Shapes: [C * prod(kernel), L] -> [C, *output_size], L = places of the window, as Conv has them
    Raises: when there are not as many columns as places, or their length is no multiple of the window
    """

    output_size: Window
    kernel: Window
    stride: Window = 1
    padding: Padding = 0
    dilation: Window = 1

    examples = (
        "f32[27, 36] -> Fold(8, 3) -> f32[3, 8, 8]",
        "f32[24, 8] -> Fold([8, 8], [2, 4], stride=[2, 4]) -> f32[3, 8, 8]",
        'f32[27, 25] -> Fold(9, 3, 2, padding="same", dilation=2) -> f32[3, 9, 9]',
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C * prod(kernel), L] -> [C, *output_size]."""
        require_real(x, self)
        require_rank(x, 2, self, "[C * prod(kernel), L]")
        size, window = per_axis(self.output_size, 2, "output_size"), prod(per_axis(self.kernel, 2, "kernel"))
        places = prod(slide(size, self.kernel, self.stride, self.padding, self.dilation))
        if x.shape[0] % window or not always_equal(x.shape[1], places):
            raise Mistake(
                f"cannot fold {show(x.shape)} into {show(size)}",
                kind="shape",
                label=f"that takes {places} columns of a multiple of {window}",
            )
        return x.with_shape((x.shape[0] // window, *size))

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`functional.fold`."""
        from torch.nn import functional

        return partial(
            functional.fold,
            output_size=per_axis(self.output_size, 2, "output_size"),
            **_window_settings(self),
        )


class PixelShuffle(Op):
    """Spread channels over squares of `factor` x `factor` pixels [Shi et al., 2016].

    Shapes: [C * factor^2, H, W] -> [C, H * factor, W * factor]
    Raises: when factor^2 does not divide the channels
    """

    factor: PositiveInt

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
            raise Mistake(f"{self.factor**2} does not divide {channels} channels", kind="shape")
        return x.with_shape((channels // self.factor**2, height * self.factor, width * self.factor))

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`functional.pixel_shuffle`."""
        from torch.nn import functional

        return partial(functional.pixel_shuffle, upscale_factor=self.factor)


class PixelUnshuffle(Op):
    """Gather squares of `factor` x `factor` pixels into channels: PixelShuffle's inverse [Shi et al., 2016].

    Shapes: [C, H, W] -> [C * factor^2, H / factor, W / factor]
    Raises: when `factor` does not divide both H and W
    """

    factor: PositiveInt

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
            raise Mistake(f"{self.factor} does not divide {height} x {width} pixels", kind="shape")
        return x.with_shape((channels * self.factor**2, height // self.factor, width // self.factor))

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`functional.pixel_unshuffle`."""
        from torch.nn import functional

        return partial(functional.pixel_unshuffle, downscale_factor=self.factor)


class ChannelShuffle(Op):
    """Deal the channels of each group out over all groups [Zhang et al., 2018].

    Shapes: [C, *S] -> [C, *S]; channel i of group g becomes channel i * groups + g
    Raises: when `groups` does not divide C
    """

    groups: PositiveInt

    examples = (
        "f32[6, 4, 5] -> ChannelShuffle(3) -> f32[6, 4, 5]",
        "f32[8] -> ChannelShuffle(2) -> f32[8]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S]."""
        if channels_of(x) % self.groups:
            raise Mistake(f"{self.groups} groups do not divide {x.shape[0]} channels", kind="shape")
        return x

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """The channels as a table with a row for each group, read column by column."""
        return partial(channel_shuffle, groups=self.groups, axis=x.offset)


class Upsample(Op):
    """Resize a signal, an image or a volume by interpolation, as `nn.Upsample` [Keys, 1981, for bicubic].

    Shapes: [C, *S] -> [C, *size], or [C, S * scale rounded down]
    Raises: when not just one of `scale` and `size` is given, when `mode` is for another number of axes,
            and when "nearest" is to align corners
    """

    scale: Factor | tuple[Factor, ...] | None = None
    size: Window | None = None
    mode: Literal["nearest", "linear", "bilinear", "bicubic", "trilinear"] = "nearest"
    align_corners: bool = False

    examples = (
        "f32[3, 4, 5] -> Upsample(2) -> f32[3, 8, 10]",
        'f32[3, 4, 5] -> Upsample(size=[7, 9], mode="bilinear", align_corners=true) -> f32[3, 7, 9]',
        'f32[3, 4, 5] -> Upsample([1.5, 0.5], mode="bicubic") -> f32[3, 6, 2]',
        "f32[3, 5] -> Upsample(1.5) -> f32[3, 7]",
        "f32[3, 2, 3, 4] -> Upsample(size=6) -> f32[3, 6, 6, 6]",
    )

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [C, *S']."""
        space = space_of(x, self)
        if (self.scale is None) == (self.size is None):
            raise Mistake(
                "Upsample takes either `scale` or `size`", help="Upsample(2), or Upsample(size=[14, 14])"
            )
        axes = _AXES.get(self.mode, len(space))
        if axes != len(space):
            raise Mistake(f'mode "{self.mode}" is for {axes} axes, not {show(space)}', kind="shape")
        if self.align_corners and self.mode == "nearest":
            raise Mistake('"nearest" has no corners to align', help='say `mode="bilinear"`')
        if self.size is not None:
            return x.with_shape((x.shape[0], *per_axis(self.size, len(space), "size")))
        scale = self.scale or 1
        scales = scale if isinstance(scale, tuple) else (scale,) * len(space)
        if len(scales) != len(space):
            raise Mistake(f"`scale` has {len(scales)} numbers for {len(space)} axes", kind="shape")
        sizes = [_scaled(size, scale) for size, scale in zip(space, scales, strict=True)]
        if any(size < 1 for size in sizes):
            raise Mistake(f"scaling {show(space)} by {self.scale} leaves nothing", kind="shape")
        return x.with_shape((x.shape[0], *sizes))

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`functional.interpolate`."""
        from torch.nn import functional

        settings: dict[str, Any] = {"mode": self.mode}
        if self.mode != "nearest":
            settings["align_corners"] = self.align_corners
        if self.size is not None:
            return partial(functional.interpolate, size=self.size, **settings)
        return partial(functional.interpolate, scale_factor=self.scale, **settings)


_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def channel_shuffle(x: "Tensor", *, groups: int, axis: int) -> "Tensor":
    """The channels, which stand at that axis, dealt out over the groups."""
    from torch import unflatten

    return unflatten(x, axis, (groups, -1)).transpose(axis, axis + 1).flatten(axis, axis + 1)


def _window_settings(op: "Unfold | Fold") -> dict[str, Any]:
    """The arguments of PyTorch's fold and unfold."""
    kernel, stride = per_axis(op.kernel, 2, "kernel"), per_axis(op.stride, 2, "stride")
    dilation = per_axis(op.dilation, 2, "dilation")
    return {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padded(kernel, stride, op.padding, dilation),
        "dilation": dilation,
    }


def _scaled(size: Size, scale: float) -> Size:
    """The size times the scale, rounded down as PyTorch does."""
    if isinstance(scale, int):
        return size * scale
    return int(fixed(size, "a size scaled by a fraction") * scale)
