"""Inference of one op: the types it returns and the weights it owns, checked against the rules that hold for every op."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import replace

from archspec.ground import codes
from archspec.ground.bounds import require_place
from archspec.ground.declared import number
from archspec.ground.errors import Mistake
from archspec.ground.tensor import Shape, TensorType, is_real, show
from archspec.op import Op, Weight

MOST_AXES = 64
MOST_VALUES = 2**63 - 1
MOST_CONSTANTS = 2**28  # values of all constants of a network, which are in no file

Inferred = tuple[tuple[TensorType, ...], Mapping[str, Weight]]


def infer(op: Op, types: tuple[TensorType, ...], options: Mapping[str, TensorType]) -> Inferred:
    """The types that an op returns and the weights it owns. Raises Mistake if the tensors do not fit."""
    require_count(op, types)
    name = type(op).__name__
    alone = bool(types) and not op.without_batch and not any(type_.batched for type_ in types)
    if alone and not (op.one_sample and len(types) == 1 and set(options) <= {*op.sized_by}):
        raise Mistake(
            f"{name} takes samples, and {'this tensor has' if len(types) == 1 else 'these tensors have'} no batch",
            codes.NO_BATCH,
            help="what is computed of weights alone has none, nor has what `Batch` gives: `Expand(like=x)` gives it the samples of `x`",
        )
    inferred = op.infer(*types, **options)
    outputs = inferred if isinstance(inferred, tuple) else (inferred,)
    if alone:
        outputs = tuple(replace(type_, batched=False) for type_ in outputs)
    weights = op.weights(*types, **options)
    for shape in (*(type_.shape for type_ in outputs), *(weight.shape for weight in weights.values())):
        require_possible(shape)
    for key, weight in weights.items():
        subject = f"the `{key}` of {name}" if key else "the weight"
        if weight.trainable and not (is_real(weight.dtype) and weight.saved):
            raise Mistake(
                f"{subject} is trained, so it must be saved and hold real numbers", codes.NOT_TRAINABLE
            )
        require_start(weight, subject)
    return outputs, weights


def require_count(op: Op, given: Sized) -> None:
    """Mistake if an op does not take so many tensors."""
    name, signature = type(op).__name__, op.signature()
    if signature.variadic and not given:
        raise Mistake(f"{name} takes at least one tensor", codes.TENSORS)
    if not signature.variadic and len(given) != len(signature.required):
        raise Mistake(
            f"{name} takes {tensors(len(signature.required))}, not {len(given)}",
            codes.TENSORS,
            help=f"pass ({', '.join(signature.required)}), in this order"
            if len(signature.required) > 1
            else "",
        )


def require_start(weight: Weight, subject: str) -> None:
    """Mistake, with `subject` for the weight, if its initialisation does not fit its shape and dtype."""
    try:
        weight.init.check(weight.shape, weight.dtype)
    except Mistake as mistake:
        raise Mistake(f"{subject} {mistake.message}", mistake.code, help=mistake.help) from None


def require_few_constants(values: int) -> None:
    """Mistake if a network's constants hold too many values: they are computed at each load."""
    if values > MOST_CONSTANTS:
        raise Mistake(
            f"its constants hold {values:,} values; the limit is {MOST_CONSTANTS:,}",
            codes.TOO_LARGE,
            help="declare a `buffer`, which is saved, or compute the values from smaller constants",
        )


def require_possible(shape: Shape) -> None:
    """Mistake if an axis is empty for some values of its free sizes, or the tensor is too large for any computer."""
    if len(shape) > MOST_AXES:
        raise Mistake(f"a tensor has at most {MOST_AXES} axes, not {len(shape)}", codes.RANK)
    values = 1
    for size in shape:
        require_place(size)
        if isinstance(size, int):
            values *= number(size)
    if values > MOST_VALUES:
        raise Mistake(f"a tensor {show(shape)} has more values than any computer can hold", codes.TOO_LARGE)


def tensors(count: int) -> str:
    """`1 tensor`, `2 tensors`."""
    return f"{count} tensor" + "s" * (count != 1)
