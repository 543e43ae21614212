"""Long rows of calls cut short, for what is the same in each call of a row but the first two and the last."""

from __future__ import annotations

from typing import NamedTuple

from archspec.graph import Apply, Call, Function, Graph, Ref, Step

KEPT = 4  # calls of a row
MIDDLE = 2  # of these, by its index: the one that stands for all that are left out


class Shortened(NamedTuple):
    """A network with long rows cut to four calls, and how many calls of the whole network each of its scopes stands for.

    Its functions are those of the whole one, in the same order, and its names are among those of the whole one. What comes to a call may differ in kind for the first (it may be what no weight was applied to, or not contiguous in
    memory), and so may what the first gives; from then on each gives the next what it got itself.
    """

    graph: Graph
    times: tuple[int, ...]


def shortened(graph: Graph) -> Shortened:
    """A network with its long rows cut to the first three calls and the last; the third stands for those left out.

    Only rows of one value that each call reads: several may come in another order to each call.
    """
    long = [_long_rows(graph, function) for function in graph.functions]
    if not any(long):
        return whole(graph)
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


def whole(graph: Graph) -> Shortened:
    """A network as it is."""
    return Shortened(graph, (1,) * len(graph.scopes))


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
    """The function with the first three calls of each long row and the last, under its own name."""
    if not long:
        return function
    moved: dict[Ref, Ref] = {}
    steps: list[Step] = []
    for step in function.steps:
        inputs = tuple(moved.get(ref, ref) for ref in step.inputs)
        if isinstance(step, Apply):
            options = {name: moved.get(ref, ref) for name, ref in step.options.items()}
            steps.append(step.with_changes(inputs=inputs, options=options))
        elif step.times > KEPT and _middle(step) in long:
            last = str(int(step.name) + step.times - 1)
            moved[Ref(step.name)] = Ref(last)
            steps.append(step.with_changes(inputs=inputs, times=KEPT - 1))
            steps.append(step.with_changes(inputs=(Ref(step.name),), times=1, name=last))
        else:
            steps.append(step.with_changes(inputs=inputs))
    outputs = tuple(moved.get(ref, ref) for ref in function.outputs)
    return function.with_changes(steps=tuple(steps), outputs=outputs)
