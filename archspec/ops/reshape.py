"""Reshaping: the same values in another arrangement, or a part of them."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from archspec.ground.declared import Declared, derived, use
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size, always_equal, require_least, undecided
from archspec.ground.tensor import Shape, TensorType, show
from archspec.op import Lowered, PositiveInt
from archspec.op.dependence import POINT, WHOLE, Along, Reach, Slide
from archspec.ops.inputs import require_held, require_rank
from archspec.ops.movement import _Movement
from archspec.ops.window import Margin, Window, per_axis

if TYPE_CHECKING:
    from torch import Tensor, nn

Slice = tuple[int | None, int | None, int | None]


class Flatten(_Movement):
    """Lay the axes from `start` to `end`, both included, end to end as one.

    Shapes: [*A, n, ..., m, *B] -> [*A, n * ... * m, *B]
    FLOPs: 0
    Raises: when there are no such axes, or `start` comes after `end`
    """

    start: int = 0
    end: int = -1

    examples = (
        "f32[8, 4, 4] -> Flatten -> f32[128]",
        "f32[8, 4, 5] -> Flatten(1) -> f32[8, 20]",
        "i64[2, 3, 4, 5] -> Flatten(-3, end=2) -> i64[2, 12, 5]",
        "f32[7] -> Flatten -> f32[7]",
    )
    without_batch = True
    view = True
    needs_order = True

    def infer(self, x: TensorType) -> TensorType:
        """[*A, n, ..., m, *B] -> [*A, n * ... * m, *B]."""
        start, end = x.axis(self.start), x.axis(self.end)
        if start > end:
            raise Mistake(f"axis {start}, the start, comes after axis {end}, the end")
        return x.with_shape((*x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees one place, which the one axis stands for."""
        return (regrouped(x.shape, self.infer(x).shape),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Flatten`."""
        from torch import nn

        return nn.Flatten(x.axis(self.start) - x.rank, x.axis(self.end) - x.rank)


class Reshape(_Movement):
    """Arrange the values, taken in row-major order, in another shape; one size may be left out as -1.

    Shapes: [*S] -> shape
    FLOPs: 0
    Raises: when the number of values differs, and when several sizes are free but not those of axes
    """

    shape: tuple[PositiveInt | Literal[-1] | Free, ...]

    examples = (
        "f32[8, 4, 4] -> Reshape([8, 16]) -> f32[8, 16]",
        "f32[8, 4, 4] -> Reshape([2, -1, 4]) -> f32[2, 16, 4]",
        "i64[6] -> Reshape([1, 2, 3]) -> i64[1, 2, 3]",
        "f32[1] -> Reshape([]) -> f32[]",
    )
    without_batch = True
    view = True
    needs_order = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> shape."""
        given = [size for size in self.shape if size != -1]
        if len(given) < len(self.shape) - 1:
            raise Mistake("only one size of `shape` may be -1")
        have, want = _without_common(x.shape, given)
        exact = len(given) == len(self.shape)
        if not (always_equal(have, want) if exact else have % want == 0):
            raise Mistake(
                f"cannot reshape {show(x.shape)} to {show(self.shape)}",
                kind="shape",
                label=f"{prod(x.shape)} values do not fill {show(self.shape)}",
            )
        self._read(x)
        if exact:
            use(*x.shape)
        return x.with_shape([have // want if size == -1 else size for size in self.shape])

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees one place, for which all axes stand that share values with its own."""
        return (regrouped(x.shape, self.infer(x).shape),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`reshape`, which reads free sizes off the axes that have them, and works out the one left out."""
        left_out, like = self._read(x)
        sizes = tuple(
            -1 if place == left_out else size if isinstance(size, int) else 1
            for place, size in enumerate(self.shape)
        )
        settings: dict[str, Any] = {"like": like} if like else {}
        if left_out is not None:
            settings["left_out"] = (left_out, x.rank)
        return partial(reshape, shape=sizes, batched=x.batched, **settings)

    def _read(self, x: TensorType) -> tuple[int | None, tuple[tuple[int, int], ...]]:
        """The place whose size follows from all others, and pairs of a place and an axis of its size."""
        free = [place for place, size in enumerate(self.shape) if isinstance(size, Free)]
        unread = [place for place in free if self.shape[place] not in x.shape]
        left_out = self.shape.index(-1) if -1 in self.shape else next(iter(unread or free), None)
        for place in unread:
            if place != left_out:
                raise Mistake(
                    f"no axis of {show(x.shape)} has the size {self.shape[place]}",
                    kind="free",
                    help="only one size can be worked out from the others",
                )
        like = ((place, x.shape.index(self.shape[place]) - x.rank) for place in free if place != left_out)
        return left_out, tuple(like)


class Permute(_Movement):
    """Put the axes in another order: axis i of the output is axis `axes[i]` of the input.

    Shapes: [*S] -> [S[axes[0]], S[axes[1]], ...]
    FLOPs: 0
    Raises: when `axes` does not name every axis once
    """

    axes: tuple[int, ...]

    examples = (
        "f32[3, 8, 4] -> Permute([1, 2, 0]) -> f32[8, 4, 3]",
        "f32[3, 8] -> Permute([-1, 0]) -> f32[8, 3]",
        "bool[2, 3, 4, 5] -> Permute([2, 0, 1, 3]) -> bool[4, 2, 3, 5]",
    )
    without_batch = True
    view = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [S[axes[0]], S[axes[1]], ...]."""
        return x.with_shape([x.shape[axis] for axis in self._order(x)])

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place."""
        order = self._order(x)
        return (tuple(Along((order.index(axis),)) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`torch.permute`."""
        import torch

        order = tuple(axis + x.offset for axis in self._order(x))
        return partial(torch.permute, dims=(0, *order) if x.batched else order)

    def _order(self, x: TensorType) -> tuple[int, ...]:
        """The axes counted from the front."""
        order = tuple(x.axis(axis) for axis in self.axes)
        if sorted(order) != list(range(x.rank)):
            raise Mistake(
                f"{list(self.axes)} does not name every axis of {show(x.shape)} once",
                kind="shape",
                help="the batch is not counted, and stays in front",
            )
        return order


class Index(_Movement):
    """Take a part along each axis: what `x[0]`, `x[1:]` and `x[:, ::2]` mean, axes not named left whole.

    Shapes: [n, *S] -> [*S] for a number; [(stop - start) / step rounded up, *S] for [start, stop, step]
    FLOPs: 0
    Raises: when there is no such place, when nothing is left, and when a step is not positive
    """

    at: tuple[int | Slice, ...]

    examples = (
        "f32[8, 4] -> Index([0]) -> f32[4]",
        "f32[8, 4] -> Index([[1, none, none]]) -> f32[7, 4]",
        "f32[8, 4] -> Index([[none, none, none], -1]) -> f32[8]",
        "i64[8, 4, 6] -> Index([[none, -1, 2], 0, [none, 100, none]]) -> i64[4, 6]",
        "f32[8] -> Index([3]) -> f32[]",
    )
    without_batch = True
    view = True

    def infer(self, x: TensorType) -> TensorType:
        """The shape of what is taken."""
        if len(self.at) > x.rank:
            raise Mistake(
                f"{show(x.shape)} has no {len(self.at)} axes", kind="shape", help="the batch is not counted"
            )
        sizes: list[Size] = []
        for size, at in zip(x.shape, self.at, strict=False):
            if isinstance(at, int):
                _require_place(at, size)
            else:
                sizes.append(_places(at, size))
            # By its number from the front, the last place is that of this size alone: of a longer axis the rest would be left.
            ends = at if isinstance(at, int) else (at[1] or 0) - 1
            if isinstance(size, int) and ends == size - 1:
                use(size)
        return x.with_shape((*sizes, *x.shape[len(self.at) :]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees the one that it was."""
        seen, kept = [], 0
        for size, at in zip(x.shape, (*self.at, *((None, None, None),) * x.rank), strict=False):
            if isinstance(at, int):
                place = at + size if at < 0 else at
                seen.append(Along((), Slide.at(place)) if isinstance(place, int) else WHOLE)
                continue
            start, step = at[0] or 0, at[2] or 1
            if isinstance(size, int):
                start = slice(*at).indices(size)[0]
            straight = start >= 0  # where the end of a free size is, is not known
            seen.append(Along((kept,), Slide.window(1, step, -start), straight))
            kept += 1
        return (tuple(seen),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """Indexing, behind the batch if there is one."""
        return partial(take, at=((None, None, None), *self.at) if x.batched else self.at)


class Pad(_Movement):
    """Add values before and after the last axes, or crop where an amount is negative.

    One number pads all axes but the first alike, a list the last axes in order: a number for both
    ends, or [before, after]. `mode` says what is added: `value`, a mirror image without its edge,
    the edge itself, or the other end.

    Shapes: [*A, n, ...] -> [*A, before + n + after, ...]
    FLOPs: 0
    Raises: when nothing is left, when there is too little to mirror or wrap, and when other modes than
            "constant" are given a `value`, or more than three axes or those of weights without channels, and
            when "reflect" or "replicate" is given bool
    """

    amounts: int | tuple[int | tuple[int, int], ...]
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    value: int | float = 0

    examples = (
        "f32[3, 8, 8] -> Pad(1) -> f32[3, 10, 10]",
        "f32[3, 8, 8] -> Pad([[0, 1], 2]) -> f32[3, 9, 12]",
        "f32[3, 8, 8] -> Pad([-1], value=1.0) -> f32[3, 8, 6]",
        'f32[3, 8, 8] -> Pad([1], "reflect") -> f32[3, 8, 10]',
        'f32[3, 8, 8, 8] -> Pad([[2, 1], 1], mode="circular") -> f32[3, 8, 11, 10]',
        'f32[5, 6] -> Pad([1, [0, 2]], "replicate") -> f32[7, 8]',
        "i64[5] -> Pad([[1, 0]], value=7) -> i64[6]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*A, n, ...] -> [*A, before + n + after, ...]."""
        pairs = self._pairs(x)
        if self.mode != "constant" and self.value:
            raise Mistake(f'mode "{self.mode}" takes no `value`')
        if self.mode in ("reflect", "replicate") and x.dtype == "bool":
            raise Mistake(
                f'mode "{self.mode}" pads numbers, not bool', kind="shape", help="multiply by 1 first"
            )
        if isinstance(self.value, float) and not x.floating:
            raise Mistake(
                f"a `value` of {self.value} is no {x.dtype}", kind="shape", help="give a whole number"
            )
        require_held(x, self.value)
        sizes = list(x.shape)
        for axis, (before, after) in zip(range(-len(pairs), 0), pairs, strict=True):
            cropped = min(before, 0) + min(after, 0)
            left = sizes[axis] + cropped
            sizes[axis] += before + after
            if cropped and (self.mode != "constant" or cropped < -1 or before + after < 0):
                use(x.shape[axis])  # PyTorch would crop all of a smaller one
            wrong = f"cropping {show(x.shape)} by {max(-before, 0)} and {max(-after, 0)} leaves nothing"
            require_least(left, 0, wrong)
            require_least(sizes[axis], 1, wrong)
            # Of what is cropped PyTorch wraps the rest, and where that is too little, what memory happens to hold.
            room = {"reflect": x.shape[axis] - 1, "circular": left}.get(self.mode)
            if room is not None:
                most = max(before, after)
                wrong = f"{show(x.shape)} has too little to {_VERB[self.mode]} by {most}"
                require_least(room - most, 0, wrong)
        return x.with_shape(sizes)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """The input where it is mirrored or its edge repeated; nothing else."""
        return ("inputs",) if self.mode in ("reflect", "replicate") else ()

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place, moved; what is added sees nothing, but around the ends if it is circular.

        What is mirrored lies no further apart than what it stands for, so a window sees no more for it.
        """
        pairs = self._pairs(x)
        amounts = (*((0, 0),) * (x.rank - len(pairs)), *pairs)
        wraps = self.mode == "circular"
        return (
            tuple(
                Along((axis,), Slide.window(1, 1, pair[0]), mixed=wraps and max(pair) > 0)
                for axis, pair in enumerate(amounts)
            ),
        )

    def lower(self, x: TensorType) -> Lowered:
        """`nn.ConstantPad1d`, `nn.ReflectionPad2d` ... by mode and axes; `functional.pad` for more than three axes."""
        from torch import nn
        from torch.nn import functional

        pairs = self._pairs(x)
        amounts = tuple(amount for pair in reversed(pairs) for amount in pair)
        if abs(self.value) > LARGEST_HALF:
            return partial(pad_within, pad=amounts, value=self.value)
        if len(pairs) > 3:
            return partial(functional.pad, pad=amounts, value=self.value)
        if self.mode != "constant" and len(pairs) == x.rank and x.batched:
            # Without an axis between them, PyTorch takes the batch for channels, of which there must be some.
            return partial(pad_behind_batch, pad=amounts, mode=self.mode)
        module = getattr(nn, f"{_PADS[self.mode]}Pad{len(pairs)}d")
        padded: nn.Module = module(amounts, self.value) if self.mode == "constant" else module(amounts)
        return padded

    def _pairs(self, x: TensorType) -> tuple[tuple[int, int], ...]:
        """[before, after] for the last axes, in order."""
        amounts = (self.amounts,) * max(x.rank - 1, 0) if isinstance(self.amounts, int) else self.amounts
        if not 1 <= len(amounts) <= x.rank:
            raise Mistake(
                f"`amounts` is for {len(amounts)} axes, but {show(x.shape)} has {x.rank}",
                kind="shape",
                help="one number is for all axes but the first, a list for as many of the last as it is long",
            )
        pairs = tuple((amount, amount) if isinstance(amount, int) else amount for amount in amounts)
        if self.mode == "constant":
            return pairs
        # PyTorch's other modes want every axis but one or two at the front.
        pairs = ((0, 0),) * (x.rank - 1 - len(pairs)) + pairs
        if len(pairs) > 3 or len(pairs) == x.rank + x.offset:
            raise Mistake(
                f'mode "{self.mode}" cannot pad {len(pairs)} axes of {show(x.shape)}',
                kind="shape",
                help="it pads up to three axes, behind one that it leaves alone; Reshape first",
            )
        return pairs


class Crop(_Movement):
    """Cut the centre out of the last axes; where the rest is odd, one more is left behind it than before.

    Shapes: [*A, ...] -> [*A, *size]; one number is for all axes but the first
    FLOPs: 0
    Raises: when an axis is smaller than that
    """

    size: Window

    examples = (
        "f32[3, 8, 8] -> Crop(5) -> f32[3, 5, 5]",
        "f32[3, 8, 8] -> Crop([4, 8]) -> f32[3, 4, 8]",
        "f32[3, 8, 8] -> Crop([4]) -> f32[3, 8, 4]",
    )
    without_batch = True
    view = True

    def infer(self, x: TensorType) -> TensorType:
        """[*A, ...] -> [*A, *size]."""
        sizes = self._sizes(x)
        kept = x.rank - len(sizes)
        wrong = f"cannot crop {show(x.shape)} to {show(sizes)}"
        if not sizes or kept < 0:
            raise Mistake(wrong, kind="shape")
        for have, size in zip(x.shape[kept:], sizes, strict=True):
            require_least(have - size, 0, wrong)
        return x.with_shape((*x.shape[:kept], *sizes))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place, moved."""
        seen = []
        for axis, (have, size) in enumerate(zip(x.shape, self.infer(x).shape, strict=True)):
            known = isinstance(have, int) and isinstance(size, int)
            before = (have - size) // 2 if known or have == size else 0
            slide = Slide.window(1, 1, -before) if isinstance(before, int) else POINT
            seen.append(Along((axis,), slide, known or have == size))
        return (tuple(seen),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """A part of each axis, from wherever its centre is."""
        return partial(crop, sizes=self._sizes(x))

    def _sizes(self, x: TensorType) -> tuple[int, ...]:
        return (self.size,) * max(x.rank - 1, 0) if isinstance(self.size, int) else self.size


class Roll(_Movement):
    """Shift along axes; what leaves at one end comes in at the other.

    Shapes: [*S] -> [*S]
    FLOPs: 0
    Raises: when there are not as many shifts as axes
    """

    shift: tuple[int, ...]
    axes: tuple[int, ...]

    examples = (
        "f32[8, 8, 3] -> Roll([-2, -2], [0, 1]) -> f32[8, 8, 3]",
        "i64[5] -> Roll([1], axes=[-1]) -> i64[5]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        if len(self.shift) != len(self.axes) or not self.axes:
            raise Mistake(f"{len(self.shift)} shifts are given for {len(self.axes)} axes")
        for axis in self.axes:
            x.axis(axis)
        return x

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees its own place, moved; of values around it, some are at the other end."""
        moved = [0] * x.rank
        for shift, axis in zip(self.shift, self.axes, strict=True):
            moved[x.axis(axis)] += shift
        seen = []
        for axis, (shift, size) in enumerate(zip(moved, x.shape, strict=True)):
            if isinstance(size, int):
                shift = (shift + size // 2) % size - size // 2  # the shorter way round
            seen.append(Along((axis,), Slide.window(1, 1, shift), mixed=shift != 0))
        return (tuple(seen),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """`torch.roll`."""
        import torch

        return partial(torch.roll, shifts=self.shift, dims=tuple(x.axis(axis) - x.rank for axis in self.axes))


class WindowPartition(_Movement):
    """Cut an image, its channels last, into windows that fill it [Liu et al., 2021].

    Each can have a `halo` of so many pixels on all sides, which lie in its neighbours, or are 0 outside the image
    [Vaswani et al., 2021, Section 2.2].

    Shapes: [H, W, C] -> [windows, h * w, C], `size` is h and w, to which twice the halo is added; windows and their values
            row by row
    FLOPs: 0
    Raises: when the windows do not fill the image
    """

    size: Window
    halo: Margin | tuple[Margin, ...] = 0

    examples = (
        "f32[8, 12, 3] -> WindowPartition(4) -> f32[6, 16, 3]",
        "f32[8, 12, 3] -> WindowPartition([8, 3]) -> f32[4, 24, 3]",
        "f32[8, 12, 3] -> WindowPartition(4, halo=[1, 2]) -> f32[6, 48, 3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[H, W, C] -> [windows, h * w, C]."""
        require_rank(x, 3, self, "[H, W, C]")
        size, halo = per_axis(self.size, 2, "size"), per_axis(self.halo, 2, "halo")
        if any(halo):  # PyTorch would leave out the rest that fills no window
            use(*(have % window for have, window in zip(x.shape[:2], size, strict=True)))
        values = prod(inner + 2 * outer for inner, outer in zip(size, halo, strict=True))
        return x.with_shape((_windows(x.shape[:2], size), values, x.shape[2]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees one place, which the window and the place in it stand for."""
        return ((*(Along((0, 1), straight=False),) * 2, Along((2,))),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """Both axes unfolded, and their inner halves brought together."""
        size, halo = per_axis(self.size, 2, "size"), per_axis(self.halo, 2, "halo")
        return (
            partial(window_partition, size=size, halo=halo)
            if any(halo)
            else partial(window_partition, size=size)
        )


class WindowReverse(_Movement):
    """Put windows back together as an image of `height` and `width`: WindowPartition's inverse.

    Shapes: [windows, h * w, C] -> [height, width, C], `size` is h and w
    FLOPs: 0
    Raises: when the windows do not fill the image
    """

    size: Window
    height: PositiveInt
    width: PositiveInt

    examples = (
        "f32[6, 16, 3] -> WindowReverse(4, 8, 12) -> f32[8, 12, 3]",
        "f32[4, 24, 3] -> WindowReverse([8, 3], height=8, width=12) -> f32[8, 12, 3]",
    )
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """[windows, h * w, C] -> [height, width, C]."""
        require_rank(x, 3, self, "[windows, values, C]")
        size = per_axis(self.size, 2, "size")
        count = _windows((self.height, self.width), size)
        use(x.shape[0], x.shape[1])
        if not (always_equal(x.shape[0], count) and always_equal(x.shape[1], prod(size))):
            raise Mistake(
                f"{show(x.shape)} does not fill {self.height} x {self.width}",
                kind="shape",
                label=f"that takes {count} windows of {prod(size)} values",
            )
        return x.with_shape((self.height, self.width, x.shape[2]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value sees one place, which row and column stand for."""
        return ((*(Along((0, 1), straight=False),) * 2, Along((2,))),)

    def lower(self, x: TensorType) -> "Callable[..., Tensor]":
        """As WindowPartition, backwards."""
        size = per_axis(self.size, 2, "size")
        return partial(window_reverse, size=size, columns=self.width // size[1])


LARGEST_HALF = 65504
"""The largest number that f16 holds."""


def pad_within(x: "Tensor", *, pad: tuple[int, ...], value: float) -> "Tensor":
    """`functional.pad`, with the number of the tensor's dtype that is nearest to the value: PyTorch refuses to pad f16 by 1e5."""
    import torch
    from torch.nn import functional

    if x.is_floating_point():
        info = torch.finfo(x.dtype)
        value = min(max(value, info.min), info.max)
    return functional.pad(x, pad, value=value)


_VERB = {"reflect": "mirror", "circular": "wrap"}
_PADS = {
    "constant": "Constant",
    "reflect": "Reflection",
    "replicate": "Replication",
    "circular": "Circular",
}


def reshape(
    x: "Tensor",
    *,
    shape: tuple[int, ...],
    batched: bool,
    like: tuple[tuple[int, int], ...] = (),
    left_out: tuple[int, int] | None = None,
) -> "Tensor":
    """The values in another shape behind the batch; `like` pairs places in it with axes of x of that size.

    `left_out` is the place whose size follows from the others, and how many axes x has behind the batch. PyTorch
    cannot work that size out where the batch is empty.
    """
    sizes = list(shape)
    for position, axis in like:
        sizes[position] = x.shape[axis]
    if left_out is not None:
        place, axes = left_out
        sizes[place] = 1
        sizes[place] = prod(x.shape[axis] for axis in range(-axes, 0)) // prod(sizes)
    return x.reshape((x.shape[0], *sizes) if batched else sizes)


def take(x: "Tensor", *, at: tuple[int | Slice, ...]) -> "Tensor":
    """`x[at]`, slices given as [start, stop, step]. Raises ValueError when nothing is left."""
    return _left_of(x, x[tuple(place if isinstance(place, int) else slice(*place) for place in at)])


def _left_of(x: "Tensor", part: "Tensor") -> "Tensor":
    """A part of a tensor; ValueError when it is empty, as it may be at other sizes than the declared."""
    if not part.numel() and x.numel():
        raise ValueError(f"nothing is left of {show(x.shape)}, of which a part is taken")
    return part


def pad_behind_batch(x: "Tensor", *, pad: tuple[int, ...], mode: str) -> "Tensor":
    """`functional.pad` of all axes but the first, which is the batch."""
    from torch.nn import functional

    return functional.pad(x.unsqueeze(1), pad, mode).squeeze(1)


def crop(x: "Tensor", *, sizes: tuple[int, ...]) -> "Tensor":
    """The centre of the last axes."""
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x


def window_partition(x: "Tensor", *, size: tuple[int, ...], halo: tuple[int, ...] = (0, 0)) -> "Tensor":
    """[*, H, W, C] -> [*, windows, (h + 2 * halo) * (w + 2 * halo), C]."""
    from torch import unflatten
    from torch.nn import functional

    if any(halo):
        x = functional.pad(x, (0, 0, halo[1], halo[1], halo[0], halo[0]))
        for inner, outer in zip(size, halo, strict=True):
            x = x.unfold(
                -3, inner + 2 * outer, inner
            )  # rows, then columns: each puts the places in windows behind all
        tiles = x.movedim(-3, -1)  # [*, H / h, W / w, h + 2 * halo, w + 2 * halo, C]
    else:
        tiles = unflatten(unflatten(x, -3, (-1, size[0])), -2, (-1, size[1])).transpose(-4, -3)
    return tiles.flatten(-3, -2).flatten(-4, -3)


def window_reverse(x: "Tensor", *, size: tuple[int, ...], columns: int) -> "Tensor":
    """[*, windows, h * w, C] -> [*, H, W, C], with so many windows side by side."""
    from torch import unflatten

    tiles = unflatten(unflatten(x, -2, size), -4, (-1, columns))  # [*, H / h, W / w, h, w, C]
    return tiles.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)


def regrouped(have: Shape, want: Shape) -> Reach:
    """What values see of a tensor in another shape: axes stand for each other where their products agree.

    [8, 4, 4] as [2, 4, 16] falls into groups: 8 as 2 x 4, and 4 x 4 as 16.
    """
    left = [(axis, prod(have[: axis + 1])) for axis, size in enumerate(have) if size != 1]
    right = [(axis, prod(want[: axis + 1])) for axis, size in enumerate(want) if size != 1]
    shared = {end for _, end in left} & {end for _, end in right}
    groups = [tuple(axis for axis, _ in group) for group in _cut(right, shared)]
    seen = [Along((), Slide.at(0))] * len(have)
    for inner, outer in zip(_cut(left, shared), groups, strict=True):
        for axis, _ in inner:
            seen[axis] = Along(outer, straight=len(inner) == len(outer) == 1)
    return tuple(seen)


def _cut(ends: list[tuple[int, Size]], shared: set[Size]) -> list[list[tuple[int, Size]]]:
    """Axes, each with where it ends, in groups that end at shared places."""
    groups: list[list[tuple[int, Size]]] = [[]]
    for axis, end in ends:
        groups[-1].append((axis, end))
        if end in shared:
            groups.append([])
    return groups


def _without_common(have: Shape, want: Sequence[Size]) -> tuple[Size, Size]:
    """The numbers of values of two shapes, divided by the free sizes that stand in both."""
    left, right = list(have), list(want)
    for size in want:
        if isinstance(size, Free) and size in left:
            left.remove(size)
            right.remove(size)
    return prod(left), prod(right)


def _require_place(at: int, size: Size) -> None:
    wrong = f"there is no place {at} on an axis of {size}"
    require_least(size, -at if at < 0 else at + 1, wrong, help="the first is 0, the last -1")


def _places(at: Slice, size: Size) -> Size:
    """How many places a slice takes."""
    start, stop, step = at[0] or 0, at[1], at[2] or 1
    if step < 1 or at[2] == 0:
        raise Mistake(f"a step of {at[2]} is not positive", help="only steps forward can be taken")
    if isinstance(size, int):
        left = len(range(*slice(start, stop, step).indices(size)))
        count: Size = left
        if type(size) is Declared and start >= 0 and (stop is None or stop < 0) and step == 1 and left:
            count = size - start + (stop or 0)
        else:
            count = derived(left, size, how=f"places of {start}, {stop}, {step}")
    else:
        first, last = _bound(start, size), size if stop is None else _bound(stop, size)
        count = (last - first + step - 1) // step
    require_least(count, 1, f"nothing is left of an axis of {size}")
    return count


def _bound(at: int, size: Free) -> Size:
    """Where a bound of a slice lies on an axis of free size. Mistake when it may lie outside."""
    bound = at if at >= 0 else size + at
    if bound < 0 or size < bound:
        raise undecided(f"{bound} <= {size}")
    return bound


def _windows(sizes: Shape, size: tuple[int, ...]) -> Size:
    """How many windows fill an image."""
    if any(have % window for have, window in zip(sizes, size, strict=True)):
        raise Mistake(
            f"windows of {show(size)} do not fill {show(sizes)}",
            kind="shape",
            help="Pad to a multiple of the window first",
        )
    return prod(have // window for have, window in zip(sizes, size, strict=True))
