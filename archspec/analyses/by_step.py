"""What follows from a step alone, found once for each step of a function and known of all nodes that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from archspec.graph import Graph, Node

Answer = TypeVar("Answer")


def by_step(graph: Graph, answer: Callable[[Node], Answer]) -> Callable[[Node], Answer]:
    """The same answer for each node, found once for each step; it must follow from the node's op, types and weights."""
    functions = [scope.function for scope in graph.scopes]
    known: dict[tuple[int, str], Answer] = {}

    def known_answer(node: Node) -> Answer:
        step = functions[node.scope], node.step
        if step not in known:
            known[step] = answer(node)
        return known[step]

    return known_answer
