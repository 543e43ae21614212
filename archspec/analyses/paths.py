"""The paths from the inputs of a network to its outputs [Veit et al., 2016]."""

from __future__ import annotations

from archspec.graph import Graph, Node, Ref
from archspec.op import Op


def path_count(graph: Graph) -> int:
    """The number of paths from an input to an output: 2^n through n residual blocks."""
    return sum(_walk(graph, 0, set()))


def path_lengths(graph: Graph) -> dict[int, int]:
    """The number of paths of each length, shortest first; lengths are in weighted layers.

    Exact, in one walk: the counts of all lengths are packed into one big integer, with room for the count of all paths
    in each digit, so that one addition adds all counts and a shift passes a layer.
    """
    weighted = weighted_layers(graph)
    width = path_count(graph).bit_length()
    packed = sum(_walk(graph, width, weighted))
    lengths, length, mask = {}, 0, (1 << width) - 1
    while packed:
        if packed & mask:
            lengths[length] = packed & mask
        packed >>= width
        length += 1
    return lengths


def depth(graph: Graph) -> int:
    """Weighted layers on the longest path, as papers count them: 50 in ResNet-50."""
    weighted = weighted_layers(graph)
    longest = {Ref(given.name): 0 for given in graph.inputs}
    for node in graph.nodes:
        before = [longest[ref] for ref in node.operands if ref in longest]
        if before:
            for index in range(len(node.types)):
                longest[Ref(node.name, index)] = max(before) + (node.name in weighted)
    return max((longest.get(output.value, 0) for output in graph.outputs), default=0)


def weighted_layers(graph: Graph) -> set[str]:
    """The nodes that multiply by trained weights: convolutions and linear layers, but not norms."""

    def weighted(node: Node) -> bool:
        if type(node.op).macs is Op.macs:
            return False
        return any(weight.trainable for weight in graph.weights_of(node).values())

    return {node.name for node in graph.nodes if weighted(node)}


def _walk(graph: Graph, width: int, weighted: set[str]) -> list[int]:
    """For each output its paths from all inputs, shifted by `width` bits for each weighted layer on the way."""
    paths = {Ref(given.name): 1 for given in graph.inputs}
    uses: dict[Ref, int] = {}
    for node in graph.nodes:
        for ref in node.operands:
            uses[ref] = uses.get(ref, 0) + 1
    for output in graph.outputs:
        uses[output.value] = uses.get(output.value, 0) + 1
    for node in graph.nodes:
        count = 0
        for ref in node.operands:
            count += paths.get(ref, 0)
            uses[ref] -= 1
            if not uses[ref]:  # free large numbers as soon as possible
                paths.pop(ref, None)
        if node.name in weighted:
            count <<= width
        for index in range(len(node.types)):
            paths[Ref(node.name, index)] = count
    return [paths.get(output.value, 0) for output in graph.outputs]
