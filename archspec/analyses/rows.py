"""Long rows of calls cut short, for what is the same in each call of a row but the first two and the last."""

from __future__ import annotations

from typing import NamedTuple

from archspec.graph import Call, Function, Graph, Ref, Step

KEPT = 4  # calls of a row
MIDDLE = 2  # of these, by its index: the one that stands for all that are left out


class Shortened(NamedTuple):
    """A network with long rows cut to four calls, and how many calls of the whole network each of its scopes stands for.

    What comes to a call may differ in kind for the first (it may be what no weight was applied to, or not contiguous in
    memory), and so may what the first gives; from then on each gives the next what it got itself.
    """

    graph: Graph
    times: tuple[int, ...]


def shortened(graph: Graph) -> Shortened:
    """A network with its long rows cut to four calls, of which the third stands for those left out.

    Only rows of one value that each call reads: several may come in another order to each call.
    """
    long = [_long_rows(graph, function) for function in graph.functions]
    if not any(long):
        return Shortened(graph, (1,) * len(graph.scopes))
    short = graph.with_changes(functions=tuple(map(_cut, graph.functions, long)))
    times: list[int] = []
    for scope in short.scopes:
        if scope.parent is None:
            times.append(1)
            continue
        around = short.scopes[scope.parent]
        own = scope.name.removeprefix(f"{around.name}.")
        times.append(times[scope.parent] * long[around.function].get(own, 1))
    return Shortened(short, tuple(times))


def _long_rows(graph: Graph, function: Function) -> dict[str, int]:
    """The middle call of each long row of a function, by name, and how many it stands for."""
    return {
        _middle(step): step.times - KEPT + 1
        for step in function.steps
        if isinstance(step, Call) and step.times > KEPT and _reads_its_value(graph.functions[step.function])
    }


def _middle(row: Call) -> str:
    return str(int(row.name) + MIDDLE)


def _reads_its_value(function: Function) -> bool:
    """Whether a function takes a single value, and reads it."""
    return len(function.inputs) == 1 and any(Ref("%0") in step.operands for step in function.steps)


def _cut(function: Function, long: dict[str, int]) -> Function:
    def cut(step: Step) -> Step:
        is_long = isinstance(step, Call) and step.times > KEPT and _middle(step) in long
        return step.with_changes(times=KEPT) if is_long else step

    return function.with_changes(steps=tuple(map(cut, function.steps))) if long else function
