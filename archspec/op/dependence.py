"""Dependence: which part of each input a value of an op's output depends on, axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from archspec.ground.tensor import TensorType


class Slide(NamedTuple):
    """A window that slides along an axis: the positions of the input that each position of the output depends on.

    Position `k * period + phase` depends on `first[phase] + k * step` to `last[phase] + k * step`,
    both included, where `period` is `len(first)`. A plain window has one phase; an op that makes the
    axis longer, such as upsampling by 2, has several. Positions outside the input are padding.
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
        """`ratio` positions of the input per position of the output; `seen` gives the first and the last."""
        windows = [seen(position) for position in range(ratio.denominator)]
        return cls(tuple(first for first, _ in windows), tuple(last for _, last in windows), ratio.numerator)

    @property
    def stride(self) -> Fraction:
        """How far the window moves, in input positions per output position."""
        return _ratio(self.step, len(self.first))

    @property
    def size(self) -> int:
        """How many positions the window spans at its widest."""
        if len(self.first) == 1:
            return self.last[0] - self.first[0] + 1
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The first and last position that the output positions from `first` to `last` depend on together."""
        period = len(self.first)
        if period == 1:
            return self.first[0] + first * self.step, self.last[0] + last * self.step
        # A later window can begin earlier, but only within one period (a dilated ConvTranspose).
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
    """How an output value depends on one axis of an input: on a window, which slides along axes of the output.

    With several `axes`, or if it is not `straight`, the window does not move in the order of the positions,
    as after a Reshape. Without axes, it stays in place. Without `slide`, every value depends on the whole
    axis, or, if there are `axes`, on a part that is not tracked. If the axis is `mixed`, values also depend
    on what is outside the window, through the statistics of a norm or around the ends.
    """

    axes: tuple[int, ...]
    slide: Slide | None = POINT
    straight: bool = True
    mixed: bool = False


WHOLE = Along((), None)

Reach = tuple[Along, ...] | None
"""One item per axis of an input; None if the output does not depend on its values at all."""


def everything(x: TensorType) -> Reach:
    """Every value depends on all of the input, which is always safe to say."""
    return (WHOLE,) * x.rank


def points(x: TensorType, *whole: int) -> Reach:
    """Every value depends on the one in its place, and on the whole of the given axes."""
    return tuple(WHOLE if axis in whole else Along((axis,)) for axis in range(x.rank))


def normalised(x: TensorType, *axes: int) -> Reach:
    """Every value depends on the one in its place, and on the given axes through their mean and variance."""
    return tuple(Along((axis,), mixed=axis in axes) for axis in range(x.rank))


def aligned(x: TensorType, out: TensorType) -> Reach:
    """Every value depends on the one in its place, where x is broadcast to `out` as by NumPy."""
    behind = out.rank - x.rank
    return tuple(
        Along((), Slide.at(0)) if size == 1 and out.shape[behind + axis] != 1 else Along((behind + axis,))
        for axis, size in enumerate(x.shape)
    )
