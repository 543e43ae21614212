"""Deformable convolution: windows whose samples are displaced by computed offsets."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, Shape, TensorType, show
from archspec.op import Op, PositiveInt, Weight
from archspec.op.calling import FROM_INPUT, NO_PADDING, arguments
from archspec.op.dependence import WHOLE, Along, Reach
from archspec.op.initialisation import Init
from archspec.op.inputs import channels_of, require_real
from archspec.op.window import Padding, Window, Windows, per_axis
from archspec.ops.conv import require_groups
from archspec.ops.linear import weight_and_bias

if TYPE_CHECKING:
    from torch import nn


class DeformConv(Op):
    """Convolve an image, each sample of a window moved by an offset [Dai et al., 2017].

    `offset` gives y and x of each tap of the window, for each of `offset_groups` groups of channels;
    samples between pixels are bilinear, and 0 outside the image. With a `mask`, each sample is
    multiplied by it [Zhu et al., 2019]. The layout of both is torchvision's.

    Shapes: x [C, H, W], offset [2 * offset_groups * prod(kernel), H', W'],
            mask [offset_groups * prod(kernel), H', W'] -> [out, H', W'], H' and W' as Conv has them
    MACs:   C / groups * prod(kernel) per output value
    FLOPs:  2 MACs; 1 per output value with a bias; for each sample 12 to find its place, and 7 to mix
            four pixels of each channel, 8 with a mask
    Raises: when `groups` does not divide both C and `out`, or `offset_groups` not C, when offset or mask
            have other shapes, when dtypes differ, and when a tensor has no batch
    """

    out: PositiveInt
    kernel: Window = 3
    stride: Window = 1
    padding: Padding = "same"
    dilation: Window = 1
    groups: PositiveInt = 1
    offset_groups: PositiveInt = 1
    bias: bool = True
    init: Init | None = None
    bias_init: Init | None = None

    positional = ("out", "kernel")
    pytorch = arguments(
        in_channels=FROM_INPUT,
        out_channels="out",
        kernel_size="kernel",
        stride="stride",
        padding="padding",
        dilation="dilation",
        groups="groups",
        bias="bias",
    )
    pytorch_defaults = NO_PADDING

    image = "made"
    bias_axis = 0
    examples = (
        "(f32[4, 8, 9], f32[18, 8, 9]) -> DeformConv(6) -> f32[6, 8, 9]",
        "(f32[4, 8, 8], f32[36, 4, 4]) -> DeformConv(6, stride=2, groups=2, offset_groups=2) -> f32[6, 4, 4]",
        "(f32[4, 8, 9], f32[18, 8, 9]) -> DeformConv(6, mask=f32[9, 8, 9]) -> f32[6, 8, 9]",
        "(f32[4, 9, 9], f32[12, 7, 9]) -> DeformConv(2, [3, 1], padding=[1, 0], dilation=2, offset_groups=2,"
        " bias=false, mask=f32[6, 7, 9]) -> f32[2, 7, 9]",
        '(f32[4, 8, 9], f32[18, 4, 5]) -> DeformConv(6, stride=2, padding="tf_same") -> f32[6, 4, 5]',
        "(f32[4, 8, 8], f32[8, 8, 7]) -> DeformConv(6, 2, padding=[[1, 0], 0]) -> f32[6, 8, 7]",
    )

    def infer(self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None) -> TensorType:
        """x [C, H, W], offset [2 * offset_groups * prod(kernel), H', W'] -> [out, H', W']."""
        require_real(x, self)
        if x.rank != 3:
            raise Mistake(f"DeformConv takes [C, H, W], not {show(x.shape)}", codes.RANK)
        channels = channels_of(x)
        require_groups(self.groups, channels, self.out)
        if channels % self.offset_groups:
            raise Mistake(
                f"{channels} channels are not divisible into {self.offset_groups} offset groups",
                codes.INDIVISIBLE,
            )
        places = self._windows().places(x.shape[1:])
        taps = self.offset_groups * prod(per_axis(self.kernel, 2, "kernel"))
        _require_type("offset", offset, (2 * taps, *places), x)
        if mask is not None:
            _require_type("mask", mask, (taps, *places), x)
        return x.with_shape((self.out, *places))

    def weights(
        self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None
    ) -> Mapping[str, Weight]:
        """`weight` [out, C / groups, *kernel] and `bias` [out], PyTorch's default initialisation unless given."""
        shape = (self.out, channels_of(x) // self.groups, *per_axis(self.kernel, 2, "kernel"))
        return weight_and_bias(shape, self.out if self.bias else 0, x.dtype, self.init, self.bias_init)

    def macs(self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None) -> int:
        """C / groups * prod(kernel) per output value."""
        return prod(self.weights(x, offset)["weight"].shape[1:]) * self.infer(x, offset).values

    def flops(self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None) -> int:
        """2 MACs and the bias; 12 for each place sampled, then 7 for each value there, 8 with a mask."""
        # A place: two coordinates moved, rounded down, and their fractions; from these, four shares of pixels.
        # A value: four products, three sums.
        out = self.infer(x, offset, mask=mask)
        places = offset.values // 2
        values = places * (channels_of(x) // self.offset_groups)
        sampling = 12 * places + (7 if mask is None else 8) * values
        return 2 * self.macs(x, offset) + self.bias * out.values + sampling

    def saved(
        self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None
    ) -> tuple[str | TensorType, ...]:
        """The image, the mask, where each sample lies, and the samples: with a mask, before it and after."""
        # Places are kept in single precision at least, and so is an image that is sampled there.
        precise: DType = "f64" if x.dtype == "f64" else "f32"
        image = "x" if x.dtype == precise else replace(x, dtype=precise)
        taps = prod(per_axis(self.kernel, 2, "kernel"))
        samples = x.with_shape((channels_of(x) * taps, *offset.shape[1:]))
        kept = image, replace(offset, dtype=precise), samples
        return kept if mask is None else (*kept, "mask", samples)

    def reach(
        self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None
    ) -> tuple[Reach, ...]:
        """Each value depends on a window of every channel, wherever its samples are displaced, and its own offsets and mask."""
        moved = (WHOLE, Along((1,)), Along((2,)))
        displaced = tuple(along._replace(mixed=True) for along in self._windows().seen(x.shape[1:]))
        return ((WHOLE, *displaced), moved, *(() if mask is None else (moved,)))

    def lower(self, x: TensorType, offset: TensorType, *, mask: TensorType | None = None) -> "nn.Module":
        """`torch_layers.DeformConv`."""
        from archspec.op.torch_layers import DeformConv as Module

        windows = self._windows()
        return Module(
            self.offset_groups,
            windows.margins,
            in_channels=channels_of(x),
            out_channels=self.out,
            kernel_size=windows.kernel,
            stride=windows.stride,
            padding=windows.padding or 0,
            dilation=windows.dilation,
            groups=self.groups,
            bias=self.bias,
            device="meta",
        )

    def _windows(self) -> Windows:
        """What slides over the image."""
        return Windows.of(2, self.kernel, self.stride, self.padding, self.dilation)


def _require_type(name: str, given: TensorType, shape: Shape, x: TensorType) -> None:
    """Mistake unless the tensor has that shape, the dtype of x, and as x a batch."""
    if given.rank != len(shape) or not all(map(always_equal, given.shape, shape)):
        raise Mistake(
            f"`{name}` must be {show(shape)}, not {show(given.shape)}",
            codes.SHAPES,
            help=f"compute it by a Conv({shape[0]}, ...) with the same stride and padding",
        )
    for pair in zip(given.shape, shape, strict=True):
        use_unless_same(*pair)
    if given.dtype != x.dtype:
        raise Mistake(f"`{name}` must be {x.dtype} like the image, not {given.dtype}", codes.DTYPES)
    if not (given.batched and x.batched):
        raise Mistake(
            f"the image and `{name}` must both depend on the input", codes.NO_BATCH, label="has no batch"
        )
