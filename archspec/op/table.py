"""What a weight is a table of: the places of a grid, or the offsets between the places of a window."""

from math import prod
from typing import Annotated, Literal

from pydantic import Field

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.op.settling import Settled

MOST_AXES = 2  # of a grid: height and width

NonNegative = Annotated[int, Field(ge=0)]


class Table(Settled):
    """A table of positions: the axes of a weight that are a grid, and the tokens before and after it.

    `sizes` are height and width, or the one size, of a grid, or of a window whose places are `relative` to each other: from
    -(size - 1) to size - 1 along each axis. At `axis` of the weight the places follow each other row by row, behind
    those of `before` tokens and in front of those of `after`; if `spread`, they have an axis for each size, from `axis` on.
    """

    kind: Literal["grid", "relative"]
    sizes: tuple[int, ...]
    axis: NonNegative
    spread: bool = False
    before: NonNegative = 0
    after: NonNegative = 0

    def _require_possible(self) -> None:
        if not 1 <= len(self.sizes) <= MOST_AXES or any(size < 1 for size in self.sizes):
            raise Mistake(
                f"a {self.kind} table has a size or two, each at least 1, not {list(self.sizes)}", codes.TABLE
            )
        if self.spread and self.before + self.after > 0:
            raise Mistake("a table that is laid out as a map has no place for tokens", codes.TABLE)

    @property
    def spans(self) -> tuple[int, ...]:
        """How many places it has along each axis of the grid, or offsets along each of the window."""
        return tuple(2 * size - 1 for size in self.sizes) if self.kind == "relative" else self.sizes

    @property
    def shape(self) -> tuple[int, ...]:
        """What the shape of the weight is from `axis` on, as far as the table goes."""
        return self.spans if self.spread else (self.before + prod(self.spans) + self.after,)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a weight of that shape can be such a table."""
        return shape[self.axis : self.axis + len(self.shape)] == self.shape

    def of(self, sizes: tuple[int, ...]) -> "Table":
        """The same table of another grid or window. Raises Mistake when it has no such sizes."""
        return Table(
            kind=self.kind,
            sizes=sizes,
            axis=self.axis,
            spread=self.spread,
            before=self.before,
            after=self.after,
        )

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """In words: `a grid of 14 x 14 behind 1 token`, `relative positions in a window of 7 x 7`."""
        sizes = " x ".join(map(str, self.sizes))
        said = (
            f"relative positions in a window of {sizes}" if self.kind == "relative" else f"a grid of {sizes}"
        )
        around = [
            f"{where} {count} token{'s' * (count > 1)}"
            for where, count in (("behind", self.before), ("in front of", self.after))
            if count
        ]
        return f"{said}{' ' * bool(around)}{' and '.join(around)}"
