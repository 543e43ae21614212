"""Ops at free sizes run at other sizes, and give the shapes that their formulas say."""

from __future__ import annotations

import re

import pytest
import torch
from free_sizes import Freed, examples_at_free_sizes

import archspec
from archspec.ground.tensor import TensorType, torch_name
from archspec.op import Op

BATCH = 2
OPS = [name for name in sorted(set(Op.names())) if Op.find(name).examples]


def sizes(kind: TensorType, values: dict[str, int]) -> list[int]:
    """What its formulas are worth: they are printed as Python writes them."""
    shape = [eval(str(size), {"__builtins__": {}}, dict(values)) for size in kind.shape]
    return [BATCH, *shape] if kind.batched else shape


def letters(freed: Freed) -> list[str]:
    text = " ".join(str(size) for given in freed.graph.inputs for size in given.type.shape)
    return sorted({*re.findall(r"[a-z]", text)})


@pytest.mark.parametrize("name", OPS)
def test_a_network_of_free_sizes_gives_the_shapes_of_its_formulas(name: str) -> None:
    for freed in examples_at_free_sizes(Op.find(name)):
        network = archspec.load(freed.graph, seed=0).eval()
        for first in (7, 12):
            values = {letter: first + i for i, letter in enumerate(letters(freed))}
            tensors = [
                torch.ones(sizes(given.type, values), dtype=getattr(torch, torch_name(given.type.dtype)))
                for given in freed.graph.inputs
            ]
            given = network(*tensors)
            outputs = given if isinstance(given, tuple) else (given,)
            expected = [sizes(output.type, {**values, "batch": BATCH}) for output in freed.graph.outputs]
            assert [list(tensor.shape) for tensor in outputs] == expected, str(freed)


def test_what_must_be_a_number_is_tried() -> None:
    """Channels of convolutions shape weights; a width that is split in two is a multiple of 2."""
    assert str(examples_at_free_sizes(Op.find("Conv"))[0]).startswith("f32[3, a, b] -> Conv")
    assert str(examples_at_free_sizes(Op.find("PixelShuffle"))[0]).startswith("f32[4*a, b, c] -> ")
