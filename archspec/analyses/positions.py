"""Tables of positions: which of a network's weights are one, and of what grid, as far as the graph says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import Literal

from archspec.graph import Graph, Node, Ref
from archspec.op import family
from archspec.ops.arithmetic import Add
from archspec.ops.gather import Gather
from archspec.ops.joining import Concat
from archspec.ops.movement import _Movement
from archspec.ops.reshape import Flatten
from archspec.ops.weights import Constant, Own

Grid = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Table:
    """A weight that may hold something for each place of a grid.

    A `map` [*, H, W] shows its grid. A `sequence` [*, tokens + H W, D] has its places row by row, behind those of
    `tokens`. `relative` positions [(2 H - 1)(2 W - 1), heads] are those of one place of a window to another. It is
    `certain` where the graph shows it to be one, and `grid` is that of the network, where the graph shows that, too.
    """

    kind: Literal["map", "sequence", "relative"]
    certain: bool = False
    grid: Grid | None = None
    tokens: int | None = None


def tables(graph: Graph) -> dict[str, Table]:
    """The weights, declared by blocks themselves, that may be tables of positions, by name."""
    reading = _Reading(graph)
    return {
        node.name: table
        for node in graph.nodes
        if isinstance(node.op, Own) and not isinstance(node.op, Constant) and not node.shares
        for table in [reading.table(node, node.op.weight.shape)]
        if table is not None
    }


class _Reading:
    """Who reads and who makes each value of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.types = graph.types
        self.makers = {Ref(node.name, i): node for node in graph.nodes for i in range(len(node.types))}
        self.readers: dict[Ref, list[Node]] = {}
        for node in graph.nodes:
            for ref in node.operands:
                self.readers.setdefault(ref, []).append(node)

    def table(self, own: Node, shape: tuple[int, ...]) -> Table | None:
        """What table of positions a weight may be, by what it is added to or looked up in."""
        uses = list(self.uses(Ref(own.name)))
        for reader, ref in uses:
            if isinstance(reader.op, Gather) and ref == reader.inputs[0] and len(shape) == 2:
                index = self.types[reader.inputs[1]]
                return None if index.batched else _relative(shape[0], index.shape)
        added = [
            other
            for reader, ref in uses
            if isinstance(reader.op, Add) and self.types[ref].shape[-2:] == shape[-2:]
            for other in reader.inputs
            if other != ref and self.types[other].batched and self.types[other].shape[-2:] == shape[-2:]
        ]
        if len(shape) >= 3 and any(self.is_map(ref) for ref in added):
            return Table("map", True, (shape[-2], shape[-1]))
        if added and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)):
            behind = {at for ref in added for at in [self.behind(ref, shape[-2])] if at is not None}
            return Table("sequence", True, *behind.pop()) if len(behind) == 1 else Table("sequence")
        return None

    def uses(self, ref: Ref) -> Iterator[tuple[Node, Ref]]:
        """What reads a value, or what of it is moved, and that as it is read."""
        waiting = [ref]
        while waiting:
            ref = waiting.pop()
            for reader in self.readers.get(ref, ()):
                yield reader, ref
                if isinstance(reader.op, _Movement) and len(reader.operands) == 1:
                    waiting += [Ref(reader.name, i) for i in range(len(reader.types))]

    def data(self, node: Node | None) -> Ref | None:
        """The one input of a node that is made of the data."""
        batched = [x for x in node.operands if self.types[x].batched] if node else []
        return batched[0] if len(batched) == 1 else None

    def is_map(self, ref: Ref) -> bool:
        """Whether a value is a map [C, H, W]: an image, or made by a convolution or pool, and at most changed value by value."""
        shape, at = self.types[ref].shape, ref
        while len(shape) == 3 and self.types[at].shape == shape:
            node = self.makers.get(at)
            if node is None or family(type(node.op)) in ("conv", "pooling", "deform"):
                return True
            given = self.data(node)
            if given is None:
                return False
            at = given
        return False

    def behind(self, ref: Ref, places: int) -> tuple[Grid | None, int] | None:
        """The grid whose places a sequence has, and how many tokens stand before it; None where there is none to be seen.

        The grid alone is None where it could be one of two.
        """
        tokens = 0
        at: Ref | None = ref
        node: Node | None = None  # what reads it there
        while at is not None:
            shape = self.types[at].shape
            grids = {
                (a, b)
                for a, b in pairwise(shape)
                if len(shape) == 3 and isinstance(a, int) and isinstance(b, int) and a * b == places
            }
            if len(grids) > 1 and node is not None and isinstance(node.op, Flatten):
                grids = {
                    (a, b) for a, b in grids if (a, b) == shape[self.types[at].axis(node.op.start) :][:2]
                }
            if grids:
                return grids.pop() if len(grids) == 1 else None, tokens
            node = self.makers.get(at)
            if node is not None and isinstance(node.op, Concat):
                sizes = [self.types[x].shape[node.op.axis] for x in node.inputs]
                if shape[node.op.axis] != places or not self.types[node.inputs[-1]].batched:
                    return None  # channels, or tokens behind the grid
                for size in sizes[:-1]:
                    if not isinstance(size, int):
                        return None
                    tokens, places = tokens + size, places - size
            at = self.data(node)
        return None


def _relative(rows: int, index: tuple[object, ...]) -> Table:
    """The table of so many rows that is looked up for each two of the places of a window.

    Height and width are two numbers whose product is the number of places, and whose sum the number of rows tells;
    which of them is which, neither does.
    """
    match index:
        case (int(places), int(other)) if places == other and (4 * places + 1 - rows) % 2 == 0:
            total = (4 * places + 1 - rows) // 2
            difference = isqrt(max(total * total - 4 * places, 0))
            if total > 0 and difference * difference == total * total - 4 * places:
                side = total // 2
                return Table("relative", True, (side, side) if not difference else None)
    return Table("relative")
