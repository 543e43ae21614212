"""Parts of values: attributes, items and slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.elaboration.checks import SIZE_NEEDED, whole
from archspec.elaboration.foreign import method
from archspec.elaboration.values import Outputs, Tensor, noun
from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest
from archspec.ground.size import Free, Size
from archspec.ground.tensor import Shape


def attribute_of(value: Any, name: str) -> Any:
    """What stands behind a dot: a fact about a tensor's shape, or an output by its name. Raises Mistake when there is none."""
    known = attributes(value)
    if name not in known:
        help_ = method(name) if isinstance(value, Tensor) else ""
        help_ = help_ or suggest(name, known) or (f"it has {', '.join(known)}" if known else "")
        raise Mistake(f"{noun(value)} has no `{name}`", codes.UNKNOWN_PART, help=help_)
    return known[name]


def has_attribute(value: Any, name: str) -> bool:
    """Whether `attribute_of` would find the name."""
    return name in attributes(value)


def attributes(value: Any) -> dict[str, Any]:
    """What stands behind a dot of a value, by name."""
    if isinstance(value, Tensor):
        return _facts(value)
    if isinstance(value, Outputs):
        return {given: tensor for given, tensor in zip(value.names, value, strict=True) if given}
    return {}


def _facts(tensor: Tensor) -> dict[str, Any]:
    shape = tensor.type.shape
    facts: dict[str, Any] = {"shape": list(shape), "rank": len(shape)}
    if shape:
        facts["channels"] = shape[0]
    if len(shape) >= 3:
        facts.update(height=shape[-2], width=shape[-1])
    elif len(shape) == 2:
        facts["length"] = shape[-1]
    return facts


def item_of(value: Any, indices: list[Any]) -> Any:
    """An item of a list, tuple or string, or a slice of it. Raises Mistake when there is none."""
    if not isinstance(value, list | tuple | str):
        raise Mistake(f"{noun(value)} cannot be indexed", codes.INDEXING)
    if len(indices) != 1:
        raise Mistake(f"a list takes one index, not {len(indices)}", codes.INDEXING)
    index = indices[0]
    if isinstance(index, slice):
        for bound in (index.start, index.stop, index.step):
            if bound is not None:
                whole(bound, "a slice of a list")
        if index.step == 0:
            raise Mistake("the step of a slice must not be 0", codes.UNDEFINED)
        return tuple(value[index]) if isinstance(value, Outputs) else value[index]
    if not -len(value) <= index < len(value):
        raise Mistake(
            f"index {index} is out of range", codes.AXIS, label=f"{len(value)} items, counted from 0"
        )
    return value[index]


Place = int | tuple[Any, Any, Any]


def part_of_tensor(
    indices: list[Any], shape: Shape, spent: Callable[[Size], Size]
) -> tuple[tuple[Place, ...], tuple[int, ...]]:
    """The numbers and slices that `Index` takes, all forwards, and the axes of what it gives that are then to be reversed.

    `spent` gives a size as a plain number, which is then used at this place.
    """
    places: list[Place] = []
    reversed_: list[int] = []
    kept = 0
    for axis, index in enumerate(indices):
        if not isinstance(index, slice):
            places.append(index)
            continue
        bounds = index.start, index.stop, index.step
        if type(index.step) is int and index.step < 0 and axis < len(shape):
            bounds = _forwards(index, shape[axis], spent)
            reversed_.append(kept)
        places.append(bounds)
        kept += 1
    return tuple(places), tuple(reversed_)


def _forwards(
    index: slice, size: Size, spent: Callable[[Size], Size]
) -> tuple[int | None, int | None, int | None]:
    """The slice with a positive step that takes the same values. Mistake when there are none, or a free size decides."""
    if index.start is None and index.stop is None and index.step == -1:
        return None, None, None
    size = spent(size)
    if isinstance(size, Free) or isinstance(index.start, Free) or isinstance(index.stop, Free):
        raise Mistake(
            "a slice with a negative step needs an axis of known size",
            codes.FREE_NUMBER,
            help=f"{SIZE_NEEDED}, or reverse the whole axis: `[::-1]`",
        )
    taken = range(*index.indices(size))
    if not taken:
        raise Mistake(f"the slice takes nothing of an axis of {size}", codes.TOO_SMALL)
    return taken[-1], taken[0] + 1, -index.step
