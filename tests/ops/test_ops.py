"""Every op against torch: what an op claims of shapes, weights and cost is what its lowering does."""

from collections.abc import Callable
from math import prod

import pytest
import torch
from examples import EXAMPLES
from torch import nn

from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import initial_weights
from archspec.op import Op
from archspec.ops.weights import Own, Tied
from archspec.testing import (
    batch_of,
    check_counts,
    check_overwritable,
    check_run,
    check_types,
    check_weights,
    graph_of,
    layer,
)


def test_every_op_has_examples() -> None:
    without = [
        name
        for name in Op.names()
        if not Op.known[name].examples and not issubclass(Op.known[name], Own | Tied)
    ]
    assert without == []


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
@pytest.mark.parametrize("check", [check_types, check_weights, check_counts, check_run], ids=name_of)
def test_ops_are_what_they_say(check: Callable[[str], None], op: str, example: str) -> None:
    graph, _ = graph_of(example)
    assert type(layer(graph).op).__name__ == op
    check(example)


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
@pytest.mark.parametrize("size", [0, 1])
def test_a_batch_may_be_empty_or_a_single_sample(op: str, example: str, size: int) -> None:
    graph, expected = graph_of(example)
    module = lower(graph, lambda g: initial_weights(g, 0))
    for training in (True, False):
        if training and op == "BatchNorm" and size == 1 and expected[0].rank == 1:
            continue  # statistics of a single value, which PyTorch refuses
        out = module.train(training)(*batch_of(graph, "cpu", size))
        outs = [out] if isinstance(out, torch.Tensor) else list(out)
        shapes = [tuple(size if str(side) == "batch" else side for side in t.shape) for t in expected]
        assert [tuple(o.shape) for o in outs] == [
            (size,) * t.batched + shape for t, shape in zip(expected, shapes, strict=True)
        ]


@pytest.mark.parametrize(
    ("op", "example"), [(op, example) for op, example in EXAMPLES if Op.known[op].overwritable]
)
def test_what_may_be_written_over_is_new_and_not_read_by_the_backward_pass(op: str, example: str) -> None:
    check_overwritable(example)


LARGE = (
    "f32[64, 32, 32] -> Conv(64, 3) -> f32[64, 32, 32]",
    "f32[64, 32] -> Conv(64, 5, groups=4) -> f32[64, 32]",
    "f32[64, 8, 8] -> ConvTranspose(32, 4, stride=2, padding=1) -> f32[32, 16, 16]",
    "f32[300] -> Linear(200) -> f32[200]",
    "i64[7] -> Embedding(100, 64) -> f32[7, 64]",
    "f32[32, 8, 8] -> BatchNorm -> f32[32, 8, 8]",
    "f32[10, 96] -> LayerNorm -> f32[10, 96]",
    "f32[32, 8, 8] -> GroupNorm(8) -> f32[32, 8, 8]",
    "f32[32, 8, 8] -> PReLU(per_channel=true) -> f32[32, 8, 8]",
)


@pytest.mark.parametrize("example", LARGE)
def test_first_values_are_distributed_as_pytorchs(example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    theirs = graph.ask(node, Op.lower)
    assert isinstance(theirs, nn.Module)
    theirs.to_empty(device="cpu")
    if isinstance(theirs, nn.PReLU):
        theirs.reset_parameters()
    else:
        torch.manual_seed(0)
        theirs.reset_parameters()  # type: ignore[operator]
    ours = initial_weights(graph, 0)
    for name, tensor in theirs.state_dict().items():
        mine = ours[f"layer.{name}"]
        assert mine.dtype == tensor.dtype
        if tensor.numel() < 2 or tensor.float().std() == 0:
            assert torch.equal(mine, tensor), name
            continue
        assert mine.std().item() == pytest.approx(
            tensor.std().item(), rel=0.4 if tensor.numel() < 300 else 0.1
        ), name
        assert mine.abs().max().item() == pytest.approx(tensor.abs().max().item(), rel=0.25), name
        assert abs(mine.mean().item()) < 4 * tensor.std().item() / prod(tensor.shape) ** 0.5, name
