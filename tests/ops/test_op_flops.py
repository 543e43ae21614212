"""Floating-point operations of ops, counted by hand: twice the multiply-adds, and all other arithmetic."""

import re

import pytest
from examples import EXAMPLES

from archspec.graph import Graph
from archspec.ground.errors import Mistake
from archspec.ground.size import Free
from archspec.ground.tensor import TensorType
from archspec.op import Movement, Op
from archspec.ops.activation import Softmax
from archspec.ops.conv import Conv
from archspec.ops.norm import LayerNorm
from archspec.ops.pooling import AdaptiveAvgPool
from archspec.testing import graph_of, layer

BY_HAND = [
    # activations: so many for each of 8 * 4 * 4 = 128 values
    ("f32[8, 4, 4] -> ReLU -> f32[8, 4, 4]", 128),
    ("f32[8, 4, 4] -> ReLU6 -> f32[8, 4, 4]", 2 * 128),
    ("f32[8, 4, 4] -> PReLU -> f32[8, 4, 4]", 2 * 128),
    ("f32[8, 4, 4] -> Sigmoid -> f32[8, 4, 4]", 4 * 128),
    ("f32[8, 4, 4] -> SiLU -> f32[8, 4, 4]", 5 * 128),
    ("f32[8, 4, 4] -> GELU -> f32[8, 4, 4]", 5 * 128),
    ('f32[8, 4, 4] -> GELU("tanh") -> f32[8, 4, 4]', 9 * 128),
    ("f32[8, 4, 4] -> Hardswish -> f32[8, 4, 4]", 5 * 128),
    # 9 comparisons for the largest, 10 differences, 10 exps, 9 sums, 10 quotients
    ("f32[10] -> Softmax -> f32[10]", 9 + 10 + 10 + 9 + 10),
    ("f32[4, 7, 9] -> Softmax(axis=-2) -> f32[4, 7, 9]", 4 * 9 * (6 + 7 + 7 + 6 + 7)),
    # 9 comparisons, 10 differences, 10 exps, 9 sums, a logarithm, 10 differences
    ("f32[10] -> LogSoftmax -> f32[10]", 9 + 10 + 10 + 9 + 1 + 10),
    # arithmetic: one for each value of the output
    ("(f32[8], f32[4, 8]) -> Add -> f32[4, 8]", 32),
    ("(f32[1, 8], f32[4, 1]) -> Mul -> f32[4, 8]", 32),
    ("(f32[3, 4], f32[4]) -> Equal -> bool[3, 4]", 12),
    ("f32[4, 8] -> Exp -> f32[4, 8]", 32),
    ("f32[4, 8] -> Sin -> f32[4, 8]", 32),
    ("f32[4, 8] -> Cos -> f32[4, 8]", 32),
    ("f32[5, 3] -> Positions -> i64[5]", 0),
    ("f32[4, 8] -> Power(-0.5) -> f32[4, 8]", 32),
    ("f32[4, 8] -> Scale(0.5) -> f32[4, 8]", 32),
    ("f32[4, 8] -> Scale(-1, offset=1) -> f32[4, 8]", 32),  # 1 - x
    ("f32[4, 8] -> Scale(2, offset=1) -> f32[4, 8]", 64),
    # 3 * 4 * 2 values, each of 8 products and as many sums
    ("(f32[4, 8], f32[3, 8, 2]) -> MatMul -> f32[3, 4, 2]", 24 * 16),
    # each of 8 channels: 15 sums, and a quotient for the mean
    ('f32[8, 4, 4] -> Reduce("mean", [1, 2]) -> f32[8]', 8 * 16),
    ('f32[8, 4, 4] -> Reduce("sum", [1, 2]) -> f32[8]', 8 * 15),
    ('f32[8, 4, 4] -> Reduce("max", 0) -> f32[4, 4]', 16 * 7),
    # each of 8 channels: 16 squares, 15 sums and a root
    ("f32[8, 4, 4] -> Norm([1, 2]) -> f32[8]", 8 * (16 + 15 + 1)),
    ("f32[4, 8] -> ArgMax -> i64[4]", 4 * 7),
    ("f32[4, 8] -> ArgMin(axis=0, keep=true) -> i64[1, 8]", 8 * 3),
    ("f32[4, 8] -> CumSum(axis=0) -> f32[4, 8]", 8 * 3),
    # each of 4 vectors: 8 squares, 7 sums, a root, a comparison, 8 quotients
    ("f32[4, 8] -> Normalize -> f32[4, 8]", 4 * (8 + 7 + 1 + 1 + 8)),
    # scores 2 * 5 * 7 of 8 multiply-adds, outputs 2 * 5 * 4 of 7; scores scaled; 10 softmaxes of 7
    (
        "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 4]) -> Attention -> f32[2, 5, 4]",
        2 * (70 * 8 + 40 * 7) + 70 + 10 * (6 + 7 + 7 + 6 + 7),
    ),
    # as above with 2 * 5 * 5 scores, 50, of width 8, to which a bias and a mask are added
    (
        "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(bias=f32[5, 5], mask=bool[5])"
        " -> f32[2, 5, 8]",
        2 * (50 * 8 + 80 * 5) + 3 * 50 + 10 * (4 + 5 + 5 + 4 + 5),
    ),
    # as above, 3 queries and 5 keys, with a quotient, tanh and product for each score, and 1 for what is causal
    (
        '(f32[4, 3, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(grouped=true, causal="end", softcap=5.0) -> f32[4, 3, 8]',
        2 * (60 * 16) + 5 * 60 + 12 * (4 + 5 + 5 + 4 + 5),
    ),
    # maps of 5 + 5 and 7 + 7 vectors with biases; attention of 2 heads of width 4, its scores scaled and masked
    (
        "(f32[5, 8], f32[7, 8], f32[7, 8]) -> MultiheadAttention(2, mask=bool[7]) -> f32[5, 8]",
        24 * 8 * (2 * 8 + 1) + 2 * (70 * 8) + 2 * 70 + 10 * (6 + 7 + 7 + 6 + 7),
    ),
    # 8 * 16 * 16 values, each of 3 * 3 * 3 products and as many sums, the bias one of them besides
    ("f32[3, 32, 32] -> Conv(8, 3, stride=2) -> f32[8, 16, 16]", 2048 * (2 * 27 + 1)),
    ("f32[8, 20] -> Conv(4, 5, groups=4, bias=false) -> f32[4, 20]", 80 * 2 * 10),
    # as the first Conv; each of 8 windows of 27 weights: mean 27, differences 27, squares and their mean 54,
    # + eps, root and inverse 3, products 27
    ("f32[3, 32, 32] -> WSConv(8, 3, stride=2) -> f32[8, 16, 16]", 2048 * 55 + 8 * (27 + 27 + 54 + 3 + 27)),
    (
        "f32[3, 32, 32] -> WSConv(8, 3, gain=true) -> f32[8, 32, 32]",
        8192 * 55 + 8 * (27 + 27 + 54 + 3 + 27 + 1 + 27),
    ),
    # each of 8 * 16 * 16 values to 4 windows of 2 * 2, then the bias of 4 * 32 * 32 values
    ("f32[8, 16, 16] -> ConvTranspose(4, 2, stride=2) -> f32[4, 32, 32]", 2 * 2048 * 16 + 4096),
    # 6 * 72 values of 36 multiply-adds and a bias; 9 * 72 places found with 12, 4 values mixed at each with 7
    (
        "(f32[4, 8, 9], f32[18, 8, 9]) -> DeformConv(6) -> f32[6, 8, 9]",
        432 * (2 * 36 + 1) + 648 * (12 + 4 * 7),
    ),
    (
        "(f32[4, 8, 9], f32[18, 8, 9]) -> DeformConv(6, mask=f32[9, 8, 9]) -> f32[6, 8, 9]",
        432 * (2 * 36 + 1) + 648 * (12 + 4 * 8),
    ),
    # at each of 5 steps 4 products of 4 * (3 + 4) weights; two biases, two products added; three sigmoids of 4, one tanh;
    # 3 for the memory, a tanh and a product for what is read of it
    ("f32[5, 3] -> LSTM(4) -> f32[5, 4]", 5 * (2 * 4 * 28 + 4 * 4 * 3 + 4 * (3 * 4 + 1 + 3 + 2))),
    # a layer of 3 inputs, one of 4; two sigmoids, a product, a sum and a tanh; 1 - z, two products, a sum
    (
        "f32[5, 3] -> GRU(4, layers=2, dropout=0.5, state=true, h=f32[2, 4]) -> (f32[5, 4], f32[2, 4])",
        5 * (2 * 3 * (28 + 32) + 2 * (2 * 12 + 2 * 4 + 4 * (2 * 4 + 3 + 4))),
    ),
    (
        'f32[5, 3] -> RNN(4, act="relu", bidirectional=true, state=true) -> (f32[5, 8], f32[2, 4])',
        10 * (2 * 28 + 4 * 4),
    ),
    ("f32[49, 16] -> Linear(48, bias=false) -> f32[49, 48]", 49 * 48 * 32),
    ("f32[16] -> Linear(10) -> f32[10]", 10 * 33),
    # normalisations: a factor and an offset; 5 n + 3 and two more for each value
    ("f32[8, 4, 4] -> BatchNorm -> f32[8, 4, 4]", 2 * 128),
    ("f32[49, 16] -> LayerNorm -> f32[49, 16]", 49 * (5 * 16 + 3 + 2 * 16)),
    ("f32[7, 7, 16] -> LayerNorm(bias=false) -> f32[7, 7, 16]", 49 * (5 * 16 + 3 + 16)),
    ("f32[16, 7, 7] -> LayerNorm(eps=1e-6, axis=0) -> f32[16, 7, 7]", 49 * (5 * 16 + 3 + 2 * 16)),
    ("f32[3, 4, 5] -> LayerNorm(axes=[0, 1, 2]) -> f32[3, 4, 5]", 5 * 60 + 3 + 2 * 60),
    ("f32[3, 4, 5] -> LayerNorm(axes=[-3, -1], bias=false) -> f32[3, 4, 5]", 4 * (5 * 15 + 3 + 15)),
    # 3 images of 48 values, each 2.5 log2(48) times; 3 of 24 with another product for each
    ("f32[3, 6, 8] -> RFFT2 -> (f32[3, 6, 5], f32[3, 6, 5])", 2011),
    ('(f32[6, 4, 3], f32[6, 4, 3]) -> IRFFT2(axes=[0, 1], size=7, norm="ortho") -> f32[6, 7, 3]', 1699 + 126),
    # along one axis 2 taps in 12 / 5 of their distance, along the other just 2
    (
        'f32[3, 12, 9] -> Upsample(size=[5, 12], mode="bilinear", antialias=true) -> f32[3, 5, 12]',
        180 * (2 * 10 - 1),
    ),
    ("f32[8, 4, 4] -> GroupNorm(2) -> f32[8, 4, 4]", 2 * (5 * 64 + 3 + 2 * 64)),
    ("f32[8, 4, 4] -> InstanceNorm -> f32[8, 4, 4]", 8 * (5 * 16 + 3)),
    # a square, 4 sums and a quotient, then product, sum, power and quotient
    ("f32[8, 4, 4] -> LocalResponseNorm(5) -> f32[8, 4, 4]", 128 * (1 + 5 + 4)),
    # pools: 8 comparisons in each window; 8 sums and a quotient
    ("f32[8, 9, 9] -> MaxPool(3, stride=2) -> f32[8, 5, 5]", 200 * 8),
    ("f32[8, 9, 9] -> AvgPool(3, stride=1) -> f32[8, 9, 9]", 648 * 9),
    ("f32[8, 7, 7] -> GlobalAvgPool -> f32[8]", 8 * 49),
    ("f32[8, 7, 7] -> GlobalMaxPool -> f32[8]", 8 * 48),
    # 20 values in 3 windows: 0 to 6, 6 to 13, 13 to 19, both included
    ("f32[8, 20] -> AdaptiveAvgPool(3) -> f32[8, 3]", 8 * (7 + 8 + 7)),
    ("f32[8, 20] -> AdaptiveMaxPool(3) -> f32[8, 3]", 8 * (6 + 7 + 6)),
    ("(f32[5], f32[5]) -> Shake -> f32[5]", 2 * 5),
    ("f32[9, 5] -> Fold([9], 3, stride=2, padding=1) -> f32[3, 9]", 45),
    # 20 places; 60 values of 4 products and 3 sums, of 16 and 15
    ("(f32[3, 6, 7], f32[4, 5, 2]) -> GridSample -> f32[3, 4, 5]", 20 * 12 + 60 * 7),
    ("f32[27, 36] -> Fold(8, 3) -> f32[3, 8, 8]", 27 * 36),
    ("f32[3, 4, 5] -> Upsample(scale=2) -> f32[3, 8, 10]", 0),
    # 2, 4, 8 or 16 products for each value, and their sum
    ('f32[3, 5] -> Upsample(scale=2, mode="linear") -> f32[3, 10]', 30 * 3),
    ('f32[3, 4, 5] -> Upsample(scale=2, mode="bilinear") -> f32[3, 8, 10]', 240 * 7),
    ('f32[3, 4, 5] -> Upsample(scale=2, mode="bicubic") -> f32[3, 8, 10]', 240 * 31),
    ('f32[3, 2, 3, 4] -> Upsample(scale=2, mode="trilinear") -> f32[3, 4, 6, 8]', 576 * 15),
]

MOVING = {name for name in Op.names() if issubclass(Op.known[name], Movement)}


def flops(graph: Graph) -> int:
    node = layer(graph)
    return graph.ask(node, Op.flops)


@pytest.mark.parametrize(("example", "expected"), BY_HAND)
def test_flops_are_those_counted_by_hand(example: str, expected: int) -> None:
    graph, types = graph_of(example)
    assert list(layer(graph).types) == types
    assert flops(graph) == expected


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_flops_are_at_least_twice_the_multiply_adds(op: str, example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    count = flops(graph)
    assert type(count) is int
    assert count >= 2 * graph.ask(node, Op.macs)
    assert op not in MOVING or count == 0


def test_all_but_what_moves_values_is_counted() -> None:
    counted = {op for op, example in EXAMPLES if flops(graph_of(example)[0])}
    assert counted | MOVING == Op.names()
    assert not counted & MOVING


def test_flops_of_a_free_size_are_refused() -> None:
    free = TensorType((8, Free.named("side"), 4))
    for op in (Conv(out=8, kernel=3), LayerNorm(), AdaptiveAvgPool(size=2), Softmax(axis=1)):
        with pytest.raises(Mistake, match="is free"):
            op.flops(free)


def test_an_op_says_its_flops() -> None:
    message = "the op Silent does not define `flops`"
    with pytest.raises(TypeError, match=re.escape(message)):
        type("Silent", (Op,), {"__module__": __name__})
    assert "Silent" not in Op.known


@pytest.mark.parametrize("name", sorted(Op.names()))
def test_the_docstring_says_the_flops(name: str) -> None:
    assert re.search(r"^    FLOPs: +\S", Op.known[name].__doc__ or "", re.M)
