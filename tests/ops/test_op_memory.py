"""Every op against autograd: what it keeps for the backward pass, what is a view, what can be written over."""

import pytest
from examples import EXAMPLES
from torch.nn.modules.dropout import _DropoutNd

from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.testing import check_saved, check_view, graph_of, layer

# What no example of an op shows: other kernels, other arguments.
OTHERS = (
    "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 8]) -> Attention(causal=true) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(mask=bool[5, 5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(causal=true, mask=bool[5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(bias=f32[5, 5], mask=bool[2, 5, 5])"
    " -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(causal=true, bias=f32[5, 5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 4]) -> Attention(dropout=0.1, causal=true) -> f32[2, 5, 4]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention -> f32[3, 2, 5, 8]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention(mask=bool[2, 5, 5]) -> f32[3, 2, 5, 8]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention(causal=true, mask=bool[3, 1, 1, 5])"
    " -> f32[3, 2, 5, 8]",
    "(f32[5, 3, 4, 8], f32[1, 3, 8, 2]) -> MatMul -> f32[5, 3, 4, 2]",
    "f16[4, 8] -> LayerNorm -> f16[4, 8]",
    "f16[8, 4] -> BatchNorm -> f16[8, 4]",
    "f32[8, 4, 4] -> AdaptiveAvgPool(1) -> f32[8, 1, 1]",
    "f32[8, 4] -> AdaptiveAvgPool(1) -> f32[8, 1]",
    "f32[8, 2, 3, 4] -> AdaptiveAvgPool(1) -> f32[8, 1, 1, 1]",
    'f32[8, 4, 4] -> Upsample(scale=2, mode="bilinear") -> f32[8, 8, 8]',
    "f32[5, 3] -> GRU(4, layers=2, bidirectional=true, dropout=0.5) -> f32[5, 8]",
    "f32[5, 3] -> LSTM(6, layers=3, projection=3, dropout=0.5) -> f32[5, 3]",
    "f32[5, 3] -> LSTM(6, layers=2, projection=3, bidirectional=true, h=f32[4, 3], c=f32[4, 6]) -> f32[5, 6]",
    "f32[4, 8] -> Power(0) -> f32[4, 8]",
    'f32[8, 4] -> Reduce("min", [0, 1]) -> f32[]',
)


@pytest.mark.parametrize("example", [*(example for _, example in EXAMPLES), *OTHERS])
def test_the_backward_pass_needs_what_the_op_says(example: str) -> None:
    graph, expected = graph_of(example)
    assert list(layer(graph).types) == expected
    check_saved(example)


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES])
def test_a_view_is_what_shares_its_inputs_memory(example: str) -> None:
    check_view(example)


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES])
def test_an_op_overwrites_its_input_if_its_module_can(example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    lowered = graph.ask(node, Op.lower)
    noise = isinstance(lowered, _DropoutNd)  # has nothing to do at inference
    assert node.op.overwrites == (hasattr(lowered, "inplace") and not noise)


def test_what_an_op_says_of_its_tensors_are_their_names() -> None:
    graph, _ = graph_of("(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention -> f32[2, 5, 8]")
    node = layer(graph)
    assert graph.ask(node, Op.saved) == ("q", "k", "v", "outputs", TensorType((2, 5), "f32"))
