"""Fourier transforms of real tensors: spectra as two tensors, of their real and imaginary parts."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil, log2
from typing import TYPE_CHECKING, Literal

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use, use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Op, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import Reach, points
from archspec.op.inputs import require_real

if TYPE_CHECKING:
    from torch import Tensor

Norm = Literal["backward", "ortho", "forward"]


class _Fourier(Op):
    """A transform over two axes, of which the second is the one that is halved."""

    axes: tuple[int, int] = (-2, -1)
    norm: Norm = "backward"

    def _axes(self, x: TensorType) -> tuple[int, int]:
        first, second = (x.axis(axis) for axis in self.axes)
        if first == second:
            raise Mistake(f"`axes` gives an axis twice: {list(self.axes)}", codes.AXES)
        return first, second

    def _work(self, image: TensorType) -> int:
        """2.5 n log2 n for each image of n values, rounded up; 1 more for each value unless `norm` is "backward"."""
        values = image.values
        first, second = self._axes(image)
        n = fixed(image.shape[first] * image.shape[second], "the size of what is transformed")
        return ceil(2.5 * values * log2(n)) + (values if self.norm == "ortho" else 0)


class RFFT2(_Fourier):
    """The spectrum of a real image over two `axes`: its real and its imaginary part [Cooley & Tukey, 1965].

    Of the second axis only the first half is given, from which the other follows, unless `half` is false. `norm` says which
    direction is divided by the number n of values: "backward", "forward", or "ortho" for both by its root.

    Shapes: [*A, H, W] -> real and imaginary [*A, H, W // 2 + 1] each, or [*A, H, W] without `half`; `axes` may be any two
    FLOPs: 2.5 n log2 n for each image of n values, rounded up; 1 per value with `norm="ortho"`
    Raises: when the values are not real numbers, or there are no such axes
    """

    half: bool = True

    pytorch = arguments(s="is left out: Pad or Crop first", dim="axes", norm="norm", out="is left out")
    positional = ()

    examples = (
        "f32[3, 6, 8] -> RFFT2 -> (f32[3, 6, 5], f32[3, 6, 5])",
        'f32[6, 7, 4] -> RFFT2(axes=[0, 1], norm="ortho") -> (f32[6, 4, 4], f32[6, 4, 4])',
        'f32[5, 6] -> RFFT2(half=false, norm="forward") -> (f32[5, 6], f32[5, 6])',
    )

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        """[*A, H, W] -> the real and the imaginary part of the spectrum."""
        require_real(x, self)
        _, second = self._axes(x)
        shape = list(x.shape)
        if self.half:
            shape[second] = shape[second] // 2 + 1
        return x.with_shape(shape), x.with_shape(shape)

    def flops(self, x: TensorType) -> int:
        """2.5 n log2 n for each image of n values; 1 per value with `norm="ortho"`."""
        return self._work(x)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input, of which PyTorch keeps the sizes where it gives a half; in single precision at least."""
        precise = _precise(x)
        return (("inputs",) if precise == x else (precise,)) if self.half else ()

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on all of both axes."""
        return (points(x, *self._axes(x)),)

    def lower(self, x: TensorType) -> "Callable[..., tuple[Tensor, ...]]":
        """`torch.fft.rfft2` or `torch.fft.fft2`, and the parts of what it gives."""
        first, second = self._axes(x)
        axes = (first - x.rank, second - x.rank)
        return partial(spectrum, axes=axes, norm=self.norm, half=self.half)


class IRFFT2(_Fourier):
    """The real image of the half of a spectrum that RFFT2 gives: its inverse [Cooley & Tukey, 1965].

    `size` is that of the second axis; by default it is even.

    Shapes: real and imaginary [*A, H, F] each -> [*A, H, size], size = 2 (F - 1) by default; `axes` may be any two
    FLOPs: 2.5 n log2 n for each image of n values, rounded up; 1 per value with `norm="ortho"`
    Raises: when both parts differ in shape or dtype, or `size` does not have a spectrum of F values
    """

    size: PositiveInt | None = None

    pytorch = arguments(s="is `size` here, of the second axis", dim="axes", norm="norm", out="is left out")
    positional = ()

    examples = (
        "(f32[3, 6, 5], f32[3, 6, 5]) -> IRFFT2 -> f32[3, 6, 8]",
        '(f32[6, 4, 3], f32[6, 4, 3]) -> IRFFT2(axes=[0, 1], size=7, norm="ortho") -> f32[6, 7, 3]',
        '(f32[5, 4], f32[5, 4]) -> IRFFT2(size=6, norm="forward") -> f32[5, 6]',
    )

    def infer(self, real: TensorType, imaginary: TensorType) -> TensorType:
        """Real and imaginary [*A, H, F] -> [*A, H, size]."""
        require_real(real, self)
        same = real.rank == imaginary.rank and all(map(always_equal, real.shape, imaginary.shape))
        if not same or real.dtype != imaginary.dtype or real.batched != imaginary.batched:
            raise Mistake(
                f"IRFFT2 takes a real and an imaginary part alike, not {real} and {imaginary}", codes.SHAPES
            )
        for pair in zip(real.shape, imaginary.shape, strict=True):
            use_unless_same(*pair)
        _, second = self._axes(real)
        values = real.shape[second]
        size = 2 * (values - 1) if self.size is None else self.size
        if self.size is None and always_equal(values, 1):
            size = 1
        if self.size is not None:
            use(values)
        if self.size is not None and not always_equal(self.size // 2 + 1, values):
            raise Mistake(
                f"an axis of {self.size} has a spectrum of {self.size // 2 + 1} values, not {values} as in {show(real.shape)}",
                codes.SHAPES,
            )
        shape = list(real.shape)
        shape[second] = size
        return real.with_shape(shape)

    def flops(self, real: TensorType, imaginary: TensorType) -> int:
        """2.5 n log2 n for each image of n values; 1 per value with `norm="ortho"`."""
        return self._work(self.infer(real, imaginary))

    def saved(self, real: TensorType, imaginary: TensorType) -> tuple[str | TensorType, ...]:
        """Both parts as one complex tensor, in single precision at least."""
        return _precise(real), _precise(imaginary)

    def reach(self, real: TensorType, imaginary: TensorType) -> tuple[Reach, ...]:
        """Each value depends on all of both axes."""
        return (points(real, *self._axes(real)),) * 2

    def lower(self, real: TensorType, imaginary: TensorType) -> "Callable[..., Tensor]":
        """`torch.fft.irfft2`."""
        first, second = self._axes(real)
        axes = (first - real.rank, second - real.rank)
        single = self.size is None and always_equal(real.shape[second], 1)
        return partial(image, axes=axes, norm=self.norm, size=1 if single else self.size)


def _precise(x: TensorType) -> TensorType:
    """The type that is transformed: there are no kernels for half precision."""
    return x if x.dtype == "f64" else replace(x, dtype="f32")


def spectrum(x: "Tensor", *, axes: tuple[int, int], norm: str, half: bool) -> "tuple[Tensor, Tensor]":
    """The real and the imaginary part, computed in single precision at least."""
    import torch

    from archspec.op.torch_layers import single

    if not x.numel():  # MKL refuses it
        shape = list(x.shape)
        shape[axes[1]] = shape[axes[1]] // 2 + 1 if half else shape[axes[1]]
        return x.new_zeros(shape), x.new_zeros(shape)
    transform = torch.fft.rfft2 if half else torch.fft.fft2
    found = transform(single(x), dim=axes, norm=norm)
    return found.real.to(x.dtype), found.imag.to(x.dtype)


def image(
    real: "Tensor", imaginary: "Tensor", *, axes: tuple[int, int], norm: str, size: int | None
) -> "Tensor":
    """The real image, computed in single precision at least."""
    import torch

    from archspec.op.torch_layers import single

    width = 2 * (real.shape[axes[1]] - 1) if size is None else size
    if not real.numel():  # MKL refuses it
        shape = list(real.shape)
        shape[axes[1]] = width
        return real.new_zeros(shape)
    found: Tensor = torch.fft.irfft2(
        torch.complex(single(real), single(imaginary)), (real.shape[axes[0]], width), axes, norm
    )
    return found.to(real.dtype)
