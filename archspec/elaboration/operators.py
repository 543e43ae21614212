"""Operators: what `+`, `<`, `in` and the others give for plain values, and which ops they are between tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from archspec.elaboration.checks import LONGEST, items, number, short_enough, weigh, whole, within_reason
from archspec.elaboration.functions import prod
from archspec.elaboration.values import Tensor, describe, is_layer, noun, same
from archspec.ground import codes
from archspec.ground.declared import Declared, same_always
from archspec.ground.errors import Mistake
from archspec.ground.size import Free

_ON_NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
EXACT = {sign: _ON_NUMBERS[sign] for sign in ("+", "-")}  # most of what specs compute: a short way for it
SMALL = 10**18  # results below that need no further check
_ON_TENSORS = {
    "+": "Add",
    "-": "Sub",
    "*": "Mul",
    "/": "Div",
    "@": "MatMul",
    "//": "FloorDivide",
    "%": "Remainder",
}
_COMPARISONS = {
    "==": "Equal",
    "!=": "NotEqual",
    "<": "Less",
    "<=": "LessEqual",
    ">": "Greater",
    ">=": "GreaterEqual",
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
COMBINED = {"sum": "Add", "prod": "Mul", "max": "Maximum", "min": "Minimum"}  # functions, of tensors
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LARGEST_POWER = 8  # of a size that is free or declared

# ------------------------------------------------------------------ arithmetic


def arithmetic(sign: str, left: Any, right: Any) -> Any:
    """What an operator gives for numbers, strings or lists. Raises Mistake when it is not defined for them."""
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if sign == "+" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        short_enough(len(left) + len(right))
        if isinstance(left, tuple) and isinstance(right, tuple):
            return (*left, *right)
        return [*left, *right]
    if sign == "*" and isinstance(left, list) != isinstance(right, list):
        times, repeated = (right, left) if isinstance(left, list) else (left, right)
        if isinstance(times, int | Free) and not isinstance(times, bool):
            count = max(0, whole(times, "repetition"))
            short_enough(count * (weigh(repeated) - 1))
            return repeated * min(count, LONGEST)
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float | Free):
            raise _undefined(sign, left, right)
    if sign in ("/", "//", "%") and not isinstance(right, Free) and right == 0:
        raise Mistake("division by zero", codes.DIVISION_BY_ZERO)
    if sign == "@":
        raise Mistake("`@` multiplies two tensors", codes.OPERANDS)
    if sign == "**" and type(left) is Declared:
        return within_reason(prod([left] * right))
    if sign == "**" or isinstance(left, Free | float) or isinstance(right, Free | float):
        return _careful(sign, left, right)
    return within_reason(_ON_NUMBERS[sign](left, right))


def _careful(sign: str, left: Any, right: Any) -> Any:
    """Arithmetic that may overflow or leave the real numbers."""
    try:
        if sign == "**":
            if isinstance(left, Free) or isinstance(right, Free):
                if isinstance(left, Free) and isinstance(right, int) and 1 <= right <= _LARGEST_POWER:
                    return prod([left] * right)
                raise Mistake(
                    f"the exponent of a free size must be a whole number from 1 to {_LARGEST_POWER}",
                    codes.FREE_NUMBER,
                )
            if abs(right) > 200 and abs(left) > 1:
                raise OverflowError
        if isinstance(left, Free) or isinstance(right, Free):
            if isinstance(left, float) or isinstance(right, float) or sign == "/":
                raise Mistake(
                    f"`{left} {sign} {right}` may not be a whole number, as a size must be",
                    codes.FREE_NUMBER,
                    help="use `//` where it divides evenly",
                )
            if isinstance(left, int) and sign == "//":
                return Free({(): left}) // right
        return within_reason(_ON_NUMBERS[sign](left, right))
    except (OverflowError, ZeroDivisionError):
        raise Mistake("the result is not a finite number", codes.NOT_FINITE) from None


def keeps_origins(sign: str, left: Any, right: Any) -> bool:
    """Whether a result remembers the declared sizes that it comes from, when one of these numbers does."""
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (left, right)):
        return False
    return sign in ("+", "-", "*", "//", "%") or (
        sign == "**" and type(right) is int and 1 <= right <= _LARGEST_POWER
    )


def _counts(left: Any, right: Any) -> bool:
    """Whether these are a layer and how often it is meant to be applied."""
    times = right if is_layer(left) else left
    return (is_layer(left) or is_layer(right)) and type(times) is int and times > 0


def _undefined(sign: str, left: Any, right: Any) -> Mistake:
    help_ = ""
    if is_layer(left) and is_layer(right):
        first, second = describe(left), describe(right)
        help_ = f"apply the layers first: `(x -> first) {sign} (x -> second)`"
        if sign == "+":
            help_ = (
                f"one after the other they are `[{first}, {second}]`; to add what they give, apply them first"
            )
    elif sign == "*" and _counts(left, right):
        layer = describe(left if is_layer(left) else right)
        help_ = f"a list is repeated: `{left if is_layer(right) else right} * [{layer}]`"
    elif is_layer(left) or is_layer(right):
        help_ = "apply the layer first: `x -> layer`"
    elif isinstance(left, str) or isinstance(right, str):
        help_ = 'a number goes into a string in braces: `"block{i}"`'
    elif isinstance(left, Free) or isinstance(right, Free):
        help_ = "a size is a tensor as `(x -> Positions)[-1:] + 1`, counted along its axis"
    return Mistake(
        f"`{sign}` is not defined between {noun(left)} and {noun(right)}", codes.OPERANDS, help=help_
    )


# ------------------------------------------------------------------ tensors

OpCall = tuple[str, Mapping[str, Any]]  # an op's name and its arguments


def between_tensors(sign: str) -> OpCall:
    """The op that an operator between two tensors is. Raises Mistake when there is none."""
    if sign not in _ON_TENSORS:
        raise Mistake(f"`{sign}` is not defined between tensors", codes.OPERANDS)
    return _ON_TENSORS[sign], {}


def with_number(sign: str, left: Any, right: Any) -> list[OpCall]:
    """The ops, one after the other, that an operator between a tensor and a number is. Raises Mistake when there are none."""
    forward = isinstance(left, Tensor)
    value = right if forward else left
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _undefined(sign, left, right)
    match sign:
        case "+":
            return [("Scale", {"factor": 1, "offset": value})]
        case "-":
            factor, offset = (1, -value) if forward else (-1, value)
            return [("Scale", {"factor": factor, "offset": offset})]
        case "*":
            return [("Scale", {"factor": value})]
        case "/" if forward:
            if value == 0:
                raise Mistake("division by zero", codes.DIVISION_BY_ZERO)
            return [("Scale", {"factor": 1 / value})]
        case "/":
            return [("Power", {"exponent": -1}), ("Scale", {"factor": value})]
        case "**" if forward:
            return [("Power", {"exponent": value})]
        case "//" | "%" if forward:
            return [(_ON_TENSORS[sign], {"number": value})]
    raise Mistake(f"`{sign}` is not defined between a tensor and a number", codes.OPERANDS)


# ------------------------------------------------------------------ comparisons


def compares_values(sign: str, left: Any, right: Any) -> bool:
    """Whether a comparison is one of a tensor's values, and not whether there is a tensor: `x == none` asks that."""
    if not (isinstance(left, Tensor) or isinstance(right, Tensor)):
        return False
    return not (sign in ("==", "!=") and (left is None or right is None))


def comparison(sign: str, left: Any, right: Any) -> tuple[OpCall, tuple[Tensor, ...]]:
    """The op that a comparison with a tensor is, and what it takes. Raises Mistake when there is none."""
    if sign not in _COMPARISONS:
        raise Mistake(
            "the values of a tensor are not known when a spec is read",
            codes.VALUES_OF_TENSOR,
            label=f"`{sign}` looks for a tensor",
            help="compare with each item: `x == 1 or x == 2` gives a tensor of truth values",
        )
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return (_COMPARISONS[sign], {}), (left, right)
    if not isinstance(left, Tensor):
        left, right, sign = right, left, _MIRRORED[sign]
    if isinstance(right, bool):
        word = "x" if right == (sign == "==") else "not x"
        raise Mistake(
            f"`{sign}` is not defined between a tensor and a truth value",
            codes.OPERANDS,
            help=f"a tensor of truth values is one already: write `{word}`" if sign in ("==", "!=") else "",
        )
    if isinstance(right, Free):
        raise Mistake(f"a tensor cannot be compared with {right}, which is free", codes.FREE_NUMBER)
    if not isinstance(right, int | float):
        raise Mistake(f"a tensor cannot be compared with {noun(right)}", codes.OPERANDS)
    return (_COMPARISONS[sign], {"number": right}), (left,)


def compare(sign: str, left: Any, right: Any) -> bool:
    """Whether a comparison holds. Raises Mistake when it is not defined for these values, or cannot be decided."""
    if sign in ("==", "!="):
        return same(left, right) == (sign == "==")
    if sign in ("in", "not in"):
        inside = (
            right.find(left) >= 0
            if isinstance(left, str) and isinstance(right, str)
            else any(compare("==", left, item) for item in items(right, f"`{sign}`"))
        )
        return inside == (sign == "in")
    if not (isinstance(left, str) and isinstance(right, str)):
        number(left, f"`{sign}`")
        number(right, f"`{sign}`")
    return _ORDER[sign](left, right)


def decided(sign: str, left: Any, right: Any) -> bool:
    """Whether a comparison comes out the same whatever the declared sizes are."""
    if sign not in ("==", "!="):
        return False
    if left is None or right is None:
        return True
    return type(left) is Declared and type(right) is Declared and same_always(left, right)
