"""Tensors joined, indexed and given other shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, Writer, given, over_batch, size
from archspec.backends.python.functions.sizes import planned
from archspec.ops import gather, joining, resample, reshape, slicing


def _joined(applied: Applied) -> tuple[py.Expression, ...]:
    return over_batch(applied.inputs, applied.types) if applied.settings.get("batched") else applied.inputs


def _concat(applied: Applied) -> py.Expression:
    return py.call(
        "torch.cat",
        py.Listed(_joined(applied)),
        dim=py.number(_from_front(applied, applied.settings["axis"])),
    )


def _stack(applied: Applied) -> py.Expression:
    return py.call("torch.stack", py.Listed(_joined(applied)), dim=py.number(applied.settings["axis"]))


def _from_front(applied: Applied, axis: int) -> int:
    """An axis counted from the front where that is the channels of images, which people call 1."""
    ranks = [type_.rank for type_ in applied.types]
    batched = any(type_.batched for type_ in applied.types)
    return 1 if batched and ranks[0] >= 3 and axis == -ranks[0] else axis


def _take(applied: Applied) -> py.Expression:
    places: list[py.Expression] = []
    for place in applied.settings["at"]:
        if isinstance(place, int):
            places.append(py.Literal(place))
            continue
        start, stop, step = (None if end is None else planned(end, applied) for end in place)
        places.append(py.Slice((start, stop, step)))
    while len(places) > 1 and places[-1] == py.ALL:
        places.pop()
    return py.Item(applied.x, tuple(places))


def _rows(applied: Applied) -> py.Expression | None:
    table, index = applied.inputs
    if not applied.settings["batched"][0]:
        return py.Item(table, (index,))
    if not applied.settings["batched"][1]:
        return py.Item(table, (py.ALL, index))
    return None


def _positions(applied: Applied) -> py.Expression:
    count = size(applied.x, applied.settings["axis"])
    made = py.call("torch.arange", count, device=py.Attribute(applied.x, "device"))
    if not applied.settings["batched"]:
        return made
    return py.method(made, "expand", size(applied.x, 0), py.number(-1))


def _reshape(applied: Applied) -> py.Expression:
    settings = applied.settings
    sizes: list[py.Expression] = [py.Literal(number) for number in settings["shape"]]
    for place, axis in settings.get("same", ()):
        sizes[place] = size(applied.x, axis)
    for place, wanted in settings.get("planned", ()):
        sizes[place] = planned(wanted, applied)
    if settings.get("left_out") is not None:
        sizes[settings["left_out"][0]] = py.number(-1)
    if settings["batched"]:
        sizes.insert(0, size(applied.x, 0))
    return py.method(applied.x, "reshape", *sizes)


def _resized_like(applied: Applied) -> py.Expression:
    settings = applied.settings
    size = py.Item(
        py.Attribute(applied.options["like"], "shape"),
        (py.Slice((py.number(-settings["axes"]), None, None)),),
    )
    keywords = [py.Keyword("size", size), py.Keyword("mode", given(settings["mode"]))]
    if settings["corners"] is not None:
        keywords.append(py.Keyword("align_corners", given(settings["corners"]), None))
    if settings["antialias"]:
        keywords.append(py.Keyword("antialias", given(True)))
    return py.Call(py.Code("functional.interpolate"), (applied.x,), tuple(keywords))


WRITERS: dict[Callable[..., Any], Writer] = {
    joining.concat: _concat,
    joining.stack: _stack,
    slicing.take: _take,
    gather.rows: _rows,
    gather.positions: _positions,
    reshape.reshape: _reshape,
    resample.resized_like: _resized_like,
}
