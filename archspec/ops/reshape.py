"""Reshaping: the same values in another arrangement."""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size
from archspec.ground.tensor import Shape, TensorType, show
from archspec.op import Movement, PositiveInt
from archspec.op.calling import arguments
from archspec.op.dependence import Along, Reach, Slide
from archspec.op.run_time import Terms, computed, plan

if TYPE_CHECKING:
    from torch import Tensor, nn


class Flatten(Movement):
    """Merge the axes from `start` to `end`, both included, into one.

    Shapes: [*A, n, ..., m, *B] -> [*A, n * ... * m, *B]
    FLOPs: 0
    Raises: when there are no such axes, or `start` comes after `end`
    """

    start: int = 0
    end: int = -1

    pytorch = arguments(start_dim="start", end_dim="end")

    examples = (
        "f32[8, 4, 4] -> Flatten -> f32[128]",
        "f32[8, 4, 5] -> Flatten(start=1) -> f32[8, 20]",
        "i64[2, 3, 4, 5] -> Flatten(start=-3, end=2) -> i64[2, 12, 5]",
        "f32[7] -> Flatten -> f32[7]",
    )
    without_batch = True
    view = True
    needs_order = True

    def infer(self, x: TensorType) -> TensorType:
        """[*A, n, ..., m, *B] -> [*A, n * ... * m, *B]."""
        start, end = x.axis(self.start), x.axis(self.end)
        if start > end:
            raise Mistake(f"`start` (axis {start}) comes after `end` (axis {end})", codes.ARGUMENT)
        return x.with_shape((*x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on one value; merged axes correspond to the one axis."""
        return (regrouped(x.shape, self.infer(x).shape),)

    def lower(self, x: TensorType) -> "nn.Module":
        """`nn.Flatten`."""
        from torch import nn

        return nn.Flatten(x.axis(self.start) - x.rank, x.axis(self.end) - x.rank)


class Reshape(Movement):
    """Change the shape, keeping values in row-major order; one size may be -1, to be inferred.

    Sizes may be free; what no axis of the tensor shows is read from `sizes_of`.

    Shapes: [*S] -> shape
    FLOPs: 0
    Raises: when the number of values differs, and when a free size is shown by neither tensor
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
    sized_by = ("sizes_of",)

    def infer(self, x: TensorType, *, sizes_of: TensorType | None = None) -> TensorType:
        """[*S] -> shape."""
        given = [size for size in self.shape if size != -1]
        if len(given) < len(self.shape) - 1:
            raise Mistake("only one size of `shape` may be -1", codes.RESHAPE)
        have, want = _without_common(x.shape, given)
        exact = len(given) == len(self.shape)
        if not (always_equal(have, want) if exact else always_equal(have % want, 0)):
            raise Mistake(
                f"cannot reshape {show(x.shape)} to {show(self.shape)}",
                codes.RESHAPE,
                label=f"{prod(x.shape)} values do not fill {show(self.shape)}",
            )
        self._read(x, sizes_of)
        if exact:
            use(*x.shape)
        return x.with_shape([have // want if size == -1 else size for size in self.shape])

    def sizes_read(self, x: TensorType) -> tuple[Free, ...]:
        """The sizes that are free, but the one that is inferred."""
        left_out, _ = self._places(x)
        return tuple(
            size for place, size in enumerate(self.shape) if isinstance(size, Free) and place != left_out
        )

    def reach(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on one value; axes correspond in groups of equal product."""
        seen = regrouped(x.shape, self.infer(x, sizes_of=sizes_of).shape)
        return (seen,) if sizes_of is None else (seen, None)

    def lower(self, x: TensorType, *, sizes_of: TensorType | None = None) -> "Callable[..., Tensor]":
        """`reshape`, which reads free sizes from the axes that have them, and infers the one left out."""
        left_out, same, planned = self._read(x, sizes_of)
        sizes = tuple(
            -1 if place == left_out else size if isinstance(size, int) else 1
            for place, size in enumerate(self.shape)
        )
        settings: dict[str, Any] = {"same": same} if same else {}
        if planned:
            settings["planned"] = planned
        if left_out is not None:
            settings["left_out"] = (left_out, x.rank)
        return partial(reshape, shape=sizes, batched=x.batched, **settings)

    def _places(self, x: TensorType) -> tuple[int | None, list[int]]:
        """The axis whose size is inferred from all others, and the others of free size."""
        free = [place for place, size in enumerate(self.shape) if isinstance(size, Free)]
        unread = [place for place in free if self.shape[place] not in x.shape]
        left_out = self.shape.index(-1) if -1 in self.shape else next(iter(unread or free), None)
        return left_out, [place for place in free if place != left_out]

    def _read(
        self, x: TensorType, sizes_of: TensorType | None
    ) -> "tuple[int | None, tuple[tuple[int, int], ...], tuple[tuple[int, int | Terms], ...]]":
        """The axis whose size is inferred, pairs of a new axis and an old one of its size, and new ones with how theirs is computed."""
        left_out, free = self._places(x)
        same = tuple(
            (place, x.shape.index(self.shape[place]) - x.rank)
            for place in free
            if self.shape[place] in x.shape
        )
        others = [place for place in free if self.shape[place] not in x.shape]
        return left_out, same, tuple((place, plan(self.shape[place], x, sizes_of)) for place in others)


class Permute(Movement):
    """Reorder the axes: axis i of the output is axis `axes[i]` of the input.

    Shapes: [*S] -> [S[axes[0]], S[axes[1]], ...]
    FLOPs: 0
    Raises: when `axes` does not name every axis once
    """

    axes: tuple[int, ...]

    pytorch = arguments(dims="axes")

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
        """Each value depends on the one in its place."""
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
                f"{list(self.axes)} does not name every axis of {show(x.shape)} exactly once",
                codes.AXES,
                help="the batch is not counted: it stays in front",
            )
        return order


class Roll(Movement):
    """Shift along axes; values that leave at one end re-enter at the other.

    Shifts may be free sizes; what no axis of the tensor shows is read from `sizes_of`.

    Shapes: [*S] -> [*S]
    FLOPs: 0
    Raises: when `shift` and `axes` differ in length
    """

    shift: tuple[int | Free, ...]
    axes: tuple[int, ...]

    pytorch = arguments(shifts="shift", dims="axes")

    examples = (
        "f32[8, 8, 3] -> Roll([-2, -2], [0, 1]) -> f32[8, 8, 3]",
        "i64[5] -> Roll([1], axes=[-1]) -> i64[5]",
    )
    without_batch = True
    sized_by = ("sizes_of",)

    def infer(self, x: TensorType, *, sizes_of: TensorType | None = None) -> TensorType:
        """[*S] -> [*S]."""
        if len(self.shift) != len(self.axes) or not self.axes:
            raise Mistake(
                f"`shift` has {len(self.shift)} numbers, but `axes` has {len(self.axes)}", codes.AXES
            )
        for axis in self.axes:
            x.axis(axis)
        self._planned(x, sizes_of)
        return x

    def sizes_read(self, x: TensorType) -> tuple[Free, ...]:
        """The shifts that are free."""
        return tuple(shift for shift in self.shift if isinstance(shift, Free))

    def reach(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one that was shifted there; near the ends, its neighbours came from the other end."""
        moved: list[Size] = [0] * x.rank
        for shift, axis in zip(self.shift, self.axes, strict=True):
            moved[x.axis(axis)] += shift
        seen = []
        for axis, (shift, size) in enumerate(zip(moved, x.shape, strict=True)):
            if isinstance(shift, Free):
                seen.append(Along((axis,), None, straight=False))
                continue
            if isinstance(size, int):
                shift = (shift + size // 2) % size - size // 2  # the shorter way around
            seen.append(Along((axis,), Slide.window(1, 1, shift), mixed=shift != 0))
        return (tuple(seen),) if sizes_of is None else (tuple(seen), None)

    def lower(self, x: TensorType, *, sizes_of: TensorType | None = None) -> "Callable[..., Tensor]":
        """`torch.roll`."""
        import torch

        planned, dims = self._planned(x, sizes_of), tuple(x.axis(axis) - x.rank for axis in self.axes)
        shifts = tuple(shift for shift in planned if isinstance(shift, int))
        if len(shifts) < len(planned):
            return partial(roll_by_sizes, shifts=planned, dims=dims)
        return partial(torch.roll, shifts=shifts, dims=dims)

    def _planned(self, x: TensorType, sizes_of: TensorType | None) -> "tuple[int | Terms, ...]":
        """The shifts, the free ones as they are computed at run time."""
        return tuple(plan(shift, x, sizes_of) for shift in self.shift)


def reshape(
    x: "Tensor",
    *,
    shape: tuple[int, ...],
    batched: bool,
    same: tuple[tuple[int, int], ...] = (),
    planned: "tuple[tuple[int, int | Terms], ...]" = (),
    left_out: tuple[int, int] | None = None,
    sizes_of: "Tensor | None" = None,
) -> "Tensor":
    """The values in another shape behind the batch; `same` pairs places in it with axes of x of that size.

    `planned` are places with sizes that are sums of products of those of x and `sizes_of`.

    `left_out` is the place whose size follows from the others, and how many axes x has behind the batch. PyTorch
    cannot work that size out where the batch is empty.
    """
    sizes = list(shape)
    for position, axis in same:
        sizes[position] = x.shape[axis]
    for position, size in planned:
        sizes[position] = computed(size, x, sizes_of)
    if left_out is not None:
        place, axes = left_out
        given = left = 1
        for size in sizes[:place] + sizes[place + 1 :]:  # in a form that torch.compile follows
            given *= size
        for axis in range(-axes, 0):
            left *= x.shape[axis]
        sizes[place] = left // given
    return x.reshape((x.shape[0], *sizes) if batched else sizes)


def roll_by_sizes(
    x: "Tensor", *, shifts: "tuple[int | Terms, ...]", dims: tuple[int, ...], sizes_of: "Tensor | None" = None
) -> "Tensor":
    """`torch.roll` by shifts of which some are computed from sizes."""
    import torch

    return torch.roll(x, tuple([computed(shift, x, sizes_of) for shift in shifts]), dims)


def regrouped(have: Shape, want: Shape) -> Reach:
    """How values depend on a tensor of another shape: groups of axes correspond where their products agree.

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
