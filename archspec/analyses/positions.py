"""Tables of positions: which of a network's weights are one, and of what grid, as the spec says."""

from __future__ import annotations

from archspec.graph import Graph
from archspec.op.table import Table
from archspec.ops.weights import Own


def tables(graph: Graph) -> dict[str, Table]:
    """The weights that the spec declares as tables of positions, by name: `[1, 1 + grid(h, w), dim]`."""
    return {
        node.name: node.op.table
        for node in graph.nodes
        if isinstance(node.op, Own) and node.op.table is not None and not node.shares
    }
