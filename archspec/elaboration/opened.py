"""Free sizes of a model's inputs: which are free at the caller's wish, and what is assumed of those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archspec.ground.bounds import Assumption
from archspec.ground.size import Size

USUAL_NAMES: Mapping[int, tuple[str, ...]] = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
"""Of the sizes of a signal, an image and a volume."""


class Assumed(Exception):  # noqa: N818  (no error: elaboration begins again with it)
    """Something has to be assumed of a free size from the beginning."""

    def __init__(self, assumption: Assumption) -> None:
        super().__init__(str(assumption))
        self.assumption = assumption


@dataclass(frozen=True)
class Opened:
    """Which sizes are free.

    `names` are those that the last axes of the first input get at the caller's wish, None where it has none; an empty tuple
    stands for the usual ones. `known` are numbers given for free sizes, `assumed` what is assumed of the others.
    """

    names: tuple[str, ...] | None = None
    known: Mapping[str, int] = field(default_factory=dict)
    assumed: Mapping[str, Assumption] = field(default_factory=dict)

    def size(self, name: str) -> Size:
        """The size of that name: a number, or free."""
        return self.known[name] if name in self.known else self.assumed.get(name, Assumption(name)).size

    def assuming(self, found: Assumption) -> Opened:
        """The same with one more assumption."""
        before = self.assumed.get(found.name, Assumption(found.name))
        return Opened(self.names, self.known, {**self.assumed, found.name: before.and_(found)})
