"""What elaboration saw at each place of a file: layers applied, with their shapes and costs, and the values of names."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archspec.elaboration.budget import Budget
from archspec.elaboration.builder import Builder
from archspec.elaboration.frames import Frame
from archspec.elaboration.mistakes import POISON
from archspec.elaboration.values import BlockLayer, OpLayer, Tensor
from archspec.graph import Apply, Call, Function, Ref
from archspec.graph.function import Step as GraphStep
from archspec.graph.function import first_use
from archspec.ground.errors import Mistake
from archspec.ground.source import Source, Span
from archspec.ground.tensor import TensorType, fixed
from archspec.op import Weight, trained_values
from archspec.syntax import tree as t

_MOST_SHAPES = 20  # in which one place is remembered


class Cancelled(Exception):  # noqa: N818  (no error: a newer text is there)
    """The work is not wanted any more."""


class Cancellation:
    """Whether some work is still wanted; another thread may call it off, which ends what is being elaborated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._budgets: list[Budget] = []
        self.called_off = False

    def watch(self, budget: Budget) -> None:
        """Let the work be ended by way of its budget. Raises Cancelled when it is called off already."""
        with self._lock:
            self._budgets.append(budget)
        self.require()

    def call_off(self) -> None:
        """End the work at its next step."""
        with self._lock:
            self.called_off = True
            for budget in self._budgets:
                budget.most_steps = -1

    def require(self) -> None:
        """Cancelled when the work was called off."""
        if self.called_off:
            raise Cancelled


@dataclass(frozen=True, slots=True)
class Sighting:
    """One way in which the layer at a place was applied: to tensors of these types, as these steps of a function."""

    layer: Any
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    steps: tuple[GraphStep, ...]
    frame: Frame
    network: Network

    @property
    def names(self) -> tuple[str, ...]:
        """The full names of its steps, those of uses of shared layers as these are declared."""
        return tuple(self.frame.path + self._name(step) for step in self.steps)

    def _name(self, step: GraphStep) -> str:
        return self.frame.layers[step.layer] if step.is_use and step.layer is not None else step.name

    @property
    def weights(self) -> dict[str, Weight]:
        """The weights of its steps that apply ops, by their keys in the `state_dict`."""
        found = {}
        for step, name in zip(self.steps, self.names, strict=True):
            for key, weight in self.frame.held.get(step.name, {}).items():
                if weight.saved:
                    found[f"{name}.{key}" if key else name] = weight
        return found

    @property
    def parameters(self) -> int:
        """How many trained numbers its steps have."""
        return sum(self.network.parameters(step, self.frame.held) for step in self.steps)

    @property
    def macs(self) -> int | None:
        """The multiply-adds of its steps for one sample; None where they depend on a free size."""
        try:
            return sum(self.network.macs(step, self._types) for step in self.steps)
        except Mistake:
            return None

    @property
    def _types(self) -> dict[Ref, TensorType]:
        found = {Ref(f"%{i}"): type_ for i, type_ in enumerate(self.frame.inputs)}
        for step in self.frame.steps:
            found |= {Ref(step.name, i): type_ for i, type_ in enumerate(step.types)}
        return found


class Network:
    """The functions of a model, finished or not, and what each costs."""

    def __init__(self, builder: Builder) -> None:
        self.functions = builder.functions
        self._parameters: dict[int, int] = {}
        self._macs: dict[int, int] = {}

    def parameters(self, step: GraphStep, held: Mapping[str, Mapping[str, Weight]]) -> int:
        """The trained numbers of a step."""
        if isinstance(step, Apply):
            return trained_values(held.get(step.name, {}).values())
        return step.times * self._owned(step.function)

    def _owned(self, index: int) -> int:
        if index not in self._parameters:
            function = self.functions[index]
            total = sum(self.parameters(step, function.held) for step in function.steps if not step.is_use)
            for layer in range(function.handed, len(function.layers)):
                if first := first_use(self.functions, index, layer):
                    total += self.parameters(first[1], first[0].held)
            self._parameters[index] = total
        return self._parameters[index]

    def macs(self, step: GraphStep, types: Mapping[Ref, TensorType]) -> int:
        """The multiply-adds of a step for one sample. Raises Mistake where they depend on a free size."""
        if isinstance(step, Call):
            return step.times * self._of_function(step.function)
        given = (types[ref] for ref in step.inputs)
        options = {name: types[ref] for name, ref in step.options.items()}
        return fixed(step.op.macs(*given, **options), "the number of multiply-adds")

    def _of_function(self, index: int) -> int:
        if index not in self._macs:
            function: Function = self.functions[index]
            self._macs[index] = sum(self.macs(step, function.types) for step in function.steps)
        return self._macs[index]


@dataclass
class Seen:
    """What was seen at the places of a file.

    `applied` are the ways in which the layer at each place was applied, the first one first, `count` how often it was; a
    definition's place is its head. `names` are the names that had a value after each statement, as it was first run,
    `returned` what a `return` gave, and `frames` the functions that they were part of.
    """

    source: Source
    applied: dict[Span, list[Sighting]] = field(default_factory=dict)
    count: dict[Span, int] = field(default_factory=dict)
    names: dict[Span, dict[str, Any]] = field(default_factory=dict)
    returned: dict[Span, tuple[TensorType, ...]] = field(default_factory=dict)
    frames: dict[Span, Frame] = field(default_factory=dict)

    def add(self, other: Seen) -> None:
        """Add what was seen in another model of the file."""
        for span, sightings in other.applied.items():
            known = self.applied.setdefault(span, [])
            known += (s for s in sightings if not any(_alike(s, k) for k in known))
            self.count[span] = self.count.get(span, 0) + other.count[span]
        self.names = other.names | self.names
        self.returned = other.returned | self.returned
        self.frames = other.frames | self.frames

    def first(self, span: Span) -> Sighting | None:
        """How the layer at a place was first applied; None where it never was."""
        found = self.applied.get(span)
        return found[0] if found else None

    @cached_property
    def statements(self) -> list[Span]:
        """The places of the statements that were run, from top to bottom."""
        return sorted(self.names, key=lambda span: (span.start, span.end))


def _alike(one: Sighting, other: Sighting) -> bool:
    return one.inputs == other.inputs and one.outputs == other.outputs


class Watcher:
    """An observer that keeps what it is told of one file."""

    def __init__(self, source: Source, cancellation: Cancellation) -> None:
        self.source = source
        self.cancellation = cancellation
        self.seen = Seen(source)
        self._items: dict[
            int, tuple[Any, Span]
        ] = {}  # the values of lists' items, kept so that their ids are
        self._builder: Builder | None = None
        self._network: Network | None = None

    def begins(self, builder: Builder) -> None:
        """A model is elaborated from its start."""
        self.seen = Seen(self.source)
        self._builder, self._network = builder, Network(builder)

    def spends(self, budget: Budget) -> None:
        """Some work is done within a budget."""
        self.cancellation.watch(budget)

    def applied(
        self, span: Span, layer: Any, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], first: int
    ) -> None:
        """The layer that stands at a place was applied."""
        if span.source is not self.source or self._builder is None or self._network is None:
            return
        self.seen.count[span] = self.seen.count.get(span, 0) + 1
        known = self.seen.applied.setdefault(span, [])
        if len(known) >= _MOST_SHAPES:
            return
        frame = self._builder.frame
        taken, given = tuple(x.type for x in inputs), tuple(x.type for x in outputs)
        sighting = Sighting(layer, taken, given, tuple(frame.steps[first:]), frame, self._network)
        if not any(_alike(sighting, other) for other in known):
            known.append(sighting)

    def item(self, span: Span, value: Any) -> Any:
        """An item of a list has that value; of a layer, gives a copy, which stands nowhere else."""
        if span.source is not self.source or not isinstance(value, OpLayer | BlockLayer):
            return value
        if isinstance(value, OpLayer):
            value = OpLayer(value.op, value.arguments, value.options, value.positional)
        else:
            value = BlockLayer(
                value.definition, value.home, value.arguments, value.passed_on, value.positional
            )
        self._items[id(value)] = value, span
        return value

    def applied_item(
        self, value: Any, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], first: int
    ) -> None:
        """An item of a list was applied."""
        known = self._items.get(id(getattr(value, "layer", value)))
        if known is not None and known[0] is getattr(value, "layer", value):
            self.applied(known[1], known[0], inputs, outputs, first)

    def ran(self, statement: t.Statement, names: Mapping[str, Any], returned: Any) -> None:
        """A statement was run."""
        span = statement.span
        if span.source is not self.source or span in self.seen.names:
            return
        self.seen.names[span] = {name: value for name, value in names.items() if value is not POISON}
        if self._builder is not None:
            self.seen.frames[span] = self._builder.frame
        if isinstance(returned, tuple) and all(isinstance(item, Tensor) for item in returned):
            self.seen.returned[span] = tuple(tensor.type for tensor in returned)
