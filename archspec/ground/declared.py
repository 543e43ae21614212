"""Sizes that follow from those which a model declares for its inputs, and where they are used as numbers.

A network runs at other sizes than it was declared for wherever nothing depends on the number: so each such number
remembers where it comes from, through all arithmetic that is the same at any size, and whoever takes it as a mere number
says so with `use`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from math import gcd
from typing import Any

from archspec.ground.errors import Mistake
from archspec.ground.size import Free

_LONGEST_NAME = 400
_UNIQUE = count()
_USED: ContextVar[list[int] | None] = ContextVar("used", default=None)


class Declared(int):
    """A number that follows from declared sizes: equal to, and hashed as, the plain one.

    `origins` are the sizes that it comes from, one bit for each, and `form` is how, as a polynomial over these and over
    what is rounded down of such polynomials. Equal forms are equal whatever the sizes are. Sums, differences, products,
    quotients rounded down and remainders keep both; all else that Python does with a number is a use.
    """

    origins: int
    form: Free
    family: Family
    key: int  # what tells it apart in its family
    made: dict[tuple[str, int], Any]  # what was computed of it and a plain number

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (number(self),)

    def __add__(self, other: Any) -> Any:
        return self._with("+", other)

    def __sub__(self, other: Any) -> Any:
        return self._with("-", other)

    def __rsub__(self, other: Any) -> Any:
        return _computed("-", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._with("*", other)

    def __floordiv__(self, other: Any) -> Any:
        return self._with("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _computed("//", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._with("%", other)

    def __rmod__(self, other: Any) -> Any:
        return _computed("%", other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return self * -1

    __radd__, __rmul__ = __add__, __mul__

    def _with(self, sign: str, other: Any) -> Any:
        """The number combined with another, which is mostly one that it was combined with before."""
        if type(other) is not int:
            return _computed(sign, self, other)
        if (sign, other) not in self.made:
            self.made[sign, other] = _computed(sign, self, other)
        return self.made[sign, other]


class Family:
    """The numbers of one model that follow from declared sizes; each form is one object."""

    def __init__(self) -> None:
        self._members: dict[tuple[int, Free], Declared] = {}

    def member(self, value: int, origins: int, form: Free) -> Declared:
        """The number of that form, which has that value."""
        member = self._members.get((origins, form))
        if member is None:
            member = Declared(value)
            member.origins, member.form, member.family, member.made = origins, form, self, {}
            member.key = len(self._members)
            self._members[origins, form] = member
        return member

    def release(self) -> None:
        """Let go of the numbers, which refer to each other in circles."""
        for member in self._members.values():
            member.made.clear()
        self._members.clear()


Form = int | Free


def _plainly(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of int, for which the numbers are used as such."""

    def of_numbers(self: Declared, *others: Any) -> Any:
        use(self, *others)
        return method(number(self), *map(number, others))

    return of_numbers


for _name in (
    *("abs", "ceil", "float", "floor", "int", "invert", "round", "trunc"),
    *(
        side + name
        for name in ("and", "lshift", "or", "pow", "rshift", "truediv", "xor")
        for side in ("", "r")
    ),
):
    setattr(Declared, f"__{_name}__", _plainly(getattr(int, f"__{_name}__")))


def number(value: Any) -> Any:
    """The plain number; anything else as it is."""
    return int.__add__(value, 0) if type(value) is Declared else value


def use(*sizes: Any) -> None:
    """Say that something depends on these as numbers, so that it would be wrong at others."""
    for size in sizes:
        if type(size) is Declared and (used := _USED.get()) is not None:
            used[0] |= size.origins


class used:  # noqa: N801  (as a function reads; a generator would take longer than most of what runs in it)
    """Within it, the first item of the list it gives collects the origins of all that is used."""

    def __enter__(self) -> list[int]:
        collected = [0]
        self._token = _USED.set(collected)
        return collected

    def __exit__(self, *error: object) -> None:
        _USED.reset(self._token)


def same_always(left: Any, right: Any) -> bool:
    """Whether two numbers that are equal are so whatever the declared sizes are."""
    if type(left) is Declared and type(right) is Declared:
        return left is right or left.form == right.form
    return type(left) is not Declared and type(right) is not Declared


def use_unless_same(left: Any, right: Any) -> None:
    """Use two numbers that are equal, unless they are so whatever the declared sizes are."""
    if not same_always(left, right):
        use(left, right)


def derived(value: int, *sizes: Any, how: str) -> int:
    """A number that follows from others in a way that PyTorch goes as well: `how` tells such ways apart."""
    given = [size for size in sizes if type(size) is Declared]
    if not given:
        return value
    origins = 0
    for size in given:
        origins |= size.origins
    form = _atom(f"{how}({', '.join(str(_form(size)) for size in sizes)})")
    return given[0].family.member(value, origins, form)


def _form(value: Any) -> Form:
    return value.form if type(value) is Declared else value


def _computed(sign: str, left: Any, right: Any) -> Any:
    """What arithmetic gives, with its origins and form; a plain number where those cancel out."""
    if not (isinstance(left, int) and isinstance(right, int)):
        use(left, right)
        return NotImplemented
    of_numbers, of_forms = _ARITHMETIC[sign]
    value = of_numbers(number(left), number(right))
    try:
        form = of_forms(_form(left), _form(right))
    except Mistake:  # more than a polynomial can hold
        form = _atom("")
    if isinstance(form, int):
        return value
    given = [size for size in (left, right) if type(size) is Declared]
    return given[0].family.member(value, given[0].origins | given[-1].origins, form)


def _quotient(left: Form, right: Form) -> Form:
    """left // right: what divides evenly in front, and one name for the rest."""
    if right == 1:
        return left
    if left == right:
        return 1
    if not isinstance(right, int) or isinstance(left, int) or right <= 0:
        return _atom(f"({left})//({right})")
    whole = {names: factor // right for names, factor in left.terms}
    rest = {names: factor % right for names, factor in left.terms if factor % right}
    shared = gcd(right, *(factor for names, factor in rest.items() if names))
    if not any(rest_names for rest_names in rest):
        return _sum(whole)
    rest = {names: factor // shared for names, factor in rest.items()}
    return _sum(whole) + _atom(f"({Free(rest)})//{right // shared}")


def _remainder(left: Form, right: Form) -> Form:
    return left - _quotient(left, right) * right


_ARITHMETIC: dict[str, tuple[Callable[[int, int], int], Callable[[Any, Any], Form]]] = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "//": (operator.floordiv, _quotient),
    "%": (operator.mod, _remainder),
}


def _sum(terms: dict[tuple[str, ...], int]) -> Form:
    return Free(terms) + 0


def _atom(name: str) -> Free:
    """A form of its own; one that equals no other where it has no name, or too long a one."""
    return Free.named(name if 0 < len(name) <= _LONGEST_NAME else f"#{next(_UNIQUE)}")
