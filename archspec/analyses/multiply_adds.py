"""Multiply-adds, the one cost that nearly every spec claims: measured without the table of all costs."""

from __future__ import annotations

from archspec.analyses.formulas import of_batch
from archspec.graph import Graph
from archspec.ground.tensor import fixed
from archspec.op import Op


def macs(graph: Graph) -> int:
    """Multiply-adds of convolutions, linears, matrix products and attention, for one sample.

    Papers print them as "FLOPs". Raises Mistake when they depend on a free size.
    """
    graph = of_batch(graph, 1)
    each = graph.totals(lambda function, step: function.ask(step, Op.macs))
    return fixed(each[-1], "the number of multiply-adds")
