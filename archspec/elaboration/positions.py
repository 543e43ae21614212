"""Arguments of ops and initialisations by position, and what is said of those that only go by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from archspec.elaboration.arguments import ArgumentMistake, build, by_position, takes
from archspec.elaboration.values import describe
from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest
from archspec.ground.size import Free
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.op.window import Windows

Callee = type[Op] | type[Initialiser]

_AXES = frozenset({"axis", "axes", "start", "end"})
"""Arguments that number axes: here without the batch, in PyTorch with it."""
_WITHOUT_BATCH = "axes are counted without the batch"


def placed(callee: Callee, bound: Mapping[str, Any], already: int, positional: list[Any]) -> dict[str, Any]:
    """Arguments given by position, by their names. Mistake when there are too many, or one falls on one that is bound."""
    names = callee.by_position()
    if already + len(positional) > len(names):
        raise _too_many(callee, bound, already, positional)
    return by_position(callee.__name__, names, bound, already, positional)


def unknown_to(callee: Callee, name: str, known: Iterable[str]) -> ArgumentMistake:
    """The mistake of naming an argument that is not there; of one of PyTorch's, what it is here."""
    names, here = list(known), callee.pytorch.get(name)
    if here in callee.model_fields:
        help = f"PyTorch's `{name}` is `{here}` here" + (f"; {_WITHOUT_BATCH}" if here in _AXES else "")
    elif here:
        help = f"PyTorch's `{name}` {here}"
    elif name in ("act", "activation"):
        help = f"an activation is a layer behind it: `{callee.__name__}(...) -> ReLU`"
    else:
        help = suggest(name, names) or takes(callee.__name__, names)
    return ArgumentMistake(
        name, f"{callee.__name__} has no argument `{name}`", codes.UNKNOWN_ARGUMENT, help=help
    )


def _too_many(callee: Callee, bound: Mapping[str, Any], already: int, values: list[Any]) -> Mistake:
    """What is said of too many positions: how these values are written, read in the order of the fields or of PyTorch."""
    what, fields, names = callee.__name__, callee.model_fields, callee.by_position()
    order = [*names, *(name for name in fields if name not in names)][already:]
    ours = dict(zip(order, values, strict=False)) if len(values) <= len(order) else None
    if ours is not None and not _fits(callee, {**bound, **ours}):
        ours = None
    theirs = None if bound else _as_for_pytorch(callee, values)
    ways = []
    if ours is not None:
        ways.append(f"write {_call(callee, ours, already)}")
    if theirs is not None and theirs != ours:
        start = "or, if this is written as for PyTorch," if ways else "write"
        given = list(callee.pytorch)[: len(values)]
        ways.append(f"{start} {_call(callee, theirs, 0)}{_notes(callee, given, theirs)}")
    if not ways and len(names) == 1 and not already and _fits(callee, {**bound, names[0]: values}):
        ways.append(f"write {_call(callee, {names[0]: values}, 0)}")
    if names:
        message = f"{what} takes only {' and '.join(f'`{name}`' for name in names)} by position"
    else:
        message = f"{what} takes no arguments" + (" by position" if fields else "")
    return Mistake(
        message, codes.BY_POSITION, help="\n".join(ways) or (takes(what, fields) if fields else "")
    )


class AsWritten:
    """An argument whose value is not known, only how it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def as_in_pytorch(callee: Callee, values: list[Any], named: Mapping[str, Any]) -> str:
    """How a call of PyTorch's own layer is written, whose arguments are these; empty where they cannot be its."""
    theirs = _as_for_pytorch(callee, values, named)
    if theirs is None:
        return ""
    given = [*list(callee.pytorch)[: len(values)], *named]
    return f"write {_call(callee, theirs, 0)}{_notes(callee, given, theirs)}"


def _notes(callee: Callee, given: Iterable[str], theirs: Mapping[str, Any]) -> str:
    """What is to be known of PyTorch's arguments that were given, and of the defaults that were not."""
    here = {name: callee.pytorch.get(name, name) for name in given}
    if "normalized_shape" in here and "axes" in theirs:
        here["normalized_shape"] = "axes"
    notes = [f"PyTorch's `{name}` {is_}" for name, is_ in here.items() if is_ not in callee.model_fields]
    if _AXES & theirs.keys():
        notes.append(_WITHOUT_BATCH)
    for name in theirs.keys() - here.values():
        notes.append(f"PyTorch's `{name}` is {describe(theirs[name])} by default")
    return f": {', '.join(notes)}" if notes else ""


def _as_for_pytorch(
    callee: Callee, values: list[Any], named: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any] | None:
    """The arguments that the values are in the order of PyTorch's, with its defaults; None if they cannot be."""
    if len(values) > len(callee.pytorch) or named.keys() & list(callee.pytorch)[: len(values)]:
        return None
    found = {}
    for name, value in {**dict(zip(callee.pytorch, values, strict=False)), **named}.items():
        here = callee.pytorch.get(name, name)
        if name == "normalized_shape" and isinstance(value, list | tuple) and len(value) > 1:
            here, value = "axes", list(range(-len(value), 0))  # the sizes say how many axes from the last
            found[here] = value
        elif here in callee.model_fields:
            if here in _AXES:
                value = _without_batch(value)
            found[here] = value
        elif isinstance(value, float | str) or name not in callee.pytorch:
            return None  # what is left out is a size, sizes, or whether to do something
    for name, value in callee.pytorch_defaults.items():
        if name not in found and _differs(callee, found, name, value):
            found[name] = value
    unknown = any(isinstance(value, AsWritten) for value in found.values())
    return found if unknown or _fits(callee, found) else None


def _differs(callee: Callee, given: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether PyTorch's default makes another layer than the one here: `same` is 0 for a window that is no wider than its stride."""
    if (name, value) != ("padding", 0):
        return True
    kernel, stride, dilation = (given.get(part, 1) for part in ("kernel", "stride", "dilation"))
    if "stride" not in given and callee.model_fields["stride"].default is None:
        stride = kernel  # of a pool
    try:
        return Windows.of(1, kernel, stride, "same", dilation).margins != ((0, 0),)
    except (Mistake, TypeError):  # windows of several axes, or written in a way that is not known here
        return True


def _without_batch(axes: Any) -> Any:
    """Axes as numbered here of axes as numbered in PyTorch; None for the batch, which no argument can be."""
    if isinstance(axes, list | tuple):
        return [_without_batch(axis) for axis in axes]
    if not isinstance(axes, int) or axes < 0:
        return axes
    return axes - 1 if axes else None


def _fits(callee: Callee, arguments: Mapping[str, Any]) -> bool:
    """Whether the arguments are of the right types, in their domains, and all that are needed."""
    try:
        build(callee, arguments)
    except Mistake:
        return False
    return not any(isinstance(value, Free) for value in arguments.values())


def _call(callee: Callee, arguments: Mapping[str, Any], already: int) -> str:
    """The call that gives the arguments, as far as they may be by position, else by name."""
    names = list(callee.by_position()[already:])
    shown = []
    for i, (name, value) in enumerate(arguments.items()):
        shown.append(describe(value) if names[i : i + 1] == [name] else f"{name}={describe(value)}")
    if already:
        return f"`{', '.join(shown)}`"
    return f"`{callee.__name__}({', '.join(shown)})`" if shown else f"`{callee.__name__}`"
