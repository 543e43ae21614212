"""The layers at a network's two ends: those that an input reaches first, and those that give what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archspec.graph import Graph, Node, Ref
from archspec.op import Elementwise, family

_KEEPS_CHANNELS = ("padding", "resample", "pooling", "casting", "identity")


@dataclass(frozen=True)
class Entry:
    """A layer with weights that an input reaches before any other, and what rearranges the input on the way, if anything does."""

    node: Node
    input: str
    behind: str = ""


def entries(graph: Graph) -> dict[str, Entry]:
    """The first layers with weights behind each input, by their full names."""
    readers: dict[Ref, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.operands:
            readers.setdefault(ref, []).append(node)
    found: dict[str, Entry] = {}
    for value in graph.inputs:
        waiting = [(Ref(value.name), "")]
        seen = set(waiting)
        while waiting:
            ref, behind = waiting.pop()
            for node in readers.get(ref, ()):
                if graph.weights_of(node):
                    found.setdefault(node.shares or node.name, Entry(node, value.name, behind))
                    continue
                moved = behind or ("" if _keeps_channels(graph, node, ref) else node.name)
                for i in range(len(node.types)):
                    step = (Ref(node.name, i), moved)
                    if step not in seen:
                        seen.add(step)
                        waiting.append(step)
    return found


def _keeps_channels(graph: Graph, node: Node, ref: Ref) -> bool:
    """Whether what a step without weights gives still has the input's channels, in their places."""
    before, after = graph.types[ref].shape, node.types[0].shape
    if len(before) != len(after) or before[:1] != after[:1]:
        return False
    return isinstance(node.op, Elementwise) or family(type(node.op)) in (*_KEEPS_CHANNELS, "arithmetic")


def exits(graph: Graph) -> dict[str, Node]:
    """The last layers with weights before each output, by their full names; norms are passed, and are among them."""
    makers = {Ref(node.name, i): node for node in graph.nodes for i in range(len(node.types))}
    found: dict[str, Node] = {}
    waiting = [output.value for output in graph.outputs]
    seen = set(waiting)
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if graph.weights_of(node):
            found.setdefault(node.shares or node.name, node)
            if family(type(node.op)) != "norm":
                continue
        for ref in _data(graph, node):
            if ref not in seen:
                seen.add(ref)
                waiting.append(ref)
    return found


def _data(graph: Graph, node: Node) -> Iterator[Ref]:
    """The values that a step takes of the data."""
    return (ref for ref in node.read if graph.types[ref].batched)


def followed_by_norm(graph: Graph) -> dict[str, Node]:
    """The convolutions, and linear layers of vectors, that a batch norm alone reads: the norm of each, by their full names.

    Each of the two is applied once, so that what the norm does can be done by the layer.
    """
    from archspec.ops.norm import BatchNorm

    makers = {Ref(node.name): node for node in graph.nodes}
    reads: dict[Ref, int] = {}
    for node in graph.nodes:
        for ref in node.operands:
            reads[ref] = reads.get(ref, 0) + 1
    for output in graph.outputs:
        reads[output.value] = reads.get(output.value, 0) + 1
    shared = {node.shares for node in graph.nodes if node.shares}
    found: dict[str, Node] = {}
    for norm in graph.nodes:
        maker = makers.get(norm.inputs[0]) if isinstance(norm.op, BatchNorm) else None
        if maker is None or norm.shares or maker.shares or {norm.name, maker.name} & shared:
            continue
        kind = type(maker.op).__name__
        mixes = kind in ("Conv", "ConvTranspose") or (kind == "Linear" and norm.types[0].rank == 1)
        if mixes and reads[norm.inputs[0]] == 1:
            found[maker.name] = norm
    return found
