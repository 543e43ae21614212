"""What there is to draw of a network: boxes in boxes, and which leads to which; no backend in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from archspec.analyses.hierarchy import Part, hierarchy
from archspec.analyses.summary import Summary
from archspec.graph import Graph, Node, Ref
from archspec.op import Op, family
from archspec.tensor import TensorType

_FOLLOWERS = {"norm", "activation", "regularisation", "identity"}  # drawn in the box of what they follow

_MEETINGS = {"arithmetic", "joining"}  # sums and the like stand alone

Member = Node | int
Opens = Callable[[Part, int], bool]


@dataclass
class Box:
    """A step, a block or a row of equal ones, or an input or output; `inner` are the boxes in it, if it is open.

    `ops` are the ops in it when it is closed and made of single steps, `count` how many alike it stands
    for, `part` what it costs and gives.
    """

    number: int
    label: str
    part: Part | None
    types: tuple[TensorType, ...]
    inputs: tuple[TensorType, ...] = ()
    ops: list[Op] = field(default_factory=list)
    inner: list[Box] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many alike it stands for."""
        return self.part.count if self.part else 1

    @property
    def family(self) -> str:
        """The family of its first op, `block` for a block, `input` or `output` for an end."""
        if self.ops:
            return family(type(self.ops[0]))
        return "block" if self.part else "end"


@dataclass(frozen=True)
class Edge:
    """A value that leads from one box to another."""

    source: int
    target: int
    type: TensorType


@dataclass
class Diagram:
    """The boxes of a network in order, its ends, and the edges between closed boxes."""

    summary: Summary
    inputs: list[Box]
    boxes: list[Box]
    outputs: list[Box]
    edges: list[Edge]

    @property
    def closed(self) -> Iterator[Box]:
        """The boxes that are not open, ends left out."""
        return _closed(self.boxes)


def diagram(
    summary: Summary,
    opens: Opens,
    *,
    scope: int = 0,
    join: bool = True,
    weights: bool = False,
    shapes: bool = True,
) -> Diagram:
    """Lay out a network, or one of its scopes: `opens` says which parts, at which depth, show what is in them.

    What repeats is one box; without `shapes` also where it repeats on tensors of other shapes. With `join`, norms and activations are drawn in the box of the layer that they follow; without
    `weights`, tensors that a spec declares itself are left out.
    """
    graph = summary.graph
    drawing = _Drawing(graph, opens, weights)
    boxes = drawing.lay(
        hierarchy(graph, summary.nodes, scope=scope, shapes=shapes), [graph.members[scope]], 0
    )
    record = graph.scopes[scope]
    inputs = []
    for ref in dict.fromkeys(record.inputs):
        box = drawing.end(ref.producer if not scope else "input", graph.types[ref])
        drawing.given[ref] = box.number
        inputs.append(box)
    names = [output.name for output in graph.outputs] if not scope else []
    labels = [name or "output" for name in names] or ["output"] * len(record.outputs)
    outputs = [
        drawing.end(label, graph.types[ref]) for label, ref in zip(labels, record.outputs, strict=True)
    ]
    edges = drawing.edges(list(graph.inside(scope)), list(zip(record.outputs, outputs, strict=True)))
    found = Diagram(summary, inputs, boxes, outputs, edges)
    return _joined(found) if join else found


def lists_only(part: Part, depth: int) -> bool:
    """Open lists of layers, however deep, and no blocks: the stages of a network."""
    return not part.kind and part.node is None


def blocks_of_layers(part: Part, depth: int) -> bool:
    """Open lists of layers, and blocks that are nothing but a few layers, such as a convolution and its norm."""
    return lists_only(part, depth) or (len(part.parts) <= 4 and all(inner.node for inner in part.parts))


def to_depth(most: int) -> Opens:
    """Open everything down to so many levels."""
    return lambda part, depth: depth + 1 < most


class _Drawing:
    def __init__(self, graph: Graph, opens: Opens, weights: bool) -> None:
        self.graph, self.opens, self.weights = graph, opens, weights
        self.count = 0
        self.home: dict[str, int] = {}  # the closed box that each node is in
        self.given: dict[Ref, int] = {}  # the ends at which values come in
        self.rows: dict[
            str, list[tuple[int, int]]
        ] = {}  # the open boxes of several around a node, and which it is in

    def box(
        self, label: str, part: Part | None, types: Sequence[TensorType], inputs: Sequence[TensorType] = ()
    ) -> Box:
        self.count += 1
        return Box(self.count, label, part, tuple(types), tuple(inputs))

    def end(self, label: str, type_: TensorType) -> Box:
        return self.box(label, None, (type_,))

    def lay(self, parts: Sequence[Part], rows: list[list[Member]], depth: int) -> list[Box]:
        """The boxes of parts, which stand for the same members of each of several rows."""
        boxes, position = [], 0
        for part in parts:
            members = [member for row in rows for member in row[position : position + part.count]]
            position += part.count
            if part.node is not None and not self.weights and not any(t.batched for t in part.types):
                continue  # a weight, or what is made of weights alone
            box = self.box(part.label, part, part.types, part.inputs)
            if part.node is None and part.parts and self.opens(part, depth):
                scopes = [member for member in members if isinstance(member, int)]
                box.inner = self.lay(part.parts, [self.graph.members[scope] for scope in scopes], depth + 1)
                if len(scopes) > 1:
                    for instance, scope in enumerate(scopes):
                        for node in self.graph.inside(scope):
                            self.rows.setdefault(node.name, []).append((box.number, instance))
            else:
                if part.node is not None:
                    box.ops = [part.node.op]
                for member in members:
                    nodes = [member] if isinstance(member, Node) else self.graph.inside(member)
                    self.home.update((node.name, box.number) for node in nodes)
            boxes.append(box)
        return boxes

    def edges(self, nodes: list[Node], outputs: list[tuple[Ref, Box]]) -> list[Edge]:
        """What leads from box to box, each once; not from one of several alike to the next."""
        found: dict[Edge, None] = {}

        def add(ref: Ref, target: int) -> None:
            source = self.given.get(ref, self.home.get(ref.producer))
            if source is not None and source != target:
                found[Edge(source, target, self.graph.types[ref])] = None

        for node in nodes:
            target = self.home.get(node.name)
            if target is None:
                continue
            for ref in node.operands:
                if not self.between_alike(ref.producer, node.name):
                    add(ref, target)
        for ref, box in outputs:
            add(ref, box.number)
        return list(found)

    def between_alike(self, producer: str, consumer: str) -> bool:
        """Whether two nodes are in different ones of several blocks that are drawn as one."""
        ours, theirs = dict(self.rows.get(producer, ())), self.rows.get(consumer, ())
        return any(ours.get(number, instance) != instance for number, instance in theirs)


def _closed(boxes: Sequence[Box]) -> Iterator[Box]:
    for box in boxes:
        if box.inner:
            yield from _closed(box.inner)
        else:
            yield box


def _joined(found: Diagram) -> Diagram:
    """The same with norms, activations and the like in the box of the layer that they follow."""
    sources: dict[int, list[int]] = {}
    targets: dict[int, list[int]] = {}
    for edge in found.edges:
        sources.setdefault(edge.target, []).append(edge.source)
        targets.setdefault(edge.source, []).append(edge.target)
    moved: dict[int, int] = {}

    def join(boxes: list[Box]) -> list[Box]:
        kept: dict[int, Box] = {}
        for box in boxes:
            box.inner = join(box.inner)
            if len(box.inner) == 1 and box.count == 1:
                (only,) = box.inner  # what holds one box is that box
                only.label = f"{box.label}.{only.label}"
                box = only
            before = sources.get(box.number, [])
            home = kept.get(moved.get(before[0], before[0])) if len(before) == 1 else None
            follows = box.ops and box.family in _FOLLOWERS and box.count == 1
            leads = home and home.ops and home.count == 1 and home.family not in _MEETINGS
            if home and leads and follows and len(targets[before[0]]) == 1:
                home.ops += box.ops
                home.types = box.types
                if home.part and box.part:
                    home.part = _sum(home.part, box.part)
                moved[box.number] = home.number
            else:
                kept[box.number] = box
        return list(kept.values())

    boxes = join(found.boxes)
    edges = {
        Edge(moved.get(edge.source, edge.source), moved.get(edge.target, edge.target), edge.type): None
        for edge in found.edges
    }
    return Diagram(
        found.summary,
        found.inputs,
        boxes,
        found.outputs,
        [edge for edge in edges if edge.source != edge.target],
    )


def _sum(part: Part, following: Part) -> Part:
    return replace(part, cost=part.cost + following.cost, types=following.types)
