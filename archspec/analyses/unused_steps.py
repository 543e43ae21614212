"""Steps whose results nothing uses: their weights are trained, saved and counted all the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archspec.graph import Graph
from archspec.graph.function import Apply, Function, Step
from archspec.ground.source import Location, Source


class Unused(NamedTuple):
    """A step whose result nothing uses: its name, where it is written, and the steps before it that lead nowhere else."""

    name: str
    location: Location
    leading: tuple[str, ...]


class Steps:
    """The steps of graphs of one spec, by where they are written: a step is used if it is in one application of its block."""

    def __init__(self) -> None:
        self.used: set[Location] = set()
        self.defaults: set[Location] = set()  # where arguments are stated that steps took by default
        self._unused: dict[Location, Unused] = {}

    def add(self, graph: Graph) -> None:
        """Take note of the steps of a graph."""
        for function in graph.functions:
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
                for unused in _ends(function, idle):
                    self._unused.setdefault(unused.location, unused)

    def unused(self) -> Iterator[Unused]:
        """The steps that nothing uses in any application of their block; of those that lead to each other, only the last."""
        return (unused for location, unused in self._unused.items() if location not in self.used)

    def lines(self, source: Source) -> set[int]:
        """The lines of a file on which there are steps."""
        name = source.name or source.path
        return {place.line for place in (*self.used, *self._unused) if place.file == name}


def _ends(function: Function, idle: list[Step]) -> Iterator[Unused]:
    """Of the steps that no output needs, from the last to the first, those whose results no step takes at all."""
    taken = {ref.producer for step in function.steps for ref in step.operands}
    shown = {step.name: function.layers[step.layer or 0] if step.is_use else step.name for step in idle}
    leads_to: dict[str, str] = {}
    leading: dict[str, list[str]] = {}
    for step in idle:
        if step.name in taken:
            end = leads_to[step.name]
            leading[end].append(step.name)
        else:
            end = step.name
            leading[end] = []
        for ref in step.operands:
            leads_to.setdefault(ref.producer, end)
    for step in idle:
        if step.name in leading:
            names = (shown[name] for name in reversed(leading[step.name]))
            yield Unused(shown[step.name], step.location, tuple(names))
