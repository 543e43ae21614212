"""Operators that move values, and products of matrices, as ops."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.drafting import Draft, converts
from archspec.importing.elementwise import LEAST, fitted
from archspec.importing.values import Layout, Value, whole
from archspec.ops.arithmetic import Add
from archspec.ops.attention import Attention
from archspec.ops.casting import Cast, OneHot
from archspec.ops.gather import Gather
from archspec.ops.joining import Concat, Split, Stack
from archspec.ops.matmul import MatMul
from archspec.ops.padding import Pad
from archspec.ops.placing import Expand, Flip, TakeAlong
from archspec.ops.rearrange import Einsum
from archspec.ops.reduction import Reduce
from archspec.ops.reshape import Permute, Reshape, Roll
from archspec.ops.slicing import Index

_WHOLE = (None, None, None)


@converts(
    "aten.view", "aten.reshape", "aten.flatten", "aten.unflatten", "aten.unsqueeze", "aten.squeeze",
    "aten._unsafe_view", "aten.view_as", "aten.reshape_as", "aten.unsqueeze_",
)  # fmt: skip
def _(draft: Draft, node: Node, x: Any, *rest: Any, **options: Any) -> Any:
    value = draft.value(x)
    made = draft.layout(node.meta["val"].shape)
    _require_batch_first(value.layout, made)
    if made.ours == value.type.shape:
        return draft.alias(value, made)
    return draft.emit(Reshape(shape=made.ours), value)


def _require_batch_first(given: Layout, made: Layout) -> None:
    """Mistake if the batch, in the axis that it is merged with before or after, does not vary slowest."""
    if given.batch is None:
        return
    assert made.batch is not None
    ahead, behind = prod(given.shape[: given.batch]), prod(made.shape[: made.batch])
    if ahead != behind:
        raise Mistake("it merges the batch with an axis in front of it", codes.NOT_IMPORTED)


@converts("aten.expand", "aten.expand_as", "aten.broadcast_to")
def _(draft: Draft, node: Node, x: Any, *rest: Any, **options: Any) -> Any:
    value = draft.value(x)
    made = draft.layout(node.meta["val"].shape)
    (fit,) = fitted(draft, made, (value,))
    if fit.type.shape == made.ours:
        return draft.alias(fit, made)
    if made.held > 1 and value.layout.batch is None:
        raise Mistake("it repeats a tensor along an axis that holds the batch", codes.NOT_IMPORTED)
    return draft.emit(Expand(shape=made.ours), fit)


@converts("aten.repeat", "aten.tile")
def _(draft: Draft, node: Node, x: Any, times: Sequence[int]) -> Any:
    value = draft.value(x)
    made = draft.layout(node.meta["val"].shape)
    count = draft.capture.batch
    times = [*[1] * (made.rank - len(times)), *times]
    if value.layout.batch is None and value.layout.rank < made.rank:
        value = draft.emit(Reshape(shape=(*[1] * (made.rank - value.layout.rank), *value.type.shape)), value)
        value.layout = Layout(tuple(value.type.shape), None)
    (fit,) = fitted(draft, made, (value,)) if value.layout.batch is None else (value,)
    own = [n for axis, n in enumerate(times) if axis != made.batch or made.held > 1]
    own = [n // count if n % count == 0 else n for n in own]
    if all(n == 1 for n in own):
        return draft.alias(fit, made)
    for axis, n in enumerate(own):
        if n > 1:
            fit = draft.emit(Concat(axis=axis), *[fit] * n)
    return fit


@converts("aten.copy_")
def _(draft: Draft, node: Node, x: Any, y: Any, *rest: Any) -> Any:
    value = draft.value(y)
    made = draft.type_of(node)
    if value.type.dtype != made.dtype:
        value = draft.emit(Cast(dtype=made.dtype), value)
        value.layout = draft.value(y).layout
    layout = draft.layout(node.meta["val"].shape)
    (fit,) = fitted(draft, layout, (value,))
    return fit if fit.type.shape == layout.ours else draft.emit(Expand(shape=layout.ours), fit)


@converts("aten.fill_.Scalar", "aten.zero_")
def _(draft: Draft, node: Node, x: Any, number: Any = 0) -> Any:
    val = node.meta["val"]
    layout = draft.layout(val.shape)
    return draft.alias(draft.constant(torch.full(layout.ours, number, dtype=val.dtype), node), layout)


@converts("aten.permute", "aten.transpose", "aten.t", "aten.swapaxes", "aten.numpy_T", "aten.movedim")
def _(draft: Draft, node: Node, x: Any, *order: Any) -> Any:
    value = draft.value(x)
    rank = value.layout.rank
    name = str(node.target)
    if "permute" in name:
        axes = [axis % rank for axis in order[0]]
    elif "movedim" in name:
        raise Mistake("archspec has no op for `movedim`", codes.NOT_IMPORTED)
    else:
        a, b = (0, rank - 1) if not order else (order[0] % rank, order[1] % rank)
        axes = list(range(rank))
        axes[a], axes[b] = axes[b], axes[a]
    held = value.layout.held > 1
    kept = [axis for axis in axes if axis != value.layout.batch or held]
    before = sorted(kept)
    ours = tuple(before.index(axis) for axis in kept)
    made = draft.layout(node.meta["val"].shape)
    if ours == tuple(range(len(ours))):
        return draft.alias(value, made)
    return draft.emit(Permute(axes=ours), value)


@converts("aten.unbind")
def _(draft: Draft, node: Node, x: Any, axis: int = 0) -> Any:
    value = draft.value(x)
    along = value.axis(axis)
    count = value.type.shape[along]
    assert isinstance(count, int)
    return [draft.emit(Index(at=(*(_WHOLE,) * along, i)), value) for i in range(count)]


@converts("aten.select")
def _(draft: Draft, node: Node, x: Any, axis: int, at: int) -> Any:
    value = draft.value(x)
    along = value.axis(axis)
    return draft.emit(Index(at=(*(_WHOLE,) * along, at)), value)


@converts("aten.slice")
def _(
    draft: Draft,
    node: Node,
    x: Any,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    value = draft.value(x)
    if node.meta["val"].shape == value.layout.shape and step == 1:
        return value
    if not node.meta["val"].numel():
        return None  # which is left out where it is joined
    along = value.axis(axis)
    size = value.type.shape[along]
    assert isinstance(size, int)
    first = start or None
    last = None if end is None or end >= size else end
    part = (first, last, None if step == 1 else step)
    return draft.emit(Index(at=(*(_WHOLE,) * along, part)), value)


@converts("aten.narrow")
def _(draft: Draft, node: Node, x: Any, axis: int, start: int, length: int) -> Any:
    value = draft.value(x)
    along = value.axis(axis)
    return draft.emit(Index(at=(*(_WHOLE,) * along, (start or None, start + length, None))), value)


@converts("aten.split", "aten.chunk", "aten.split_with_sizes", "aten.tensor_split")
def _(draft: Draft, node: Node, x: Any, *rest: Any) -> Any:
    value = draft.value(x)
    axis = rest[1] if len(rest) > 1 else 0
    along = value.axis(axis)
    sizes = [val.shape[axis] for val in node.meta["val"]]
    if len(sizes) == 1:
        return [value]
    parts: Any = len(sizes) if len(set(sizes)) == 1 else tuple(sizes)
    return draft.emit(Split(parts=parts, axis=along), value)


@converts("aten.cat", "aten.concat")
def _(draft: Draft, node: Node, parts: Sequence[Node], axis: int = 0) -> Any:
    made = draft.layout(node.meta["val"].shape)
    along = made.axis(axis)
    values = [draft.value(part) for part in parts if part.meta["val"].numel()]
    if any(value.layout.batch != made.batch for value in values):
        values = list(fitted(draft, made, tuple(values)))
    return draft.emit(Concat(axis=along), *values) if len(values) > 1 else values[0]


@converts("aten.stack")
def _(draft: Draft, node: Node, parts: Sequence[Node], axis: int = 0) -> Any:
    made = draft.layout(node.meta["val"].shape)
    return draft.emit(Stack(axis=made.axis(axis)), *[draft.value(part) for part in parts])


@converts("aten.roll")
def _(draft: Draft, node: Node, x: Any, shift: Any, axes: Any) -> Any:
    value = draft.value(x)
    pairs = [(s, value.axis(a)) for s, a in zip(shift, axes, strict=True) if s]
    if not pairs:
        return value
    return draft.emit(Roll(shift=tuple(s for s, _ in pairs), axes=tuple(a for _, a in pairs)), value)


@converts("aten.flip")
def _(draft: Draft, node: Node, x: Any, axes: Any) -> Any:
    value = draft.value(x)
    return draft.emit(Flip(axes=tuple(value.axis(axis) for axis in axes)), value)


@converts("aten.pad", "aten.constant_pad_nd")
def _(
    draft: Draft, node: Node, x: Any, amounts: Sequence[int], mode: Any = "constant", number: Any = None
) -> Any:
    value = draft.value(x)
    pairs = [(amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)][::-1]
    while pairs and pairs[0] == (0, 0):
        pairs = pairs[1:]
    if not pairs:
        return value
    value.axis(value.layout.rank - len(pairs))
    sides = tuple(a if a == b else (a, b) for a, b in pairs)
    if number == float("-inf"):
        number = LEAST  # a pool takes it away again
    said = {"value": number} if number else {}
    return draft.emit(Pad(amounts=sides, mode=mode, **said), value)


@converts("aten.index")
def _(draft: Draft, node: Node, x: Any, indices: Sequence[Any]) -> Any:
    value = draft.value(x)
    used = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(used) != 1:
        raise Mistake("it indexes several axes at once", codes.NOT_IMPORTED)
    axis, index = used[0]
    along = value.axis(axis)
    places = draft.value(index)
    if places.layout.batch is not None and value.layout.batch is not None:
        raise Mistake("it takes other places of a tensor for each sample", codes.NOT_IMPORTED)
    numbers = draft.tensor(index)
    if numbers is not None and numbers.dim() == 1 and value.layout.batch is not None:
        runs = _runs(numbers)
        if len(runs) <= MOST_SLICES:
            return _taken(draft, value, runs, along)
    return _gathered(draft, value, places, along)


MOST_SLICES = 8


def _gathered(draft: Draft, value: Value, places: Value, along: int) -> Value:
    """Places of a tensor along an axis: those of a table, which has that axis in front."""
    rank, count = value.type.rank, places.type.rank
    if along:
        value = draft.emit(Permute(axes=(along, *(axis for axis in range(rank) if axis != along))), value)
    made: Value = draft.emit(Gather(), value, places)
    if along:
        before, behind = range(count, count + along), range(count + along, rank - 1 + count)
        made = draft.emit(Permute(axes=(*before, *range(count), *behind)), made)
    return made


def _runs(numbers: Tensor) -> list[tuple[int, int]]:
    """Places as runs of neighbours, [first, last)."""
    runs: list[tuple[int, int]] = []
    for number in numbers.tolist():
        if runs and number == runs[-1][1]:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _taken(draft: Draft, value: Value, runs: list[tuple[int, int]], along: int) -> Value:
    """Runs of places along an axis, as slices."""
    parts = [draft.emit(Index(at=(*(_WHOLE,) * along, (a, b, None))), value) for a, b in runs]
    made: Value = draft.emit(Concat(axis=along), *parts) if len(parts) > 1 else parts[0]
    return made


@converts("aten.index_select")
def _(draft: Draft, node: Node, x: Any, axis: int, index: Any) -> Any:
    value = draft.value(x)
    return _gathered(draft, value, draft.value(index), value.axis(axis))


@converts("aten.gather")
def _(draft: Draft, node: Node, x: Any, axis: int, index: Any, **rest: Any) -> Any:
    value = draft.value(x)
    return draft.emit(TakeAlong(axis=value.axis(axis)), value, draft.value(index))


@converts("aten.one_hot")
def _(draft: Draft, node: Node, x: Any, count: int = -1) -> Any:
    return draft.emit(OneHot(count=count), draft.value(x))


@converts("aten.repeat_interleave")
def _(draft: Draft, node: Node, x: Any, times: int, axis: int | None = None, **rest: Any) -> Any:
    value = draft.value(x)
    if axis is None or not isinstance(times, int):
        raise Mistake("it repeats by computed numbers", codes.NOT_IMPORTED)
    made = draft.layout(node.meta["val"].shape)
    if times == 1:
        return value
    if value.layout.batch == axis and value.layout.held == 1:
        wide = draft.emit(Reshape(shape=(1, *value.type.shape)), value)
        return draft.emit(Expand(shape=made.ours), wide)
    along = value.axis(axis)
    shape = list(whole(value.type))
    wide = draft.emit(Reshape(shape=(*shape[: along + 1], 1, *shape[along + 1 :])), value)
    spread = draft.emit(Expand(shape=(*shape[: along + 1], times, *shape[along + 1 :])), wide)
    return draft.emit(Reshape(shape=(*shape[:along], shape[along] * times, *shape[along + 1 :])), spread)


# ------------------------------------------------------------------ products


@converts("aten.matmul", "aten.bmm", "aten.mm", "aten.mv", "aten.dot", "aten.vdot")
def _(draft: Draft, node: Node, x: Any, y: Any) -> Any:
    a, b = draft.value(x), draft.value(y)
    return product(draft, node, a, b)


def product(draft: Draft, node: Node, a: Value, b: Value) -> Value:
    """The product of two tensors, as `torch.matmul` has it."""
    made = draft.layout(node.meta["val"].shape)
    for value in (a, b):
        batch = value.layout.batch
        if batch is not None and batch >= value.layout.rank - 2 and value.layout.rank > 2:
            raise Mistake("it multiplies along the batch", codes.NOT_IMPORTED)
    if made.batch is not None and made.batch < made.rank - 2:
        behind = made.rank - made.batch
        fit = []
        for value in (a, b):
            place = value.layout.rank - behind
            if value.layout.batch is None and place >= 0 and made.held == 1:
                (value,) = fitted(draft, made, (value,))
            fit.append(value)
        a, b = fit
    rows, columns = a.type.rank < 2, b.type.rank < 2
    if rows:
        a = draft.emit(Reshape(shape=(1, *whole(a.type))), a)
    if columns:
        b = draft.emit(Reshape(shape=(*whole(b.type), 1)), b)
    found: Value = draft.emit(MatMul(), a, b)
    if rows or columns:
        found = draft.emit(Reshape(shape=made.ours), found)
    return found


@converts("aten.addmm", "aten.baddbmm")
def _(draft: Draft, node: Node, bias: Any, x: Any, y: Any, beta: float = 1, alpha: float = 1) -> Any:
    if beta != 1 or alpha != 1:
        raise Mistake("it is scaled", codes.NOT_IMPORTED)
    made = product(draft, node, draft.value(x), draft.value(y))
    return draft.emit(Add(), made, draft.value(bias))


@converts("aten.einsum")
def _(draft: Draft, node: Node, pattern: str, operands: Sequence[Node], **rest: Any) -> Any:
    values = [draft.value(operand) for operand in operands]
    taken, arrow, made = pattern.replace(" ", "").partition("->")
    terms = taken.split(",")
    if "..." in pattern or not arrow or len(values) > 2:
        raise Mistake(f"its pattern is `{pattern}`", codes.NOT_IMPORTED)
    letters = {
        t[v.layout.batch]
        for t, v in zip(terms, values, strict=True)
        if v.layout.batch is not None and v.layout.held == 1
    }
    if len(letters) > 1 or any(
        letter in term and value.layout.batch is None
        for letter in letters
        for term, value in zip(terms, values, strict=True)
    ):
        raise Mistake("the batch of one tensor meets another axis of the other", codes.NOT_IMPORTED)
    batch = next(iter(letters), "")
    terms = [term.replace(batch, "") if batch else term for term in terms]
    made = made.replace(batch, "") if batch else made
    if len(values) == 1:
        return _summed(draft, values[0], terms[0], made)
    spaced = ", ".join(" ".join(term) for term in terms) + " -> " + " ".join(made)
    return draft.emit(Einsum(pattern=spaced), *values)


def _summed(draft: Draft, value: Value, taken: str, made: str) -> Value:
    """A tensor summed over the axes whose letters are gone, and the others in another order."""
    if len(set(taken)) < len(taken):
        raise Mistake("it takes a diagonal", codes.NOT_IMPORTED)
    gone = tuple(i for i, letter in enumerate(taken) if letter not in made)
    if gone:
        value = draft.emit(Reduce(how="sum", axes=gone[0] if len(gone) == 1 else gone, keep=False), value)
    left = [letter for letter in taken if letter in made]
    order = tuple(left.index(letter) for letter in made)
    return value if order == tuple(range(len(order))) else draft.emit(Permute(axes=order), value)


@converts("aten.scaled_dot_product_attention")
def _(
    draft: Draft, node: Node, q: Any, k: Any, v: Any, mask: Any = None, dropout: float = 0.0, causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    values = [draft.value(x) for x in (q, k, v)]
    options = {}
    if mask is not None:
        (fit,) = fitted(draft, values[0].layout, (draft.value(mask),))
        options["mask" if fit.type.dtype == "bool" else "bias"] = fit
    said: dict[str, Any] = {}
    width = values[0].type.shape[-1]
    assert isinstance(width, int)
    if scale is not None and abs(scale * width**0.5 - 1) > 1e-9:
        said["scale"] = float(scale)
    if dropout:
        said["dropout"] = float(dropout)
    if causal:
        said["causal"] = True
    heads = [value.type.shape[-3] if value.type.rank > 2 else 1 for value in values]
    if enable_gqa or heads[0] != heads[1] == heads[2] == 1:
        said["grouped"] = True
    return draft.emit(Attention(**said), *values, options=options)


@converts(
    "aten.empty", "aten.empty_like", "aten.new_empty", "aten.empty_strided", "aten.zeros", "aten.ones", "aten.full", "aten.new_zeros", "aten.new_ones", "aten.new_full", "aten.zeros_like",
    "aten.ones_like", "aten.full_like",
)  # fmt: skip
def _(draft: Draft, node: Node, *args: Any, **options: Any) -> Any:
    val = node.meta["val"]
    made = draft.layout(val.shape)
    name = str(node.target)
    number: int | float = 0 if "zeros" in name or "empty" in name else 1
    if "full" in name:
        number = next(arg for arg in args[1:] if isinstance(arg, int | float) and not isinstance(arg, Node))
    tensor = torch.full(made.ours, number, dtype=val.dtype)
    value = draft.constant(tensor, node)
    return draft.alias(value, made)
