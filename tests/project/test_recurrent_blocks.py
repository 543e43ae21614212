"""`Scan` and its cells against PyTorch's cells and layers, and against sums and products that have a closed form."""

from typing import Any

import pytest
import torch
from torch import nn

import archspec
from archspec.graph import Graph
from archspec.ground.errors import SpecError

IMPORTS = "from blocks.recurrent import GRUCell, LSTMCell, Scan\n\n"
GRU = """
model Net(length: int = 7):
    input x: [length, 5]
    input h: [6]
    return (x, h) -> rnn: Scan(GRUCell(6))
"""
LSTM = """
model Net(length: int = 7):
    input x: [length, 5]
    input h: [6]
    input c: [6]
    return (x, h, c) -> rnn: Scan(LSTMCell(6))
"""


def read(text: str, **settings: Any) -> Graph:
    return archspec.read_text(IMPORTS + text, settings=settings)


def by_hand(cell: nn.Module, x: torch.Tensor, states: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Outputs and last states of a loop over the first axis behind the batch."""
    outputs = []
    for part in x.unbind(1):
        made = cell(part, states if len(states) > 1 else states[0])
        states = made if isinstance(made, tuple) else (made,)
        outputs.append(states[0])
    return [torch.stack(outputs, 1), *states]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize(("text", "kind", "carried"), [(GRU, nn.GRUCell, 1), (LSTM, nn.LSTMCell, 2)])
def test_pytorchs_cells_in_a_loop(
    text: str, kind: type[nn.RNNCellBase], carried: int, length: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    theirs = kind(5, 6).to(dtype)
    ours = archspec.load(read(text, length=length), seed=0).to(dtype)
    weights = {f"rnn.cell.{key}": value for key, value in theirs.state_dict().items()}
    ours.load_state_dict(weights, strict=True)
    x = torch.randn(3, length, 5, dtype=dtype, requires_grad=True)
    states = tuple(torch.randn(3, 6, dtype=dtype, requires_grad=True) for _ in range(carried))
    wanted, got = by_hand(theirs, x, states), list(ours(x, *states))
    torch.testing.assert_close(got, wanted)
    mine = torch.autograd.grad(sum(y.square().sum() for y in got), [x, *states, *ours.parameters()])
    other = torch.autograd.grad(sum(y.square().sum() for y in wanted), [x, *states, *theirs.parameters()])
    torch.testing.assert_close(mine, other)


def test_a_long_sequence_is_pytorchs_layer() -> None:
    """200 positions are read within the default budget, also from JSON, and each is counted."""
    text = """
model Net(length: int = 200):
    input x: [length, 5]
    constant start: [6] = 0
    return (x, start, start) -> rnn: Scan(LSTMCell(6))
"""
    graph = read(text)
    assert len(graph.functions) == len(read(text, length=3).functions)
    assert set(graph.weights) == {
        f"rnn.cell.{part}_{side}" for part in ("weight", "bias") for side in ("ih", "hh")
    } | {"start"}
    assert archspec.cost(graph).total.macs == 200 * 4 * 6 * (5 + 6)
    again = Graph.from_json(graph.to_json())
    assert again == graph
    theirs, ours = nn.LSTM(5, 6, batch_first=True), archspec.load(again, seed=0)
    ours.load_state_dict({f"rnn.cell.{key[:-3]}": value for key, value in theirs.state_dict().items()})
    x = torch.randn(4, 200, 5)
    wanted, (h, c) = theirs(x)
    torch.testing.assert_close(list(ours(x)), [wanted, h[0], c[0]])


def test_cells_start_as_pytorchs() -> None:
    for text in (GRU, LSTM):
        net = archspec.load(read(text.replace("6", "400")), seed=0)
        for weight in net.parameters():
            assert weight.abs().max() <= 0.05
            torch.testing.assert_close(weight.std().item(), 0.05 / 3**0.5, rtol=0.1, atol=0)


@pytest.mark.parametrize("axis", [-3, -2, -1, 0, 1, 2])
def test_an_op_as_the_cell_along_any_axis(axis: int) -> None:
    """Sums that are carried are `torch.cumsum`; the outputs lie along the axis that was scanned."""
    shape = [2, 3, 4]
    rest = [size for i, size in enumerate(shape) if i != axis % 3]
    net = archspec.load(
        read(
            f"model Net:\n    input x: {shape}\n    input h: {rest}\n"
            f"    return (x, h) -> sums: Scan(Add, axis={axis})\n"
        )
    )
    x, h = torch.randn(5, *shape), torch.randn(5, *rest)
    place = 1 + axis % 3
    wanted = x.cumsum(place) + h.unsqueeze(place)
    torch.testing.assert_close(list(net(x, h)), [wanted, wanted.select(place, -1)])


def test_an_output_beside_the_states() -> None:
    """A cell's own output comes first, and may have another shape; several states are kept apart."""
    text = """
block Cell:
    input x: [C]
    input total: [C]
    input product: [C]
    return concat(x, total), total + x, product * x

model Net:
    input x: [4, 3]
    constant zero: [3] = 0
    weight one: [3] = ones
    return (x, zero, one) -> both: Scan(Cell)
"""
    x = torch.randn(2, 4, 3)
    outputs, total, product = archspec.load(read(text), seed=0)(x)
    before = x.cumsum(1) - x
    torch.testing.assert_close(outputs, torch.cat([x, before], 2))
    torch.testing.assert_close([total, product], [x.sum(1), x.prod(1)])


def test_a_layer_without_states_is_applied_to_each_position() -> None:
    net = archspec.load(
        read("model Net:\n    input x: [4, 3]\n    return x -> each: Scan(Linear(2))\n"), seed=0
    )
    x = torch.randn(2, 4, 3)
    (got,) = [net(x)]
    torch.testing.assert_close(
        got, x @ net.state_dict()["each.cell.weight"].T + net.state_dict()["each.cell.bias"]
    )


def test_half_precision() -> None:
    graph = read(GRU)
    half, full = (archspec.load(graph, seed=0, dtype=dtype) for dtype in ("bf16", "f32"))
    x, h = torch.randn(3, 7, 5), torch.randn(3, 6)
    with torch.no_grad():
        for mine, other in zip(half(x.bfloat16(), h.bfloat16()), full(x, h), strict=True):
            assert mine.dtype == torch.bfloat16
            torch.testing.assert_close(mine.float(), other, rtol=0.1, atol=0.1)


def test_another_length_is_refused() -> None:
    net = archspec.load(read(GRU), seed=0)
    with pytest.raises(ValueError, match="7"):
        net(torch.randn(2, 8, 5), torch.randn(2, 6))


CELLS = """
block Three:
    input x
    input h
    return x, h, h

block Grows:
    input x
    input h
    return x, concat(h, x)

"""


@pytest.mark.parametrize(
    ("length", "scan", "kind", "message"),
    [
        ("free L", "(x, h) -> Scan(Add)", "free", "L is free"),
        ("4", "(x, h) -> Scan(Three)", "require", "gives 3 tensors, not the 1 carried"),
        ("4", "(x, h) -> Scan(Grows)", "require", "changes the shape of state 0"),
        ("4", "(x, h) -> Scan(Add, axis=2)", "require", "with 2 axes has no axis 2"),
        ("4", "(x, h) -> Scan(Add, axis=-3)", "require", "with 2 axes has no axis -3"),
        ("4", "x -> Scan(GRUCell(5))", "shape", "takes 2 tensors, not 1"),
        ("4", "(x, h, h) -> Scan(GRUCell(5))", "shape", "takes 2 tensors, not 3"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_applied(
    length: str, scan: str, kind: str, message: str
) -> None:
    text = CELLS + f"model Net:\n    input x: [{length}, 5]\n    input h: [5]\n    return {scan}\n"
    with pytest.raises(SpecError) as caught:
        read(text)
    first = caught.value.problems[0]
    assert first.kind == kind
    assert message in first.message
    line = (IMPORTS + text).splitlines().index(f"    return {scan}") + 1
    assert f":{line}:" in str(caught.value)
