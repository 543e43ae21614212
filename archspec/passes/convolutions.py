"""The algebra of convolutions: the sum of two, and one after another, as one."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Convolution:
    """A linear map of images, signals or volumes that is the same at each place, and a bias; of vectors, if it has no axes.

    `weight` is [out, in / groups, *kernel]. The others have a number for each axis that the kernel slides along; zeros lie
    around the input. `work` is how many multiply-adds a place of the result takes, as it was computed so far.
    """

    weight: Tensor
    bias: Tensor | None
    groups: int
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    work: int

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        groups: int = 1,
        stride: tuple[int, ...] | None = None,
        padding: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] | None = None,
    ) -> Convolution:
        """One of that weight; unless given, it takes each place, and pads nothing."""
        ones = (1,) * (weight.ndim - 2)
        return cls(
            weight,
            bias,
            groups,
            stride or ones,
            padding or (0,) * len(ones),
            dilation or ones,
            weight.numel(),
        )

    @property
    def kernel(self) -> tuple[int, ...]:
        """How many values of each axis it multiplies."""
        return tuple(self.weight.shape[2:])

    @property
    def channels(self) -> int:
        """How many channels its input has."""
        return self.weight.shape[1] * self.groups

    @property
    def is_pointwise(self) -> bool:
        """Whether each value depends on those in its place alone."""
        return prod(self.kernel) == 1 and not any(self.padding)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output depends on the channel of its number alone."""
        return self.groups == self.channels == self.weight.shape[0]

    def after(self, inner: Convolution) -> Convolution | None:
        """This convolution of what another gives, as one; None where it is none, or would reach further than both.

        Zeros around what the other gives are no values of it, unless it gives 0 for 0.
        """
        if inner.weight.ndim != self.weight.ndim or inner.weight.shape[0] != self.channels:
            return None
        if self.is_pointwise:
            around = inner
        elif inner.is_pointwise and prod(inner.stride) == 1 and not (any(self.padding) and _adds(inner.bias)):
            around = self
        else:
            return None
        weight = _product(self, inner)
        if weight is None:
            return None
        stride = tuple(a * b for a, b in zip(self.stride, inner.stride, strict=True))
        return Convolution(
            weight=weight,
            bias=_sum(self.bias, None if inner.bias is None else self._of_constant(inner.bias)),
            groups=inner.groups if self.is_depthwise else self.groups,
            stride=stride,
            padding=around.padding,
            dilation=around.dilation,
            work=self.work + inner.work,
        )

    def plus(self, other: Convolution) -> Convolution | None:
        """The sum of both as one; None where it is none, or would take more multiply-adds than both.

        It is one where windows have the same centre at each place of the result: then it has as many places, for inputs
        of all sizes.
        """
        alike = (self.weight.ndim, self.weight.shape[0], self.channels, self.stride, self._centres)
        if alike != (other.weight.ndim, other.weight.shape[0], other.channels, other.stride, other._centres):
            return None
        padding = tuple(map(max, self.padding, other.padding))
        dilation = tuple(
            gcd(*(d for k, d in each if k > 1)) or 1
            for each in zip(*(zip(c.kernel, c.dilation, strict=True) for c in (self, other)), strict=True)
        )
        if any(
            (p - q) % d for c in (self, other) for p, q, d in zip(padding, c.padding, dilation, strict=True)
        ):
            return None
        kernel = tuple(
            (2 * p - centre) // d + 1 for p, centre, d in zip(padding, self._centres, dilation, strict=True)
        )
        groups = gcd(self.groups, other.groups)
        work = self.weight.shape[0] * (self.channels // groups) * prod(kernel)
        if work > self.work + other.work:
            return None
        frame = (groups, kernel, padding, dilation)
        return Convolution(
            weight=self._framed(*frame) + other._framed(*frame),
            bias=_sum(self.bias, other.bias),
            groups=groups,
            stride=self.stride,
            padding=padding,
            dilation=dilation,
            work=work,
        )

    @property
    def _centres(self) -> tuple[int, ...]:
        """Twice how far the centre of the first window lies before the first value of each axis."""
        each = zip(self.padding, self.dilation, self.kernel, strict=True)
        return tuple(2 * p - d * (k - 1) for p, d, k in each)

    def _of_constant(self, values: Tensor) -> Tensor:
        """What it gives for an input that has one value in each channel everywhere, without the bias."""
        weight = self.weight.reshape(self.groups, -1, self.weight.shape[1], prod(self.kernel)).sum(3)
        given: Tensor = (weight * values.view(self.groups, 1, -1)).sum(2)
        return given.flatten()

    def _framed(
        self, groups: int, kernel: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]
    ) -> Tensor:
        """Its weight as that of a convolution in fewer groups, of a larger window, with zeros where it has none."""
        blocks = self.groups // groups
        parts = self.weight.reshape(groups, blocks, -1, *self.weight.shape[1:])
        spread = parts.new_zeros(*parts.shape[:3], blocks, *parts.shape[3:])
        spread.diagonal(dim1=1, dim2=3).copy_(parts.movedim(1, -1))
        weight = spread.flatten(3, 4).flatten(0, 2)
        framed = weight.new_zeros(*weight.shape[:2], *kernel)
        places = [slice(None)] * 2
        for p, q, d, k, own in zip(padding, self.padding, dilation, self.kernel, self.dilation, strict=True):
            step = own // d if k > 1 else 1
            start = (p - q) // d
            places.append(slice(start, start + step * (k - 1) + 1, step))
        framed[tuple(places)] = weight
        return framed


def identity(channels: int, axes: int, like: Tensor) -> Convolution:
    """The convolution that gives its input."""
    return Convolution.of(like.new_ones((channels, 1, *[1] * axes)), groups=channels)


def _adds(bias: Tensor | None) -> bool:
    """Whether a bias is not known to be 0."""
    return bias is not None and (bias.is_meta or bool(bias.any()))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _product(outer: Convolution, inner: Convolution) -> Tensor | None:
    """The weight of one convolution after another, one of them pointwise; None where their groups cut across each other."""
    if outer.is_depthwise:
        return outer.weight * inner.weight
    if inner.is_depthwise:
        weight = outer.weight.reshape(outer.groups, -1, *outer.weight.shape[1:])
        factors = inner.weight.reshape(outer.groups, 1, -1, *inner.kernel)
        return (weight * factors).flatten(0, 1)
    if outer.groups != inner.groups:
        return None
    taps = [c.weight.reshape(c.groups, -1, c.weight.shape[1], prod(c.kernel)) for c in (inner, outer)]
    both = torch.einsum("gmiu,gomv->goiuv", *taps)
    kernel = [k * j for k, j in zip(outer.kernel, inner.kernel, strict=True)]
    return both.reshape(outer.weight.shape[0], inner.weight.shape[1], *kernel)
