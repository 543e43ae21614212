"""Names as paths: which step of which function a full name stands for."""

from __future__ import annotations

from archspec.graph.function import Call, Function, Step
from archspec.graph.graph import Graph
from archspec.ground.errors import SpecError, suggest
from archspec.ground.names import first_use


def find(graph: Graph, path: str) -> tuple[Function, Step]:
    """The step of a full name, and the function that it stands in. Raises SpecError when there is none."""
    index, rest = len(graph.functions) - 1, first_use(path)
    while True:
        function = graph.functions[index]
        found = _named(graph, index, rest)
        if found is None:
            known = [name for step in function.steps if not step.is_use for name in step.names]
            known += [name for name in function.layers if name]
            around = path[: len(path) - len(rest)].rstrip(".")
            where = f"`{around}` has" if around else f"{graph.name} has"
            raise SpecError.of("name", f"{where} no step `{rest}`", help=suggest(rest, known))
        home, step, length = found
        rest = rest[length:].removeprefix(".")
        if not rest:
            return home, step
        if not isinstance(step, Call):
            raise SpecError.of("name", f"`{path}`: `{step.name}` is a single step, which holds no others")
        index = step.function


def _named(graph: Graph, index: int, path: str) -> tuple[Function, Step, int] | None:
    """The step of a function with which a path begins, the function it stands in, and the length of its name."""
    function = graph.functions[index]
    for end in [*(i for i, letter in enumerate(path) if letter == "."), len(path)]:
        name = path[:end]
        if name in function.layers and (first := graph.first_use(index, function.layers.index(name))):
            return *first, end
        if name in function.by_name:
            return function, function.by_name[name], end
        if name.isdigit():
            for step in function.steps:
                if isinstance(step, Call) and step.times > 1 and 0 < int(name) - int(step.name) < step.times:
                    return function, step, end
    return None
