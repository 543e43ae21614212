"""A part of a network: the graph that computes some of its values, and nothing that these do not need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archspec.graph.flat import Node, Output, Scope
from archspec.graph.folding import fold
from archspec.graph.graph import Graph
from archspec.graph.naming import owner_of
from archspec.graph.records import Ref
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ops.weights import Tied


def selected(graph: Graph, values: Mapping[str, Ref], *, named: bool = True) -> Graph:
    """The graph whose outputs are these values, by the names of the outputs. Steps keep their names, and so do their weights.

    Unless `named`, the network gives a tuple of them.

    Steps that no value needs are left out, blocks that have none left, and inputs of the network that none reads. Claims are of the
    whole network, and dropped. Raises SpecError for no values, and for a graph of more than a million nodes.
    """
    if not values:
        raise SpecError.of(codes.OPTION, "no values are selected", help="name a step or a block")
    needed = _needed(graph, set(values.values()))
    nodes = [node for node in graph.nodes if node.name in needed]
    scopes, places = _scopes(graph, nodes, tuple(values.values()))
    types = graph.types
    read = {ref.producer for node in nodes for ref in node.operands} | {
        ref.producer for ref in values.values()
    }
    part = graph.with_changes(inputs=tuple(given for given in graph.inputs if given.name in read), claims=())
    scopes[0] = replace(scopes[0], inputs=tuple(Ref(given.name) for given in part.inputs))
    outputs = [Output(name if named else "", ref, types[ref]) for name, ref in values.items()]
    return fold(
        part, [replace(node, scope=places[node.scope]) for node in nodes], scopes, outputs
    ).validated()


def _needed(graph: Graph, values: set[Ref]) -> set[str]:
    """The nodes that values are computed from, and those whose weights these share or read."""
    nodes = {node.name: node for node in graph.nodes}
    needed: set[str] = set()
    waiting = [ref.producer for ref in values]
    while waiting:
        name = waiting.pop()
        if name not in nodes or name in needed:
            continue
        needed.add(name)
        node = nodes[name]
        waiting += [ref.producer for ref in node.operands]
        waiting += [node.shares]
        if isinstance(node.op, Tied):
            waiting.append(owner_of(node.op.target, nodes))
    return needed


def _scopes(graph: Graph, nodes: list[Node], values: tuple[Ref, ...]) -> tuple[list[Scope], dict[int, int]]:
    """The scopes that hold these nodes, each with the values that go into it and come out of it; and where each stands now."""
    around = {index: _around(graph, index) for index in {node.scope for node in nodes} | {0}}
    homes = {
        node.name: around[node.scope] for node in nodes
    }  # the scopes that a node is in, from the innermost on
    places = {scope: place for place, scope in enumerate(sorted({0}.union(*around.values())))}
    read: dict[int, set[Ref]] = {scope: set() for scope in places}
    given: dict[int, dict[Ref, None]] = {scope: {} for scope in places}
    for node in nodes:
        for ref in node.operands:
            made = homes.get(ref.producer, [])
            for scope in around[node.scope]:
                read[scope].add(ref)
            for scope in made:
                if scope not in around[node.scope]:
                    given[scope][ref] = None
    for ref in values:
        for scope in homes.get(ref.producer, []):
            given[scope][ref] = None
    found: list[Scope] = []
    for index in places:
        record = graph.scopes[index]
        outputs = [ref for ref in record.outputs if ref in given[index]]
        outputs += [ref for ref in given[index] if ref not in outputs]
        found.append(
            replace(
                record,
                parent=None if record.parent is None else places[record.parent],
                inputs=tuple(ref for ref in record.inputs if ref in read[index]),
                outputs=tuple(outputs) if index else values,
            )
        )
    return found, places


def _around(graph: Graph, scope: int | None) -> list[int]:
    """A scope and all that it stands in."""
    found: list[int] = []
    while scope is not None:
        found.append(scope)
        scope = graph.scopes[scope].parent
    return found
