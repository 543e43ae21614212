"""The graph: a network with every shape known, and what holds of every one."""

from archspec.graph.graph import (
    DEEPEST_SCOPE,
    FORMAT,
    Claim,
    Graph,
    Input,
    Node,
    Output,
    Record,
    Ref,
    Scope,
    Use,
    Value,
    graph_of,
    made_like,
    told,
)

__all__ = [
    "DEEPEST_SCOPE",
    "FORMAT",
    "Claim",
    "Graph",
    "Input",
    "Node",
    "Output",
    "Record",
    "Ref",
    "Scope",
    "Use",
    "Value",
    "graph_of",
    "made_like",
    "told",
]
