"""Which part of its inputs a value of an op's output can see, axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from archspec.ground.tensor import TensorType


class Slide(NamedTuple):
    """How a window moves along an axis: which positions of the input each position of the output sees.

    Position `k * period + phase` sees the positions from `first[phase] + k * step` to
    `last[phase] + k * step`, both included, where `period` is `len(first)`. A plain window has one
    phase; what makes an axis longer, such as an upsampling by 2, has several. Positions outside the
    input are padding.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    step: int

    @classmethod
    def window(cls, extent: int, stride: int = 1, padding: int = 0) -> Slide:
        """A window of `extent` = dilation * (kernel - 1) + 1 positions, after `padding` of them."""
        return cls((-padding,), (extent - 1 - padding,), stride)

    @classmethod
    def at(cls, position: int) -> Slide:
        """One position, the same for all of the output."""
        return cls((position,), (position,), 0)

    @classmethod
    def resampled(cls, ratio: Fraction, seen: Callable[[int], tuple[int, int]]) -> Slide:
        """`ratio` positions of the input for each of the output; `seen` says which, first and last."""
        windows = [seen(position) for position in range(ratio.denominator)]
        return cls(tuple(first for first, _ in windows), tuple(last for _, last in windows), ratio.numerator)

    @property
    def stride(self) -> Fraction:
        """How far the window moves, in positions of the input for each of the output."""
        return _ratio(self.step, len(self.first))

    @property
    def size(self) -> int:
        """How many positions the window spans, where it spans most."""
        if len(self.first) == 1:
            return self.last[0] - self.first[0] + 1
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """What the positions of the output from `first` to `last` see together, first and last."""
        period = len(self.first)
        if period == 1:
            return self.first[0] + first * self.step, self.last[0] + last * self.step
        # Windows further along can begin earlier, but only within one period (a dilated ConvTranspose).
        count = min(last - first + 1, period)
        lows, highs = range(first, first + count), range(last - count + 1, last + 1)
        return (
            min(self.first[i % period] + i // period * self.step for i in lows),
            max(self.last[i % period] + i // period * self.step for i in highs),
        )


@cache
def _ratio(step: int, period: int) -> Fraction:
    return Fraction(step, period)  # slow to make, and few are needed


POINT = Slide.window(1)


class Along(NamedTuple):
    """How the axis of an input is seen: by a window that slides as one goes along an axis of the output.

    With several `axes`, or where it is not `straight`, the place of the window depends on these axes in
    another order than that of the positions, as after a Reshape. With no axes, it stays where it is.
    Without `slide`, every value sees the whole axis, or where there are `axes`, a part of it that is not
    followed. Where the axis is `mixed`, it is seen besides the window, through the statistics of a norm or
    around its ends.
    """

    axes: tuple[int, ...]
    slide: Slide | None = POINT
    straight: bool = True
    mixed: bool = False


WHOLE = Along((), None)

Reach = tuple[Along, ...] | None
"""How each axis of an input is seen; None when the output does not depend on the input at all."""


def everything(x: TensorType) -> Reach:
    """Every value sees all of the input: what is always true."""
    return (WHOLE,) * x.rank


def points(x: TensorType, *whole: int) -> Reach:
    """Every value sees the one at its own place, and the whole of the axes named."""
    return tuple(WHOLE if axis in whole else Along((axis,)) for axis in range(x.rank))


def normalised(x: TensorType, *axes: int) -> Reach:
    """Every value sees the one at its own place, and the axes named through the mean and the deviation along them."""
    return tuple(Along((axis,), mixed=axis in axes) for axis in range(x.rank))


def aligned(x: TensorType, out: TensorType) -> Reach:
    """Every value sees the one at its place when x is broadcast to `out` like NumPy, at the last axes."""
    behind = out.rank - x.rank
    return tuple(
        Along((), Slide.at(0)) if size == 1 and out.shape[behind + axis] != 1 else Along((behind + axis,))
        for axis, size in enumerate(x.shape)
    )
