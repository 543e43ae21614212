"""What the things that archspec gives print as in a Python shell: a line, not all that is in them."""

from pathlib import Path

import pytest

import archspec


@pytest.mark.parametrize("name", ["resnet50", "nasnet_a_large", "lenet5"])
def test_a_graph_is_a_line(name: str) -> None:
    graph = archspec.read(name)
    assert repr(graph) == str(graph)
    assert len(repr(graph)) < 200
    assert "\n" not in repr(graph)
    assert f"{graph.parameters:,} parameters" in repr(graph)


def test_the_line_says_inputs_and_outputs() -> None:
    assert repr(archspec.read("resnet50")) == (
        "<Graph ResNet50: image: f32[3, 224, 224] -> f32[1000], 25,557,032 parameters>"
    )


def test_a_graph_of_many_inputs_is_a_line_too() -> None:
    graph = archspec.read_text("model Net:\n    input xs: 9 * [3]\n    return sum(xs)\n")
    assert "..." in repr(graph)
    assert len(repr(graph)) < 200


def test_costs_are_their_totals() -> None:
    said = repr(archspec.cost("resnet50"))
    assert len(said) < 200
    assert "25.56M parameters" in said
    assert "4.089G multiply-adds" in said


def test_a_cost_of_free_sizes_says_what_does_not_depend_on_them() -> None:
    graph = archspec.read_text("model Net:\n    input x: [8, free S]\n    return x -> Conv(8, 3)\n")
    assert len(repr(archspec.cost(graph))) < 200


def test_a_difference_is_its_counts() -> None:
    said = repr(archspec.diff("resnet18", "resnet34"))
    assert len(said) < 200
    assert said.startswith("<Difference ResNet18 -> ResNet34: ")


def test_types_are_shipped() -> None:
    assert (Path(archspec.__file__).parent / "py.typed").is_file()
