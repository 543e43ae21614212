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

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.size import QUOTIENTS, Free, Monomial, Size

_MOST_SHIFTED = 4096  # terms of a polynomial in names less one; beyond that no lower bound is sought

# ------------------------------------------------------------------ assumptions


@dataclass(frozen=True)
class Assumption:
    """What is assumed of a free size: that it is a multiple of some number, at least another, and at most a third."""

    name: str
    multiple: int = 1
    least: int = 1
    most: int | None = None
    exact: bool = field(default=True, compare=False)
    """Whether the question has that answer for no other size."""

    def meets(self, size: int) -> bool:
        """Whether a number is one that is assumed."""
        return size % self.multiple == 0 and size >= self.least and (self.most is None or size <= self.most)

    def __str__(self) -> str:
        return f"{self.name} is {self.needed}"

    @property
    def needed(self) -> str:
        """What the size has to be, in words."""
        parts = [f"a multiple of {self.multiple}"] * (self.multiple > 1)
        parts += [f"at least {self.least}"] * (self.least > self.multiple)
        parts += [] if self.most is None else [f"at most {self.most}"]
        return " and ".join(parts) or "at least 1"

    @property
    def condition(self) -> str:
        """The assumption as specs write it."""
        parts = [f"{self.name} % {self.multiple} == 0"] * (self.multiple > 1)
        parts += [f"{self.name} >= {self.least}"] * (self.least > self.multiple)
        parts += [] if self.most is None else [f"{self.name} <= {self.most}"]
        return " and ".join(parts) or f"{self.name} >= 1"

    @property
    def size(self) -> Size:
        """The size under the assumption, as a polynomial of a name that stands for any number from 1."""
        if self.most is not None and self.most // self.multiple <= self.before:
            raise Mistake(f"no size is what is assumed: {self}", codes.FREE_ASSUMPTION)
        name = self.name
        if (self.multiple, self.before) != (1, 0):
            name += f"_{self.multiple}" + f"_{self.before}" * (self.before > 0)
        if self.most is not None:
            name += f"_to_{self.most}"
        return (Free.named(name) + self.before) * self.multiple

    @property
    def before(self) -> int:
        """How many multiples are below the least size."""
        return max(0, ceil(self.least / self.multiple) - 1)

    @property
    def top(self) -> int | None:
        """The largest number that the name stands for that `size` makes; None if there is none."""
        return None if self.most is None else self.most // self.multiple - self.before

    def and_(self, other: Assumption) -> Assumption:
        """Both assumptions of one size."""
        limits = [most for most in (self.most, other.most) if most is not None]
        return Assumption(
            self.name,
            lcm(self.multiple, other.multiple),
            max(self.least, other.least),
            min(limits, default=None),
        )


def linear(size: Free, *, quotients: bool = False) -> tuple[str, int, int] | None:
    """A name, a factor and an offset, where a size is `factor * name + offset`; None where it is anything else.

    Of `quotients` too, by their text.
    """
    terms = dict(size.terms)
    offset = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((names, factor),) = terms.items()
    if len(names) != 1 or (names[0] in QUOTIENTS and not quotients) or factor < 1:
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
    most = None if known.top is None else factor * known.top + offset
    return Assumption(known.name, 1 if offset % factor else factor, factor + offset, most)


_ROOT = re.compile(
    r"(.+?)(?:_([1-9]\d{0,8})(?:_([1-9]\d{0,8}))?)?(?:_to_([1-9]\d{0,8}))?", re.ASCII
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
    multiple = int(root[2] or 1)
    return Assumption(
        root[1], multiple, multiple * (int(root[3] or 0) + 1), int(root[4]) if root[4] else None
    )


def written(size: Size) -> Size:
    """A size as a polynomial of the names that people gave: `2*S`, where `4*S_2` is meant of an even S."""
    if not isinstance(size, Free):
        return size
    found: Size = 0
    for names, factor in size.terms:
        term: Size = factor
        for name in names:
            if name in QUOTIENTS:
                above, below = QUOTIENTS[name]
                term = term * (written(above) // below)
                continue
            assumed = assumed_of(name)
            root, before = Free.named(assumed.name), assumed.before
            if isinstance(term, int) and term % assumed.multiple == 0:
                term = (root - before * assumed.multiple) * (term // assumed.multiple)
            else:
                term = term * (root // assumed.multiple - before)
        found = found + term
    return found


def require_name_of_size(name: str) -> None:
    """Mistake where a spec gives a free size a name that could be one that an assumption makes."""
    if assumed_of(name).name != name:
        raise Mistake(
            f"a free size cannot be named `{name}`",
            codes.NOT_A_NAME,
            help=f"such names are those of sizes of which something is assumed; write `{name.replace('_', '')}`",
        )


def weakest(size: Size, decides: Callable[[Size], bool]) -> Assumption | None:
    """The weakest assumption about one of a size's names under which something can be said of it; None when none is found.

    That the size is not smaller than some number is tried first, then that it is a multiple of a small one.
    """
    for known, holds in _wider(size, decides):
        least = known.least
        while least < _LARGEST_LEAST and not holds(replace(known, least=2 * least)):
            least *= 2
        if least < _LARGEST_LEAST:
            low, high = least, 2 * least  # low does not decide it, high does
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if holds(replace(known, least=middle)) else (middle, high)
            return replace(known, least=high)
        period = period_of(cast(Free, size))
        for factor in (f for f in range(2, min(period, _LONGEST_PERIOD) + 1) if period % f == 0):
            wider = known.and_(Assumption(known.name, known.multiple * factor))
            if holds(wider):
                return wider
    return None


def largest(size: Size, decides: Callable[[Size], bool]) -> Assumption | None:
    """The weakest upper limit of one of a size's names under which something can be said of it; None when none is found."""
    for known, holds in _wider(size, decides):
        low = high = known.multiple * (known.before + 2)
        if not holds(replace(known, most=low)):
            continue
        while high < _LARGEST_LEAST and holds(replace(known, most=2 * high)):
            high *= 2
        low, high = high, 2 * high  # low decides it, high does not
        while high - low > known.multiple:
            middle = (low + high) // 2 // known.multiple * known.multiple
            low, high = (middle, high) if holds(replace(known, most=middle)) else (low, middle)
        if low < _LARGEST_LEAST:
            return replace(known, most=low)
    return None


def _wider(
    size: Size, decides: Callable[[Size], bool]
) -> Iterator[tuple[Assumption, Callable[[Assumption], bool]]]:
    """What is assumed of each name of a size, and whether something can be said of the size where more is assumed of that."""
    if not isinstance(size, Free):
        return
    for name in sorted(size.names):
        known = assumed_of(name)

        def holds(wider: Assumption, name: str = name, known: Assumption = known) -> bool:
            if wider.top is not None and wider.top <= 1:
                return False  # one number decides all questions, and helps nobody
            # name = (H / multiple) - before, of the size H that it was made for
            try:
                return decides(size.replaced({name: wider.size // known.multiple - known.before}))
            except Mistake:
                return False

        yield known, holds


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
        codes.FREE_QUESTION,
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
        raise Mistake(wrong, codes.TOO_SMALL, help=help)
    where = _example(size, lambda value: value < least) or "its free sizes have some of their values"
    raise Mistake(
        f"{wrong} where {where}",
        codes.FREE_QUESTION,
        help=_advice(_bound(size, lambda made: _at_least(made, least)))
        or "it must hold for every value of at least 1: give the input a size there, or Pad first",
    )


def _bound(size: Size, decides: Callable[[Size], bool]) -> Assumption | None:
    return weakest(size, decides) or largest(size, decides)


def _inexact(found: Assumption | None) -> Assumption | None:
    return None if found is None else replace(found, exact=False)


def _checked(found: Assumption | None, difference: Size) -> Assumption | None:
    """The assumption under which a difference is 0, which is exact where it is 0 for no other size."""
    if found is None or not isinstance(difference, Free) or len(difference.names) != 1:
        return _inexact(found)
    (name,) = difference.names
    known = assumed_of(name)
    last = 2 * period_of(difference) + found.least if found.most is None else found.most
    values = range(1, (last if known.top is None else min(last, known.top)) + 1)
    zero = [difference.substitute({name: value}) == 0 for value in values]
    met = [found.meets((value + known.before) * known.multiple) for value in values]
    return replace(found, exact=zero == met)


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
    found = weakest(difference, lambda made: _at_least(made, 0) and _at_least(-made, 0))
    denied = weakest(difference, lambda made: _at_least(made, 1) or _at_least(-made, 1))
    raise undecided(
        f"{left} == {right}",
        _both(difference, lambda value: value == 0),
        _checked(found, difference),
        denied=denied or largest(difference, lambda made: _at_least(made, 1) or _at_least(-made, 1)),
    )


def _least(size: Free) -> int | None:
    """A lower bound, the greatest for one name whose quotients are not multiplied; None when none is found."""
    if all(factor > 0 and not QUOTIENTS.keys() & set(names) for names, factor in size.terms if names):
        return sum(factor for _, factor in size.terms)
    for name in sorted(size.names):
        top = assumed_of(name).top
        if top is not None and (ends := _ends(size, name, top)):
            lowest = [end if isinstance(end, int) else _least(end) for end in ends]
            return None if None in lowest else min(least for least in lowest if least is not None)
    if len(size.names) == 1 and all(len(names) <= 1 for names, _ in size.terms):
        exact = _least_of_one(size)
        if exact is not _UNKNOWN:
            return exact  # type: ignore[return-value]
    below = _without_quotients(size)
    above = None if below is None else _above_one(below)
    if above is None or any(names and factor < 0 for names, factor in above.items()):
        return None
    return ceil(above.get((), Fraction(0)))


def _ends(size: Free, name: str, top: int) -> list[Size]:
    """What a size is for those of the numbers 1 to `top` of a name among which it is least; none if that is not known."""
    within = any(
        name in QUOTIENTS[factor][0].names
        for names, _ in size.terms
        for factor in names
        if factor in QUOTIENTS
    )
    if not within and all(names.count(name) <= 1 for names, _ in size.terms):
        return [size.replaced({name: 1}), size.replaced({name: top})]
    if size.names == {name} and top <= _LONGEST_PERIOD:
        return [size.replaced({name: value}) for value in range(1, top + 1)]
    return []


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
    tops = [assumed_of(name).top or 10**6 for name in names]
    grid = (
        product(range(1, 9), repeat=len(names))
        if len(names) <= 3
        else ((n,) * len(names) for n in range(1, 9))
    )
    for values in (*grid, tops):
        given = dict(zip(names, map(min, values, tops), strict=True))
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
        _bound(difference, lambda made: _at_least(made, 0))
        if wanted
        else _bound(-difference, lambda made: _at_least(made, 1)),
    )
