"""What a network costs, counted from its graph."""

from __future__ import annotations

from archspec.graph import Graph, Node


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-adds of one node for one sample. Raises Mistake when they depend on a free size."""
    return node.op.macs(*graph.input_types(node), **graph.option_types(node))


def macs(graph: Graph) -> int:
    """Multiply-adds of convolutions, linears, matrix products and attention, for one sample.

    It is the figure that papers print as "FLOPs". Raises Mistake when it depends on a free size.
    """
    return sum(node_macs(graph, node) for node in graph.nodes)
