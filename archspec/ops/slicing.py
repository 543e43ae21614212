"""Slicing: a part of a tensor."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from archspec.ground import codes
from archspec.ground.bounds import require_least
from archspec.ground.declared import Declared, derived, use
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size
from archspec.ground.tensor import TensorType, show
from archspec.op import Movement
from archspec.op.dependence import POINT, WHOLE, Along, Reach, Slide
from archspec.op.run_time import Terms, computed, plan
from archspec.op.window import Window

if TYPE_CHECKING:
    from torch import Tensor


Bound = int | Free | None
Slice = tuple[Bound, Bound, int | None]


class Index(Movement):
    """Take a part of each axis, as `x[0]`, `x[1:]` and `x[:, ::2]` do; axes without an index are kept whole.

    Slices may begin and end at free sizes, `table[:x.shape[0]]`; what no axis of the tensor shows is read from `sizes_of`.

    Shapes: [n, *S] -> [*S] for a number; [(stop - start) / step rounded up, *S] for [start, stop, step]
    FLOPs: 0
    Raises: when an index is out of range, a slice is empty, a step is not positive, or a free size is shown by neither tensor
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
    sized_by = ("sizes_of",)

    def infer(self, x: TensorType, *, sizes_of: TensorType | None = None) -> TensorType:
        """The shape of the selected part."""
        if len(self.at) > x.rank:
            raise Mistake(
                f"{len(self.at)} indices are too many for {show(x.shape)}",
                codes.AXIS,
                help="the batch is not counted",
            )
        sizes: list[Size] = []
        for size, at in zip(x.shape, self.at, strict=False):
            if isinstance(at, int):
                _require_place(at, size)
            else:
                sizes.append(_places(at, size))
            # An index from the front is that of the last value for this size only; a longer axis would leave a rest.
            last = at if isinstance(at, int) else at[1]
            ends = last if isinstance(at, int) or not isinstance(last, int) else last - 1
            if isinstance(size, int) and isinstance(ends, int) and ends == size - 1:
                use(size)
        self._planned(x, sizes_of)
        return x.with_shape((*sizes, *x.shape[len(self.at) :]))

    def sizes_read(self, x: TensorType) -> tuple[Free, ...]:
        """The bounds that depend on free sizes."""
        return tuple(self._free(x))

    def reach(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one that it is a copy of, and on none of `sizes_of`."""
        seen, kept = [], 0
        for size, at in zip(x.shape, (*self.at, *((None, None, None),) * x.rank), strict=False):
            if isinstance(at, int):
                place = at + size if at < 0 else at
                seen.append(Along((), Slide.at(place)) if isinstance(place, int) else WHOLE)
                continue
            start, step = at[0], at[2] or 1
            if isinstance(start, Free):
                seen.append(Along((kept,), None, straight=False))
                kept += 1
                continue
            start = start or 0
            if isinstance(size, int):
                start = slice(start, None, step).indices(size)[0]
            straight = start >= 0  # the end of a free size is not known
            seen.append(Along((kept,), Slide.window(1, step, -start), straight))
            kept += 1
        return (tuple(seen),) if sizes_of is None else (tuple(seen), None)

    def lower(self, x: TensorType, *, sizes_of: TensorType | None = None) -> "Callable[..., Tensor]":
        """Indexing, behind the batch if there is one; to places that are computed from sizes, if any are free."""
        at = self._planned(x, sizes_of)
        return partial(take, at=((None, None, None), *at) if x.batched else at)

    def _free(self, x: TensorType) -> Iterator[Free]:
        """The bounds that depend on free sizes, counted from the front."""
        for size, at in zip(x.shape, self.at, strict=False):
            for bound in () if isinstance(at, int) else at[:2]:
                if isinstance(bound, Free) and isinstance(place := _bound(bound, size), Free):
                    yield place

    def _planned(self, x: TensorType, sizes_of: TensorType | None) -> "tuple[int | Planned, ...]":
        """The places, the free ones as they are computed at run time."""

        def planned(bound: Bound, size: Size) -> "int | Terms | None":
            return plan(_bound(bound, size), x, sizes_of) if isinstance(bound, Free) else bound

        return tuple(
            at if isinstance(at, int) else (planned(at[0], size), planned(at[1], size), at[2])
            for size, at in zip(x.shape, self.at, strict=False)
        )


class Crop(Movement):
    """Crop the last axes to their centre; an odd remainder is cropped at the end: to a size, or to that of a tensor `like`.

    One number is for all axes but the first, and so is `like`, which may have free sizes.

    Shapes: [*A, ...] -> [*A, *size], or [C, *T] for `like` [D, *T]
    FLOPs: 0
    Raises: when an axis is smaller than that, when `like` has another number of axes, and unless exactly one of both is given
    """

    size: Window | None = None

    positional = ("size",)

    examples = (
        "f32[3, 8, 8] -> Crop(5) -> f32[3, 5, 5]",
        "f32[3, 8, 8] -> Crop([4, 8]) -> f32[3, 4, 8]",
        "f32[3, 8, 8] -> Crop([4]) -> f32[3, 8, 4]",
        "f32[3, 8, 9] -> Crop(like=i64[2, 5, 9]) -> f32[3, 5, 9]",
    )
    without_batch = True
    view = True
    sized_by = ("like",)

    def infer(self, x: TensorType, *, like: TensorType | None = None) -> TensorType:
        """[*A, ...] -> [*A, *size]."""
        sizes = self._sizes(x, like)
        kept = x.rank - len(sizes)
        wrong = f"cannot crop {show(x.shape)} to {show(sizes)}"
        if not sizes or kept < 0:
            raise Mistake(wrong, codes.TOO_SMALL)
        for have, size in zip(x.shape[kept:], sizes, strict=True):
            require_least(have - size, 0, wrong)
        return x.with_shape((*x.shape[:kept], *sizes))

    def reach(self, x: TensorType, *, like: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, moved, and on none of `like`."""
        seen = []
        for axis, (have, size) in enumerate(zip(x.shape, self.infer(x, like=like).shape, strict=True)):
            known = isinstance(have, int) and isinstance(size, int)
            before = (have - size) // 2 if known or have == size else 0
            slide = Slide.window(1, 1, -before) if isinstance(before, int) else POINT
            seen.append(Along((axis,), slide, known or have == size))
        return (tuple(seen),) if like is None else (tuple(seen), None)

    def lower(self, x: TensorType, *, like: TensorType | None = None) -> "Callable[..., Tensor]":
        """A part of each axis, around its centre at run time."""
        if like is not None:
            return partial(crop_like, axes=x.rank - 1)
        return partial(crop, sizes=self._known(x))

    def _sizes(self, x: TensorType, like: TensorType | None) -> tuple[Size, ...]:
        if (self.size is None) == (like is None):
            raise Mistake(
                "Crop takes either a size or a tensor that has it",
                codes.EXCLUSIVE,
                help="write `x -> Crop([4, 4])` or `x -> Crop(like=y)`",
            )
        if like is not None:
            if like.rank != x.rank:
                raise Mistake(
                    f"Crop takes a tensor `like` with {x.rank} axes, as {show(x.shape)} has, not {show(like.shape)}",
                    codes.RANK,
                )
            return like.shape[1:]
        return self._known(x)

    def _known(self, x: TensorType) -> tuple[int, ...]:
        return (self.size,) * max(x.rank - 1, 0) if isinstance(self.size, int) else self.size or ()


Planned = tuple[int | Terms | None, int | Terms | None, int | None]


def take(x: "Tensor", *, at: tuple[int | Planned, ...], sizes_of: "Tensor | None" = None) -> "Tensor":
    """`x[at]`, slices given as [start, stop, step]. Raises ValueError when nothing is left."""
    places: list[int | slice] = []
    for place in at:
        if isinstance(place, int):
            places.append(place)
            continue
        start, stop = [None if end is None else computed(end, x, sizes_of) for end in place[:2]]
        places.append(slice(start, stop, place[2]))
    return _left_of(x, x[tuple(places)])


def _left_of(x: "Tensor", part: "Tensor") -> "Tensor":
    """A part of a tensor; ValueError if it is empty, as it may be at other sizes than the declared ones."""
    if not part.numel() and x.numel():
        raise ValueError(f"a slice of {show(x.shape)} is empty")
    return part


def crop_like(x: "Tensor", *, like: "Tensor", axes: int) -> "Tensor":
    """The centre of the last axes, as large as those of another tensor."""
    return crop(x, sizes=tuple(like.shape[axis] for axis in range(-axes, 0)))


def crop(x: "Tensor", *, sizes: tuple[int, ...]) -> "Tensor":
    """The centre of the last axes."""
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x


def _require_place(at: int, size: Size) -> None:
    wrong = f"index {at} is out of range for an axis of size {size}"
    require_least(size, -at if at < 0 else at + 1, wrong, help="the first is 0, the last -1")


def _places(at: Slice, size: Size) -> Size:
    """How many values a slice selects."""
    start, stop, step = 0 if at[0] is None else at[0], at[1], at[2] or 1
    if step < 1 or at[2] == 0:
        raise Mistake(f"the step of a slice must be positive, not {at[2]}", codes.UNDEFINED)
    if isinstance(size, int) and isinstance(start, int) and not isinstance(stop, Free):
        left = len(range(*slice(start, stop, step).indices(size)))
        count: Size = left
        if (start, stop) in ((0, 1), (-1, None)):
            count = 1  # the first or the last place, which every axis has
        elif type(size) is Declared and start >= 0 and (stop is None or stop < 0) and step == 1 and left:
            count = size - start + (stop or 0)
        else:
            count = derived(left, size, how=f"places of {start}, {stop}, {step}")
    else:
        first, last = _bound(start, size), size if stop is None else _bound(stop, size)
        count = (last - first + step - 1) // step
    require_least(count, 1, f"the slice of an axis of size {size} is empty")
    return count


def _bound(at: int | Free, size: Size) -> Size:
    """The position of a slice's bound, on an axis of free size or of a free bound. Mistake if it may be out of range."""
    before = at >= 0  # asked of a free one, this is a Mistake where it is so for some sizes only
    require_least(size - (at if before else -at), 0, f"the slice goes beyond an axis of size {size}")
    return at if before else size + at
