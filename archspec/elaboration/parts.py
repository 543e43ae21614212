"""Parts of values: attributes, items and slices."""

from __future__ import annotations

from typing import Any

from archspec.elaboration.checks import whole
from archspec.elaboration.values import Outputs, Tensor, noun
from archspec.ground.errors import Mistake, suggest


def attribute_of(value: Any, name: str) -> Any:
    """What stands behind a dot: a fact about a tensor's shape, or an output by its name. Raises Mistake when there is none."""
    known: dict[str, Any] = {}
    if isinstance(value, Tensor):
        known = _facts(value)
    elif isinstance(value, Outputs):
        known = {given: tensor for given, tensor in zip(value.names, value, strict=True) if given}
    if name not in known:
        help_ = suggest(name, known) or (f"it has {', '.join(known)}" if known else "")
        raise Mistake(f"{noun(value)} has no `{name}`", kind="name", help=help_)
    return known[name]


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
        raise Mistake(f"{noun(value)} cannot be indexed", kind="type")
    if len(indices) != 1:
        raise Mistake(f"a list takes one index, not {len(indices)}", kind="type")
    index = indices[0]
    if isinstance(index, slice):
        for bound in (index.start, index.stop, index.step):
            if bound is not None:
                whole(bound, "a slice of a list")
        if index.step == 0:
            raise Mistake("the step of a slice must not be 0", kind="value")
        return tuple(value[index]) if isinstance(value, Outputs) else value[index]
    if not -len(value) <= index < len(value):
        raise Mistake(
            f"index {index} is out of range", kind="value", label=f"{len(value)} items, counted from 0"
        )
    return value[index]
