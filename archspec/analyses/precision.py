"""Which real numbers of a network do not follow the dtype of its weights: positions, angles, tables of the spec's own."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.graph import Graph, Node, Ref
from archspec.op import Movement
from archspec.ops.casting import Cast
from archspec.ops.weights import Constant, Own, Tied


def exact_values(graph: Graph) -> set[Ref]:
    """The real values that follow from constants and whole numbers alone, and from no weight, buffer or real input.

    A bf16 has 8 significant bits: the position 500 rounded to it is off by up to 1, and the sine of that is noise. So
    these are computed in the dtype that the spec says, or in that of the weights if it is wider, and rounded where they
    meet others (`docs/language.md`, Dtypes).
    """
    exact: set[Ref] = set()
    for node in graph.nodes:
        if _is_exact(graph, node, exact):
            exact.update(real_values(node))
    return exact


def held_values(graph: Graph, exact: set[Ref]) -> set[Ref]:
    """The real values that follow from a Cast of values which follow the weights: islands in the dtype that the spec asks for.

    Where they meet others, these are brought to their dtype, not they to that of the others, as PyTorch promotes dtypes. A
    layer with weights ends an island, and so does a Cast to the dtype of another value.
    """
    held: set[Ref] = set()
    for node in graph.nodes:
        source = node.options.get("like", Ref("")) if isinstance(node.op, Cast) else None
        if isinstance(node.op, Cast) and not node.options:
            holds = any(graph.types[x].floating and x not in exact for x in node.read)
        elif source is not None:
            holds = source in held
        else:
            holds = not (held.isdisjoint(node.read) or owns_weights(graph, node))
        if holds:
            held.update(real_values(node))
    return held


def asked_values(graph: Graph, exact: set[Ref], held: set[Ref]) -> set[Ref]:
    """The values whose dtype the spec asks for by a Cast, and what is computed of them: they leave the network as they are."""
    asked = set(held)
    for node in graph.nodes:
        if (isinstance(node.op, Cast) and not node.options) or not asked.isdisjoint(node.read):
            asked.update(real_values(node))
    return asked & (exact | held)


def real_values(node: Node) -> Iterator[Ref]:
    """What a node gives that is real."""
    return (Ref(node.name, index) for index, type_ in enumerate(node.types) if type_.floating)


def rounded_weights(graph: Graph) -> set[str]:
    """The weights whose own numbers are brought to the dtype of a network that is cast, by name.

    These are all but constants; and of constants those that meet weights, or values that follow these, or are given out,
    as they are or moved.
    """
    exact = exact_values(graph)
    kept = exact | held_values(graph, exact)
    numbers: dict[Ref, set[str]] = {}  # the constants whose numbers an exact value has
    found = {name for name, weight in graph.weights.items() if weight.saved}
    for node in graph.nodes:
        if isinstance(node.op, Constant) and Ref(node.name) in exact:
            numbers[Ref(node.name)] = {node.shares or node.name}
        constants: set[str] = set().union(*(numbers.get(x, ()) for x in node.read))
        if not constants:
            continue
        if owns_weights(graph, node) or any(graph.types[x].floating and x not in kept for x in node.read):
            found |= constants
        elif isinstance(node.op, Movement):
            numbers.update({Ref(node.name, i): constants for i in range(len(node.types))})
    return found.union(*(numbers.get(output.value, ()) for output in graph.outputs))


def owns_weights(graph: Graph, node: Node) -> bool:
    """Whether a node computes with weights of its own."""
    return bool(graph.weights_of(node))


def _is_exact(graph: Graph, node: Node, exact: set[Ref]) -> bool:
    if isinstance(node.op, Constant):
        return True
    if isinstance(node.op, Own | Tied):
        return False
    if isinstance(node.op, Cast) and node.options:
        return node.options["like"] in exact
    reals = (ref in exact for ref in node.read if graph.types[ref].floating)
    return all(reals) and not owns_weights(graph, node)
