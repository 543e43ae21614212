"""Operators on each value, on pairs of values, and reductions, as ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.drafting import Draft, converts
from archspec.importing.nodes import dtype
from archspec.importing.values import Layout, Value, whole
from archspec.op import Op
from archspec.ops import activation as activations
from archspec.ops import functions
from archspec.ops.arithmetic import Add, Div, Mul, Sub
from archspec.ops.casting import Cast, Detach
from archspec.ops.comparison import (
    And,
    Clamp,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Maximum,
    Minimum,
    Not,
    NotEqual,
    Or,
    Where,
)  # fmt: skip
from archspec.ops.division import FloorDivide, Remainder
from archspec.ops.functions import Power, Scale
from archspec.ops.length import Norm
from archspec.ops.order import ArgMax, ArgMin, TopK
from archspec.ops.placing import CumSum
from archspec.ops.pooling import GlobalAvgPool
from archspec.ops.reduction import Reduce
from archspec.ops.regularisation import ChannelDropout, Dropout
from archspec.ops.slicing import Index

_EACH: dict[str, Callable[[], Op]] = {
    "relu": activations.ReLU, "relu6": activations.ReLU6, "silu": activations.SiLU, "mish": activations.Mish,
    "sigmoid": activations.Sigmoid, "tanh": activations.Tanh, "hardswish": activations.Hardswish,
    "hardsigmoid": activations.Hardsigmoid, "abs": functions.Abs, "neg": functions.Negate, "exp": functions.Exp,
    "log": functions.Log, "sqrt": functions.Sqrt, "sin": functions.Sin, "cos": functions.Cos, "erf": functions.Erf,
    "sign": functions.Sign, "floor": functions.Floor, "ceil": functions.Ceil, "round": functions.Round,
    "square": lambda: Power(exponent=2), "rsqrt": lambda: Power(exponent=-0.5),
    "reciprocal": lambda: Power(exponent=-1), "logical_not": Not, "bitwise_not": Not,
    "detach": Detach,
}  # fmt: skip


def _each(make: Callable[[], Op]) -> Callable[..., Any]:
    def convert(draft: Draft, node: Node, x: Any, *rest: Any, **options: Any) -> Any:
        return draft.emit(make(), draft.value(x))

    return convert


for _known, _make in _EACH.items():
    converts(f"aten.{_known}.default", f"aten.{_known}_.default")(_each(_make))


@converts(
    "aten.contiguous", "aten.clone", "aten.alias", "aten.lift_fresh_copy", "aten.to.device", "aten._to_copy",
    "aten.detach_", "aten.type_as", "aten.to.dtype", "aten.to.dtype_layout", "aten.to.other",
)  # fmt: skip
def _(draft: Draft, node: Node, x: Any, *rest: Any, **options: Any) -> Any:
    value = draft.value(x)
    made = dtype(node.meta["val"].dtype)
    return value if made == value.type.dtype else draft.emit(Cast(dtype=made), value)


@converts("aten._assert_tensor_metadata", "aten._assert_scalar", "aten.sym_constrain_range_for_size")
def _(draft: Draft, node: Node, *args: Any, **options: Any) -> Any:
    return None


@converts("aten.gelu")
def _(draft: Draft, node: Node, x: Any, approximate: Any = "none") -> Any:
    return draft.emit(activations.GELU(approximate=approximate), draft.value(x))


@converts("aten.leaky_relu", "aten.leaky_relu_")
def _(draft: Draft, node: Node, x: Any, slope: float = 0.01) -> Any:
    return draft.emit(activations.LeakyReLU(slope=float(slope)), draft.value(x))


@converts("aten.elu", "aten.elu_")
def _(draft: Draft, node: Node, x: Any, alpha: float = 1.0, scale: float = 1, input_scale: float = 1) -> Any:
    if scale != 1 or input_scale != 1:
        raise Mistake("it is scaled", codes.NOT_IMPORTED)
    return draft.emit(activations.ELU(alpha=float(alpha)), draft.value(x))


@converts("aten.softplus")
def _(draft: Draft, node: Node, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return draft.emit(activations.Softplus(beta=float(beta), threshold=float(threshold)), draft.value(x))


@converts("aten.softmax", "aten._softmax")
def _(draft: Draft, node: Node, x: Any, axis: int, *rest: Any) -> Any:
    return draft.emit(activations.Softmax(**_last(draft.value(x), axis)), draft.value(x))


@converts("aten.log_softmax")
def _(draft: Draft, node: Node, x: Any, axis: int, *rest: Any) -> Any:
    return draft.emit(activations.LogSoftmax(**_last(draft.value(x), axis)), draft.value(x))


def _last(x: Value, axis: int) -> dict[str, int]:
    found = x.axis(axis)
    return {} if found == x.type.rank - 1 else {"axis": found}


@converts("aten.hardtanh", "aten.hardtanh_")
def _(draft: Draft, node: Node, x: Any, least: float = -1, most: float = 1) -> Any:
    if (least, most) == (0, 6):
        return draft.emit(activations.ReLU6(), draft.value(x))
    return draft.emit(Clamp(min=float(least), max=float(most)), draft.value(x))


@converts("aten.clamp.default", "aten.clamp_.default", "aten.clip")
def _(draft: Draft, node: Node, x: Any, least: float | None = None, most: float | None = None) -> Any:
    return draft.emit(Clamp(min=least, max=most), draft.value(x))


@converts("aten.clamp_min", "aten.clamp_min_")
def _(draft: Draft, node: Node, x: Any, least: float) -> Any:
    return draft.emit(Clamp(min=least), draft.value(x))


@converts("aten.clamp_max", "aten.clamp_max_")
def _(draft: Draft, node: Node, x: Any, most: float) -> Any:
    return draft.emit(Clamp(max=most), draft.value(x))


@converts("aten.clamp.Tensor")
def _(draft: Draft, node: Node, x: Any, least: Any = None, most: Any = None) -> Any:
    value = draft.value(x)
    for op, bound in ((Maximum(), least), (Minimum(), most)):
        if bound is not None:
            value = draft.emit(op, *aligned(draft, node, value, draft.value(bound)))
    return value


@converts("aten.dropout", "aten.dropout_", "aten.native_dropout")
def _(draft: Draft, node: Node, x: Any, p: float, *rest: Any) -> Any:
    return draft.value(x) if p == 0 else draft.emit(Dropout(p=float(p)), draft.value(x))


@converts("aten.feature_dropout", "aten.feature_dropout_")
def _(draft: Draft, node: Node, x: Any, p: float, *rest: Any) -> Any:
    return draft.value(x) if p == 0 else draft.emit(ChannelDropout(p=float(p)), draft.value(x))


# ------------------------------------------------------------------ pairs


def aligned(draft: Draft, node: Node, *values: Value) -> tuple[Value, ...]:
    """The values so that their shapes without the batch are aligned at the last axis, as those with it are.

    Mistake if the batch of one meets another axis of another.
    """
    val = node.meta["val"]
    return fitted(draft, draft.layout(val.shape), values)


def fitted(draft: Draft, made: Layout, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The same, for a result that PyTorch has so."""
    if made.batch is None:
        return values
    behind = made.rank - made.batch
    found = []
    for value in values:
        place = value.layout.rank - behind
        if value.layout.batch is not None and value.layout.batch != place:
            raise Mistake("the batch of one tensor meets another axis of the other", codes.NOT_IMPORTED)
        if value.layout.batch is None and place >= 0 and made.held == 1:
            if value.type.shape[place] != 1:
                raise Mistake("it has a value for each sample", codes.NOT_IMPORTED)
            value = without(draft, value, place)
        found.append(value)
    return tuple(found)


def without(draft: Draft, value: Value, axis: int) -> Value:
    """The tensor without an axis of size 1."""
    whole = (None, None, None)
    return draft.emit(Index(at=(*(whole,) * axis, 0)), value)  # type: ignore[no-any-return]


_PAIRS: dict[str, tuple[type[Op], Callable[[Any], Op | None]]] = {
    "maximum": (Maximum, lambda n: Maximum(number=n)),
    "minimum": (Minimum, lambda n: Minimum(number=n)),
    "eq": (Equal, lambda n: Equal(number=n)),
    "ne": (NotEqual, lambda n: NotEqual(number=n)),
    "lt": (Less, lambda n: Less(number=n)),
    "le": (LessEqual, lambda n: LessEqual(number=n)),
    "gt": (Greater, lambda n: Greater(number=n)),
    "ge": (GreaterEqual, lambda n: GreaterEqual(number=n)),
    "mul": (Mul, lambda n: Scale(factor=n)),
    "div": (Div, lambda n: Scale(factor=1 / n)),
    "floor_divide": (FloorDivide, lambda n: FloorDivide(number=n)),
    "remainder": (Remainder, lambda n: Remainder(number=n)),
    "logical_and": (And, lambda n: None),
    "logical_or": (Or, lambda n: None),
    "bitwise_and": (And, lambda n: None),
    "bitwise_or": (Or, lambda n: None),
}


def _pair(op: type[Op], with_number: Callable[[Any], Op | None]) -> Callable[..., Any]:
    def convert(draft: Draft, node: Node, x: Any, y: Any, **options: Any) -> Any:
        if options.get("rounding_mode") == "floor":
            return _pair(FloorDivide, lambda n: FloorDivide(number=n))(draft, node, x, y)
        if options.get("rounding_mode"):
            raise Mistake("it rounds towards 0", codes.NOT_IMPORTED)
        if not isinstance(x, Node):
            x, y = y, x
            if op is Div:
                return draft.emit(Scale(factor=y), draft.emit(Power(exponent=-1), draft.value(x)))
        if isinstance(y, Node):
            return draft.emit(op(), *aligned(draft, node, draft.value(x), draft.value(y)))
        made = with_number(y)
        assert made is not None
        return draft.emit(made, draft.value(x))

    return convert


for _known, (_op, _with) in _PAIRS.items():
    converts(f"aten.{_known}", f"aten.{_known}_")(_pair(_op, _with))


@converts("aten.add", "aten.add_")
def _(draft: Draft, node: Node, x: Any, y: Any, alpha: float = 1) -> Any:
    if not isinstance(y, Node):
        return draft.emit(Scale(factor=1, offset=y * alpha), draft.value(x)) if y else draft.value(x)
    other = draft.value(y) if alpha == 1 else draft.emit(Scale(factor=alpha), draft.value(y))
    return draft.emit(Add(), *aligned(draft, node, draft.value(x), other))


@converts("aten.sub", "aten.sub_")
def _(draft: Draft, node: Node, x: Any, y: Any, alpha: float = 1) -> Any:
    if not isinstance(y, Node):
        return draft.emit(Scale(factor=1, offset=-y * alpha), draft.value(x))
    other = draft.value(y) if alpha == 1 else draft.emit(Scale(factor=alpha), draft.value(y))
    return draft.emit(Sub(), *aligned(draft, node, draft.value(x), other))


@converts("aten.rsub")
def _(draft: Draft, node: Node, x: Any, y: Any, alpha: float = 1) -> Any:
    if not isinstance(y, Node):
        return draft.emit(Scale(factor=-alpha, offset=y), draft.value(x))
    return draft.emit(Sub(), *aligned(draft, node, draft.value(y), draft.value(x)))


@converts("aten.addcmul")
def _(draft: Draft, node: Node, x: Any, a: Any, b: Any, value: float = 1) -> Any:
    product = draft.emit(Mul(), *aligned(draft, node, draft.value(a), draft.value(b)))
    if value != 1:
        product = draft.emit(Scale(factor=value), product)
    (first,) = aligned(draft, node, draft.value(x))
    return draft.emit(Add(), first, product)


@converts("aten.pow")
def _(draft: Draft, node: Node, x: Any, exponent: Any) -> Any:
    if isinstance(exponent, Node):
        raise Mistake("its exponent is a tensor", codes.NOT_IMPORTED)
    exponent = int(exponent) if float(exponent).is_integer() else exponent
    return draft.emit(Power(exponent=exponent), draft.value(x))


LEAST = -3.4e38
"""What stands for minus infinity, which no spec can write: softmax makes 0 of both."""


def finite(number: Any) -> Any:
    """A number as a spec can write it."""
    return LEAST if number == float("-inf") else number


@converts("aten.where")
def _(draft: Draft, node: Node, condition: Any, x: Any, y: Any) -> Any:
    given = [draft.value(item) for item in (condition, x, y) if isinstance(item, Node)]
    numbers = {name: finite(item) for name, item in (("then", x), ("other", y)) if not isinstance(item, Node)}
    return draft.emit(Where(**numbers), *aligned(draft, node, *given))


@converts("aten.masked_fill", "aten.masked_fill_")
def _(draft: Draft, node: Node, x: Any, mask: Any, number: Any) -> Any:
    if isinstance(number, Node):
        raise Mistake("it fills with a tensor", codes.NOT_IMPORTED)
    mask_value, value = aligned(draft, node, draft.value(mask), draft.value(x))
    return draft.emit(Where(then=finite(number)), mask_value, value)


# ------------------------------------------------------------------ reductions


def _axes(x: Value, axes: Any) -> tuple[int, ...]:
    if axes is None or axes == []:
        axes = range(x.layout.rank)
    axes = (axes,) if isinstance(axes, int) else axes
    return tuple(sorted(x.axis(axis) for axis in axes))


def _reduced(draft: Draft, how: Any, x: Value, axes: tuple[int, ...], keep: bool) -> Any:
    if how == "mean" and x.type.rank > 1 and axes == tuple(range(1, x.type.rank)) and x.layout.batch == 0:
        return draft.emit(GlobalAvgPool(keep=keep), x)
    return draft.emit(Reduce(how=how, axes=axes[0] if len(axes) == 1 else axes, keep=keep), x)


@converts("aten.mean.default", "aten.sum.default", "aten.max.default", "aten.min.default")
def _(draft: Draft, node: Node, x: Any, **options: Any) -> Any:
    value = draft.value(x)
    how = str(node.target).removeprefix("aten.").partition(".")[0]
    axes = _axes(value, None)
    return _reduced(draft, how, value, axes, keep=False) if axes else value


@converts("aten.mean.dim")
def _(draft: Draft, node: Node, x: Any, axes: Any, keep: bool = False, **options: Any) -> Any:
    value = draft.value(x)
    return _reduced(draft, "mean", value, _axes(value, axes), keep)


@converts("aten.sum.dim_IntList")
def _(draft: Draft, node: Node, x: Any, axes: Any, keep: bool = False, **options: Any) -> Any:
    value = draft.value(x)
    return _reduced(draft, "sum", value, _axes(value, axes), keep)


@converts("aten.amax")
def _(draft: Draft, node: Node, x: Any, axes: Any = (), keep: bool = False) -> Any:
    value = draft.value(x)
    return _reduced(draft, "max", value, _axes(value, axes), keep)


@converts("aten.amin")
def _(draft: Draft, node: Node, x: Any, axes: Any = (), keep: bool = False) -> Any:
    value = draft.value(x)
    return _reduced(draft, "min", value, _axes(value, axes), keep)


@converts("aten.max.dim")
def _(draft: Draft, node: Node, x: Any, axis: int, keep: bool = False) -> Any:
    value = draft.value(x)
    chosen = None
    if any(user.args[1] == 1 for user in node.users if user.users):
        chosen = draft.emit(ArgMax(axis=value.axis(axis), keep=keep), value)
    return [_reduced(draft, "max", value, _axes(value, axis), keep), chosen]


@converts("aten.argmax")
def _(draft: Draft, node: Node, x: Any, axis: int, keep: bool = False) -> Any:
    return draft.emit(ArgMax(axis=draft.value(x).axis(axis), keep=keep), draft.value(x))


@converts("aten.argmin")
def _(draft: Draft, node: Node, x: Any, axis: int, keep: bool = False) -> Any:
    return draft.emit(ArgMin(axis=draft.value(x).axis(axis), keep=keep), draft.value(x))


@converts("aten.topk")
def _(draft: Draft, node: Node, x: Any, count: int, axis: int = -1, largest: bool = True, *rest: Any) -> Any:
    value = draft.value(x)
    return draft.emit(TopK(count=count, largest=largest, **_last(value, axis)), value)


@converts("aten.cumsum")
def _(draft: Draft, node: Node, x: Any, axis: int, **options: Any) -> Any:
    value = draft.value(x)
    made = dtype(node.meta["val"].dtype)
    if made != value.type.dtype and made != "i64":
        value = draft.emit(Cast(dtype=made), value)
    return draft.emit(CumSum(axis=draft.value(x).axis(axis)), value)


@converts("aten.linalg_vector_norm")
def _(
    draft: Draft, node: Node, x: Any, order: float = 2, axes: Any = None, keep: bool = False, **rest: Any
) -> Any:
    value = draft.value(x)
    if order != 2:
        raise Mistake(f"it is a norm of order {order}", codes.NOT_IMPORTED)
    found = _axes(value, axes)
    return draft.emit(Norm(axes=found[0] if len(found) == 1 else found, keep=keep), value)


@converts("aten.var.correction", "aten.std.correction", "aten.var.dim", "aten.std.dim")
def _(draft: Draft, node: Node, x: Any, axes: Any = None, *rest: Any, **options: Any) -> Any:
    value = draft.value(x)
    found, keep = _axes(value, axes), bool(options.get("keepdim") or (len(rest) > 1 and rest[1]))
    correction = options.get("correction", int(rest[0]) if rest else 1)
    axes_ = found[0] if len(found) == 1 else found
    centred = draft.emit(Sub(), value, draft.emit(Reduce(how="mean", axes=axes_, keep=True), value))
    squared = draft.emit(Power(exponent=2), centred)
    total = draft.emit(Reduce(how="mean", axes=axes_, keep=keep), squared)
    count = 1
    for axis in found:
        count *= whole(value.type)[axis]
    if correction:
        total = draft.emit(Scale(factor=count / (count - correction)), total)
    return draft.emit(functions.Sqrt(), total) if "std" in str(node.target) else total
