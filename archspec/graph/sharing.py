"""Checks of shared layers: each use fits the weights that the first one declares."""

from __future__ import annotations

from functools import cached_property

from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import Graph
from archspec.graph.held import weight_at
from archspec.graph.requirements import wrong
from archspec.ground.tensor import show
from archspec.ops.weights import Tied

Content = Apply | int
"""What a use applies: the op of a step, or a function by its index."""

Event = tuple[int, str, Content | Tied]
"""A use, or a read of a weight: its function, its step, and what is used or read."""


class Sharing:
    """The distinct uses and reads of each shared layer of each function, in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.events: list[list[dict[object, Event]]] = []
        self._matching: dict[tuple[int, int], bool] = {}

    @cached_property
    def _weights(self) -> tuple[int, ...]:
        """How many weights each function has."""
        return self.graph.owned(lambda weight: 1)

    def start(self, function: Function) -> None:
        """Begin with the next function."""
        self.events.append([{} for _ in function.layers])

    def step(self, index: int, step: Step) -> None:
        """Record what a step does with shared layers."""
        if isinstance(step, Apply):
            if step.layer is not None:
                content: Content | Tied = step.op if isinstance(step.op, Tied) else step
                key: object = (step.op, str(self.graph.functions[index].held.get(step.name)))
                self.events[index][step.layer].setdefault(key, (index, step.name, content))
            return
        if step.layer is not None:
            self.events[index][step.layer].setdefault(step.function, (index, step.name, step.function))
        for handed, layer in enumerate(step.layers):
            for key, event in self.events[step.function][handed].items():
                self.events[index][layer].setdefault(key, event)

    def finish(self, index: int) -> None:
        """Raise Mistake when a use or read of a layer declared in the function does not fit its first use."""
        function = self.graph.functions[index]
        for layer in range(function.handed, len(function.layers)):
            events = list(self.events[index][layer].values())
            for home, name, content in events:
                self.fits(function.layers[layer], events[0], home, name, content)

    def fits(self, layer: str, first: Event, home: int, name: str, content: Content | Tied) -> None:
        """Raise Mistake when a use of a layer, or a read of its weight, does not fit the first use."""
        if isinstance(first[2], Tied):
            raise wrong(f"`{name}` reads a weight of the shared layer `{layer}` before its first use")
        if isinstance(content, Tied):
            weight = self.weight(first, content.target)
            if weight != (content.shape, content.dtype):
                made = f"is {weight[1]}{show(weight[0])}" if weight else "does not exist"
                raise wrong(
                    f"`{name}` reads `{content.target}` of the shared layer `{layer}` as"
                    f" {content.dtype}{show(content.shape)}, which {made}"
                )
            return
        if isinstance(content, int) and isinstance(first[2], int):
            same = self.matches(first[2], content)
        elif isinstance(content, Apply) and isinstance(first[2], Apply):
            functions = self.graph.functions
            same = _same(functions[first[0]], first[2], functions[home], content)
        else:
            same = False
        if not same:
            raise wrong(f"`{name}` does not fit the first use of the shared layer `{layer}`")

    def weight(self, event: Event, key: str) -> tuple[tuple[int, ...], str] | None:
        """Shape and dtype of a weight of the first use."""
        home, name, content = event
        if isinstance(content, int):
            found = weight_at(self.graph.functions, content, key)
        else:
            found = self.graph.functions[home].held.get(name, {}).get(key)
        return None if found is None else (found.shape, found.dtype)

    def matches(self, first: int, other: int) -> bool:
        """Whether a function has every weight that another needs, in steps with the same ops."""
        if first == other:
            return True
        if (first, other) not in self._matching:
            ours, theirs = self.graph.functions[first], self.graph.functions[other]
            self._matching[first, other] = all(
                self._step_matches(first, ours, other, step) for step in theirs.steps if not step.is_use
            ) and all(self._layer_matches(first, other, name) for name in theirs.layers if name)
        return self._matching[first, other]

    def _step_matches(self, first: int, ours: Function, other: int, step: Step) -> bool:
        mine = ours.by_name.get(step.name)
        if isinstance(step, Call):
            if not self._weights[step.function]:
                return True
            return (
                isinstance(mine, Call)
                and mine.times >= step.times
                and self.matches(mine.function, step.function)
            )
        if step.name not in self.graph.functions[other].held:
            return True
        return isinstance(mine, Apply) and _same(ours, mine, self.graph.functions[other], step)

    def _layer_matches(self, first: int, other: int, name: str) -> bool:
        ours, theirs = self.graph.functions[first], self.graph.functions[other]
        if name not in ours.layers:
            return False
        mine = self.graph.first_use(first, ours.layers.index(name))
        use = self.graph.first_use(other, theirs.layers.index(name))
        if mine is None or use is None:
            return use is None
        if isinstance(mine[1], Call) and isinstance(use[1], Call):
            return self.matches(mine[1].function, use[1].function)
        if isinstance(mine[1], Apply) and isinstance(use[1], Apply):
            return _same(mine[0], mine[1], use[0], use[1])
        return False


def _same(ours: Function, mine: Apply, theirs: Function, step: Apply) -> bool:
    """Whether a step has every weight that another needs, with the same op."""
    made, held = ours.held.get(mine.name, {}), theirs.held.get(step.name, {})
    return (mine.op == step.op or not held) and all(
        key in made and (made[key].shape, made[key].dtype) == (weight.shape, weight.dtype)
        for key, weight in held.items()
    )
