"""How one number of instances follows from others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from archspec.backends.python import expressions as py

Column = tuple[py.Code, list[int]]
"""A parameter, and what it is for some rows."""
_FEW, _MANY = 9, 65
"""Below what factors are plain, and likely: a number that all rows have in common may be a multiple by chance."""


def relation(columns: Sequence[Column], wanted: list[int], *, only_scaled: bool) -> py.Expression | None:
    """A multiple or a part of a column, by a small factor with `only_scaled`; else also a product, a quotient, or something more."""
    if min(wanted) < 1:
        return None
    found = (_scaled(column, wanted, _FEW if only_scaled else _MANY) for column in columns)
    made = next((x for x in found if x), None)
    if made or only_scaled:
        return made
    pairs = [(left, right) for left in columns for right in columns if left is not right]
    more = itertools.chain(
        (_of_two(left, right, wanted) for left, right in pairs),
        (_line(column, wanted) for column in columns),
    )
    return next((x for x in more if x), None)


def _scaled(of: Column, wanted: list[int], most: int) -> py.Expression | None:
    """`4 * width`, or `width // 4`."""
    name, column = of
    for factor in {max(wanted[0] // column[0], column[0] // wanted[0])} & set(range(2, most)):
        if wanted == [factor * value for value in column] and min(column) > 1:
            return py.Operation("*", (py.number(factor), name))
        if column == [factor * value for value in wanted]:
            return py.Operation("//", (name, py.number(factor)))
    return None


def _of_two(left: Column, right: Column, wanted: list[int]) -> py.Expression | None:
    """`heads * width`, or `dim // heads`."""
    pairs = list(zip(left[1], right[1], strict=True))
    if wanted == [a * b for a, b in pairs]:
        return py.Operation("*", (left[0], right[0]))
    if all(a % b == 0 for a, b in pairs) and wanted == [a // b for a, b in pairs]:
        return py.Operation("//", (left[0], right[0]))
    return None


def _line(of: Column, wanted: list[int]) -> py.Expression | None:
    """`7 * size - 7`."""
    name, column = of
    seen = sorted(dict(zip(column, wanted, strict=True)).items())
    if len(seen) < 2:
        return None
    (x0, y0), (x1, y1) = seen[:2]
    slope, rest = divmod(y1 - y0, x1 - x0)
    offset = y0 - slope * x0
    if rest or slope < 1 or wanted != [slope * value + offset for value in column]:
        return None
    scaled = name if slope == 1 else py.Operation("*", (py.number(slope), name))
    return py.Operation("+" if offset > 0 else "-", (scaled, py.number(abs(offset)))) if offset else scaled
