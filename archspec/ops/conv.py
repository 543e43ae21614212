"""Convolutions: learned windows that slide over a signal, an image or a volume."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from archspec.ground import codes
from archspec.ground.bounds import require_least
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import TensorType, show
from archspec.op import Epsilon, Op, PositiveInt, Weight
from archspec.op.calling import FROM_INPUT, NO_PADDING, PAD_BEFORE, arguments
from archspec.op.dependence import WHOLE, Along, Reach, Slide
from archspec.op.initialisation import Init, ones
from archspec.op.inputs import by_axes, channels_of, space_of
from archspec.op.window import Margin, Padding, Window, Windows, per_axis
from archspec.ops.linear import weight_and_bias
from archspec.ops.norm import standardising

if TYPE_CHECKING:
    from torch import nn


class _Conv(Op):
    """A convolution, whatever is done to its weight."""

    out: PositiveInt
    kernel: Window = 1
    stride: Window = 1
    padding: Padding = "same"
    dilation: Window = 1
    groups: PositiveInt = 1
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
        padding_mode=PAD_BEFORE,
    )
    pytorch_defaults = NO_PADDING
    one_sample = True
    overwritable = True

    image = "made"
    bias_axis = 0

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [out, *S']."""
        space = space_of(x, self)
        require_groups(self.groups, channels_of(x), self.out)
        return x.with_shape((self.out, *self._windows(x).places(space)))

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` [out, C / groups, *kernel] and `bias` [out], PyTorch's default initialisation unless given."""
        shape = (self.out, channels_of(x) // self.groups, *per_axis(self.kernel, x.rank - 1, "kernel"))
        return weight_and_bias(shape, self.out if self.bias else 0, x.dtype, self.init, self.bias_init)

    def macs(self, x: TensorType) -> int:
        """C / groups * prod(kernel) per output value."""
        return prod(self.weights(x)["weight"].shape[1:]) * self.infer(x).values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on a window of every channel."""
        return ((WHOLE, *self._windows(x).seen(x.shape[1:])),)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, with what is added around it where PyTorch's kernels do not add it."""
        return (read_by(self._windows(x), x),)

    def _windows(self, x: TensorType) -> Windows:
        """What slides over the input."""
        return Windows.of(x.rank - 1, self.kernel, self.stride, self.padding, self.dilation)

    def _settings(self, x: TensorType) -> dict[str, Any]:
        """The arguments of PyTorch's modules, and `margins` where they have none for such padding."""
        windows = self._windows(x)
        return {
            "in_channels": channels_of(x),
            "out_channels": self.out,
            "kernel_size": windows.kernel,
            "stride": windows.stride,
            **padding_settings(windows),
            "dilation": windows.dilation,
            "groups": self.groups,
            "bias": self.bias,
            "device": "meta",
        }

    def flops(self, x: TensorType) -> int:
        """2 MACs; 1 per output value with a bias."""
        return 2 * self.macs(x) + self.bias * self.infer(x).values


class Conv(_Conv):
    """Slide `out` learned windows over a signal, an image or a volume [LeCun et al., 1989].

    Shapes: [C, *S] -> [out, *S'], S' = (S + 2 padding - dilation (kernel - 1) - 1) // stride + 1;
            S' = S / stride rounded up with `padding="tf_same"`
    MACs:   C / groups * prod(kernel) per output value
    FLOPs:  2 MACs; 1 per output value with a bias
    Raises: when `groups` does not divide both C and `out`, or the window does not fit
    """

    examples = (
        "f32[3, 32, 32] -> Conv(8, 3, stride=2) -> f32[8, 16, 16]",
        "f32[8, 20] -> Conv(4, 5, groups=4, bias=false) -> f32[4, 20]",
        "f32[2, 9, 9, 9] -> Conv(2, 3, padding=0, dilation=2) -> f32[2, 5, 5, 5]",
        "f32[4, 12, 12] -> Conv(6, [1, 7]) -> f32[6, 12, 12]",
        'f32[4, 12, 12] -> Conv(6, 4, stride=4, init=kaiming_normal(mode="fan_out")) -> f32[6, 3, 3]',
        'f32[3, 32, 31] -> Conv(8, 3, stride=2, padding="tf_same") -> f32[8, 16, 16]',
        'f32[3, 7, 8] -> Conv(8, [2, 1], stride=[1, 3], padding="tf_same") -> f32[8, 7, 3]',
        'f32[3, 8, 8, 8] -> Conv(4, 3, stride=[1, 2, 4], padding="tf_same", bias=false) -> f32[4, 8, 4, 2]',
        "f32[3, 9] -> Conv(4, 2, padding=[[1, 0]]) -> f32[4, 9]",
        "f32[3, 8, 8] -> Conv(4, 3, stride=2, padding=[[0, 1], 1]) -> f32[4, 4, 4]",
    )

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d`; one of them behind padding that they do not have."""
        from torch import nn

        settings = self._settings(x)
        if "margins" in settings:
            from archspec.op import padded_layers as padded

            made: nn.Module = by_axes(x, padded.PaddedConv1d, padded.PaddedConv2d, padded.PaddedConv3d)(
                **settings
            )
            return made
        return by_axes(x, nn.Conv1d, nn.Conv2d, nn.Conv3d)(**settings)


class WSConv(_Conv):
    """Convolve with each output's weights standardised to mean 0 and variance 1 [Qiao et al., 2019].

    With `gain`, they are scaled by a learned number for each output, over the root of how many they are
    [Brock et al., 2021].

    Shapes: [C, *S] -> [out, *S'], as Conv
    MACs:   C / groups * prod(kernel) per output value
    FLOPs:  as Conv, and 5 n + 3 for each of `out` windows of n weights, standardised in every forward pass; n + 1 with
            `gain`
    Raises: as Conv
    """

    eps: Epsilon = 1e-5
    gain: bool = False

    examples = (
        "f32[3, 32, 32] -> WSConv(8, 3, stride=2) -> f32[8, 16, 16]",
        "f32[8, 20] -> WSConv(4, 5, groups=4, bias=false, eps=1e-6) -> f32[4, 20]",
        "f32[2, 9, 9, 9] -> WSConv(2, 3, padding=0, dilation=2) -> f32[2, 5, 5, 5]",
        "f32[3, 32, 32] -> WSConv(8, 3, gain=true) -> f32[8, 32, 32]",
        'f32[3, 32, 32] -> WSConv(8, 3, stride=2, padding="tf_same", gain=true) -> f32[8, 16, 16]',
        "f32[3, 9] -> WSConv(4, 3, padding=[[2, 0]]) -> f32[4, 9]",
        "f32[3, 4, 5, 6] -> WSConv(4, 2, padding=[[1, 0], [0, 1], 0]) -> f32[4, 4, 5, 5]",
    )

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """Those of Conv, and `gain` [out, 1, ...], at first 1."""
        found = dict(super().weights(x))
        if self.gain:
            found["gain"] = Weight(shape=(self.out,) + (1,) * x.rank, init=ones(), dtype=x.dtype)
        return found

    def flops(self, x: TensorType) -> int:
        """As Conv, and 5 n + 3 for each window of n weights: it is standardised in every forward pass."""
        shape = self.weights(x)["weight"].shape
        scaling = shape[0] * (prod(shape[1:]) + 1) if self.gain else 0
        return super().flops(x) + standardising(shape[0], prod(shape[1:])) + scaling

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input; the deviation of each output's weights, the weights centred, and standardised."""
        weight = TensorType(self.weights(x)["weight"].shape, x.dtype, batched=False)
        outputs = weight.with_shape((self.out,))
        return (*super().saved(x), outputs, weight, weight, *((outputs, weight) if self.gain else ()))

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d`, its weight standardised before each use."""
        from archspec.op import padded_layers as padded
        from archspec.op import torch_layers as layers

        settings: dict[str, Any] = {"eps": self.eps, "gained": self.gain, **self._settings(x)}
        made: nn.Module
        if "margins" in settings:
            made = by_axes(x, padded.PaddedWSConv1d, padded.PaddedWSConv2d, padded.PaddedWSConv3d)(**settings)
        else:
            made = by_axes(x, layers.WSConv1d, layers.WSConv2d, layers.WSConv3d)(**settings)
        return made


class ConvTranspose(Op):
    """Convolve backwards, from each value to a window: the gradient of Conv [Zeiler et al., 2010].

    Shapes: [C, *S] -> [out, *S'],
            S' = (S - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1
    MACs:   out / groups * prod(kernel) per input value
    FLOPs:  2 MACs; 1 per output value with a bias
    Raises: when `groups` does not divide both C and `out`, when `output_padding` is not below `stride` or
            `dilation`, and when the padding leaves nothing
    """

    out: PositiveInt
    kernel: Window = 1
    stride: Window = 1
    padding: Margin | tuple[Margin, ...] | Literal["valid"] = 0
    output_padding: Margin | tuple[Margin, ...] = 0
    dilation: Window = 1
    groups: PositiveInt = 1
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
        output_padding="output_padding",
        groups="groups",
        bias="bias",
        dilation="dilation",
        padding_mode=PAD_BEFORE,
    )

    image = "made"
    bias_axis = 0
    examples = (
        "f32[8, 16, 16] -> ConvTranspose(4, 2, stride=2) -> f32[4, 32, 32]",
        "f32[8, 10] -> ConvTranspose(4, 3, stride=2, padding=1, output_padding=1, groups=4) -> f32[4, 20]",
        "f32[2, 3, 4, 5] -> ConvTranspose(6, 3, dilation=2, bias=false) -> f32[6, 7, 8, 9]",
        'f32[4, 6, 6] -> ConvTranspose(2, [1, 4], stride=[1, 2], padding="valid") -> f32[2, 6, 14]',
        "f32[4, 6, 6] -> ConvTranspose(2, 4, stride=2, padding=[1, 0], output_padding=[0, 1], init=normal(0.02))"
        " -> f32[2, 12, 15]",
    )
    one_sample = True
    overwritable = True

    def infer(self, x: TensorType) -> TensorType:
        """[C, *S] -> [out, *S']."""
        space = space_of(x, self)
        require_groups(self.groups, channels_of(x), self.out)
        sizes: list[Size] = []
        for size, k, s, p, o, d in zip(space, *self._windows(x), strict=True):
            if o >= max(s, d):
                raise Mistake(
                    f"`output_padding` ({o}) must be less than `stride` ({s}) or `dilation` ({d})",
                    codes.ARGUMENT,
                    help="Pad the output instead",
                )
            room = (size - 1) * s - 2 * p + d * (k - 1) + o + 1
            require_least(room, 1, f"a `padding` of {p} leaves nothing of {show(space)}")
            sizes.append(room)
        return x.with_shape((self.out, *sizes))

    def weights(self, x: TensorType) -> Mapping[str, Weight]:
        """`weight` [C, out / groups, *kernel] and `bias` [out], PyTorch's default initialisation unless given."""
        shape = (channels_of(x), self.out // self.groups, *per_axis(self.kernel, x.rank - 1, "kernel"))
        return weight_and_bias(shape, self.out if self.bias else 0, x.dtype, self.init, self.bias_init)

    def macs(self, x: TensorType) -> int:
        """out / groups * prod(kernel) per input value."""
        return prod(self.weights(x)["weight"].shape[1:]) * x.values

    def flops(self, x: TensorType) -> int:
        """2 MACs; 1 per output value with a bias."""
        return 2 * self.macs(x) + self.bias * self.infer(x).values

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on every channel of the values whose windows it lies in."""
        kernel, stride, padding, _, dilation = self._windows(x)
        windows = zip(kernel, stride, padding, dilation, strict=True)
        return ((WHOLE, *(Along((axis,), _spread(*window)) for axis, window in enumerate(windows, 1))),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.ConvTranspose1d`, `nn.ConvTranspose2d` or `nn.ConvTranspose3d`."""
        from torch import nn

        kernel, stride, padding, output_padding, dilation = self._windows(x)
        module: Callable[..., nn.Module] = by_axes(
            x, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d
        )
        return module(
            channels_of(x),
            self.out,
            kernel,
            stride,
            padding,
            output_padding,
            self.groups,
            self.bias,
            dilation,
            device="meta",
        )

    def _windows(self, x: TensorType) -> tuple[tuple[int, ...], ...]:
        """Kernel, stride, padding, output padding and dilation, each a number for each axis."""
        settings = {
            "kernel": self.kernel,
            "stride": self.stride,
            "padding": 0 if self.padding == "valid" else self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
        }
        return tuple(per_axis(value, x.rank - 1, name) for name, value in settings.items())


def _spread(kernel: int, stride: int, padding: int, dilation: int) -> Slide:
    """Which inputs reach each place of a ConvTranspose: input i adds to i * stride - padding + dilation * tap."""

    def seen(position: int) -> tuple[int, int]:
        sources = [position + padding - dilation * tap for tap in range(kernel)]
        reached = [source // stride for source in sources if source % stride == 0]
        # A place that no tap reaches holds the bias alone; it counts as seeing one input.
        return (min(reached), max(reached)) if reached else (sources[0] // stride,) * 2

    return Slide.resampled(Fraction(1, stride), seen)


def padding_settings(windows: Windows) -> dict[str, Any]:
    """`padding` as PyTorch's layers take it, or the `margins` that those of `padded_layers` take."""
    if windows.padding is not None:
        return {"padding": windows.padding}
    return {"margins": windows.margins}


def read_by(windows: Windows, x: TensorType) -> str | TensorType:
    """What a kernel reads: its input, or that with padding around it, which is a tensor made on the way."""
    if windows.padding is not None:
        return "inputs"
    return x.with_shape((x.shape[0], *windows.padded(x.shape[1:])))


def require_groups(groups: int, channels: int, out: int) -> None:
    """Mistake unless the groups divide both the input and the output channels."""
    for what, count in (("input", channels), ("output", out)):
        if count % groups:
            raise Mistake(
                f"{count} {what} channels are not divisible into {groups} groups", codes.INDIVISIBLE
            )
