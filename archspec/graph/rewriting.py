"""Functions changed: what every pass over functions needs, once."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.graph.function import Call, Function


def called(functions: Sequence[Function]) -> tuple[Function, ...]:
    """The functions that the last one calls, directly or through others, with it; in the same order."""
    needed = {len(functions) - 1}
    for index in reversed(range(len(functions))):
        if index in needed:
            needed.update(step.function for step in functions[index].steps if isinstance(step, Call))
    places = {old: new for new, old in enumerate(sorted(needed))}
    return tuple(
        function if len(places) == len(functions) else renumbered(function, places)
        for index, function in enumerate(functions)
        if index in places
    )


def renumbered(function: Function, places: Sequence[int] | dict[int, int]) -> Function:
    """The function with other indices of those that it calls."""
    return function.with_changes(
        steps=tuple(
            step.with_changes(function=places[step.function]) if isinstance(step, Call) else step
            for step in function.steps
        )
    )
