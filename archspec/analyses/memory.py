"""How much memory a network's activations take, from the lifetimes of its tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

from archspec.analyses.by_step import by_step
from archspec.analyses.cost import batch_bytes, is_activation
from archspec.analyses.rows import shortened
from archspec.graph import Graph, Node, Ref
from archspec.ground.size import Size
from archspec.ground.tensor import DType, Shape, TensorType
from archspec.op import Op
from archspec.ops.weights import Tied


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes that are live at once, and the node that is running then."""

    bytes: int
    node: str


def peak_memory(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> Peak:
    """The peak memory of activations at inference, without weights.

    A tensor is live from the node that computes it to the last that reads it or a view of it; the inputs belong to the
    caller and stay live. An op that works in place allocates nothing. Raises Mistake when it depends on a free size.
    """
    graph, _ = shortened(graph)
    homes = _homes(graph, written_over(graph))
    last: dict[Ref, int] = {}
    for position, node in enumerate(graph.nodes):
        for ref in node.operands:
            last[homes[ref]] = position
    kept = {homes[output.value] for output in graph.outputs} | {Ref(given.name) for given in graph.inputs}
    dying: dict[int, list[Ref]] = {}
    for home, position in last.items():
        if home not in kept:
            dying.setdefault(position, []).append(home)
    size = cache(partial(batch_bytes, batch=batch, dtype=dtype))
    computes = by_step(graph, lambda node: is_activation(node.op))
    sizes = {Ref(given.name): size(given.type) for given in graph.inputs}
    alive = sum(sizes.values())
    peak = Peak(alive, "")
    for position, node in enumerate(graph.nodes):
        for index, type_ in enumerate(node.types):
            ref = Ref(node.name, index)
            if homes[ref] == ref and computes(node):
                sizes[ref] = size(type_)
                alive += sizes[ref]
                if ref not in last and ref not in kept:
                    dying.setdefault(position, []).append(ref)
        if alive > peak.bytes:
            peak = Peak(alive, node.name)
        alive -= sum(sizes.get(home, 0) for home in dying.get(position, ()))
    return peak


def saved_memory(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> int:
    """The bytes that a training step keeps for the backward pass, without weights.

    Each op says what its backward pass needs (`Op.saved`). A tensor that several ops need is kept once; steps that no
    trained weight reaches keep nothing. Raises Mistake when it depends on a free size.
    """
    graph, times = shortened(graph)
    homes = _homes(graph, set(), training=True)
    weights = {Ref(node.name) for node in graph.nodes if not is_activation(node.op)}
    size = cache(partial(batch_bytes, batch=batch, dtype=dtype))
    trains = by_step(graph, partial(_trains, graph))
    needs = by_step(graph, partial(_needs, graph))
    trained: set[Ref] = set()
    kept: set[Ref] = set()
    extra = 0
    for node in graph.nodes:
        if not trains(node) and trained.isdisjoint(node.read):
            continue
        results = [Ref(node.name, index) for index in range(len(node.types))]
        if not node.op.stops_gradients:
            trained.update(ref for ref, type_ in zip(results, node.types, strict=True) if type_.floating)
        need = needs(node)
        extra += times[node.scope] * sum(map(size, need.made))
        kept.update(homes[node.operands[i]] for i in need.operands)
        if need.results:
            kept.update(homes[ref] for ref in results)
    copies = {node.name: times[node.scope] for node in graph.nodes}
    return extra + sum(copies.get(ref.producer, 1) * size(graph.types[ref]) for ref in kept - weights)


class _Needs(NamedTuple):
    """What a backward pass needs of a node: tensors made on the way, operands by their positions, the results."""

    made: tuple[TensorType, ...]
    operands: tuple[int, ...]
    results: bool


def _needs(graph: Graph, node: Node) -> _Needs:
    saved = graph.ask(node, Op.saved)
    names = [*node.op.signature().required[: len(node.inputs)], *node.options]
    if "inputs" in saved:
        operands = tuple(range(len(node.operands)))
    else:
        operands = tuple(names.index(part) for part in saved if isinstance(part, str) and part != "outputs")
    return _Needs(tuple(p for p in saved if isinstance(p, TensorType)), operands, "outputs" in saved)


def _trains(graph: Graph, node: Node) -> bool:
    """Whether a node computes with a trained weight."""
    return isinstance(node.op, Tied) or any(w.trainable for w in graph.weights_of(node).values())


def written_over(graph: Graph) -> set[str]:
    """The nodes that work in place, since nothing else reads their input.

    Never on the output of another block, which may be recomputed to save memory in training.
    """
    makers = {node.name: node for node in graph.nodes}
    uses = Counter(ref for node in graph.nodes for ref in node.operands)
    uses.update(output.value for output in graph.outputs)

    def overwrites(node: Node) -> bool:
        if not node.op.overwrites or len(node.inputs) != 1 or node.options:
            return False
        maker = makers.get(node.inputs[0].producer)
        return (
            maker is not None
            and maker.scope == node.scope
            and maker.op.overwritable
            and uses[node.inputs[0]] == 1
        )

    return {node.name for node in graph.nodes if overwrites(node)}


def _homes(graph: Graph, over: set[str], *, training: bool = False) -> dict[Ref, Ref]:
    """The value whose memory each value occupies: its own, unless it is a view or computed in place."""
    homes = {Ref(given.name): Ref(given.name) for given in graph.inputs}
    makes_noise = by_step(graph, lambda node: bool(graph.ask(node, Op.saved)))
    in_order = set(homes)  # the contiguous values
    for node in graph.nodes:
        given = node.inputs[0] if node.inputs else None
        # What is the identity at inference but changes its input in training keeps a mask.
        view = node.op.view and not (training and makes_noise(node))
        ordered = given in in_order
        if view and node.op.needs_order and given and not ordered:
            view = _only_splits(graph.types[given].shape, node.types[0].shape)
        for index, type_ in enumerate(node.types):
            ref = Ref(node.name, index)
            homes[ref] = homes[given] if given and (view or node.name in over) else ref
            keeps_order = node.op.needs_order or (given and type_ == graph.types[given])
            if not view or (ordered and keeps_order):
                in_order.add(ref)
    return homes


def _only_splits(before: Shape, after: Shape) -> bool:
    """Whether a shape follows from another by splitting axes only, without merging any."""
    sizes = list(after)
    for size in before:
        product: Size = 1
        while sizes and product != size:
            product = product * sizes.pop(0)
        if product != size:
            return False
    return all(size == 1 for size in sizes)
