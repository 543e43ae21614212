"""Questions about free sizes: which are always so, and what would have to be assumed for the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from math import ceil, comb, lcm, prod
from typing import cast

from archspec.ground.errors import Mistake
from archspec.ground.size import QUOTIENTS, Free, Monomial, Size

_MOST_SHIFTED = 4096  # terms of a polynomial in names less one; beyond that no lower bound is sought

# ------------------------------------------------------------------ assumptions


@dataclass(frozen=True)
class Assumption:
    """What is assumed of a free size: that it is a multiple of some number, and at least another."""

    name: str
    multiple: int = 1
    least: int = 1
    exact: bool = field(default=True, compare=False)
    """Whether the question has that answer for no other size."""

    def meets(self, size: int) -> bool:
        """Whether a number is one that is assumed."""
        return size % self.multiple == 0 and size >= self.least

    def __str__(self) -> str:
        parts = [f"a multiple of {self.multiple}"] * (self.multiple > 1)
        parts += [f"at least {self.least}"] * (self.least > self.multiple)
        return f"{self.name} is {' and '.join(parts) or 'at least 1'}"

    @property
    def condition(self) -> str:
        """The assumption as specs write it."""
        parts = [f"{self.name} % {self.multiple} == 0"] * (self.multiple > 1)
        parts += [f"{self.name} >= {self.least}"] * (self.least > self.multiple)
        return " and ".join(parts) or f"{self.name} >= 1"

    @property
    def size(self) -> Size:
        """The size under the assumption, as a polynomial of a name that stands for any number from 1."""
        before = max(0, ceil(self.least / self.multiple) - 1)
        if self.multiple == 1 and not before:
            return Free.named(self.name)
        name = f"{self.name}_{self.multiple}" + f"_{before}" * (before > 0)
        return (Free.named(name) + before) * self.multiple

    def and_(self, other: Assumption) -> Assumption:
        """Both assumptions of one size."""
        return Assumption(self.name, lcm(self.multiple, other.multiple), max(self.least, other.least))


def linear(size: Free) -> tuple[str, int, int] | None:
    """A name, a factor and an offset, where a size is `factor * name + offset`; None where it is anything else."""
    terms = dict(size.terms)
    offset = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((names, factor),) = terms.items()
    if len(names) != 1 or names[0] in QUOTIENTS or factor < 1:
        return None
    return names[0], factor, offset


def declared_by(size: Free) -> Assumption | None:
    """What a size of an input can be that declares a name: a multiple of its factor, from some number on."""
    found = linear(size)
    if found is None:
        return None
    name, factor, offset = found
    known = assumed_of(name)
    if known.name == name and (factor, offset) != (1, 0):
        return None  # the size says it itself
    shown = known.name
    if offset % factor:
        return Assumption(shown, 1, factor + offset)
    return Assumption(shown, factor, factor + offset)


_ROOT = re.compile(
    r"(.+?)_([1-9]\d{0,8})(?:_([1-9]\d{0,8}))?", re.ASCII
)  # names that assumptions make, and no spec may
_WISHES: ContextVar[list[Assumption] | None] = ContextVar("wishes", default=None)


def wished() -> list[Assumption]:
    """What would have decided the questions asked so far that were not decided."""
    return _WISHES.get() or []


class wishes:  # noqa: N801  (as a function reads)
    """Within it, the list it gives collects what would have decided the questions that were not."""

    def __enter__(self) -> list[Assumption]:
        collected: list[Assumption] = []
        self._token = _WISHES.set(collected)
        return collected

    def __exit__(self, *error: object) -> None:
        _WISHES.reset(self._token)


def assumed_of(name: str) -> Assumption:
    """What a name stands for: a size of which something is assumed, or any size from 1."""
    root = _ROOT.fullmatch(name)
    if root is None:
        return Assumption(name)
    multiple = int(root[2])
    return Assumption(root[1], multiple, multiple * (int(root[3] or 0) + 1))


def require_name_of_size(name: str) -> None:
    """Mistake where a spec gives a free size a name that could be one that an assumption makes."""
    if _ROOT.fullmatch(name):
        raise Mistake(
            f"a free size cannot be named `{name}`",
            kind="name",
            help=f"such names are those of sizes of which something is assumed; write `{name.replace('_', '')}`",
        )


def weakest(size: Size, decides: Callable[[Size], bool]) -> Assumption | None:
    """The weakest assumption about one of a size's names under which something can be said of it; None when none is found.

    That the size is not smaller than some number is tried first, then that it is a multiple of a small one.
    """
    if not isinstance(size, Free):
        return None
    for name in sorted(size.names):
        known = assumed_of(name)

        def holds(wider: Assumption, name: str = name, known: Assumption = known) -> bool:
            # name = (H / multiple) - before, of the size H that it was made for
            before = max(0, ceil(known.least / known.multiple) - 1)
            made = wider.size // known.multiple - before
            try:
                return decides(size.replaced({name: made}))
            except Mistake:
                return False

        least = known.least
        while least < _LARGEST_LEAST and not holds(Assumption(known.name, known.multiple, 2 * least)):
            least *= 2
        if least < _LARGEST_LEAST:
            low, high = least, 2 * least  # low does not decide it, high does
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (
                    (low, middle) if holds(Assumption(known.name, known.multiple, middle)) else (middle, high)
                )
            return Assumption(known.name, known.multiple, high)
        period = period_of(size)
        for factor in (f for f in range(2, min(period, _LONGEST_PERIOD) + 1) if period % f == 0):
            wider = known.and_(Assumption(known.name, known.multiple * factor))
            if holds(wider):
                return wider
    return None


_LARGEST_LEAST = 1 << 16


# ------------------------------------------------------------------ questions


def undecided(
    question: str,
    where: str = "",
    assumption: Assumption | None = None,
    denied: Assumption | None = None,
) -> Mistake:
    """The mistake of asking what depends on the number that a free size takes; `where` gives an example.

    `assumption` would decide it, `denied` so that it does not hold.
    """
    if assumption is None and denied is not None:
        assumption = replace(denied, exact=False)
    return Mistake(
        f"`{question}` depends on the value of a free size",
        kind="free",
        label=where,
        help=_advice(assumption)
        or "the answer must be the same for every value of at least 1; give the input a size there, or leave the question out",
    )


def _advice(assumption: Assumption | None) -> str:
    if assumption is None:
        return ""
    if (wished := _WISHES.get()) is not None:
        wished.append(assumption)
    holds = "holds" if assumption.exact else "is decided"
    return f"it {holds} if {assumption}: the model can say so, `require {assumption.condition}`"


def require_least(size: Size, least: int, wrong: str, *, help: str = "") -> None:
    """Mistake that says what is wrong unless a size is at least so large, for all values of its free names."""
    lowest = size if isinstance(size, int) else _least(size)
    if lowest is not None and lowest >= least:
        return
    if isinstance(size, int):
        raise Mistake(wrong, kind="shape", help=help)
    where = _example(size, lambda value: value < least) or "its free sizes have some of their values"
    raise Mistake(
        f"{wrong} where {where}",
        kind="free",
        help=_advice(weakest(size, lambda made: _at_least(made, least)))
        or "it must hold for every value of at least 1: give the input a size there, or Pad first",
    )


def _inexact(found: Assumption | None) -> Assumption | None:
    return None if found is None else replace(found, exact=False)


def _checked(found: Assumption | None, difference: Size) -> Assumption | None:
    """The assumption under which a difference is 0, which is exact where it is 0 for no other size."""
    if found is None or not isinstance(difference, Free) or len(difference.names) != 1:
        return _inexact(found)
    (name,) = difference.names
    known = assumed_of(name)
    before = max(0, ceil(known.least / known.multiple) - 1)
    values = range(1, 2 * period_of(difference) + found.least + 1)
    zero = [difference.substitute({name: value}) == 0 for value in values]
    return replace(found, exact=zero == [found.meets((value + before) * known.multiple) for value in values])


def _at_least(size: Size, least: int) -> bool:
    lowest = size if isinstance(size, int) else _least(size)
    return lowest is not None and lowest >= least


def require_place(size: Size) -> None:
    """Mistake unless an axis of that size has a place, for all values of its free names."""
    if not isinstance(size, int) or size < 1:
        require_least(size, 1, f"an axis cannot have size {size}")


def always_equal(left: Size, right: Size) -> bool:
    """Whether two sizes are equal for all values of their free names.

    Raises Mistake when they are equal for some values only.
    """
    difference = left - right
    if isinstance(difference, int):
        return difference == 0
    bounds = [_least(gap) for gap in (difference, -difference) if isinstance(gap, Free)]
    if any(least is not None and least > 0 for least in bounds):
        return False
    if bounds == [0, 0]:  # from both sides
        return True
    raise undecided(
        f"{left} == {right}",
        _both(difference, lambda value: value == 0),
        _checked(weakest(difference, lambda made: _at_least(made, 0) and _at_least(-made, 0)), difference),
        denied=weakest(difference, lambda made: _at_least(made, 1) or _at_least(-made, 1)),
    )


def _least(size: Free) -> int | None:
    """A lower bound, the greatest for one name whose quotients are not multiplied; None when none is found."""
    if all(factor > 0 and not QUOTIENTS.keys() & set(names) for names, factor in size.terms if names):
        return sum(factor for _, factor in size.terms)
    if len(size.names) == 1 and all(len(names) <= 1 for names, _ in size.terms):
        exact = _least_of_one(size)
        if exact is not _UNKNOWN:
            return exact  # type: ignore[return-value]
    below = _without_quotients(size)
    above = None if below is None else _above_one(below)
    if above is None or any(names and factor < 0 for names, factor in above.items()):
        return None
    return ceil(above.get((), Fraction(0)))


_UNKNOWN = object()
_LONGEST_PERIOD = 4096


def _least_of_one(size: Free) -> object:
    """The least value of a sum of quotients of one name, which repeats, up to a slope, with their denominators."""
    (name,) = size.names
    period = period_of(size)
    if period > _LONGEST_PERIOD:
        return _UNKNOWN
    values = [size.substitute({name: value}) for value in range(1, period + 2)]
    return None if values[-1] < values[0] else min(values)


def period_of(size: Free) -> int:
    """A number of steps behind which all quotients in a size rise by whole numbers."""
    found = 1
    for names, _ in size.terms:
        for name in names:
            if name in QUOTIENTS:
                above, below = QUOTIENTS[name]
                found = lcm(found, below * period_of(above))
    return found


def _without_quotients(size: Free) -> dict[Monomial, Fraction] | None:
    """A polynomial over names that is nowhere above a size: each quotient between what it is without rounding and just below."""
    total: dict[Monomial, Fraction] = {}
    for names, factor in size.terms:
        term: dict[Monomial, Fraction] = {(): Fraction(factor)}
        for name in names:
            if name in QUOTIENTS:
                above, below = QUOTIENTS[name]
                if any(inner in QUOTIENTS for monomial, _ in above.terms for inner in monomial):
                    return None
                lift = (below - 1) if factor > 0 else 0
                bound = {n: Fraction(f, below) for n, f in above.terms}
                bound[()] = bound.get((), Fraction(0)) - Fraction(lift, below)
                if factor > 0 and len(names) > 1 and (_least(above) or 0) < below - 1:
                    bound = {}  # below 0 a product of bounds is none; a quotient of sizes is at least 0
                term = _product(term, bound)
            else:
                term = _product(term, {(name,): Fraction(1)})
        for monomial, value in term.items():
            total[monomial] = total.get(monomial, Fraction(0)) + value
    return total


def _product(left: dict[Monomial, Fraction], right: dict[Monomial, Fraction]) -> dict[Monomial, Fraction]:
    made: dict[Monomial, Fraction] = {}
    for a, x in left.items():
        for b, y in right.items():
            names = tuple(sorted(a + b))
            made[names] = made.get(names, Fraction(0)) + x * y
    return made


def _above_one(size: Mapping[Monomial, Fraction]) -> dict[Monomial, Fraction] | None:
    """The same polynomial in what each name is above 1; None when it has too many terms to look at."""
    powers = [(Counter(names), factor) for names, factor in size.items()]
    if sum(prod(count + 1 for count in counts.values()) for counts, _ in powers) > _MOST_SHIFTED:
        return None
    terms: dict[Monomial, Fraction] = {}
    for counts, factor in powers:
        for chosen in product(*(range(count + 1) for count in counts.values())):
            names = tuple(name for name, taken in zip(counts, chosen, strict=True) for _ in range(taken))
            ways = prod(comb(count, taken) for count, taken in zip(counts.values(), chosen, strict=True))
            terms[names] = terms.get(names, Fraction(0)) + factor * ways
    return terms


def _examples(size: Free) -> Iterator[tuple[str, int]]:
    """Small values of its names, as `S is 1 and T is 2`, and what the size is there."""
    names = sorted(size.names)
    grid = (
        product(range(1, 9), repeat=len(names))
        if len(names) <= 3
        else ((n,) * len(names) for n in range(1, 9))
    )
    for values in (*grid, (10**6,) * len(names)):
        given = dict(zip(names, values, strict=True))
        yield " and ".join(f"{name} is {value}" for name, value in given.items()), size.substitute(given)


def _example(size: Free, holds: Callable[[int], bool]) -> str:
    """Values of its names for which something holds of the size; "" when none is found."""
    return next((where for where, value in _examples(size) if holds(value)), "")


def _both(size: Free, holds: Callable[[int], bool]) -> str:
    """Where something holds of a size, and where it does not; "" unless both are found."""
    yes, no = _example(size, holds), _example(size, lambda value: not holds(value))
    return f"true where {yes}, false where {no}" if yes and no else ""


def never_negative(difference: Size, question: str, wanted: bool = True) -> bool:
    """Whether a difference is at least 0 for all values of its free names. Mistake when it is for some only."""
    if isinstance(difference, int):
        return difference >= 0
    least, most = _least(difference), _least(cast(Free, -difference))
    if least is not None and least >= 0:
        return True
    if most is not None and most > 0:
        return False
    raise undecided(
        question,
        _both(difference, lambda value: (value >= 0) is wanted),
        weakest(difference, lambda made: _at_least(made, 0))
        if wanted
        else weakest(-difference, lambda made: _at_least(made, 1)),
    )
