"""What there is to draw of a network: boxes in boxes, and which leads to which; no backend in particular."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from archspec.analyses.captions import FOLLOWERS
from archspec.analyses.cost import Cost, Counts, WeightCounts, total
from archspec.analyses.hierarchy import Folding, Part, hierarchy, made_of, seen
from archspec.analyses.summary import Summary
from archspec.graph import Graph, Node, Ref
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Op, family

Member = Node | int
Frames = Literal["all", "needed", "repeated"]
Opens = Callable[[Part, int], bool]


@dataclass
class Box:
    """A step, a block or a row of equal ones, or an input or output; `inner` are the boxes in it, if it is open.

    `ops` are the ops in it when it is closed and made of single steps, `arguments` those of the block that it
    is, `count` how many alike it stands for, `part` what it costs and gives.
    """

    number: int
    label: str
    part: Part | None
    types: tuple[TensorType, ...]
    inputs: tuple[TensorType, ...] = ()
    ops: list[Op] = field(default_factory=list)
    arguments: Mapping[str, Any] = field(default_factory=dict)
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
    """The boxes of a network in order, its ends, the edges between closed boxes, and what all of it costs."""

    cost: Cost
    inputs: list[Box]
    boxes: list[Box]
    outputs: list[Box]
    edges: list[Edge]

    @property
    def closed(self) -> Iterator[Box]:
        """The boxes that are not open, ends left out."""
        return _closed(self.boxes)

    @property
    def rows_crossed(self) -> int:
        """How many rows of boxes all edges cross together: by this, not by boxes, grows the work to lay it out."""
        row: Counter[int] = Counter()
        crossed = 0
        for edge in sorted(self.edges, key=lambda edge: edge.source):
            row[edge.target] = max(row[edge.target], row[edge.source] + 1)
        for edge in self.edges:
            crossed += max(1, row[edge.target] - row[edge.source])
        return crossed


def diagram(
    summary: Summary,
    opens: Opens,
    *,
    scope: int = 0,
    join: bool = True,
    frames: Frames = "needed",
    weights: bool = False,
    shapes: bool = True,
    most: int | None = None,
) -> Diagram:
    """Lay out a network, or one of its scopes: `opens` says which parts, at which depth, show what is in them.

    What repeats is one box; without `shapes` also where it repeats on tensors of other shapes, and where more
    than `most` boxes would stand in a list, whatever its arguments are (`Folding`). With `join`,
    norms and activations are drawn in the box of the layer that they follow, and frames are left out that are
    not `needed`, being around nothing but frames, or all that are not `repeated`. Without `weights`, tensors that
    a spec declares itself are left out. Where costs depend on a free size, there are only those of the weights.
    """
    folding = Folding(turns=True, chains=True, shapes=shapes, most=most)
    graph, _ = seen(summary.graph, scope, folding)
    drawing = _Drawing(graph, opens, weights)
    parts = hierarchy(_counts(summary), scope=scope, folding=folding)
    boxes = drawing.lay(parts, [graph.members[scope]], 0)
    record = graph.scopes[scope]
    inputs = []
    for ref in dict.fromkeys(record.inputs):
        box = drawing.end(ref.producer if not scope else "input", graph.types[ref])
        drawing.given[ref] = box.number
        inputs.append(box)
    for label, ref in _from_outside(graph, scope, weights) if scope else ():
        box = drawing.end(label, graph.types[ref])
        drawing.given[ref] = box.number
        inputs.append(box)
    names = [output.name for output in graph.outputs] if not scope else []
    labels = [name or "output" for name in names] or ["output"] * len(record.outputs)
    outputs = [
        drawing.end(label, graph.types[ref]) for label, ref in zip(labels, record.outputs, strict=True)
    ]
    edges = drawing.edges(list(graph.inside(scope)), list(zip(record.outputs, outputs, strict=True)))
    found = Diagram(total(part.cost for part in parts), inputs, boxes, outputs, edges)
    return _joined(found, frames) if join else found


def _from_outside(graph: Graph, scope: int, weights: bool) -> Iterator[tuple[str, Ref]]:
    """What a scope takes from outside besides its inputs, in order of first use, by the parameters that it came as."""
    record, nodes = graph.scopes[scope], list(graph.inside(scope))
    known = {node.name for node in nodes}
    used = dict.fromkeys((*(ref for node in nodes for ref in node.operands), *record.outputs))
    parameters = dict(record.arguments)
    for ref in used:
        type_ = graph.types[ref]
        if ref.producer in known or ref in record.inputs or not (weights or type_.batched):
            continue
        label = next((name for name, value in parameters.items() if value == str(type_)), "input")
        parameters.pop(label, None)
        yield label, ref


MOST_IN_STAGE = 9  # boxes that an overview has room for in one list


def stages_open(part: Part, depth: int) -> bool:
    """Open what shows the stages of a network: lists of layers however deep, and blocks that hold rows of blocks."""
    return _is_list(part) or is_layer(part) or any(_is_row(inner) for inner in part.parts)


def blocks_open(part: Part, depth: int) -> bool:
    """Open what shows one block: lists of layers, and blocks of a few nodes, such as a convolution and its norm."""
    return _is_list(part) or (len(part.parts) <= 4 and all(inner.node for inner in part.parts))


def is_layer(part: Part) -> bool:
    """Whether a block is one layer and what follows it, as a convolution with its norm and activation."""
    ops = [inner.node.op for inner in part.parts if inner.node]
    leading = [op for op in ops if family(type(op)) not in FOLLOWERS]
    return part.count == 1 and len(ops) == len(part.parts) and len(leading) == 1


def _is_list(part: Part) -> bool:
    return not part.kind and part.node is None


def _is_row(part: Part) -> bool:
    """Whether a list holds several blocks of one kind, and of more than a layer each."""
    blocks = [inner for block in part.parts for inner in (block.parts if _is_list(block) else (block,))]
    kinds = {block.kind for block in blocks}
    several = sum(block.count for block in part.parts) > 1
    return (
        _is_list(part)
        and several
        and len(kinds) == 1
        and all(b.node is None and not is_layer(b) for b in blocks)
    )


def to_depth(most: int) -> Opens:
    """Open everything down to so many levels."""
    return lambda part, depth: depth + 1 < most


def distinct_blocks(summary: Summary) -> list[tuple[str, int]]:
    """Every different block that is more than a few layers, with a title: a scope that it made.

    Blocks are different when they hold other kinds of steps, not when only their arguments differ; a block
    that is nothing but rows of others is left to the overview.
    """
    graph = summary.graph
    scopes = {(scope.name, scope.block): index for index, scope in reversed(list(enumerate(graph.scopes)))}
    found: dict[Hashable, Part] = {}
    for part in _inside(hierarchy(_counts(summary))):
        if part.kind and part.node is None and not blocks_open(part, 0) and not any(map(_is_row, part.parts)):
            found.setdefault((part.kind, made_of(part)), part)
    kinds = [part.kind for part in found.values()]
    return [
        (
            part.kind if kinds.count(part.kind) == 1 else f"{part.kind} ({part.name})",
            scopes[part.name, part.kind],
        )
        for part in found.values()
    ]


def _inside(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _inside(part.parts)


def _reached(graph: Graph) -> set[str]:
    """The nodes that an input reaches; the others are weights, and what is made of weights alone."""
    reached = {given.name for given in graph.inputs}
    reached.update(node.name for node in graph.nodes if _reads(node, reached))
    return reached


def _reads(node: Node, reached: set[str]) -> bool:
    if reached.isdisjoint(ref.producer for ref in node.operands):
        return False
    reached.add(node.name)
    return True


class _Drawing:
    def __init__(self, graph: Graph, opens: Opens, weights: bool) -> None:
        self.graph, self.opens, self.weights = graph, opens, weights
        self.count = 0
        self.reached = _reached(graph)
        self.home: dict[str, int] = {}  # the closed box that each node is in
        self.given: dict[Ref, int] = {}  # the ends at which values come in
        # The open boxes around each node that stand for several blocks, and which of these it is in.
        self.rows: dict[str, list[tuple[int, int]]] = {}

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
            members = [member for row in rows for member in row[position : position + part.members]]
            position += part.members
            if part.node is not None and not self.weights and part.node.name not in self.reached:
                continue  # a weight, or what is made of weights alone
            box = self.box(part.label, part, part.types, part.inputs)
            if isinstance(members[0], int) and part.kind:
                box.arguments = self.graph.scopes[members[0]].arguments
            if part.node is None and self.opens(part, depth):
                instances = self.instances(part, members)
                box.inner = self.lay(part.parts, instances, depth + 1)
                if len(instances) > 1:
                    for i, instance in enumerate(instances):
                        for node in self.nodes(instance):
                            self.rows.setdefault(node.name, []).append((box.number, i))
            else:
                if part.node is not None:
                    box.ops = [part.node.op]
                self.home.update((node.name, box.number) for node in self.nodes(members))
            boxes.append(box)
        return boxes

    def instances(self, part: Part, members: list[Member]) -> list[list[Member]]:
        """What is in each of the alike blocks that a part stands for, or in each turn of them."""
        if part.span > 1:
            return [members[i : i + part.span] for i in range(0, len(members), part.span)]
        return [self.graph.members[member] for member in members if isinstance(member, int)]

    def nodes(self, members: Sequence[Member]) -> Iterator[Node]:
        for member in members:
            if isinstance(member, Node):
                yield member
            else:
                yield from self.graph.inside(member)

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


def _joined(found: Diagram, frames: Frames) -> Diagram:
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
                only.label = box.label if len(only.ops) > 1 else f"{box.label}.{only.label}"
                box = only
            if box.inner and _needs_no_frame(box, frames):
                for inner in box.inner:
                    inner.label = f"{box.label}.{inner.label}"
                    kept[inner.number] = inner
                continue
            before = sources.get(box.number, [])
            home = kept.get(moved.get(before[0], before[0])) if len(before) == 1 else None
            follows = box.ops and box.family in FOLLOWERS and box.count == 1
            leads = home and home.ops and home.count == 1 and _leads(home)
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
        found.cost,
        found.inputs,
        boxes,
        found.outputs,
        [edge for edge in edges if edge.source != edge.target],
    )


def _needs_no_frame(box: Box, frames: Frames) -> bool:
    """Whether what is in an open box is drawn without a frame."""
    if frames == "repeated":
        return box.count == 1
    only_frames = box.part is not None and _is_list(box.part) and all(inner.inner for inner in box.inner)
    return frames == "needed" and only_frames


def _leads(box: Box) -> bool:
    """Whether norms and activations belong to what is in a box: a layer with weights, or a pooling."""
    return box.family == "pooling" or (box.part is not None and box.part.cost.params > 0)


def _sum(part: Part, following: Part) -> Part:
    return replace(part, cost=part.cost + following.cost, types=following.types)


def _counts(summary: Summary) -> Counts:
    """The costs, or those of weights alone where others depend on a free size."""
    try:
        _ = summary.total
    except Mistake:
        return WeightCounts(summary.graph)
    return summary.counts
