"""Sizes that are known only at run time: polynomials over free names, such as `2*S + 1`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import comb, prod
from typing import Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from archspec.ground.errors import Mistake

Monomial = tuple[str, ...]  # ("H", "W") is H * W; () is the constant

_MOST_TERMS, _HIGHEST_DEGREE, _LARGEST_FACTOR = 64, 16, 10**30
_TERM = r"(?:\d+|[^\W\d]\w*)(?:\*(?:\d+|[^\W\d]\w*))*"
_POLYNOMIAL = re.compile(rf"[+-]?{_TERM}(?:[+-]{_TERM})*")
_MOST_SHIFTED = 4096  # terms of a polynomial in names less one; beyond that no lower bound is sought


class Free:
    """A size that is free at run time: a polynomial with integer coefficients over free names.

    Each free name stands for any whole number of at least 1. Arithmetic that stays exact for every
    such number gives another `Free` (or an int, when the names cancel); a question whose answer
    depends on the number is a `Mistake`.
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = tuple(sorted((m, c) for m, c in terms.items() if c))

    @classmethod
    def named(cls, name: str) -> Free:
        """The free size of that name."""
        return cls({(name,): 1})

    @classmethod
    def parse(cls, text: str) -> Free:
        """Read what `str` printed; raises ValueError on anything else."""
        terms: dict[Monomial, int] = {}
        compact = text.replace(" ", "")
        if re.search(r"\w +\w", text) or not _POLYNOMIAL.fullmatch(compact):
            raise ValueError(f"not a size: {text!r}")
        for sign, body in re.findall(r"([+-]?)([\w*]+)", compact):
            factors = body.split("*")
            names = tuple(sorted(f for f in factors if not f.isdigit()))
            value = prod(int(f) for f in factors if f.isdigit())
            terms[names] = terms.get(names, 0) + (-value if sign == "-" else value)
        return cls(terms)

    def __str__(self) -> str:
        parts = []
        for names, factor in sorted(self.terms, key=lambda term: (-len(term[0]), term[0])):
            size = "*".join([str(abs(factor))] * (abs(factor) != 1 or not names) + list(names))
            parts.append(("- " if factor < 0 else "+ ") + size)
        text = " ".join(parts)
        return "-" + text[2:] if text.startswith("- ") else text[2:]

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Free) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for names, factor in _terms(other):
            terms[names] = terms.get(names, 0) + factor
        return _simplest(terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __mul__(self, other: Size) -> Size:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                names = tuple(sorted(left + right))
                terms[names] = terms.get(names, 0) + a * b
        return _simplest(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        if isinstance(other, Free):
            if self == other:
                return 1
            raise undecided(f"{_operand(self)} // {_operand(other)}")
        if any(names and factor % other for names, factor in self.terms):
            raise undecided(f"{_operand(self)} // {_operand(other)}")
        return _simplest({names: factor // other for names, factor in self.terms})

    def __rfloordiv__(self, other: Size) -> Size:
        raise undecided(f"{_operand(other)} // {_operand(self)}")

    def __mod__(self, other: Size) -> Size:
        if isinstance(other, Free):
            if self == other:
                return 0
            raise undecided(f"{_operand(self)} % {_operand(other)}")
        if any(names and factor % other for names, factor in self.terms):
            raise undecided(f"{_operand(self)} % {_operand(other)}")
        return dict(self.terms).get((), 0) % other

    def __rmod__(self, other: Size) -> Size:
        raise undecided(f"{_operand(other)} % {_operand(self)}")

    def __lt__(self, other: Size) -> bool:
        return not _never_negative(self - other, f"{self} < {other}", wanted=False)

    def __gt__(self, other: Size) -> bool:
        return not _never_negative(other - self, f"{self} > {other}", wanted=False)

    def __ge__(self, other: Size) -> bool:
        return _never_negative(self - other, f"{self} >= {other}")

    def __le__(self, other: Size) -> bool:
        return _never_negative(other - self, f"{self} <= {other}")

    @property
    def names(self) -> set[str]:
        """The free names in it."""
        return {name for names, _ in self.terms for name in names}

    def substitute(self, values: Mapping[str, int]) -> int:
        """The number it is when each free name has the given value."""
        return sum(factor * prod(values[name] for name in names) for names, factor in self.terms)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                cls.parse, core_schema.str_schema(pattern=r"[A-Za-z_]")
            ),
            python_schema=core_schema.union_schema(
                [
                    core_schema.is_instance_schema(cls),
                    core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema()),
                ]
            ),
            serialization=core_schema.to_string_ser_schema(),
        )


Size = int | Free


def undecided(question: str, where: str = "") -> Mistake:
    """The mistake of asking what depends on the number that a free size takes; `where` gives an example."""
    return Mistake(
        f"`{question}` depends on the value of a free size",
        kind="free",
        label=where,
        help="the answer must be the same for every value of at least 1; give the input a size there, or leave the question out",
    )


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
        help="it must hold for every value of at least 1: give the input a size there, or Pad first",
    )


def require_place(size: Size) -> None:
    """Mistake unless an axis of that size has a place, for all values of its free names."""
    if not isinstance(size, int) or size < 1:
        require_least(size, 1, f"an axis cannot have size {size}")


def _operand(size: Size) -> str:
    """A size as one side of an operator that binds tighter than `+`."""
    return f"({size})" if isinstance(size, Free) and len(size.terms) > 1 else str(size)


def always_equal(left: Size, right: Size) -> bool:
    """Whether two sizes are equal for all values of their free names.

    Raises Mistake when they are equal for some values only.
    """
    difference = left - right
    if isinstance(difference, int):
        return difference == 0
    for gap in (difference, -difference):
        if isinstance(gap, Free) and (least := _least(gap)) is not None and least > 0:
            return False
    raise undecided(f"{left} == {right}", _both(difference, lambda value: value == 0))


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Free) else (((), int(size)),)


def _simplest(terms: Mapping[Monomial, int]) -> Size:
    """The polynomial, as an int when no name is left. Mistake when it is more than a net could need."""
    if len(terms) > _MOST_TERMS or any(
        len(names) > _HIGHEST_DEGREE or abs(factor) > _LARGEST_FACTOR for names, factor in terms.items()
    ):
        raise Mistake("the expression over free sizes grows too large", kind="free")
    return Free(terms) if any(names and factor for names, factor in terms.items()) else terms.get((), 0)


def _least(size: Free) -> int | None:
    """Its lower bound, where it is reached with every name at 1; None when it may not be."""
    if all(factor > 0 for names, factor in size.terms if names):
        return sum(factor for _, factor in size.terms)
    above = _above_one(size)
    if above is None or any(names and factor < 0 for names, factor in above.items()):
        return None
    return above.get((), 0)


def _above_one(size: Free) -> dict[Monomial, int] | None:
    """The same polynomial in what each name is above 1; None when it has too many terms to look at."""
    powers = [(Counter(names), factor) for names, factor in size.terms]
    if sum(prod(count + 1 for count in counts.values()) for counts, _ in powers) > _MOST_SHIFTED:
        return None
    terms: dict[Monomial, int] = {}
    for counts, factor in powers:
        for chosen in product(*(range(count + 1) for count in counts.values())):
            names = tuple(name for name, taken in zip(counts, chosen, strict=True) for _ in range(taken))
            ways = prod(comb(count, taken) for count, taken in zip(counts.values(), chosen, strict=True))
            terms[names] = terms.get(names, 0) + factor * ways
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


def _never_negative(difference: Size, question: str, wanted: bool = True) -> bool:
    if isinstance(difference, int):
        return difference >= 0
    least, most = _least(difference), _least(cast(Free, -difference))
    if least is not None and least >= 0:
        return True
    if most is not None and most > 0:
        return False
    raise undecided(question, _both(difference, lambda value: (value >= 0) is wanted))
