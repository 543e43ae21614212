"""Models with next to nothing in them: what returns its input, takes a single number, has no layers."""

import pytest
import torch

import archspec
from archspec.backends.drawing import formats
from archspec.backends.picture import DIRECTIONS, VIEWS
from archspec.graph import Graph, Ref
from archspec.ground.errors import Mistake

BARE = {
    "an image as it came": "input x: [3, 8, 8]\n    return x",
    "a number as it came": "input x: []\n    return x",
    "a number, scaled": "input x: []\n    return x * 2 -> Sigmoid",
    "inputs, one of them twice": "input x: []\n    input y: [3]\n    return x, y, x",
    "a weight without axes": "input x: [3]\n    weight w: [] = ones\n    return x * w",
    "a free length, named": "input x: [free S]\n    return a=x, b=x",
}


@pytest.fixture(params=BARE.values(), ids=BARE)
def graph(request: pytest.FixtureRequest) -> Graph:
    return archspec.read_text(f"model Net:\n    {request.param}\n")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("format", formats())
def test_it_is_drawn(graph: Graph, view: str, format: str) -> None:
    if view in formats()[format].views:
        assert archspec.draw(graph, view).render(format)
    else:
        with pytest.raises(archspec.SpecError, match=f"a .{format} file cannot show the view `{view}`"):
            archspec.draw(graph, view).render(format)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_is_drawn_in_every_direction(graph: Graph, direction: str) -> None:
    assert archspec.draw(graph, direction=direction).dot.startswith("digraph")


def test_it_is_counted(graph: Graph) -> None:
    cost = archspec.cost(graph)
    assert all(axes == () for axes in cost.receptive_fields[Ref("x")].values()) == (
        graph.inputs[0].type.rank == 0
    )
    if graph.is_sized:
        assert cost.figures()["peak_memory"] > 0
    else:
        with pytest.raises(Mistake):
            cost.figures()


def test_it_reads_back_and_runs(graph: Graph) -> None:
    assert Graph.from_json(graph.to_json()) == graph
    inputs = [
        torch.ones(2, *(5 if not isinstance(n, int) else n for n in i.type.shape)) for i in graph.inputs
    ]
    found = archspec.load(graph)(*inputs)
    values = list(found.values()) if isinstance(found, dict) else found
    values = [values] if isinstance(values, torch.Tensor) else values
    assert len(values) == len(graph.outputs)
