"""Checks of values: numbers, lists and truth values where they are needed, and none that is too large."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from archspec.elaboration.values import BlockLayer, Labelled, OpLayer, Tensor, is_layer, noun
from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size

LONGEST = 1_000_000  # items of a list
LONGEST_TEXT = 100_000  # characters of a string
DEEPEST_VALUE = 64  # lists in lists, layers in arguments of layers
_OF_EACH_VALUE = ("abs", "round", "floor", "ceil", "sqrt", "log", "exp", "sin", "cos")
"""Functions of numbers that are ops of tensors, too, under the same name with a capital letter."""
SIZE_NEEDED = "give the input a number there, or a parameter of the model"


def number(value: Any, what: str) -> Any:
    """The value when it is a number; Mistake when not."""
    if isinstance(value, bool) or not isinstance(value, int | float | Free):
        help_ = ""
        if isinstance(value, Tensor) and what in _OF_EACH_VALUE:
            help_ = f"`x -> {what.capitalize()}` computes it of each value of a tensor"
        if is_layer(value) and value != []:
            help_ = "a layer is applied with `->`: `x -> ReLU`"
        raise Mistake(f"{what} takes numbers, not {noun(value)}", codes.NOT_A_NUMBER, help=help_)
    return value


def items(value: Any, what: str) -> list[Any]:
    """The items of a list or tuple; Mistake for anything else."""
    if not isinstance(value, list | tuple):
        raise Mistake(f"{what} takes a list, not {noun(value)}", codes.NOT_A_LIST)
    return list(value)


def whole(value: Any, what: str) -> int:
    """The value when it is a whole number; Mistake when not."""
    if isinstance(value, Free):
        raise _free(what, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mistake(
            f"{what} takes whole numbers, not {noun(value)}",
            codes.NOT_A_NUMBER,
            help="round, floor and ceil give whole numbers" if isinstance(value, float) else "",
        )
    return value


def truth(value: Any, what: str) -> bool:
    """The value when it is `true` or `false`; Mistake when not."""
    if not isinstance(value, bool):
        raise Mistake(
            f"{what} takes true or false, not {noun(value)}",
            codes.NOT_A_NUMBER,
            help="compare: `n > 0`, `x != none`",
        )
    return value


def short_enough(length: int) -> None:
    """Mistake when a list would be longer than any list may be."""
    if length > LONGEST:
        raise Mistake(f"a list of {length:,} items; the limit is {LONGEST:,}", codes.TOO_LARGE)


def weigh(value: Any, depth: int = 0) -> int:
    """How much a value holds, items of lists in lists and arguments of layers counted each time they occur.

    Mistake when that is more than any value may hold: one that refers to a part of itself twice, and so
    on, is small in memory but endless to whoever goes through it.
    """
    match value:
        case list() | tuple():
            parts: Iterable[Any] = value
        case OpLayer():
            parts = value.arguments.values()
        case BlockLayer():
            parts = (*value.arguments.values(), *value.passed_on.values())
        case Labelled():
            parts = (value.layer,)
        case str():
            if len(value) > LONGEST_TEXT:
                raise Mistake(f"a string of more than {LONGEST_TEXT:,} characters", codes.TOO_LARGE)
            return 1 + len(value) // 16
        case _:
            return 1
    if depth > DEEPEST_VALUE:
        raise Mistake(f"a value nested more than {DEEPEST_VALUE} deep", codes.TOO_LARGE)
    total, last, weight = 1, None, 0
    for part in parts:
        if part is not last:  # of the many times in `n * [x]`, the first is enough
            last, weight = part, weigh(part, depth + 1)
        total += weight or 1
        if total > LONGEST:
            raise Mistake(f"a value of more than {LONGEST:,} items, counting nested lists", codes.TOO_LARGE)
    return total


def within_reason(value: Any) -> Any:
    """The number, when it is one that a computation of sizes could need; Mistake when it overflows."""
    if isinstance(value, int) and abs(value) > 10**30:
        raise Mistake("the number has more than 30 digits", codes.NOT_FINITE)
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise Mistake("the result is not a finite number", codes.NOT_FINITE)
    return value


def finite(value: Any, what: str) -> int | float:
    """The value when it is a known number; Mistake when not."""
    taken: Size | float = number(value, what)
    if isinstance(taken, Free):
        raise _free(what, taken)
    return taken


def _free(what: str, size: Free) -> Mistake:
    return Mistake(
        f"{what} needs a known number, but {size} is free",
        codes.FREE_NUMBER,
        help=SIZE_NEEDED,
    )
