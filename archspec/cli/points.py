"""The points of `archspec cost --at`: values for the parameters of a model and for the batch."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import typer

from archspec.ground.errors import SpecError

MOST_POINTS = 1000
Point = dict[str, Any]


def parse_points(at: str | None, batch: int) -> list[Point]:
    """The settings that `--at` describes: every combination of the values in its ranges.

    `resolution=224:512:32` runs from 224 to 512 inclusive, in steps of 32; `act=[ReLU, GELU]` is
    one value, a list. Raises typer.BadParameter for anything else.
    """
    from archspec.api import parse_value

    ranges: dict[str, list[Any]] = {}
    for setting in _split(at, ",") if at else []:
        name, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not name.isidentifier():
            raise _wrong(f"`{setting}` is not NAME=VALUE or NAME=FIRST:LAST:STEP")
        if name in ranges:
            raise _wrong(f"`{name}` is given twice")
        parts = _split(text, ":")
        try:
            values = [parse_value(part) for part in parts]
        except SpecError as error:
            raise _wrong(f"in `{setting}`: {error.problems[0].message}") from None
        ranges[name] = values if len(values) == 1 else _range(setting, values)
    if not all(type(size) is int and size >= 1 for size in ranges.get("batch", [])):
        raise _wrong("a batch must be a positive integer")
    points = [dict(zip(ranges, values, strict=True)) for values in product(*ranges.values())]
    if len(points) > MOST_POINTS:
        raise _wrong(f"{len(points):,} points are too many; the limit is {MOST_POINTS:,}")
    return points if "batch" in ranges else [{**point, "batch": batch} for point in points]


_STRING_OR_SIGN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[()\[\]{},:]', re.S)


def _split(text: str, sign: str) -> list[str]:
    """The parts between separators that are outside brackets and strings."""
    parts, start, depth = [], 0, 0
    for match in _STRING_OR_SIGN.finditer(text):
        depth += (match.group() in "([{") - (match.group() in ")]}")
        if match.group() == sign and depth <= 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _range(setting: str, values: list[Any]) -> list[Any]:
    if len(values) not in (2, 3) or not all(type(value) in (int, float) for value in values):
        raise _wrong(f"`{setting}` is not NAME=FIRST:LAST:STEP with numbers")
    first, last, step = (*values, 1)[:3]
    if step <= 0 or last < first:
        raise _wrong(f"`{setting}` is an empty range")
    reach = (last - first) / step + 1e-9
    if reach >= MOST_POINTS:
        raise _wrong(f"`{setting}` has too many values; the limit is {MOST_POINTS:,}")
    count = int(reach) + 1
    steps = [first + i * step for i in range(count)]
    return [round(value, 10) if isinstance(value, float) else value for value in steps]


def _wrong(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--at")
