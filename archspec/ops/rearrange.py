"""Axes by name: one tensor rearranged, and two multiplied and summed up."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Lowered, Movement, Op, PositiveInt
from archspec.op.axes import (
    MERGED,
    REST,
    Fitted,
    Term,
    fitted,
    flat,
    of_one,
    outline,
    parsed,
    plain,
    require_known,
    written_out,
)
from archspec.op.dependence import WHOLE, Along, Reach
from archspec.op.inputs import require_numbers
from archspec.op.run_time import computed

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = "Z"
_MOST_NAMES = 26  # small letters; a capital stands for the batch


class Rearrange(Movement):
    """Split, merge, reorder, repeat, add and drop axes, which have names [Rogozhnikov, 2022].

    Sizes may be free; what no axis of the tensor shows is read from `sizes_of`.

    Shapes: [*S] -> as `pattern` says: `(h p) w -> h w p`, with the sizes of names by name, `p=2`
    FLOPs: 0
    Raises: when the pattern does not fit the tensor, a size is not known, or a name is on one side only
    """

    pattern: str
    sizes: tuple[tuple[str, PositiveInt | Free], ...] = ()

    rest = "sizes"

    examples = (
        'f32[8, 4, 6] -> Rearrange("c h w -> (h w) c") -> f32[24, 8]',
        'f32[8, 4, 6] -> Rearrange("c h w -> h w c") -> f32[4, 6, 8]',
        'f32[4, 6, 3] -> Rearrange("(h p) (w q) c -> h w (p q c)", p=2, q=3) -> f32[2, 2, 18]',
        'f32[4, 6, 3] -> Rearrange("(h p) (w q) c -> (h w) (p q c)", h=2, w=2) -> f32[4, 18]',
        'f32[10, 24] -> Rearrange("n (three heads d) -> three heads n d", three=3, heads=2) -> f32[3, 2, 10, 4]',
        'i64[6] -> Rearrange("(a b) -> a b", a=2) -> i64[2, 3]',
        'f32[2, 3, 4, 5] -> Rearrange("... a b -> b (... a)") -> f32[5, 24]',
        'f32[2, 3, 4] -> Rearrange("a ... -> ... a") -> f32[3, 4, 2]',
        'f32[2, 3, 4] -> Rearrange("a b c -> (a b) c") -> f32[6, 4]',
        'f32[8] -> Rearrange("c -> n c 1", n=3) -> f32[3, 8, 1]',
        'f32[4, 3] -> Rearrange("h w -> (h p) (w 2)", p=3) -> f32[12, 6]',
        'f32[1, 5, 1] -> Rearrange("1 n () -> n") -> f32[5]',
        'bool[3, 4] -> Rearrange("a b -> a b") -> bool[3, 4]',
        'f32[] -> Rearrange("-> 1 n", n=2) -> f32[1, 2]',
        'f32[1] -> Rearrange("1 -> n", n=2) -> f32[2]',
    )
    without_batch = True
    sized_by = ("sizes_of",)

    def _require_possible(self) -> None:
        super()._require_possible()
        pattern = of_one(self.pattern, self)
        require_known(pattern, self.sizes, "Rearrange", ("pattern",))
        for name in flat(pattern.taken[0]):
            if name not in flat(pattern.made) and not (name == REST and MERGED in flat(pattern.made)):
                raise Mistake(
                    f"the axis `{plain(name)}` is on the left only",
                    codes.PATTERN,
                    help="write it on the right, too; `Reduce` takes a mean, sum or extreme along it",
                )

    @property
    def view(self) -> bool:  # type: ignore[override]
        """Whether nothing is merged that is not side by side in memory."""
        return not outline(self.pattern).copies

    @property
    def needs_order(self) -> bool:  # type: ignore[override]
        """Whether it merges axes last: neighbours, or others, which may lie side by side as well, as after attention."""
        steps = outline(self.pattern)
        return steps.copies or (steps.merge is not None and steps.split is None and steps.order is None)

    def infer(self, x: TensorType, *, sizes_of: TensorType | None = None) -> TensorType:
        """[*S] -> as the pattern says."""
        return x.with_shape(self._fitted(x, sizes_of).shape)

    def sizes_read(self, x: TensorType) -> tuple[Free, ...]:
        """The sizes that are free."""
        return tuple(size for _, size in self.sizes if isinstance(size, Free))

    def reach(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on one value; axes correspond by their names."""
        seen = self._fitted(x, sizes_of).reach()
        return (seen,) if sizes_of is None else (seen, None)

    def lower(self, x: TensorType, *, sizes_of: TensorType | None = None) -> Lowered:
        """`torch.permute`, or `rearranged`."""
        return rearranging(self._fitted(x, sizes_of), x)

    def _fitted(self, x: TensorType, sizes_of: TensorType | None) -> Fitted:
        return fitted(parsed(self.pattern), x, self.sizes, sizes_of)


class Einsum(Op):
    """The products of two tensors, summed up along the axes that the result has not, all by name [Rogozhnikov, 2022].

    Shapes: [*S], [*T] -> as `pattern` says: `i d, j d -> i j`
    MACs:   1 for each combination of places along axes of both, if one of these is summed up; else none
    FLOPs:  2 MACs, or 1 per product; n - m where one tensor alone is first summed up from n values to m
    Raises: when the pattern does not fit the tensors, and when dtypes differ or are bool
    """

    pattern: str

    examples = (
        '(f32[4, 8], f32[5, 8]) -> Einsum("i d, j d -> i j") -> f32[4, 5]',
        '(f32[3, 4, 8], f32[3, 5, 8]) -> Einsum("h i d, h j d -> h i j") -> f32[3, 4, 5]',
        '(f32[4, 3, 8], f32[5, 3, 8]) -> Einsum("i h d, j h d -> h i j") -> f32[3, 4, 5]',
        '(f32[3, 4, 5], f32[5, 3, 8]) -> Einsum("h i j, j h d -> i h d") -> f32[4, 3, 8]',
        '(f32[4], f32[5]) -> Einsum("i, j -> i j") -> f32[4, 5]',
        '(f32[4, 5], f32[5]) -> Einsum("i j, j -> j i") -> f32[5, 4]',
        '(f32[4, 6], f32[6, 5, 2]) -> Einsum("i k, k j r -> j") -> f32[5]',
        '(f32[2, 3, 4], f32[2, 3, 5]) -> Einsum("... i, ... j -> ... i j") -> f32[2, 3, 4, 5]',
        '(f32[7], f32[7]) -> Einsum("n, n ->") -> f32[]',
    )
    without_batch = True
    autocasts = True

    def _require_possible(self) -> None:
        super()._require_possible()
        pattern = parsed(self.pattern)
        if len(pattern.taken) != 2:
            raise Mistake(
                f'the pattern "{self.pattern}" takes {len(pattern.taken)} tensor{"s" * (len(pattern.taken) != 1)}, and Einsum two',
                codes.PATTERN,
                help="of one, Reduce sums up; of more, multiply two first: the order decides what it costs",
            )
        for side in (*pattern.taken, pattern.made):
            if any(len(group) != 1 for group in side) or MERGED in flat(side) or pattern.numbers:
                raise Mistake(
                    f'the pattern "{self.pattern}" has an axis that is no name',
                    codes.PATTERN,
                    help="Einsum only names axes: split, merge, add and drop them with Rearrange",
                )
        for name in flat(pattern.made):
            if not any(name in flat(side) for side in pattern.taken):
                raise Mistake(
                    f"the axis `{name}` is on the right only",
                    codes.PATTERN,
                    help="Rearrange repeats a tensor along a new axis",
                )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """[*S], [*T] -> as the pattern says."""
        require_numbers(a, self)
        if a.dtype != b.dtype:
            raise Mistake(
                f"Einsum takes tensors of the same dtype, not {a.dtype} and {b.dtype}", codes.DTYPES
            )
        if not a.floating and a.dtype != "i64":
            raise Mistake(
                f"Einsum takes real numbers or i64, not {a.dtype}",
                codes.DTYPE,
                help='`-> Cast("i64")` first',
            )
        names, sizes = self._names(a, b), self._sizes(a, b)
        return replace(a, shape=tuple(sizes[name] for name in names[2]), batched=a.batched or b.batched)

    def macs(self, a: TensorType, b: TensorType) -> int:
        """1 for each combination of places along the axes that are left of both, if some are summed up."""
        left, right, _ = self._names(a, b)
        sizes, shared, gone = self._sizes(a, b), set(left) & set(right), self._alone(a, b)
        if not shared - set(self._names(a, b)[2]):
            return 0
        return fixed(prod(sizes[name] for name in {*left, *right} - gone), "the number of products")

    def flops(self, a: TensorType, b: TensorType) -> int:
        """Twice the multiply-adds, or the products; and the sums of one tensor alone."""
        sizes = self._sizes(a, b)
        alone = sum(
            x.values
            - fixed(prod(sizes[name] for name in side if name not in self._alone(a, b)), "the number of sums")
            for x, side in zip((a, b), self._names(a, b)[:2], strict=True)
        )
        return (2 * self.macs(a, b) or self.infer(a, b).values) + alone

    def saved(self, a: TensorType, b: TensorType) -> tuple[str | TensorType, ...]:
        """Both tensors, or what is made of them: sums, and copies whose axes stand as in a product of matrices."""
        left, right, made = self._names(a, b)
        gone, sizes = self._alone(a, b), self._sizes(a, b)
        product = any(sizes[axis] != 1 for axis in {*left} & {*right} - {*made})
        left, right = ((_BATCH,) * x.batched + names for x, names in ((a, left), (b, right)))
        made = (_BATCH, *made)
        kept: list[str | TensorType] = []
        for name, x, own, other in (("a", a, left, right), ("b", b, right, left)):
            side = tuple(axis for axis in own if axis not in gone)
            # torch.einsum brings the axes of each into three groups, each in the order of the result.
            groups = (
                [axis for axis in made if axis in side and axis in other],
                [axis for axis in made if axis in side and axis not in other],
                [axis for axis in left if axis in side and axis in other and axis not in made],
            )
            inner = [axis for axis in side if axis == _BATCH or sizes[axis] != 1]
            changed = side != own or (product and not all(_side_by_side(group, inner) for group in groups))
            kept.append(x.with_shape([sizes[axis] for axis in side if axis != _BATCH]) if changed else name)
        return tuple(kept)

    def reach(self, a: TensorType, b: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the places of its names, and on the whole of axes that are summed up."""
        left, right, made = self._names(a, b)
        places = {name: place for place, name in enumerate(made)}
        return tuple(
            tuple(Along((places[name],)) if name in places else WHOLE for name in side)
            for side in (left, right)
        )

    def lower(self, a: TensorType, b: TensorType) -> Lowered:
        """`torch.einsum`, each name a letter."""
        sides = self._names(a, b)
        letters = {name: chr(ord("a") + i) for i, name in enumerate(dict.fromkeys((*sides[0], *sides[1])))}
        batched = (a.batched, b.batched, a.batched or b.batched)
        left, right, made = (
            _BATCH * batch + "".join(letters[name] for name in side)
            for side, batch in zip(sides, batched, strict=True)
        )
        return partial(multiplied, equation=f"{left},{right}->{made}")

    def _names(self, a: TensorType, b: TensorType) -> tuple[tuple[str, ...], ...]:
        """The names of the axes of both, and of the result. Mistake where `...` stands for different ones."""
        pattern = parsed(self.pattern)
        left, right = (flat(written_out(side, x)) for side, x in zip(pattern.taken, (a, b), strict=True))
        rests = [tuple(n for n in names if n.startswith(REST)) for names in (left, right)]
        used = [rest for rest, side in zip(rests, pattern.taken, strict=True) if (REST,) in side]
        if len(set(used)) > 1:
            raise Mistake(
                f"`...` stands for {len(used[0])} axes of the one tensor and {len(used[1])} of the other",
                codes.PATTERN,
                label=f"of {show(a.shape)} and {show(b.shape)}",
            )
        made = tuple(n for (name,) in pattern.made for n in (used[0] if name == REST else (name,)))
        if len({*left, *right}) > _MOST_NAMES:
            raise Mistake(f"Einsum takes at most {_MOST_NAMES} axes", codes.PATTERN)
        return left, right, made

    def _sizes(self, a: TensorType, b: TensorType) -> dict[str, Size]:
        """The size of each name. Mistake where both tensors have it in different ones."""
        left, right, _ = self._names(a, b)
        sizes = dict(zip(left, a.shape, strict=True))
        for name, size in zip(right, b.shape, strict=True):
            if name in sizes:
                if not always_equal(sizes[name], size):
                    raise Mistake(
                        f"the axis `{name}` has {sizes[name]} places in the one tensor and {size} in the other",
                        codes.PATTERN,
                        label=f"of {show(a.shape)} and {show(b.shape)}",
                    )
                use_unless_same(sizes[name], size)
            sizes[name] = size
        return sizes

    def _alone(self, a: TensorType, b: TensorType) -> set[str]:
        """The names that only one of both has, and the result has not."""
        left, right, made = self._names(a, b)
        return (set(left) ^ set(right)) - set(made)


def rearranging(found: Fitted, x: TensorType, *, reduce: str = "") -> Lowered:
    """What rearranges a tensor as a pattern says; axes that are gone are reduced by a function of torch."""
    import torch

    steps = found.steps()
    axes = x.rank if steps.split is None else len(steps.split)
    order = steps.order and (*range(x.offset), *(axis + x.offset for axis in steps.order))
    if not reduce and order and steps.split is None and not steps.new and steps.merge is None:
        return partial(torch.permute, dims=order)
    new = tuple((place + x.offset, term) for place, term in steps.new) or None
    given = {"split": steps.split, "order": order, "new": new, "merge": steps.merge}
    settings: dict[str, Any] = {n: _plain_terms(value) for n, value in given.items() if value is not None}
    if reduce:
        dims = tuple(axis - axes for axis in steps.gone)
        if not settings:
            return partial(getattr(torch, reduce), dim=dims)
        settings["reduce"], settings["dims"] = reduce, dims
    return partial(rearranged, batched=x.batched, **settings)


def rearranged(
    x: "Tensor",
    *,
    batched: bool,
    split: "tuple[Term, ...] | None" = None,
    reduce: str = "",
    dims: tuple[int, ...] = (),
    order: tuple[int, ...] | None = None,
    new: "tuple[tuple[int, Term], ...]" = (),
    merge: "tuple[Term, ...] | None" = None,
    sizes_of: "Tensor | None" = None,
) -> "Tensor":
    """A tensor reshaped to the sizes `split`, reduced along `dims`
    by a function of torch, permuted, repeated along `new` axes, and reshaped to `merge`.

    Each size is a number, axes of x, with what each is divided by, and sums of products of sizes of x and `sizes_of`.
    """
    import torch

    batch = x.shape[:1] if batched else ()
    result = x
    if split is not None:
        result = result.reshape((*batch, *(_size(x, sizes_of, term) for term in split)))
    if reduce:
        result = getattr(torch, reduce)(result, dim=dims)
    if order is not None:
        result = result.permute(order)
    for place, _ in new:
        result = result.unsqueeze(place)
    if new:
        sizes = [-1] * result.ndim
        for place, term in new:
            sizes[place] = _size(x, sizes_of, term)
        result = result.expand(sizes)
    if merge is not None:
        result = result.reshape((*batch, *(_size(x, sizes_of, term) for term in merge)))
    return result


def multiplied(a: "Tensor", b: "Tensor", *, equation: str) -> "Tensor":
    """`torch.einsum` of two tensors."""
    import torch

    return torch.einsum(equation, a, b)


def _size(x: "Tensor", sizes_of: "Tensor | None", term: "Term") -> int:
    """The size that a term says."""
    size, axes, free = term
    for axis, divisor in axes:  # in a form that torch.compile follows
        size *= x.shape[axis] // divisor
    for terms in free:
        size *= computed(terms, x, sizes_of)
    return size


def _plain_terms(value: Any) -> Any:
    """Named tuples as plain ones, which code generated by torch.fx can write."""
    return tuple(map(_plain_terms, value)) if isinstance(value, tuple) else value


def _side_by_side(group: Sequence[str], memory: Sequence[str]) -> bool:
    """Whether axes, those of size 1 left out, stand in memory as in the group."""
    there = [axis for axis in group if axis in memory]
    if not there:
        return True
    first = memory.index(there[0])
    return list(memory[first : first + len(there)]) == there
