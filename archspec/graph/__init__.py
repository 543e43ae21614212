"""The graph: a network with every shape known, as functions and calls, and what holds of every one."""

from archspec.graph.flat import Flat, Node, Output, Scope
from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import DEEPEST_SCOPE, FORMAT, MOST_NODES, Graph, graph_of
from archspec.graph.records import Claim, Input, Record, Ref, Use, Value

__all__ = [
    "DEEPEST_SCOPE",
    "FORMAT",
    "MOST_NODES",
    "Apply",
    "Call",
    "Claim",
    "Flat",
    "Function",
    "Graph",
    "Input",
    "Node",
    "Output",
    "Record",
    "Ref",
    "Scope",
    "Step",
    "Use",
    "Value",
    "graph_of",
]
