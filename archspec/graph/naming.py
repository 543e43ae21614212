"""Resolve full names: paths of calls that lead to a step."""

from __future__ import annotations

from collections.abc import Container

from archspec.graph.function import Call, Function, Step
from archspec.graph.graph import Graph
from archspec.graph.held import named
from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest
from archspec.ground.names import first_use


def find(graph: Graph, path: str) -> tuple[Function, Step]:
    """The step with this full name, and its function. Raises SpecError when there is none."""
    whole = first_use(path)
    if whole != path:
        _require_use(graph, path)
    index, rest = len(graph.functions) - 1, whole
    while True:
        function = graph.functions[index]
        found = named(graph.functions, index, rest, graph.first_uses)
        if found is None:
            known = [name for step in function.steps if not step.is_use for name in step.names]
            known += [name for name in function.layers if name]
            around = whole[: len(whole) - len(rest)].rstrip(".")
            where = f"`{around}` has" if around else f"{graph.name} has"
            raise SpecError.of(codes.UNKNOWN_PART, f"{where} no step `{rest}`", help=suggest(rest, known))
        home, step, length = found
        if length == len(rest):
            return home, step
        rest = rest[length + 1 :]
        if not isinstance(step, Call):
            raise SpecError.of(
                codes.UNKNOWN_PART, f"`{path}`: `{step.name}` is a single op, which contains no steps"
            )
        index = step.function


def _require_use(graph: Graph, path: str) -> None:
    """SpecError unless a later use of a shared layer, `head@2`, is there: which uses there are, only the flat view tells."""
    names = {scope.name for scope in graph.scopes} | {node.name for node in graph.nodes}
    if path not in names:
        uses = [name for name in names if first_use(name) == first_use(path)]
        raise SpecError.of(codes.UNKNOWN_PART, f"{graph.name} has no step `{path}`", help=suggest(path, uses))


def owner_of(weight: str, nodes: Container[str]) -> str:
    """The node, by its full name, that a weight of this full name is of; an empty string where it is of none."""
    while weight and weight not in nodes:
        weight = weight.rpartition(".")[0]
    return weight
