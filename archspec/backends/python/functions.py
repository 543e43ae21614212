"""Functions that steps call, as the expressions that a person would have written: a table by what `Op.lower` gives."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from archspec.backends.python.expressions import (
    Attribute,
    Call,
    Chosen,
    Code,
    Expression,
    Item,
    Keyword,
    Listed,
    Literal,
    Operation,
    Slice,
    call,
    method,
    number,
)
from archspec.ground.tensor import TensorType, torch_name
from archspec.op import Op
from archspec.op.axes import Fitted, Group, Side, fitted, flat, parsed, pieces_of
from archspec.ops import (
    arithmetic,
    attention,
    casting,
    comparison,
    gather,
    joining,
    rearrange,
    reduction,
    resample,
    reshape,
    slicing,
)
from archspec.ops import functions as elementwise


@dataclass(frozen=True)
class Step:
    """A step that calls a function: its op, its tensors and their types, optional ones by name, and the function's settings."""

    op: Op
    inputs: tuple[Expression, ...]
    types: tuple[TensorType, ...]
    options: Mapping[str, Expression]
    option_types: Mapping[str, TensorType]
    settings: Mapping[str, Any]

    @property
    def x(self) -> Expression:
        """The first tensor."""
        return self.inputs[0]

    def rank(self, place: int = 0) -> int:
        """The axes of a tensor, the batch included."""
        return self.types[place].rank + self.types[place].offset


AXIS = "axis"
"""What the roles of sizes begin with that a pattern names: `axis h`."""

Writer = Callable[[Step], Expression | None]
"""Gives what a step computes; None where the step is a case that it does not cover."""

OPERATORS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.matmul: "@", operator.pow: "**", operator.eq: "==", operator.ne: "!=",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.and_: "&", operator.or_: "|",
    operator.xor: "^", operator.neg: "-", operator.invert: "~",
}  # fmt: skip
_NAMED = {
    "truediv": "/",
    "floordiv": "//",
    "add": "+",
    "sub": "-",
    "mul": "*",
    "matmul": "@",
    "mod": "%",
    "eq": "==",
}
_NAMED |= {"ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and_": "&", "or_": "|", "pow": "**"}
_SCALED = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "true_divide": "/"}
_METHODS = frozenset(
    [
        "mean",
        "sum",
        "amax",
        "amin",
        "prod",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "abs",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "permute",
        "roll",
        "softmax",
        "log_softmax",
        "flip",
        "round",
        "floor",
        "ceil",
        "sign",
        "cumsum",
        "cumprod",
        "square",
        "chunk",
        "split",
        "argmax",
        "argmin",
        "any",
        "all",
        "clamp",
        "var",
        "std",
        "logsumexp",
        "erf",
    ]
)


def written(function: Callable[..., Any], step: Step) -> Expression | None:
    """What a step computes by a function; None where no table knows it."""
    if function in OPERATORS and not step.settings and not step.options:
        return Operation(OPERATORS[function], step.inputs)
    if function is operator.abs:
        return method(step.x, "abs")
    if function in _WRITERS:
        found = _WRITERS[function](step)
        if found is not None:
            return found
    return _of_torch(function, step)


def _of_torch(function: Callable[..., Any], step: Step) -> Expression | None:
    """A function of PyTorch, by its public name: a method where tensors have one."""
    name = getattr(function, "__name__", "")
    settings = {key: value for key, value in step.settings.items() if (key, value) != ("keepdim", False)}
    if getattr(torch, name, None) is function:
        if name in _SCALED and list(settings) in (["other"], ["exponent"]) and not step.options:
            (value,) = settings.values()
            return Operation(_SCALED[name], (*step.inputs, _given(value)))
        if name in _METHODS and len(step.inputs) == 1 and not step.options:
            return _method(name, step, settings)
        prefix = "torch"
    elif getattr(functional, name, None) is function:
        prefix = "functional"
    elif getattr(torch.linalg, name.removeprefix("linalg_"), None) is function:
        prefix, name = "torch.linalg", name.removeprefix("linalg_")
    else:
        return None
    keywords = (*settings.items(), *step.options.items())
    given = tuple(
        Keyword(key, value if isinstance(value, Expression) else _given(value)) for key, value in keywords
    )
    return Call(Code(f"{prefix}.{name}"), step.inputs, given)


def _method(name: str, step: Step, settings: Mapping[str, Any]) -> Expression:
    given: list[Expression] = []
    keywords: list[Keyword] = []
    for place, (key, value) in enumerate(settings.items()):
        if key == "dims" and name == "permute":
            return _permuted(step.x, value)
        if key == "shifts" and isinstance(value, tuple):
            given.append(Listed(tuple(map(_signed, value))))
            continue
        if key == "dims":
            given.append(number(value))
            continue
        if (
            place < 2
            and not keywords
            and key in ("dim", "dims", "shifts", "chunks", "split_size_or_sections")
        ):
            given.append(
                (number if key == "chunks" else _given)(
                    value[0] if key == "dim" and isinstance(value, tuple) and len(value) == 1 else value
                )
            )
        else:
            keywords.append(Keyword(key, _given(value)))
    return Call(Attribute(step.x, name), tuple(given), tuple(keywords))


def _given(value: Any) -> Expression:
    """A setting: axes are the same wherever a block stands, other numbers may differ."""
    if isinstance(value, torch.dtype):
        return Code(str(value))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return Code(repr(value)) if not isinstance(value, str) else Literal(value)
    return Literal(value)


def _signed(shift: int) -> Expression:
    """A shift, whose sign is the same wherever a block stands."""
    size = Literal(abs(shift), "shift")
    return Operation("-", (size,)) if shift < 0 else size


def _permuted(x: Expression, order: Sequence[int]) -> Expression:
    """A permutation; one of two axes is a transposition."""
    moved = [place for place, axis in enumerate(order) if place != axis]
    if not moved:
        return x
    if len(moved) == 2:
        return method(x, "transpose", number(moved[0]), number(moved[1]))
    return method(x, "permute", *map(number, order))


# ------------------------------------------------------------------ arithmetic


def _of_two(name: str, left: Expression, right: Expression) -> Expression:
    sign = _NAMED.get(name)
    return Operation(sign, (left, right)) if sign else call(f"torch.{name}", left, right)


def with_ones(x: Expression, count: int, at: int) -> Expression:
    """A tensor with axes of size 1 inserted at `at`."""
    if not count:
        return x
    return Item(x, (*[Slice((None, None, None))] * at, *[Code("None")] * count))


def _pairwise(step: Step) -> Expression:
    ones = step.settings["ones"]
    left, right = (with_ones(x, count, 1) for x, count in zip(step.inputs, ones, strict=True))
    return _of_two(step.settings["function"], left, right)


def _folded(step: Step) -> Expression:
    made = step.inputs[0]
    pairs = step.settings.get("ones") or [(0, 0)] * (len(step.inputs) - 1)
    for x, (left, right) in zip(step.inputs[1:], pairs, strict=True):
        made = _of_two(step.settings["function"], with_ones(made, left, 1), with_ones(x, right, 1))
    return made


def _selected(step: Step) -> Expression:
    """`torch.where`, with numbers where there are no tensors."""
    settings = step.settings
    tensors = [with_ones(x, count, 1) for x, count in zip(step.inputs, settings["ones"], strict=True)]
    condition, *values = tensors
    sides = [
        values.pop(0) if settings[name] is None else _given(settings[name]) for name in ("then", "other")
    ]
    if len(step.inputs) == 1:
        dtype = Code(f"torch.{torch_name(settings['dtype'])}")
        sides[0] = call("torch.tensor", sides[0], dtype=dtype, device=Attribute(condition, "device"))
    return call("torch.where", condition, *sides)


def _cast(step: Step) -> Expression | None:
    if step.settings["widens"]:
        return None
    return method(step.x, "to", Code(f"torch.{step.settings['dtype']}"))


def _cast_like(step: Step) -> Expression:
    return method(step.x, "to", Attribute(step.options["like"], "dtype"))


def _one_hot(step: Step) -> Expression:
    x = step.x if step.types[0].dtype == "i64" else method(step.x, "long")
    return call("functional.one_hot", x, _given(step.settings["count"]))


# ------------------------------------------------------------------ joining


def over_batch(tensors: Sequence[Expression], types: Sequence[TensorType]) -> tuple[Expression, ...]:
    """The tensors, those without a batch expanded over that of the first that has one."""
    first = next((x for x, type_ in zip(tensors, types, strict=True) if type_.batched), None)
    if first is None:
        return tuple(tensors)
    batch = Item(Attribute(first, "shape"), (number(0),))
    return tuple(
        x if type_.batched else method(x, "expand", batch, *[number(-1)] * type_.rank)
        for x, type_ in zip(tensors, types, strict=True)
    )


def _joined(step: Step) -> tuple[Expression, ...]:
    return over_batch(step.inputs, step.types) if step.settings.get("batched") else step.inputs


def _concat(step: Step) -> Expression:
    return call("torch.cat", Listed(_joined(step)), dim=number(_from_front(step, step.settings["axis"])))


def _stack(step: Step) -> Expression:
    return call("torch.stack", Listed(_joined(step)), dim=number(step.settings["axis"]))


def _from_front(step: Step, axis: int) -> int:
    """An axis counted from the front where that is the channels of images, which people call 1."""
    ranks = [type_.rank for type_ in step.types]
    batched = any(type_.batched for type_ in step.types)
    return 1 if batched and ranks[0] >= 3 and axis == -ranks[0] else axis


# ------------------------------------------------------------------ slicing


def _take(step: Step) -> Expression | None:
    places: list[Expression] = []
    for place in step.settings["at"]:
        if isinstance(place, int):
            places.append(Literal(place))
            continue
        ends = [_size(end, step) for end in place]
        if any(end is ... for end in ends):
            return None
        places.append(Slice((ends[0], ends[1], ends[2])))
    while len(places) > 1 and isinstance(places[-1], Slice) and places[-1].ends == (None, None, None):
        places.pop()
    return Item(step.x, tuple(places))


def _size(size: Any, step: Step) -> Any:
    """A size that is a number, none, or computed from sizes of tensors; `...` if it is more than a sum of products."""
    if size is None:
        return None
    if isinstance(size, int):
        return Literal(size)
    tensors = (step.x, *(step.options[name] for name in ("sizes_of",) if name in step.options))
    return total(size, tensors)


def total(terms: Any, tensors: Sequence[Expression]) -> Expression:
    """A sum of products of sizes of tensors, as `run_time.total` computes it."""
    made: Expression | None = None
    for factor, sources in terms:
        product: Expression | None = None
        for source in sources:
            if len(source) == 2:
                size: Expression = Operation("//", (total(source[0], tensors), number(source[1])))
            else:
                tensor, axis, times, offset = source
                size = Item(Attribute(tensors[tensor], "shape"), (number(axis),))
                if offset:
                    size = Operation("-", (size, number(offset)))
                if times != 1:
                    size = Operation("//", (size, number(times)))
            product = size if product is None else Operation("*", (product, size))
        minus = factor < 0 and made is not None
        scale = abs(factor) if minus else factor
        if product is None:
            product = number(scale)
        elif scale != 1:
            product = Operation("*", (number(scale), product))
        made = product if made is None else Operation("-" if minus else "+", (made, product))
    return number(0) if made is None else made


def _scaled(step: Step) -> Expression:
    """`factor * x + offset`."""
    x, factor, offset = step.x, step.settings["factor"], step.settings["offset"]
    same = factor == 1 and step.types[0].dtype != "bool"
    made = x if same else Operation("*", (x, _given(factor)))
    if offset == 0 and type(offset) is int:
        return made
    negative = offset < 0
    return Operation("-" if negative else "+", (made, _given(-offset if negative else offset)))


def _subtracted(step: Step) -> Expression:
    return Operation("-", (_given(step.settings["other"]), step.x))


# ------------------------------------------------------------------ axes by name


def _rearranged(step: Step) -> Expression | None:
    """Axes split, moved, repeated and merged, each by its place, so that no other size is needed."""
    fitted = _fitted(step)
    if fitted is None:
        return None
    offset = step.types[0].offset
    left, right = _with_ones(fitted.left, fitted.right)
    kept, known = set(flat(right)), set(flat(left))
    pieces = _within_axes(left, pieces_of(left, right))
    x: Expression = step.x
    # From the last axis on, so that the places of those before it stay.
    for axes, parts in reversed(_segments(left, pieces)):
        place = axes[0] + offset
        if not parts:
            x = method(x, "squeeze", number(place))
        elif len(axes) > 1:
            x = method(x, "flatten", number(place), number(place + len(axes) - 1))
        elif len(parts) > 1:
            sizes = [_of_piece(piece, fitted) for piece in parts]
            if sizes.count(None) > 1:
                return None
            x = method(x, "unflatten", number(place), Listed(tuple(map(_split, sizes, parts))))
    gone = [place for place, piece in enumerate(pieces) if piece[0] not in kept]
    reduce = step.settings.get("reduce", "")
    if gone and not reduce:
        return None
    if gone:
        dims = tuple(place - len(pieces) for place in gone)
        x = method(x, reduce, number(dims[0] if len(dims) == 1 else dims))
    moving = [piece for piece in pieces if piece[0] in kept]
    where = {name: place for place, piece in enumerate(moving) for name in piece}
    order = list(dict.fromkeys(where[name] for name in flat(right) if name in where))
    x = _permuted(x, [*range(offset), *(place + offset for place in order)])
    # Each axis of the result: the pieces that it is made of, in order, and the names that are new.
    groups = [
        list(dict.fromkeys(moving[where[name]] if name in where else (name,) for name in group))
        for group in right
    ]
    x, place = _with_new(x, groups, known, fitted, offset), offset
    for parts_ in groups:
        if not parts_:
            x = method(x, "unsqueeze", number(place))
        elif len(parts_) > 1:
            x = method(x, "flatten", number(place), number(place + len(parts_) - 1))
        place += 1
    return x


def _split(size: int | None, piece: Group) -> Expression:
    """A size in which an axis is split; -1 for that which follows from the others."""
    name = "".join(filter(str.isalnum, piece[0]))
    return number(-1) if size is None else Literal(size, f"{AXIS} {name}")


def _with_new(
    x: Expression, groups: Sequence[Sequence[Group]], known: set[str], fitted: Fitted, offset: int
) -> Expression:
    """A tensor repeated along the axes that it has not yet."""
    pieces = [piece for group in groups for piece in group]
    new = [place for place, piece in enumerate(pieces) if piece[0] not in known]
    for place in new:
        x = method(x, "unsqueeze", number(place + offset))
    if not new:
        return x
    sizes: list[Expression] = [number(-1)] * (len(pieces) + offset)
    for place in new:
        sizes[place + offset] = _split(_of_piece(pieces[place], fitted), pieces[place])
    return method(x, "expand", *sizes)


def _within_axes(left: Side, pieces: Sequence[Group]) -> list[Group]:
    """The pieces, those parted that are a part of one axis and something of the next."""
    ends, count = set(), 0
    for group in left:
        count += len(group)
        ends.add(count)
    found: list[Group] = []
    at = 0
    for piece in pieces:
        inner = sorted(end - at for end in ends if at < end < at + len(piece))
        whole = (at in ends or at == 0) and at + len(piece) in ends
        cuts = [0, *([] if whole else inner), len(piece)]
        found += [piece[a:b] for a, b in itertools.pairwise(cuts)]
        at += len(piece)
    return found


def _with_ones(left: Side, right: Side) -> tuple[Side, Side]:
    """The sides with names for axes of size 1, where there are as many on both: these move."""
    counts = [side.count(()) for side in (left, right)]
    if counts[0] != counts[1]:
        return left, right
    sides = []
    for side in (left, right):
        names = iter(range(counts[0]))
        sides.append(tuple(group or (f"one{next(names)}",) for group in side))
    return sides[0], sides[1]


def _segments(left: Side, pieces: Sequence[Group]) -> list[tuple[list[int], list[Group]]]:
    """Axes of a tensor beside the pieces that they become: one axis of several, several of one, or one of one."""
    found: list[tuple[list[int], list[Group]]] = []
    waiting = list(pieces)
    axes: list[int] = []
    names: list[str] = []
    for axis, group in enumerate(left):
        if not group and not axes:
            found.append(([axis], []))
            continue
        axes.append(axis)
        names += group
        parts: list[Group] = []
        taken = 0
        for piece in waiting:
            if taken + len(piece) > len(names):
                break
            taken += len(piece)
            parts.append(piece)
        if taken == len(names):
            found.append((axes, parts))
            waiting = waiting[len(parts) :]
            axes, names = [], []
    return found


def _fitted(step: Step) -> Fitted | None:
    op, x = step.op, step.types[0]
    if isinstance(op, rearrange.Rearrange):
        return fitted(parsed(op.pattern), x, op.sizes, step.option_types.get("sizes_of"))
    if isinstance(op, reduction.Reduce) and isinstance(op.axes, str):
        return fitted(parsed(op.axes), x, op.sizes)
    return None


def _of_piece(piece: Sequence[str], fitted: Fitted) -> int | None:
    """The size of names that stay together, as far as it is given; else it follows from the tensor's."""
    size = 1
    for name in piece:
        term = fitted.terms.get(name)
        if term is None:
            continue  # an axis of size 1
        if term.axes or term.free:
            return None
        size *= term.factor
    return size


# ------------------------------------------------------------------ the rest


def attends(step: Step) -> Expression | None:
    """`functional.scaled_dot_product_attention`, with a bias, a mask or both."""
    settings = dict(step.settings)
    batched = settings.pop("batched")
    dropout = settings.pop("dropout_p", None)
    if settings.keys() - {"scale", "is_causal"}:
        return None
    options = [step.options[name] for name in ("bias", "mask") if name in step.options]
    option_types = [step.option_types[name] for name in ("bias", "mask") if name in step.options]
    inputs = over_batch((*step.inputs, *options), (*step.types, *option_types))[: len(step.inputs)]
    rank = step.types[0].rank + any(batched)
    bias, mask = (
        with_ones(
            step.options[name],
            (rank - type_.rank - type_.offset) if type_.batched else 0,
            1,
        )
        if (type_ := step.option_types.get(name)) is not None
        else None
        for name in ("bias", "mask")
    )
    if settings.get("is_causal") and (bias is not None or mask is not None):
        return None
    added = mask if bias is None else bias
    if bias is not None and mask is not None:
        added = call("torch.where", mask, bias, Code('float("-inf")'))
    keywords = [] if added is None else [Keyword("attn_mask", added)]
    if dropout is not None:
        keywords.append(
            Keyword("dropout_p", Chosen(Code("self.training"), Literal(dropout, "p"), Code("0.0")))
        )
    keywords += [Keyword(key, _given(value)) for key, value in settings.items()]
    return Call(Code("functional.scaled_dot_product_attention"), inputs, tuple(keywords))


def _rows(step: Step) -> Expression | None:
    table, index = step.inputs
    if not step.settings["batched"][0]:
        return Item(table, (index,))
    if not step.settings["batched"][1]:
        return Item(table, (Slice((None, None, None)), index))
    return None


def _positions(step: Step) -> Expression:
    size = Item(Attribute(step.x, "shape"), (number(step.settings["axis"]),))
    made = call("torch.arange", size, device=Attribute(step.x, "device"))
    if not step.settings["batched"]:
        return made
    return method(made, "expand", Item(Attribute(step.x, "shape"), (number(0),)), number(-1))


def _reshape(step: Step) -> Expression | None:
    settings = step.settings
    sizes: list[Expression] = [Literal(size) for size in settings["shape"]]
    for place, axis in settings.get("same", ()):
        sizes[place] = Item(Attribute(step.x, "shape"), (number(axis),))
    for place, size in settings.get("planned", ()):
        sizes[place] = _size(size, step)
    if settings.get("left_out") is not None:
        sizes[settings["left_out"][0]] = number(-1)
    if settings["batched"]:
        sizes.insert(0, Item(Attribute(step.x, "shape"), (number(0),)))
    return method(step.x, "reshape", *sizes)


def _resized_like(step: Step) -> Expression:
    settings = step.settings
    size = Item(Attribute(step.options["like"], "shape"), (Slice((number(-settings["axes"]), None, None)),))
    keywords = [Keyword("size", size), Keyword("mode", _given(settings["mode"]))]
    if settings["corners"] is not None:
        keywords.append(Keyword("align_corners", _given(settings["corners"]), None))
    if settings["antialias"]:
        keywords.append(Keyword("antialias", _given(True)))
    return Call(Code("functional.interpolate"), (step.x,), tuple(keywords))


def _multiplied(step: Step) -> Expression:
    """`torch.einsum`, with letters that people use: the batch is a `b`, or what is left."""
    equation: str = step.settings["equation"]
    used = set(equation)
    return call(
        "torch.einsum",
        Literal(equation.replace("Z", next(c for c in "nzyxwvu" if c not in used))),
        *step.inputs,
    )


_WRITERS: dict[Callable[..., Any], Writer] = {}


def _register(function: Callable[..., Any], writer: Writer) -> None:
    from archspec.op.torch_layers import one_step

    _WRITERS[one_step(function)] = writer


for _function, _writer in (
    (arithmetic.pairwise, _pairwise),
    (arithmetic.folded, _folded),
    (joining.concat, _concat),
    (joining.stack, _stack),
    (slicing.take, _take),
    (rearrange.rearranged, _rearranged),
    (rearrange.multiplied, _multiplied),
    (attention.attend, attends),
    (gather.rows, _rows),
    (gather.positions, _positions),
    (reshape.reshape, _reshape),
    (resample.resized_like, _resized_like),
    (elementwise.scaled, _scaled),
    (comparison.selected, _selected),
    (casting.cast, _cast),
    (casting.cast_like, _cast_like),
    (casting.one_hot, _one_hot),
    (torch.rsub, _subtracted),
):
    _register(_function, _writer)
