"""Steps whose results nothing uses: their weights are trained, saved and counted all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archspec.analyses.doubtful_steps import Doubts
from archspec.graph import Graph
from archspec.graph.function import Apply, Call, Step
from archspec.ground.source import Location, Source
from archspec.op import trained_values


class Unused(NamedTuple):
    """A step whose result nothing uses: its name, where it is written, and the steps before it that lead nowhere else.

    `parameters` are what they hold, in all applications of their block.
    """

    name: str
    location: Location
    leading: tuple[str, ...]
    parameters: int = 0


class Steps:
    """The steps of graphs of one spec, by where they are written: a step is used if it is in one application of its block."""

    def __init__(self) -> None:
        self.used: set[Location] = set()
        self.defaults: set[Location] = set()  # where arguments are stated that steps took by default
        self.doubts = Doubts()
        self._unused: dict[Location, Unused] = {}

    def add(self, graph: Graph) -> None:
        """Take note of the steps of a graph."""
        found: dict[Location, Unused] = {}
        times: list[int] = []
        for index, function in enumerate(graph.functions):
            needed = {ref.producer for ref in function.outputs}
            idle: list[Step] = []
            for step in reversed(function.steps):
                if isinstance(step, Apply):
                    self.defaults.update(step.defaults.values())
                if step.name in needed:
                    needed.update(ref.producer for ref in step.operands)
                    self.used.add(step.location)
                else:
                    idle.append(step)
            if idle:
                times = times or _times(graph)
                for unused in _ends(graph, index, idle, times[index]):
                    before = found.setdefault(unused.location, unused)
                    if before is not unused:
                        total = before.parameters + unused.parameters
                        found[unused.location] = before._replace(parameters=total)
        for location, unused in found.items():
            self._unused.setdefault(location, unused)
        self.doubts.add(graph)

    def unused(self) -> Iterator[Unused]:
        """The steps that nothing uses in any application of their block; of those that lead to each other, only the last."""
        return (unused for location, unused in self._unused.items() if location not in self.used)

    def lines(self, source: Source) -> set[int]:
        """The lines of a file on which there are steps."""
        name = source.name or source.path
        return {place.line for place in (*self.used, *self._unused) if place.file == name}


def _ends(graph: Graph, index: int, idle: list[Step], times: int) -> Iterator[Unused]:
    """Of the steps that no output needs, from the last to the first, those whose results no step takes at all."""
    function = graph.functions[index]
    taken = {ref.producer for step in function.steps for ref in step.operands}
    shown = {step.name: function.layers[step.layer or 0] if step.is_use else step.name for step in idle}
    leads_to: dict[str, str] = {}
    leading: dict[str, list[str]] = {}
    parameters: dict[str, int] = {}
    for step in idle:
        if step.name in taken:
            end = leads_to[step.name]
            leading[end].append(step.name)
        else:
            end = step.name
            leading[end] = []
        for ref in step.operands:
            leads_to.setdefault(ref.producer, end)
        parameters[end] = parameters.get(end, 0) + _parameters(graph, index, step)
    for step in idle:
        if step.name in leading:
            names = (shown[name] for name in reversed(leading[step.name]))
            yield Unused(shown[step.name], step.location, tuple(names), times * parameters[step.name])


def _times(graph: Graph) -> list[int]:
    """How many copies of the weights of each function a network has; a shared layer has one, where it is declared."""
    times = [0] * len(graph.functions)
    times[-1] = 1
    for index in reversed(range(len(graph.functions))):
        function = graph.functions[index]
        own = range(function.handed, len(function.layers))
        firsts = (graph.first_use(index, layer) for layer in own)
        steps = [step for step in function.steps if not step.is_use] + [first[1] for first in firsts if first]
        for step in steps:
            if isinstance(step, Call):
                times[step.function] += step.times * times[index]
    return times


def _parameters(graph: Graph, index: int, step: Step) -> int:
    """The trained numbers of a step, but for those of a shared layer, which others may use."""
    if step.is_use:
        return 0
    if isinstance(step, Call):
        return step.times * graph.trained[step.function]
    return trained_values(graph.functions[index].held.get(step.name, {}).values())
