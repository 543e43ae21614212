"""The flat view of a graph: every node in execution order, with its full name, and the tree of scopes.

It is derived from the functions by inlining calls; a full name is the path of calls and the step's name in the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archspec.graph.function import Apply, Call, Function
from archspec.graph.records import Ref
from archspec.ground.brief import brief
from archspec.ground.names import first_use
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Op, Weight
from archspec.ops.weights import Tied


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the network; `name` is empty where the spec gives none."""

    name: str
    value: Ref
    type: TensorType

    def __repr__(self) -> str:
        return brief(self, f"{self.name or self.value}: {self.type}")


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op: a step, reached by one path of calls.

    `name` is unique, and the prefix of its weights in the `state_dict`, unless `shares` names the earlier node whose weights it
    uses. `scope` is an index into the graph's scopes, and `step` its name in that scope's function. `defaults` says of arguments
    that were not given here where they are stated.
    """

    name: str
    op: Op
    inputs: tuple[Ref, ...]
    options: Mapping[str, Ref]
    types: tuple[TensorType, ...]
    scope: int
    location: Location
    shares: str = ""
    step: str = field(default="", compare=False)
    defaults: Mapping[str, Location] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        given, made = (", ".join(map(str, values)) or "()" for values in (self.operands, self.types))
        return brief(self, f"{self.name}: {given} -> {self.op} -> {made}")

    @property
    def operands(self) -> tuple[Ref, ...]:
        """All values it takes: inputs in order, then options."""
        return (*self.inputs, *self.options.values()) if self.options else self.inputs

    @property
    def read(self) -> tuple[Ref, ...]:
        """The values it takes, but those of which it takes the sizes alone."""
        if not (self.options and self.op.sized_by):
            return self.operands
        return (*self.inputs, *(ref for name, ref in self.options.items() if name not in self.op.sized_by))

    @property
    def values(self) -> int:
        """The number of values it computes per sample. Raises Mistake when a size is free."""
        return sum(type_.values for type_ in self.types)


@dataclass(frozen=True, slots=True)
class Scope:
    """One call of a function: a block with its arguments, or a list of layers (`block` is empty).

    The first scope is the model. `inputs` and `outputs` are its values; `function` is an index into the graph's functions.
    """

    name: str
    parent: int | None
    block: str
    arguments: Mapping[str, Any]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    location: Location
    function: int = field(default=0, compare=False)

    def __repr__(self) -> str:
        return brief(self, ": ".join(filter(None, (self.name, self.block or "list"))))


@dataclass(slots=True)
class Layer:
    """A shared layer, under the full name of its first use."""

    name: str
    uses: int = 0

    def use(self) -> str:
        """The full name of the next use."""
        self.uses += 1
        return self.name if self.uses == 1 else f"{self.name}@{self.uses}"


class Flat(NamedTuple):
    """The nodes, scopes and weights of a network."""

    nodes: tuple[Node, ...]
    scopes: tuple[Scope, ...]
    weights: dict[str, Weight]

    def __repr__(self) -> str:
        sizes = zip(map(len, self), self._fields, strict=True)
        return brief(self, ", ".join(f"{size} {name}" for size, name in sizes))


def flatten(functions: Sequence[Function], inputs: Iterable[str], location: Location) -> Flat:
    """The flat view of functions, whose last is the model; with the names of its inputs and its location."""
    flattening = _Flattening(functions)
    flattening.enter(len(functions) - 1, "", None, tuple(map(Ref, inputs)), [], location)
    return Flat(tuple(flattening.nodes), tuple(flattening.scopes), flattening.weights)


class _Flattening:
    def __init__(self, functions: Sequence[Function]) -> None:
        self.functions = functions
        self.nodes: list[Node] = []
        self.scopes: list[Scope] = []
        self.weights: dict[str, Weight] = {}
        self.ties: dict[tuple[Tied, str], Tied] = {}

    def enter(
        self,
        index: int,
        name: str,
        parent: int | None,
        inputs: tuple[Ref, ...],
        layers: list[Layer],
        location: Location,
    ) -> tuple[Ref, ...]:
        """Add the nodes of one call of a function; returns its outputs."""
        function, scope = self.functions[index], len(self.scopes)
        prefix = f"{name}." if name else ""
        layers = layers + [Layer(prefix + own) for own in function.layers[len(layers) :]]
        values = {Ref(f"%{i}"): ref for i, ref in enumerate(inputs)}
        given = inputs[: function.given]
        arguments = function.arguments
        self.scopes.append(Scope(name, parent, function.block, arguments, given, (), location, index))
        for step in function.steps:
            refs = tuple([values[ref] for ref in step.inputs])
            if isinstance(step, Apply):
                full = (
                    layers[step.layer].use() if step.is_use and step.layer is not None else prefix + step.name
                )
                self.apply(function, step, full, refs, values, layers, scope)
                for i in range(len(step.types)):
                    values[Ref(step.name, i)] = Ref(full, i)
            else:
                for i, ref in enumerate(self.call(step, prefix, refs, layers, scope)):
                    values[Ref(step.name, i)] = ref
        outputs = tuple([values[ref] for ref in function.outputs])
        self.scopes[scope] = Scope(name, parent, function.block, arguments, given, outputs, location, index)
        return outputs

    def apply(
        self,
        function: Function,
        step: Apply,
        full: str,
        refs: tuple[Ref, ...],
        values: Mapping[Ref, Ref],
        layers: list[Layer],
        scope: int,
    ) -> None:
        """Add one node, and its weights unless it shares them."""
        op, shares = step.op, ""
        if isinstance(op, Tied):
            op = self.tied(op, layers[step.layer or 0])
        held = function.held.get(step.name)
        if held:
            original = first_use(full)
            if original != full:
                shares = original
            else:
                for key, weight in held.items():
                    self.weights[f"{full}.{key}" if key else full] = weight
        options = {option: values[ref] for option, ref in step.options.items()}
        self.nodes.append(
            Node(full, op, refs, options, step.types, scope, step.location, shares, step.name, step.defaults)
        )

    def tied(self, op: Tied, layer: Layer) -> Tied:
        """The op that reads a weight of a shared layer, by the weight's full name."""
        key = op, layer.name
        if key not in self.ties:
            target = f"{first_use(layer.name)}.{op.target}"
            self.ties[key] = op.model_copy(update={"target": target})
        return self.ties[key]

    def call(
        self, step: Call, prefix: str, refs: tuple[Ref, ...], layers: list[Layer], scope: int
    ) -> tuple[Ref, ...]:
        """Add the nodes of a call, or of each call of a row."""
        handed = [layers[i] for i in step.layers]
        for name in step.names:
            full = layers[step.layer].use() if step.layer is not None else prefix + name
            refs = self.enter(step.function, full, scope, refs, handed, step.location)
        return refs
