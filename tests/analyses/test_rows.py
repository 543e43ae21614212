"""Long rows cut short: what is told of them is what is told of all their calls."""

from collections.abc import Callable

import pytest

import archspec
from archspec.analyses import hierarchy, stages
from archspec.analyses.hierarchy import Part
from archspec.analyses.rows import shortened, whole

ROWS = """
block Inner(layer: layer):
    input x: [N, C]
    return {body}

block Outer(layer: layer):
    input x: [N, C]
    shared own = [Linear(C, bias=false), ReLU]
    y = x -> own_row: 6 * [Inner(own)] -> tail: Linear(C)
    return y + (x -> side: 6 * [Inner(layer)])

block Swap:
    input a: [N, C]
    input b: [N, C]
    return b, a + (b -> Linear(C))

model Net:
    input x: [4, 6]
    shared one = Linear(6)
    shared block = Inner(one)
    y = x -> pre: 9 * [Inner(one)] -> block -> main: [9 * [Outer(one)], 7 * [Linear(6)], 6 * [block]] -> relus: 5 * [ReLU]
    a, b = (y, y) -> swaps: 8 * [Swap]
    return x -> ends: [[Linear(6), ReLU], [Inner(GELU) for i in range(9)]], a + b
"""

LONG = """
block Residual:
    input x: [C]
    return x + (x -> Linear(C) -> GELU)

model Net(blocks: int):
    input x: [8]
    return x -> stem: Linear(8) -> blocks: blocks * [Residual] -> head: Linear(2)
"""


def told(graph: archspec.Graph) -> list[object]:
    """The tree of costs, names and all, and pictures."""

    def tree(part: Part) -> tuple[object, ...]:
        return part.name, part.label, part.kind, part.count, part.cost, part.types, *map(tree, part.parts)

    drawings = [archspec.draw(graph, view).dot for view in ("overview", "full", "cost")]
    return [
        [tree(part) for part in archspec.cost(graph).parts],
        *drawings,
        archspec.draw(graph, "table").render("md"),
    ]


@pytest.mark.parametrize("body", ["x -> layer", "x + (x -> layer -> ReLU)", "x + (x -> Linear(C) -> layer)"])
def test_rows_are_told_of_as_all_their_calls_are(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in rows, of blocks that shared layers are handed to and that declare some, and of several values."""
    graph = archspec.read_text(ROWS.format(body=body))
    assert len(shortened(graph).graph.nodes) < len(graph.nodes)
    found = told(graph)
    for module in (hierarchy, stages):
        monkeypatch.setattr(module, "shortened", whole)
    assert told(graph) == found


def test_names_and_numbers_of_calls_are_those_of_the_whole() -> None:
    graph = archspec.read_text(ROWS.format(body="x -> layer -> Linear(C)"))
    short, times = shortened(graph)
    assert {node.name for node in short.nodes} <= {node.name for node in graph.nodes}
    assert sum(times[node.scope] for node in short.nodes) == len(graph.nodes)
    short.validated()


@pytest.mark.parametrize(
    "what",
    [
        lambda graph: archspec.draw(graph).dot,
        lambda graph: [inner.label for part in archspec.cost(graph).parts for inner in part.parts],
    ],
)
def test_networks_too_long_to_list_are_drawn_and_broken_down(
    what: Callable[[archspec.Graph], object],
) -> None:
    graph = archspec.read_text(LONG, blocks=900_000)
    assert "899999" in str(what(graph))
    assert "flat" not in vars(graph)
