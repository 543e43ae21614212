"""The functions that specs may call on numbers, strings and lists."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from archspec.elaboration.values import BlockLayer, Function, Labelled, OpLayer, describe, kind
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size

FUNCTIONS: dict[str, Function] = {}
LONGEST = 1_000_000  # items of a list
LONGEST_TEXT = 100_000  # characters of a string
DEEPEST_VALUE = 64  # lists in lists, layers in arguments of layers


def _function(call: Callable[..., Any]) -> Callable[..., Any]:
    name = call.__name__.rstrip("_")
    FUNCTIONS[name] = Function(name, call)
    return call


def number(value: Any, what: str) -> Any:
    """The value when it is a number; Mistake when not."""
    if isinstance(value, bool) or not isinstance(value, int | float | Free):
        raise Mistake(f"{what} takes numbers, not {kind(value)}", kind="type")
    return value


def items(value: Any, what: str) -> list[Any]:
    """The items of a list or tuple; Mistake for anything else."""
    if not isinstance(value, list | tuple):
        raise Mistake(f"{what} takes a list, not {kind(value)}", kind="type")
    return list(value)


def whole(value: Any, what: str) -> int:
    """The value when it is a whole number; Mistake when not."""
    if isinstance(value, Free):
        raise _free(what, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mistake(
            f"{what} takes whole numbers, not {kind(value)}",
            kind="type",
            help="round, floor and ceil give whole numbers" if isinstance(value, float) else "",
        )
    return value


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
        raise Mistake("range takes one to three numbers", kind="type")
    numbers = [whole(bound, "range") for bound in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise Mistake("the step of a range must not be 0", kind="value")
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
    """Tuples of the first items, the second items and so on; all lists must be as long."""
    taken = [items(value, "zip") for value in lists]
    if len({len(value) for value in taken}) > 1:
        lengths = " and ".join(str(len(value)) for value in taken)
        raise Mistake(f"zip takes lists of one length, not of {lengths}", kind="value")
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
    """The numbers of a list, added."""
    total: Any = 0
    for item in items(value, "sum"):
        total = within_reason(total + number(item, "sum"))
    return total


@_function
def prod(value: Any) -> Any:
    """The numbers of a list, multiplied."""
    total: Any = 1
    for item in items(value, "prod"):
        total = within_reason(total * number(item, "prod"))
    return total


def _extreme(name: str, values: tuple[Any, ...], better: Callable[[Any, Any], bool]) -> Any:
    taken = items(values[0], name) if len(values) == 1 else list(values)
    if not taken:
        raise Mistake(f"{name} of nothing", kind="value")
    best = number(taken[0], name)
    for item in taken[1:]:
        if better(number(item, name), best):
            best = item
    return best


@_function
def min_(*values: Any) -> Any:
    """The least of several numbers, or of a list."""
    return _extreme("min", values, lambda a, b: a < b)


@_function
def max_(*values: Any) -> Any:
    """The greatest of several numbers, or of a list."""
    return _extreme("max", values, lambda a, b: a > b)


@_function
def all_(value: Any) -> bool:
    """Whether every item is true."""
    return all(truth(item, "all") for item in items(value, "all"))


@_function
def any_(value: Any) -> bool:
    """Whether some item is true."""
    return any(truth(item, "any") for item in items(value, "any"))


def truth(value: Any, what: str) -> bool:
    """The value when it is `true` or `false`; Mistake when not."""
    if not isinstance(value, bool):
        raise Mistake(f"{what} takes true or false", kind="type", help="compare: `n > 0`, `x != none`")
    return value


@_function
def abs_(value: Any) -> Any:
    """The number without its sign."""
    return abs(_finite(value, "abs"))


@_function
def round_(value: Any, digits: Any = None) -> int | float:
    """The nearest whole number (halves to the even one), or to so many decimal digits."""
    taken = _finite(value, "round")
    if digits is None:
        return round(taken)
    places = whole(digits, "round")
    if abs(places) > 30:  # Python would write such a number out
        raise Mistake("round takes up to 30 digits", kind="value")
    return round(taken, places)


@_function
def floor(value: Any) -> int:
    """The next whole number below."""
    return math.floor(_finite(value, "floor"))


@_function
def ceil(value: Any) -> int:
    """The next whole number above."""
    return math.ceil(_finite(value, "ceil"))


@_function
def int_(value: Any) -> int:
    """The number without its decimal digits."""
    return math.trunc(_finite(value, "int"))


@_function
def float_(value: Any) -> float:
    """The number as a decimal one."""
    return float(_finite(value, "float"))


@_function
def str_(value: Any) -> str:
    """The number or string as text."""
    return value if isinstance(value, str) else str(number(value, "str"))


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
    return math.exp(min(_finite(value, "exp"), 700))


@_function
def sin(value: Any) -> float:
    """The sine of an angle in radians."""
    return math.sin(_finite(value, "sin"))


@_function
def cos(value: Any) -> float:
    """The cosine of an angle in radians."""
    return math.cos(_finite(value, "cos"))


@_function
def round_to(value: Any, divisor: Any) -> int:
    """The nearest multiple of `divisor` that is at least `divisor` and over 0.9 of the value.

    How the mobile nets round channels [Sandler et al., 2018].
    """
    unit = whole(divisor, "round_to")
    if unit < 1:
        raise Mistake("round_to takes a positive divisor", kind="value")
    taken = _finite(value, "round_to")
    nearest = max(unit, int(taken + unit / 2) // unit * unit)
    return nearest + unit if nearest < 0.9 * taken else nearest


def short_enough(length: int) -> None:
    """Mistake when a list would be longer than any list may be."""
    if length > LONGEST:
        raise Mistake(f"a list of {length:,} items; {LONGEST:,} is the most", kind="budget")


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
                raise Mistake(f"a string of more than {LONGEST_TEXT:,} characters", kind="budget")
            return 1 + len(value) // 16
        case _:
            return 1
    if depth > DEEPEST_VALUE:
        raise Mistake(f"a value nested more than {DEEPEST_VALUE} deep", kind="budget")
    total, last, weight = 1, None, 0
    for part in parts:
        if part is not last:  # of the many times in `n * [x]`, the first is enough
            last, weight = part, weigh(part, depth + 1)
        total += weight or 1
        if total > LONGEST:
            raise Mistake(
                f"a value of more than {LONGEST:,} items, those of lists within lists counted", kind="budget"
            )
    return total


def within_reason(value: Any) -> Any:
    """The number, when it is one that a computation of sizes could need; Mistake when it overflows."""
    if isinstance(value, int) and abs(value) > 10**30:
        raise Mistake("the number has more than 30 digits", kind="value")
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise Mistake("the result is not a finite number", kind="value")
    return value


def _finite(value: Any, what: str) -> int | float:
    taken: Size | float = number(value, what)
    if isinstance(taken, Free):
        raise _free(what, taken)
    return taken


def _free(what: str, size: Free) -> Mistake:
    return Mistake(
        f"{what} needs a known number, but {size} is free",
        kind="free",
        help="give the input a number there, or a parameter of the model",
    )


def _least(value: Any, what: str, least: float) -> int | float:
    taken = _finite(value, what)
    if taken < least:
        raise Mistake(f"{what} of {taken} is not a number", kind="value")
    return taken
