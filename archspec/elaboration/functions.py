"""The functions that specs may call on numbers, strings and lists."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from archspec.elaboration.checks import finite, items, number, short_enough, truth, whole, within_reason
from archspec.elaboration.values import Function, describe
from archspec.ground import codes
from archspec.ground.errors import Mistake

FUNCTIONS: dict[str, Function] = {}
TABLES = ("grid", "relative")
"""The functions that stand in the shape of a weight alone, and say what it is a table of (`elaboration/tables.py`)."""


def _function(call: Callable[..., Any]) -> Callable[..., Any]:
    name = call.__name__.rstrip("_")
    FUNCTIONS[name] = Function(name, call)
    return call


def usage(function: Function) -> str:
    """How a function is called, and what it gives, in a line."""
    parameters = []
    for parameter in inspect.signature(function.call).parameters.values():
        default = "" if parameter.default is parameter.empty else f"={describe(parameter.default)}"
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        parameters.append(f"{star}{parameter.name}{default}")
    summary = (function.call.__doc__ or "").strip().splitlines()[0]
    return f"{function.name}({', '.join(parameters)}): {summary[0].lower()}{summary[1:]}"


@_function
def range_(*bounds: Any) -> list[int]:
    """Whole numbers below `stop`: `range(stop)`, `range(start, stop)`, `range(start, stop, step)`."""
    if not 1 <= len(bounds) <= 3:
        raise Mistake("range takes one to three numbers", codes.ARGUMENT)
    numbers = [whole(bound, "range") for bound in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise Mistake("the step of a range must not be 0", codes.UNDEFINED)
    counted = range(*numbers)
    # `len` of a range cannot pass the size of a machine word.
    short_enough((counted[-1] - counted[0]) // counted.step + 1 if counted else 0)
    return list(counted)


@_function
def len_(value: Any) -> int:
    """How many items a list, a tuple or a string has."""
    return len(value) if isinstance(value, str) else len(items(value, "len"))


@_function
def enumerate_(value: Any, start: Any = 0) -> list[tuple[int, Any]]:
    """Pairs of a number, counted from `start`, and an item."""
    return list(enumerate(items(value, "enumerate"), whole(start, "enumerate")))


@_function
def zip_(*lists: Any) -> list[tuple[Any, ...]]:
    """Tuples of the first items, the second items and so on; all lists must have the same length."""
    taken = [items(value, "zip") for value in lists]
    if len({len(value) for value in taken}) > 1:
        lengths = " and ".join(str(len(value)) for value in taken)
        raise Mistake(f"zip takes lists of equal length, not of {lengths}", codes.UNDEFINED)
    return list(zip(*taken, strict=True))


@_function
def reversed_(value: Any) -> list[Any]:
    """The items from the last to the first."""
    return items(value, "reversed")[::-1]


@_function
def sorted_(value: Any) -> list[Any]:
    """The items from the least to the greatest."""
    taken = items(value, "sorted")
    if not all(isinstance(item, str) for item in taken):
        taken = [number(item, "sorted") for item in taken]
    return sorted(taken)


@_function
def sum_(value: Any) -> Any:
    """The numbers or tensors of a list, added."""
    total: Any = 0
    for item in items(value, "sum"):
        total = within_reason(total + number(item, "sum"))
    return total


@_function
def prod(value: Any) -> Any:
    """The numbers or tensors of a list, multiplied."""
    total: Any = 1
    for item in items(value, "prod"):
        total = within_reason(total * number(item, "prod"))
    return total


def _extreme(name: str, values: tuple[Any, ...], better: Callable[[Any, Any], bool]) -> Any:
    taken = items(values[0], name) if len(values) == 1 else list(values)
    if not taken:
        raise Mistake(f"{name} of an empty list", codes.UNDEFINED)
    best = number(taken[0], name)
    for item in taken[1:]:
        if better(number(item, name), best):
            best = item
    return best


@_function
def min_(*values: Any) -> Any:
    """The least of several numbers, or of a list; of tensors, value by value."""
    return _extreme("min", values, lambda a, b: a < b)


@_function
def max_(*values: Any) -> Any:
    """The greatest of several numbers, or of a list; of tensors, value by value."""
    return _extreme("max", values, lambda a, b: a > b)


@_function
def all_(value: Any) -> bool:
    """Whether every item is true."""
    return all(truth(item, "all") for item in items(value, "all"))


@_function
def any_(value: Any) -> bool:
    """Whether some item is true."""
    return any(truth(item, "any") for item in items(value, "any"))


@_function
def abs_(value: Any) -> Any:
    """The number without its sign."""
    return abs(finite(value, "abs"))


@_function
def round_(value: Any, digits: Any = None) -> int | float:
    """The nearest whole number (halves to the even one), or to so many decimal digits."""
    taken = finite(value, "round")
    if digits is None:
        return round(taken)
    places = whole(digits, "round")
    if abs(places) > 30:  # Python would write such a number out
        raise Mistake("round takes at most 30 digits", codes.UNDEFINED)
    return round(taken, places)


@_function
def floor(value: Any) -> int:
    """The next whole number below."""
    return math.floor(finite(value, "floor"))


@_function
def ceil(value: Any) -> int:
    """The next whole number above."""
    return math.ceil(finite(value, "ceil"))


@_function
def int_(value: Any) -> int:
    """The number without its decimal digits."""
    return math.trunc(finite(value, "int"))


@_function
def float_(value: Any) -> float:
    """The number as a decimal one."""
    return float(finite(value, "float"))


@_function
def str_(value: Any) -> str:
    """The number or string as text."""
    return value if isinstance(value, str) else str(finite(value, "str"))


@_function
def sqrt(value: Any) -> float:
    """The square root."""
    return math.sqrt(_least(value, "sqrt", 0.0))


@_function
def log2(value: Any) -> float:
    """The logarithm to base 2."""
    return math.log2(_least(value, "log2", math.ulp(0.0)))


@_function
def log(value: Any) -> float:
    """The natural logarithm."""
    return math.log(_least(value, "log", math.ulp(0.0)))


@_function
def exp(value: Any) -> float:
    """e to that power."""
    return math.exp(min(finite(value, "exp"), 700))


@_function
def sin(value: Any) -> float:
    """The sine of an angle in radians."""
    return math.sin(finite(value, "sin"))


@_function
def cos(value: Any) -> float:
    """The cosine of an angle in radians."""
    return math.cos(finite(value, "cos"))


@_function
def round_to(value: Any, divisor: Any) -> int:
    """The nearest multiple of `divisor` that is at least `divisor` and over 0.9 of the value.

    How the mobile nets round channels [Sandler et al., 2018].
    """
    unit = whole(divisor, "round_to")
    if unit < 1:
        raise Mistake("round_to takes a positive divisor", codes.UNDEFINED)
    taken = finite(value, "round_to")
    nearest = max(unit, int(taken + unit / 2) // unit * unit)
    return nearest + unit if nearest < 0.9 * taken else nearest


@_function
def grid(height: Any, width: Any = None) -> int:
    """In a weight's shape, the places of a grid of that height and width, row by row; `*grid(h, w)`: an axis for each."""
    raise _misplaced(
        "grid", "`weight pos_embed: [1, 1 + grid(h, w), dim] = normal(0.02)`; as a number, `h * w`"
    )


@_function
def relative(height: Any, width: Any = None) -> int:
    """In a weight's shape, the positions of a window's places relative to each other: (2h - 1)(2w - 1)."""
    raise _misplaced(
        "relative",
        "`weight table: [relative(h, w), heads] = normal(0.02)`; as a number, `(2 * h - 1) * (2 * w - 1)`",
    )


def _misplaced(name: str, form: str) -> Mistake:
    return Mistake(
        f"`{name}` stands in the shape of a weight, alone or with tokens added to it, and nowhere else",
        codes.TABLE,
        help=form,
    )


def _least(value: Any, what: str, least: float) -> int | float:
    taken = finite(value, what)
    if taken < least:
        raise Mistake(f"{what} of {taken} is not defined", codes.UNDEFINED)
    return taken
