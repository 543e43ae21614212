"""Convolution with a weight that is computed."""

from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Lowered, Op, PositiveInt
from archspec.op.dependence import WHOLE, Along, Reach
from archspec.op.inputs import channels_of, space_of
from archspec.op.window import Padding, Window, Windows
from archspec.ops.conv import read_by, require_groups

if TYPE_CHECKING:
    from torch import Tensor


class Convolve(Op):
    """Slide given windows over a signal, an image or a volume: a Conv whose weight is a tensor, such as a fixed filter [Zhang, 2019].

    Where the weight depends on the input, each sample has its own windows.

    Shapes: x [C, *S], weight [out, C / groups, *kernel] -> [out, *S'], S' as Conv has it
    MACs:   C / groups * prod(kernel) per output value
    FLOPs:  2 MACs
    Raises: when x is weights alone, the weight has another dtype or axes that do not fit x, `groups` does not divide both C and out,
            or the window does not fit
    """

    stride: Window = 1
    padding: Padding = "same"
    dilation: Window = 1
    groups: PositiveInt = 1

    positional = ()
    autocasts = True
    image = "made"
    examples = (
        "(f32[3, 16, 16], f32[8, 3, 3, 3]) -> Convolve -> f32[8, 16, 16]",
        "(f32[4, 16, 16], f32[4, 1, 3, 3]) -> Convolve(stride=2, groups=4) -> f32[4, 8, 8]",
        "(f32[8, 20], f32[4, 8, 5]) -> Convolve(padding=0, dilation=2) -> f32[4, 12]",
        '(f32[3, 9, 8], f32[2, 3, 3, 3]) -> Convolve(stride=2, padding="tf_same") -> f32[2, 5, 4]',
        "(f32[2, 5, 5, 5], f32[2, 1, 3, 3, 3]) -> Convolve(groups=2) -> f32[2, 5, 5, 5]",
    )

    def infer(self, x: TensorType, weight: TensorType) -> TensorType:
        """[C, *S], [out, C / groups, *kernel] -> [out, *S']."""
        space = space_of(x, self)
        if not x.batched:
            raise Mistake("Convolve takes what depends on the input, not weights alone", codes.NO_BATCH)
        if x.dtype != weight.dtype:
            raise Mistake(
                f"Convolve takes tensors of one dtype, not {x.dtype} and {weight.dtype}", codes.DTYPES
            )
        if weight.rank != x.rank + 1:
            raise Mistake(
                f"a weight of {show(x.shape)} is [out, C / groups, *kernel], not {show(weight.shape)}",
                codes.RANK,
            )
        out = fixed(weight.shape[0], "the number of windows")
        require_groups(self.groups, channels_of(x), out)
        if not always_equal(weight.shape[1], channels_of(x) // self.groups):
            raise Mistake(
                f"windows over {channels_of(x)} channels in {self.groups} groups have {channels_of(x) // self.groups} channels, "
                f"not {weight.shape[1]}",
                codes.SHAPES,
            )
        return x.with_shape((out, *self._windows(x, weight).places(space)))

    def macs(self, x: TensorType, weight: TensorType) -> int:
        """C / groups * prod(kernel) per output value."""
        return prod(fixed(size, "a window") for size in weight.shape[1:]) * self.infer(x, weight).values

    def flops(self, x: TensorType, weight: TensorType) -> int:
        """Twice the multiply-adds."""
        return 2 * self.macs(x, weight)

    def reach(self, x: TensorType, weight: TensorType) -> tuple[Reach, ...]:
        """Each value depends on a window of every channel, and on the weights of that window."""
        return (WHOLE, *self._windows(x, weight).seen(x.shape[1:])), (Along((0,)), *(WHOLE,) * x.rank)

    def saved(self, x: TensorType, weight: TensorType) -> tuple[str | TensorType, ...]:
        """The weight, and the input, with what is added around it where PyTorch's kernels do not add it."""
        read = read_by(self._windows(x, weight), x)
        return ("x" if read == "inputs" else read), "weight"

    def lower(self, x: TensorType, weight: TensorType) -> Lowered:
        """`functional.conv1d`, `conv2d` or `conv3d`, behind padding that they do not have."""
        windows = self._windows(x, weight)
        run = partial(
            convolve_each if weight.batched else convolve,
            stride=windows.stride,
            padding=(0,) * (x.rank - 1) if windows.padding is None else windows.padding,
            dilation=windows.dilation,
            groups=self.groups,
        )
        if windows.padding is not None:
            return run
        return partial(run, margins=windows.margins)

    def _windows(self, x: TensorType, weight: TensorType) -> Windows:
        """What slides over the input."""
        kernel = tuple(fixed(size, "a window") for size in weight.shape[2:])
        return Windows.of(x.rank - 1, kernel, self.stride, self.padding, self.dilation)


def convolve(
    x: "Tensor",
    weight: "Tensor",
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    margins: tuple[tuple[int, int] | None, ...] | None = None,
) -> "Tensor":
    """A convolution with a given weight, over one, two or three axes."""
    from torch.nn import functional

    if margins is not None:
        from archspec.op.padded_layers import padded

        extents = tuple(d * (k - 1) + 1 for k, d in zip(weight.shape[-len(stride) :], dilation, strict=True))
        x = padded(x, margins=margins, extents=extents, stride=stride)
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[len(stride) - 1]
    return convolution(x, weight, None, stride, padding, dilation, groups)


def convolve_each(x: "Tensor", weight: "Tensor", *, groups: int, **settings: Any) -> "Tensor":
    """A convolution of each sample with its own weight: all of them as groups of one sample."""
    samples = x.shape[0]
    if samples == 0:
        one = x.new_zeros(1, *x.shape[1:]), weight.new_zeros(weight.shape[1:])
        return convolve(*one, groups=groups, **settings)[:0]
    made = convolve(x.flatten(0, 1)[None], weight.flatten(0, 1), groups=samples * groups, **settings)
    return made.view(samples, weight.shape[1], *made.shape[2:])
