"""Recurrent layers against PyTorch's, whose checkpoints they load."""

import re
from typing import Any

import pytest
import torch
from torch import nn

import archspec
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.passes.compile_blocks import plan_of

THEIRS: dict[str, type[nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
CASES = (
    ("LSTM", "", {}),
    ("LSTM", ", layers=2, bidirectional=true", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", ", projection=3, bias=false", {"proj_size": 3, "bias": False}),
    ("GRU", ", layers=2", {"num_layers": 2}),
    ("GRU", ", bidirectional=true", {"bidirectional": True}),
    ("RNN", "", {}),
    ("RNN", ', layers=2, act="relu"', {"num_layers": 2, "nonlinearity": "relu"}),
)


def net(layer: str, returned: str = "y", first: str = "") -> Any:
    text = f"model Net:\n    input x: [free L, 5]\n{first}    return x -> rnn: {layer}\n"
    return archspec.load(archspec.read_text(text), seed=0)


@pytest.mark.parametrize(("name", "arguments", "settings"), CASES)
def test_loads_pytorchs_weights_and_gives_its_values(
    name: str, arguments: str, settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    theirs = THEIRS[name](5, 6, batch_first=True, **settings)
    ours = net(f"{name}(6{arguments}, state=true)").eval()
    assert isinstance(ours.rnn, THEIRS[name])
    ours.load_state_dict({f"rnn.{key}": value for key, value in theirs.state_dict().items()}, strict=True)
    for length in (1, 7):
        x = torch.randn(3, length, 5)
        wanted, last = theirs(x)
        got, *states = ours(x)
        torch.testing.assert_close(got, wanted)
        for mine, other in zip(states, last if isinstance(last, tuple) else (last,), strict=True):
            torch.testing.assert_close(mine, other.transpose(0, 1))


def test_goes_on_from_given_states() -> None:
    """A sequence in two parts is the whole; a learned state is that of each sample."""
    text = """
model Part:
    input x: [free L, 5]
    input h: [1, 6]
    input c: [1, 6]
    return x -> lstm: LSTM(6, state=true, h=h, c=c)

model Learned:
    input x: [8, 5]
    weight h0: [2, 6] = normal(1.0)
    return x -> gru: GRU(6, layers=2, h=h0)
"""
    part = archspec.load(archspec.read_text(text, model="Part"), seed=0)
    x, zeros = torch.randn(2, 8, 5), torch.zeros(2, 1, 6)
    whole, *last = part(x, zeros, zeros)
    first, *states = part(x[:, :3], zeros, zeros)
    second, *ends = part(x[:, 3:], *states)
    torch.testing.assert_close([torch.cat([first, second], 1), *ends], [whole, *last])
    learned = archspec.load(archspec.read_text(text), seed=0)
    theirs = nn.GRU(5, 6, 2, batch_first=True)
    theirs.load_state_dict(
        {key[4:]: value for key, value in learned.state_dict().items() if key.startswith("gru.")}
    )
    x = torch.randn(3, 8, 5)
    wanted, _ = theirs(x, learned.h0[:, None].expand(2, 3, 6).contiguous())
    torch.testing.assert_close(learned(x), wanted)


def test_dropout_falls_between_layers_in_training_only() -> None:
    made = net("LSTM(6, layers=2, dropout=0.9)")
    x = torch.randn(2, 9, 5)
    assert not torch.equal(made(x), made(x))
    made.eval()
    assert torch.equal(made(x), made(x))
    with pytest.raises(SpecError, match="between layers"):
        net("LSTM(6, dropout=0.9)")


def test_trains_and_follows_its_weights_to_another_dtype() -> None:
    made = net("GRU(6, layers=2)").double()
    out = made(torch.randn(2, 4, 5, dtype=torch.float64))
    assert out.dtype == torch.float64
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_blocks_with_recurrent_layers_are_not_compiled_by_themselves() -> None:
    """Dynamo takes no such layers into a graph; the network as a whole runs in parts."""
    block = "block B:\n    input x: [L, D]\n    return x -> {}\n\n"
    model = "model Net:\n    input x: [7, 6]\n    return x -> 9 * [B]\n"
    plans = {
        layer: plan_of(archspec.load(archspec.read_text(block.format(layer) + model), seed=0))
        for layer in ("GRU(D)", "Linear(D)")
    }
    assert (len(plans["GRU(D)"].kinds), len(plans["Linear(D)"].kinds)) == (0, 1)


SHARED = """
block Use(unit: layer):
    input x: [T, D]
    y, _, _ = x -> unit
    return y

model Net:
    input x: [free T, 6]
    input memory: [free S, 6]
    shared lstm = LSTM(6, state=true)
    _, h, c = memory -> lstm
    return x -> a: Use(lstm(h=h, c=c)) -> b: Use(lstm(h=c, c=h)) -> c: Use(lstm)
"""


def test_a_use_of_a_shared_layer_starts_from_states_of_its_own() -> None:
    graph = archspec.read_text(SHARED)
    net = archspec.load(graph, seed=0)
    reference = torch.nn.LSTM(6, 6, batch_first=True)
    reference.load_state_dict({key.removeprefix("lstm."): value for key, value in net.state_dict().items()})
    x, memory = torch.randn(2, 5, 6), torch.randn(2, 7, 6)
    _, (h, c) = reference(memory)
    wanted = reference(reference(reference(x, (h, c))[0], (c, h))[0])[0]
    assert torch.allclose(net(x, memory), wanted, atol=1e-6)
    assert Graph.from_json(graph.to_json()) == graph


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("lstm(bias=false)", "can add tensors only: `h`, `c`"),
        ("lstm(7)", "has its arguments already"),
        ("lstm(h=7)", "`h` of LSTM must be a tensor, not the number 7"),
    ],
)
def test_a_use_of_a_shared_layer_adds_tensors_only(use: str, message: str) -> None:
    with pytest.raises(archspec.SpecError, match=re.escape(message)):
        archspec.read_text(SHARED.replace("Use(lstm)", f"Use({use})"))
