"""Which real numbers of a network do not follow the dtype of its weights: positions, angles, tables of the spec's own."""

from __future__ import annotations

from archspec.graph import Graph, Node, Ref
from archspec.op import Movement
from archspec.ops.casting import Cast
from archspec.ops.weights import Constant, Own, Tied


def exact_values(graph: Graph) -> set[Ref]:
    """The real values that follow from constants, whole numbers and casts alone, and from no weight, buffer or real input.

    A bf16 has 8 significant bits: the position 500 rounded to it is off by up to 1, and the sine of that is noise. So
    these are computed in the dtype that the spec says, or in that of the weights if it is wider, and rounded where they
    meet others (`docs/language.md`, Dtypes).
    """
    exact: set[Ref] = set()
    for node in graph.nodes:
        if _is_exact(graph, node, exact):
            exact.update(Ref(node.name, index) for index, type_ in enumerate(node.types) if type_.floating)
    return exact


def cast_values(graph: Graph, exact: set[Ref]) -> set[Ref]:
    """Those of the exact values that follow from a Cast, whose dtype the spec asks for: they leave the network as they are."""
    found: set[Ref] = set()
    for node in graph.nodes:
        if isinstance(node.op, Cast) or not found.isdisjoint(node.operands):
            found.update(Ref(node.name, index) for index in range(len(node.types)))
    return found & exact


def rounded_weights(graph: Graph) -> set[str]:
    """The weights whose own numbers are brought to the dtype of a network that is cast, by name.

    These are all but constants; and of constants those that meet weights, or values that follow these, or are given out,
    as they are or moved.
    """
    exact = exact_values(graph)
    held: dict[Ref, set[str]] = {}  # the constants whose numbers an exact value has
    found = {name for name, weight in graph.weights.items() if weight.saved}
    for node in graph.nodes:
        if isinstance(node.op, Constant) and Ref(node.name) in exact:
            held[Ref(node.name)] = {node.shares or node.name}
        constants: set[str] = set().union(*(held.get(x, ()) for x in node.operands))
        if not constants:
            continue
        if owns_weights(graph, node) or any(
            graph.types[x].floating and x not in exact for x in node.operands
        ):
            found |= constants
        elif isinstance(node.op, Movement):
            held.update({Ref(node.name, i): constants for i in range(len(node.types))})
    return found.union(*(held.get(output.value, ()) for output in graph.outputs))


def owns_weights(graph: Graph, node: Node) -> bool:
    """Whether a node computes with weights of its own."""
    return bool(graph.weights_of(node))


def _is_exact(graph: Graph, node: Node, exact: set[Ref]) -> bool:
    if isinstance(node.op, Constant | Cast):
        return True
    if isinstance(node.op, Own | Tied):
        return False
    reals = (ref in exact for ref in node.operands if graph.types[ref].floating)
    return all(reals) and not owns_weights(graph, node)
