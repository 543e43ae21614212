"""Declared sizes: which numbers follow from the sizes of a model's inputs, and where these are used as numbers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from archspec.elaboration.values import Outputs
from archspec.ground.declared import Declared, Family, number
from archspec.ground.size import Free
from archspec.ground.source import Location, Span
from archspec.ground.tensor import TensorType

_PLAIN = (int, float, str, bool, type(None))

Value = TypeVar("Value")


class Origins:
    """The sizes that a model declares, one bit for each, and the place where each was first used as a number."""

    def __init__(self) -> None:
        self.uses: dict[int, Location] = {}  # by the bit
        self._used = 0
        self._family = Family()
        self._places: dict[Hashable, int] = {}
        self._traces: dict[Hashable, int] = {}

    def release(self) -> None:
        """Let go of the numbers, which refer to each other in circles."""
        self._family.release()

    def declared(self, value: int, origin: Hashable) -> Declared:
        """A number that is declared: what is computed of it knows that it comes from there."""
        place = self._places.setdefault(origin, len(self._places))
        return self._family.member(number(value), 1 << place, Free.named(f"@{place}"))

    def use(self, origins: int, span: Span) -> None:
        """Note that numbers which come from these are used at that place."""
        new = origins & ~self._used
        if new:
            self._used |= new
            self.uses.update({1 << i: span.location for i in range(new.bit_length()) if new >> i & 1})

    def spent(self, value: Value, span: Span) -> Value:
        """The same value, its numbers plain: if they come from declared sizes, these are used at that place."""
        match value:
            case Declared():
                self.use(value.origins, span)
                return number(value)  # type: ignore[no-any-return]
            case list() | tuple() if not isinstance(value, Outputs):
                if all(type(item) in _PLAIN for item in value):
                    return value
                items = [self.spent(item, span) for item in value]
                return items if isinstance(value, list) else tuple(items)  # type: ignore[return-value]
        return value

    def settled(self, value: Any) -> Any:
        """The plain number where all that it comes from is used already, else the number as it is."""
        return number(value) if type(value) is Declared and not value.origins & ~self._used else value

    def traced(self, type_: TensorType) -> tuple[TensorType, TensorType, int]:
        """A type with its sizes settled, the same with plain ones, and its trace.

        The trace numbers the way in which its sizes follow from declared ones; it is 0 if none does.
        """
        plain = plain_type(type_)
        if plain is type_:
            return type_, type_, 0
        shape = tuple([self.settled(size) for size in type_.shape])
        way = tuple([size.key if type(size) is Declared else -1 for size in shape])
        if max(way) < 0:
            return plain, plain, 0
        trace = self._traces.setdefault(way, len(self._traces) + 1)
        return TensorType(shape, type_.dtype, type_.batched), plain, trace


def plain_type(type_: TensorType) -> TensorType:
    """The type with its sizes as plain numbers, as graphs have them."""
    for size in type_.shape:
        if type(size) is Declared:
            return TensorType(tuple([number(size) for size in type_.shape]), type_.dtype, type_.batched)
    return type_
