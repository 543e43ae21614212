"""Slices of tensors with any step: held to NumPy, and to lists of Python."""

from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec

BOUND = st.one_of(st.none(), st.integers(-7, 7))
SLICE = st.tuples(BOUND, BOUND, st.sampled_from([None, 1, 2, 3, -1, -2, -3]))
SHAPE = (5, 4, 3)


def written(index: Any) -> str:
    if isinstance(index, int):
        return str(index)
    return ":".join("" if part is None else str(part) for part in index)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(SLICE, SLICE, st.integers(-3, 2)), min_size=1, max_size=3),
)
def test_parts_are_those_of_numpy(indices: list[Any]) -> None:
    x = torch.arange(2.0 * 60).reshape(2, *SHAPE)
    taken = tuple(slice(*index) if isinstance(index, tuple) else index for index in indices)
    wanted = x.numpy()[(slice(None), *taken)]
    text = f"model Net:\n    input x: [5, 4, 3]\n    return x[{', '.join(map(written, indices))}]\n"
    if 0 in wanted.shape:
        with pytest.raises(archspec.SpecError):
            archspec.read_text(text)
        return
    graph = archspec.read_text(text)
    found = archspec.load(graph)(x).numpy() if graph.nodes else x.numpy()
    assert graph.outputs[0].type.shape == wanted.shape[1:]
    assert numpy.array_equal(found, wanted)


def test_a_whole_axis_reversed_is_one_step_and_leaves_its_size_open() -> None:
    graph = archspec.read_text("model Net:\n    input x: [3, free N]\n    return x[:, ::-1] -> Tanh\n")
    assert [str(node.op) for node in graph.nodes] == ["Flip([1])", "Tanh"]
    x = torch.randn(2, 3, 11)
    assert torch.equal(archspec.load(graph)(x), x.flip(2).tanh())


def test_the_size_of_an_axis_taken_backwards_from_its_end_is_fixed() -> None:
    graph = archspec.read_text("model Net:\n    input x: [8, 8]\n    return x[::-2, ::-1] -> Tanh\n")
    assert [use.axis for use in graph.inputs[0].uses or ()] == [0]
