"""Sizes that are known only at run time: polynomials over free names, such as `2*S + 1`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from archspec.errors import Mistake

Monomial = tuple[str, ...]  # ("H", "W") is H * W; () is the constant

_MOST_TERMS, _HIGHEST_DEGREE, _LARGEST_FACTOR = 64, 16, 10**30


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
        if not re.fullmatch(r"[+-]?[\w*]+([+-][\w*]+)*", compact):
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
        return not _never_negative(self - other, f"{self} < {other}")

    def __gt__(self, other: Size) -> bool:
        return not _never_negative(other - self, f"{self} > {other}")

    def __ge__(self, other: Size) -> bool:
        return _never_negative(self - other, f"{self} >= {other}")

    def __le__(self, other: Size) -> bool:
        return _never_negative(other - self, f"{self} <= {other}")

    @property
    def names(self) -> set[str]:
        """The free names in it."""
        return {name for names, _ in self.terms for name in names}

    def at(self, values: Mapping[str, int]) -> int:
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


def undecided(question: str) -> Mistake:
    """The mistake of asking what depends on the number that a free size takes at run time."""
    return Mistake(
        f"`{question}` depends on the value of a free size",
        kind="free",
        help="what is written must hold for every value; give the size a number, or do without the question",
    )


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
    raise undecided(f"{left} == {right}")


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Free) else (((), int(size)),)


def _simplest(terms: Mapping[Monomial, int]) -> Size:
    """The polynomial, as an int when no name is left. Mistake when it is more than a net could need."""
    if len(terms) > _MOST_TERMS or any(
        len(names) > _HIGHEST_DEGREE or abs(factor) > _LARGEST_FACTOR for names, factor in terms.items()
    ):
        raise Mistake("the arithmetic with free sizes grows beyond all bounds", kind="free")
    return Free(terms) if any(names and factor for names, factor in terms.items()) else terms.get((), 0)


def _least(size: Free) -> int | None:
    """Its least value when it only grows with every name, else None."""
    if any(names and factor < 0 for names, factor in size.terms):
        return None
    return sum(factor for _, factor in size.terms)


def _never_negative(difference: Size, question: str) -> bool:
    if isinstance(difference, int):
        return difference >= 0
    least, most = _least(difference), _least(cast(Free, -difference))
    if least is not None and least >= 0:
        return True
    if most is not None and most > 0:
        return False
    raise undecided(question)
