"""The graph: a network with every shape known, as functions and calls."""

from typing import TYPE_CHECKING

from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import DEEPEST_SCOPE, FORMAT, MOST_NODES, Graph, graph_of
from archspec.graph.name_maps import NameMap, Renaming
from archspec.graph.records import Claim, Input, Record, Ref, Use, Value

if TYPE_CHECKING:
    from archspec.graph.flat import Flat, Node, Output, Scope

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
    "NameMap",
    "Node",
    "Output",
    "Record",
    "Ref",
    "Renaming",
    "Scope",
    "Step",
    "Use",
    "Value",
    "graph_of",
]


if not TYPE_CHECKING:  # or the names would have type Any

    def __getattr__(name: str) -> object:
        """The records of the flat view, imported on first use."""
        if name not in ("Flat", "Node", "Output", "Scope"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from archspec.graph import flat

        globals()[name] = found = getattr(flat, name)
        return found
