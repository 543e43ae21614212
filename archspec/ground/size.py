"""Sizes that are known only at run time: polynomials over free names, such as `2*S + 1`, and over quotients, `(S + 1)//2`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import gcd
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from archspec.ground import codes
from archspec.ground.errors import Mistake

Monomial = tuple[
    str, ...
]  # ("H", "W") is H * W; () is the constant; a factor may be a quotient, "(H + 1)//2"

_MOST_TERMS, _HIGHEST_DEGREE, _LARGEST_FACTOR = 64, 16, 10**30
_TOKEN = re.compile(r"\d+|[^\W\d]\w*|//|[-+*()]")
_DEEPEST = 8  # quotients in quotients


class Free:
    """A size that is free at run time: a polynomial with integer coefficients over free names, and over quotients rounded down.

    Each free name stands for any whole number of at least 1. Arithmetic gives another `Free` (or an int, when the names
    cancel); a question whose answer depends on the number is a `Mistake`.
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
        return _Reader(text).whole()

    def __str__(self) -> str:
        parts = []
        for names, factor in sorted(self.terms, key=lambda term: (-len(term[0]), term[0])):
            several = len(names) + (abs(factor) != 1) > 1
            shown = [f"({name})" if several and name in QUOTIENTS else name for name in names]
            size = "*".join([str(abs(factor))] * (abs(factor) != 1 or not names) + shown)
            parts.append(("- " if factor < 0 else "+ ") + size)
        text = " ".join(parts)
        return "-" + text[2:] if text.startswith("- ") else text[2:]

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Free) and self.terms == other.terms

    def __bool__(self) -> bool:
        from archspec.ground.bounds import always_equal

        return not always_equal(self, 0)

    def __hash__(self) -> int:
        return hash(self.terms)

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for names, factor in terms_of(other):
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
            for right, b in terms_of(other):
                names = tuple(sorted(left + right))
                terms[names] = terms.get(names, 0) + a * b
        return _simplest(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        if isinstance(other, Free) or other < 1:
            found = _exact_quotient(self, other)
            if found is None:
                raise _undecided(f"{operand(self)} // {operand(other)}")
            return found
        return _rounded_down(self, other)

    def __rfloordiv__(self, other: Size) -> Size:
        raise _undecided(f"{operand(other)} // {operand(self)}")

    def __mod__(self, other: Size) -> Size:
        if isinstance(other, Free) or other < 1:
            if _exact_quotient(self, other) is None:
                raise _undecided(f"{operand(self)} % {operand(other)}")
            return 0
        return self - _rounded_down(self, other) * other

    def __rmod__(self, other: Size) -> Size:
        raise _undecided(f"{operand(other)} % {operand(self)}")

    def __lt__(self, other: Size) -> bool:
        from archspec.ground.bounds import never_negative

        return not never_negative(self - other, f"{self} < {other}", wanted=False)

    def __gt__(self, other: Size) -> bool:
        from archspec.ground.bounds import never_negative

        return not never_negative(other - self, f"{self} > {other}", wanted=False)

    def __ge__(self, other: Size) -> bool:
        from archspec.ground.bounds import never_negative

        return never_negative(self - other, f"{self} >= {other}")

    def __le__(self, other: Size) -> bool:
        from archspec.ground.bounds import never_negative

        return never_negative(other - self, f"{self} <= {other}")

    @property
    def names(self) -> set[str]:
        """The free names in it."""
        found: set[str] = set()
        for names, _ in self.terms:
            for name in names:
                found |= QUOTIENTS[name][0].names if name in QUOTIENTS else {name}
        return found

    def substitute(self, values: Mapping[str, int]) -> int:
        """The number it is when each free name has the given value."""
        made = self.replaced(values)
        if isinstance(made, Free):
            raise KeyError(next(iter(made.names)))
        return made

    def replaced(self, values: Mapping[str, Size]) -> Size:
        """The size with other sizes in the place of names; those without one stay."""
        total: Size = 0
        for names, factor in self.terms:
            term: Size = factor
            for name in names:
                if name in QUOTIENTS:
                    above, below = QUOTIENTS[name]
                    term = term * (above.replaced(values) // below)
                else:
                    term = term * values.get(name, Free.named(name))
            total = total + term
        return total

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


def _undecided(question: str) -> Mistake:
    from archspec.ground.bounds import undecided

    return undecided(question)


def terms_of(size: Size) -> tuple[tuple[Monomial, int], ...]:
    """The terms of a size: of a number, the number."""
    return size.terms if isinstance(size, Free) else (((), int(size)),)


def _simplest(terms: Mapping[Monomial, int]) -> Size:
    """The polynomial, as an int when no name is left. Mistake when it is more than a net could need."""
    if len(terms) > _MOST_TERMS or any(
        len(names) > _HIGHEST_DEGREE or abs(factor) > _LARGEST_FACTOR for names, factor in terms.items()
    ):
        raise Mistake("the expression over free sizes grows too large", codes.FREE_FORMULA)
    return Free(terms) if any(names and factor for names, factor in terms.items()) else terms.get((), 0)


def operand(size: Size) -> str:
    """A size as one side of an operator that binds tighter than `+`."""
    return f"({size})" if isinstance(size, Free) and len(size.terms) > 1 else str(size)


# ------------------------------------------------------------------ quotients

QUOTIENTS: dict[str, tuple[Free, int]] = {}  # what is divided by what, by the text of the quotient


def _rounded_down(size: Free, divisor: int) -> Size:
    """size // divisor: what divides evenly in front, and a quotient of the rest; (-H) // 4 as -((H + 3) // 4)."""
    if all(factor < 0 for names, factor in size.terms if names):
        upwards = divisor - 1 - size
        assert isinstance(upwards, Free)
        return _rounded_down(upwards, divisor) * -1
    whole = {names: factor // divisor for names, factor in size.terms}
    rest = {names: factor % divisor for names, factor in size.terms if factor % divisor}
    if not any(rest):
        return _simplest(whole)
    shared = gcd(divisor, *(factor for names, factor in rest.items() if names))
    above = Free({names: factor // shared for names, factor in rest.items()})
    return _simplest(whole) + _quotient(above, divisor // shared)


def _quotient(above: Free, below: int) -> Size:
    """A quotient that has no whole part; (n // a + b) // c is (n + a b) // (a c)."""
    if below == 1:
        return above + 0
    constant = dict(above.terms).get((), 0)
    inner = [(names, factor) for names, factor in above.terms if names]
    if len(inner) == 1 and len(inner[0][0]) == 1 and inner[0][1] == 1 and inner[0][0][0] in QUOTIENTS:
        within, divisor = QUOTIENTS[inner[0][0][0]]
        return (within + constant * divisor) // (divisor * below)
    if _depth(above) >= _DEEPEST or below > _LARGEST_FACTOR:
        raise Mistake("the expression over free sizes grows too large", codes.FREE_FORMULA)
    text = f"{operand(above)}//{below}"
    if len(text) > _LONGEST_QUOTIENT:
        raise Mistake("the expression over free sizes grows too large", codes.FREE_FORMULA)
    QUOTIENTS.setdefault(text, (above, below))
    return Free.named(text)


_LONGEST_QUOTIENT = 400  # letters


def _depth(size: Free) -> int:
    """How deep quotients are nested in a size."""
    return max(
        (1 + _depth(QUOTIENTS[name][0]) for names, _ in size.terms for name in names if name in QUOTIENTS),
        default=0,
    )


def _exact_quotient(size: Free, other: Size) -> Size | None:
    """size // other where it divides evenly term by term, by one term; None where it does not."""
    terms = terms_of(other)
    if len(terms) != 1 or not terms[0][1]:
        return 1 if size == other else None
    divisor, by = Counter(terms[0][0]), terms[0][1]
    found: dict[Monomial, int] = {}
    for names, factor in size.terms:
        left = Counter(names)
        if factor % by or divisor - left:
            return None
        found[tuple(sorted((left - divisor).elements()))] = factor // by
    return _simplest(found)


class _Reader:
    """Reads what `str` of a size printed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        if (
            "".join(self.tokens) != re.sub(r"\s", "", text)
            or re.search(r"\w\s+\w|[^\S ]", text)
            or not self.tokens
        ):
            raise self.wrong()
        self.place = 0

    def wrong(self) -> ValueError:
        return ValueError(f"not a size: {self.text[:100]!r}")

    def whole(self) -> Free:
        size = self.sum(0)
        if self.place < len(self.tokens):
            raise self.wrong()
        return size if isinstance(size, Free) else Free({(): size})

    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.next()
        if token in wanted:
            self.place += 1
            return token
        return ""

    def sum(self, depth: int) -> Size:
        sign = -1 if self.take("+", "-") == "-" else 1
        total = self.term(depth) * sign
        while token := self.take("+", "-"):
            total = total + self.term(depth) * (1 if token == "+" else -1)
        return total

    def term(self, depth: int) -> Size:
        total = self.factor(depth)
        while sign := self.take("*", "//"):
            if sign == "*":
                total = total * self.factor(depth)
                continue
            divisor = self.next()
            if not divisor.isdigit() or int(divisor) < 1:
                raise self.wrong()
            self.place += 1
            try:
                total = total // int(divisor)
            except Mistake:
                raise self.wrong() from None
        return total

    def factor(self, depth: int) -> Size:
        if depth > 2 * _DEEPEST:
            raise self.wrong()
        value: Size
        if self.take("("):
            value = self.sum(depth + 1)
            if not self.take(")"):
                raise self.wrong()
        else:
            token = self.next()
            if not re.match(r"\w", token):
                raise self.wrong()
            self.place += 1
            value = int(token) if token.isdigit() else Free.named(token)
        return value
