"""Tables of positions: which of a network's weights are one, and of what grid, as far as the graph says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import Literal

from archspec.graph import Graph, Node, Ref
from archspec.op import Movement, family
from archspec.ops.activation import Softmax
from archspec.ops.arithmetic import Add, _Pairwise
from archspec.ops.gather import Gather
from archspec.ops.joining import Concat
from archspec.ops.matmul import MatMul
from archspec.ops.reshape import Flatten, Reshape
from archspec.ops.slicing import Index
from archspec.ops.weights import Constant, Own

Grid = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Table:
    """A weight that may hold something for each place of a grid.

    A `map` [*, H, W] shows its grid. A `sequence` [*, tokens + H W, D] has its places row by row, behind those of
    `tokens[0]` and before those of `tokens[1]`. `relative` positions [(2 H - 1)(2 W - 1), heads] are those of one place
    of a window to another. What is `unknown` the graph does not show to be a table, nor to be none. It is `certain`
    where the graph shows it to be one, and `grid` and `tokens` are those of the network, where the graph shows them, too.
    """

    kind: Literal["map", "sequence", "relative", "unknown"]
    certain: bool = False
    grid: Grid | None = None
    tokens: tuple[int, int] | None = None


def tables(graph: Graph) -> dict[str, Table]:
    """The weights, declared by blocks themselves, that may be tables of positions, by name."""
    reading = _Reading(graph)
    found = {
        node.name: table
        for node in graph.nodes
        if isinstance(node.op, Own) and not isinstance(node.op, Constant) and not node.shares
        for table in [reading.table(node, node.op.weight.shape)]
        if table is not None
    }
    return {name: t for name, t in found.items() if t.kind != "unknown" or name not in reading.tokens}


class _Reading:
    """Who reads and who makes each value of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.types = graph.types
        self.tokens: set[str] = (
            set()
        )  # the weights that stand beside the places of a grid, as the table added to both shows
        self.makers = {Ref(node.name, i): node for node in graph.nodes for i in range(len(node.types))}
        self.readers: dict[Ref, list[Node]] = {}
        for node in graph.nodes:
            for ref in node.operands:
                self.readers.setdefault(ref, []).append(node)

    def table(self, own: Node, shape: tuple[int, ...]) -> Table | None:
        """What table of positions a weight may be, by what it is added to or looked up in."""
        uses = list(self.uses(Ref(own.name)))
        for reader, ref, _ in uses:
            if isinstance(reader.op, Gather) and ref == reader.inputs[0] and len(shape) == 2:
                index = self.types[reader.inputs[1]]
                if not index.batched:
                    return _relative(shape[0], index.shape)
        added = [
            (other, around)
            for reader, ref, around in uses
            if len(shape) >= 2 and around is not None and isinstance(reader.op, Add)
            if self.types[ref].shape[-2:] == (shape[-2] - sum(around), shape[-1])
            for other in reader.inputs
            if other != ref and self.types[other].batched
            if self.types[other].shape[-2:] == self.types[ref].shape[-2:]
        ]
        if len(shape) >= 3 and any(self.is_map(ref) for ref, around in added if not any(around)):
            return Table("map", True, (shape[-2], shape[-1]))
        if added and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)):
            found = {
                (grid, (start + first, end + last))
                for ref, (start, end) in added
                for seen in [self.behind(ref, shape[-2] - start - end)]
                if seen is not None
                for grid, (first, last) in [seen]
            }
            return Table("sequence", True, *found.pop()) if len(found) == 1 else Table("sequence")
        is_none = _only_channels(shape) or (
            bool(uses) and all(self.is_harmless(reader, ref, shape) for reader, ref, _ in uses)
        )
        return None if is_none or not self.types[Ref(own.name)].floating else Table("unknown")

    def uses(self, ref: Ref) -> Iterator[tuple[Node, Ref, tuple[int, int] | None]]:
        """What reads a value, or what of it is moved, and that as it is read; and how many rows were cut off before and behind.

        The rows are None where the value was moved otherwise than row by row.
        """
        waiting: list[tuple[Ref, tuple[int, int] | None]] = [(ref, (0, 0))]
        while waiting:
            ref, around = waiting.pop()
            for reader in self.readers.get(ref, ()):
                if _moves(reader):
                    cut = self.cut(reader, ref)
                    left = None if around is None or cut is None else (around[0] + cut[0], around[1] + cut[1])
                    waiting += [(Ref(reader.name, i), left) for i in range(len(reader.types))]
                yield reader, ref, around

    def cut(self, node: Node, ref: Ref) -> tuple[int, int] | None:
        """How many rows a movement cuts off before and behind; None where it does something else to them."""
        shape, made = self.types[ref].shape, node.types[0].shape
        if isinstance(node.op, Index) and len(shape) >= 2 and isinstance(size := shape[-2], int):
            rows = node.op.at[len(shape) - 2] if len(node.op.at) > len(shape) - 2 else (None, None, None)
            if isinstance(rows, int):
                return None
            if not all(bound is None or isinstance(bound, int) for bound in rows):
                return None
            start, stop, step = slice(*rows).indices(size)
            return (start, size - stop) if step == 1 else None
        if isinstance(node.op, Reshape | Flatten) and shape[-2:] == made[-2:]:
            return 0, 0
        return None

    def is_harmless(self, reader: Node, ref: Ref, shape: tuple[int, ...]) -> bool:
        """Whether a use of a weight of that shape says nothing of a grid, or nothing that its shape does not show.

        It is moved, looked up by data, multiplies data as a matrix, or meets a map whose height and width it has. A matrix
        whose products are weighed against each other as scores may hold keys of places.
        """
        if _moves(reader):
            return True
        if isinstance(reader.op, Gather):
            return ref == reader.inputs[0] and self.moved(reader.inputs[1]) not in self.makers
        if isinstance(reader.op, MatMul):
            return not self.is_score(Ref(reader.name))
        return (
            isinstance(reader.op, _Pairwise)
            and self.types[ref].shape[-2:] == shape[-2:]
            and any(
                self.types[x].shape[-2:] == shape[-2:] and self.is_map(x) for x in reader.operands if x != ref
            )
        )

    def is_score(self, ref: Ref) -> bool:
        """Whether a value, at most changed value by value, goes into a softmax or is a bias of attention."""
        shape, waiting, seen = self.types[ref].shape, [ref], {ref}
        while waiting:
            value = waiting.pop()
            for reader in self.readers.get(value, ()):
                if isinstance(reader.op, Softmax) or value in reader.options.values():
                    return True
                made = Ref(reader.name)
                if self.types[made].shape == shape and made not in seen:
                    seen.add(made)
                    waiting.append(made)
        return False

    def data(self, node: Node | None) -> Ref | None:
        """The one input of a node that is made of the data."""
        batched = [x for x in node.operands if self.types[x].batched] if node else []
        return batched[0] if len(batched) == 1 else None

    def moved(self, ref: Ref) -> Ref:
        """What a value was before it was moved."""
        while ref in self.makers and _moves(self.makers[ref]):
            ref = self.makers[ref].operands[0]
        return ref

    def is_map(self, ref: Ref) -> bool:
        """Whether a value is a map [C, H, W]: an image, or made by a convolution or pool, and at most changed value by value."""
        shape, value = self.types[ref].shape, ref
        while len(shape) == 3 and self.types[value].shape == shape:
            node = self.makers.get(value)
            if node is None or family(type(node.op)) in ("conv", "pooling", "deform"):
                return True
            given = self.data(node)
            if given is None:
                return False
            value = given
        return False

    def behind(self, ref: Ref, places: int) -> tuple[Grid | None, tuple[int, int]] | None:
        """The grid whose places a sequence has, and how many tokens stand before and behind it; None where none is seen.

        The grid alone is None where it could be one of two.
        """
        first = last = 0
        tokens: set[str] = set()
        value: Ref | None = ref
        node: Node | None = None  # what reads it there
        while value is not None:
            shape = self.types[value].shape
            grids = {
                (a, b)
                for a, b in pairwise(shape)
                if len(shape) == 3 and isinstance(a, int) and isinstance(b, int) and a * b == places
            }
            if len(grids) > 1 and node is not None and isinstance(node.op, Flatten):
                grids = {
                    (a, b) for a, b in grids if (a, b) == shape[self.types[value].axis(node.op.start) :][:2]
                }
            if grids:
                self.tokens |= tokens
                return grids.pop() if len(grids) == 1 else None, (first, last)
            node = self.makers.get(value)
            if node is not None and isinstance(node.op, Concat):
                sizes = [self.types[x].shape[node.op.axis] for x in node.inputs]
                grid = next((i for i, x in enumerate(node.inputs) if self.types[x].batched), 0)
                around = [size for i, size in enumerate(sizes) if i != grid and isinstance(size, int)]
                if shape[node.op.axis] != places or len(around) + 1 < len(sizes):
                    return None  # channels are joined, or a number of tokens that is not known
                tokens.update(self.moved(x).producer for i, x in enumerate(node.inputs) if i != grid)
                first, last = first + sum(around[:grid]), last + sum(around[grid:])
                places -= sum(around)
            value = self.data(node)
        return None


def _moves(node: Node) -> bool:
    return isinstance(node.op, Movement) and len(node.operands) == 1


def _only_channels(shape: tuple[int, ...]) -> bool:
    """Whether a weight has one number for each channel at most: [*1, C], or [*1, C, 1, 1]."""
    channel = -3 if len(shape) >= 3 and shape[-2:] == (1, 1) else -1
    return all(size <= 1 for i, size in enumerate(shape) if i != len(shape) + channel)


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
