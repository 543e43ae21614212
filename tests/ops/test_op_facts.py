"""What an op says of itself for warnings, held to what its module computes: idempotence, its bias, means that it subtracts, axes."""

import pytest
import torch
from examples import EXAMPLES
from torch import Tensor

import archspec
from archspec.op import Op, family
from archspec.testing import batch_of, graph_of, layer


def run(example: str, *inputs: Tensor, seed: int = 0) -> Tensor:
    """What an op's example gives in training; weights that start at 0 or 1 are random."""
    graph, _ = graph_of(example)
    module = archspec.load(graph).train()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.5)
    torch.manual_seed(seed)
    out = module(*(inputs or batch_of(graph, "cpu")))
    assert isinstance(out, Tensor)
    return out.detach()


def of_one_real(example: str) -> bool:
    """Whether an example has one input, of real numbers, and one output."""
    graph, given = graph_of(example)
    types = [each.type for each in graph.inputs]
    return len(types) == len(given) == 1 and all(t.dtype == "f32" and t.batched for t in (*types, *given))


ONE = [(name, example) for name, example in EXAMPLES if of_one_real(example)]
STILL = [(name, e) for name, e in ONE if graph_of(e)[0].inputs[0].type == graph_of(e)[1][0]]
"""The examples whose output has the type of their input."""


@pytest.mark.parametrize(("name", "example"), [(n, e) for n, e in STILL if Op.find(n).activates])
def test_an_activation_is_idempotent_if_it_says_so(name: str, example: str) -> None:
    x = 20 * torch.rand_like(batch_of(graph_of(example)[0], "cpu")[0]) - 10
    once = run(example, x)
    assert torch.equal(run(example, once), once) is Op.find(name).idempotent
    assert not torch.allclose(once, x)  # what changes nothing is no activation


@pytest.mark.parametrize(("name", "example"), STILL)
def test_an_op_that_centres_takes_no_notice_of_what_is_added_to_a_channel(name: str, example: str) -> None:
    graph, _ = graph_of(example)
    given = graph.inputs[0].type
    centres = bool(given.rank) and layer(graph).op.centres(given)
    if not centres and family(Op.find(name)) != "norm":
        return
    x = batch_of(graph, "cpu", 4)[0]
    added = torch.rand(given.shape[0]).view(-1, *[1] * (given.rank - 1)) * 3
    assert torch.allclose(run(example, x + added), run(example, x), atol=1e-3) is centres


@pytest.mark.parametrize(("name", "example"), [(n, e) for n, e in ONE if Op.find(n).bias_axis is not None])
def test_a_bias_adds_a_number_for_each_place_of_its_axis(name: str, example: str) -> None:
    graph, _ = graph_of(example)
    module, x = archspec.load(graph), batch_of(graph, "cpu")[0]
    if not getattr(layer(graph).op, "bias", False):
        return
    bias = dict(module.named_parameters())["layer.bias"]
    before = module(x).detach()
    with torch.no_grad():
        bias += torch.arange(1.0, len(bias) + 1)
    added = module(x).detach() - before
    axis = layer(graph).op.bias_axis
    assert axis is not None
    shape = [1] * (added.dim() - 1)
    shape[axis] = -1
    torch.testing.assert_close(
        added, torch.arange(1.0, len(bias) + 1).view(shape).expand_as(added), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(("name", "example"), STILL)
def test_rows_of_features_are_taken_along_one_axis(name: str, example: str) -> None:
    graph, _ = graph_of(example)
    axis = layer(graph).op.feature_axis(graph.inputs[0].type)
    if axis is None:
        return
    x = batch_of(graph, "cpu")[0]
    changed = x.clone()
    changed.select(axis + 1, 0)[...] += 2  # one place of each row
    before, after = run(example, x), run(example, changed)
    moved = (before - after).abs() > 1e-6
    assert moved.select(axis + 1, 1).any()  # so that the rest of the row moves
    one = x.clone()
    one[(0, *[0] * (x.dim() - 1))] += 2
    rest = (before - run(example, one)).abs() > 1e-6
    rows = rest.movedim(axis + 1, -1).flatten(0, -2).any(-1)
    assert rows.sum() == 1  # and no other row


def test_each_fact_is_of_some_op() -> None:
    ops = [Op.find(name) for name in Op.names()]
    assert {op.__name__ for op in ops if op.idempotent} >= {"ReLU", "ReLU6"}
    assert {op.__name__ for op in ops if op.bias_axis == -1} == {"Linear"}
    assert {op.__name__ for op in ops if op.image == "made"} >= {"Conv", "MaxPool", "Upsample", "BatchNorm"}
    assert {op.__name__ for op in ops if op.image is None} >= {
        "Flatten",
        "Permute",
        "GlobalAvgPool",
        "Unfold",
    }
