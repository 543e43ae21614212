"""What lowering asks of each function once, for all its calls: what it reads and hands on, and whether it can be a module."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from archspec.graph import Apply, Call, Function, Graph, Node, Ref


@dataclass(frozen=True, slots=True)
class Interface:
    """What the calls of a function have in common.

    `read` are the inputs that its nodes read, those that the block declares first; `passed` says for each output which input
    it is, None where it was made within, and `reread` whether a node within reads it too. `layers` are the shared layers handed
    in that are used. `height` is how many functions deep it is, and `places` a number for where the calls in it are written.
    """

    read: tuple[int, ...]
    passed: tuple[int | None, ...]
    reread: tuple[bool, ...]
    layers: frozenset[int]
    height: int
    places: int

    @property
    def closed(self) -> bool:
        """Whether its weights are its own: all below its name, and nobody else's."""
        return not self.layers


def interfaces(graph: Graph) -> list[Interface]:
    """The interface of each function."""
    found: list[Interface] = []
    places: dict[Hashable, int] = {}
    for function in graph.functions:
        found.append(_interface(graph, function, found, places))
    return found


def _interface(
    graph: Graph, function: Function, known: list[Interface], places: dict[Hashable, int]
) -> Interface:
    inputs = {Ref(f"%{i}"): i for i in range(len(function.inputs))}
    same = {ref: ref for ref in inputs}  # for each value the one that it is, handed on by calls
    read: dict[Ref, None] = {}
    layers: set[int] = set()
    height = 0
    for step in function.steps:
        if isinstance(step, Apply):
            read.update(dict.fromkeys([same[ref] for ref in step.operands]))
            made = [Ref(step.name, i) for i in range(len(step.types))]
            same.update(zip(made, made, strict=True))
        else:
            called = known[step.function]
            given = [same[ref] for ref in step.inputs]
            for name in step.names:
                read.update(dict.fromkeys([given[i] for i in called.read]))
                made = [Ref(name, i) for i in range(len(called.passed))]
                read.update({ref: None for ref, reread in zip(made, called.reread, strict=True) if reread})
                given = [ref if i is None else given[i] for ref, i in zip(made, called.passed, strict=True)]
            same.update({Ref(step.name, i): ref for i, ref in enumerate(given)})
            layers.update(step.layers[i] for i in called.layers)
            height = max(height, called.height)
        if step.layer is not None and (isinstance(step, Apply) or graph.sizes[step.function]):
            layers.add(step.layer)
    indices = [inputs[ref] for ref in read if ref in inputs]
    outputs = [same[ref] for ref in function.outputs]
    written = tuple(
        [(step.location, known[step.function].places) for step in function.steps if isinstance(step, Call)]
    )
    return Interface(
        read=(
            *sorted(i for i in indices if i < function.given),
            *(i for i in indices if i >= function.given),
        ),
        passed=tuple([inputs.get(ref) for ref in outputs]),
        reread=tuple([ref in read for ref in outputs]),
        layers=frozenset(layer for layer in layers if layer < function.handed),
        height=height + 1,
        places=places.setdefault(written, len(places)),
    )


def bound(graph: Graph) -> list[tuple[Ref, ...]]:
    """For each scope the values that its function's inputs are, tensors among its arguments as well."""
    values: list[tuple[Ref, ...]] = [scope.inputs for scope in graph.scopes]
    if all(function.given == len(function.inputs) for function in graph.functions):
        return values
    inner: list[list[int]] = [[] for _ in graph.scopes]
    for index, scope in enumerate(graph.scopes):
        if scope.parent is not None:
            inner[scope.parent].append(index)
    nodes: list[list[Node]] = [[] for _ in graph.scopes]
    for node in graph.nodes:
        nodes[node.scope].append(node)
    for index, scope in enumerate(graph.scopes):
        if inner[index]:
            _bind(
                graph, graph.functions[scope.function], iter(nodes[index]), iter(inner[index]), values, index
            )
    return values


def _bind(
    graph: Graph,
    function: Function,
    nodes: Iterator[Node],
    scopes: Iterator[int],
    values: list[tuple[Ref, ...]],
    index: int,
) -> None:
    """Note what goes into the calls in a scope, whose nodes and scopes these are."""
    known = {Ref(f"%{i}"): ref for i, ref in enumerate(values[index])}
    for step in function.steps:
        if isinstance(step, Apply):
            node = next(nodes)
            made = tuple(Ref(node.name, i) for i in range(len(step.types)))
        else:
            made = tuple(known[ref] for ref in step.inputs)
            for _ in step.names:
                scope = next(scopes)
                values[scope] = made
                made = graph.scopes[scope].outputs
        known.update({Ref(step.name, i): ref for i, ref in enumerate(made)})
