"""The weights below a step, by the path of steps that leads to each: what `mlp.fc1.weight` means below a shared `mlp`."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.graph.function import Call, FirstUses, Function, Step, first_use
from archspec.op import Weight


def weight_at(functions: Sequence[Function], index: int, path: str) -> Weight | None:
    """The weight of a function at a path: names of steps, and the key of the last one's weight; None if there is none."""
    found = named(functions, index, path)
    if found is None:
        return None
    function, step, length = found
    rest = path[length + 1 :]
    if isinstance(step, Call):
        return weight_at(functions, step.function, rest) if rest else None
    return function.held.get(step.name, {}).get(rest)


def holds(functions: Sequence[Function], index: int, path: str) -> bool:
    """Whether there is a step at a path in a function, or a group of steps."""
    found = named(functions, index, path)
    if found is not None:
        _, step, length = found
        rest = path[length + 1 :]
        return not rest or (isinstance(step, Call) and holds(functions, step.function, rest))
    names = (*(step.name for step in functions[index].steps), *functions[index].layers)
    return any(name.startswith(f"{path}.") for name in names)


def named(
    functions: Sequence[Function], index: int, path: str, known: FirstUses | None = None
) -> tuple[Function, Step, int] | None:
    """The step of a function that a path starts with, the function that contains it, and the length of its name.

    `known` is that of `first_use`.
    """
    function = functions[index]
    for end in [*(i for i, letter in enumerate(path) if letter == "."), len(path)]:
        name = path[:end]
        if name in function.layers and name:
            first = first_use(functions, index, function.layers.index(name), known)
            if first:
                return *first, end
        if name in function.by_name:
            return function, function.by_name[name], end
        if name.isdecimal():
            for step in function.steps:
                if isinstance(step, Call) and step.times > 1 and 0 < int(name) - int(step.name) < step.times:
                    return function, step, end
    return None
