"""Weights with several keys: `state_dict` has all, and takes any."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import archspec
from archspec.api.artifact import save_artifact

TIED = """
model Tied:
    input tokens: i64[6]
    shared embed = Embedding(11, 8)
    x = tokens -> embed -> body.0: Linear(8)
    return x @ (embed.weight -> Permute([1, 0]))

names Tied:
    "head.weight" -> "embed.weight"
    "decoder.{i}.{rest}" -> "body.{i}.{rest}"
""".replace("body.0:", '"body.0":')
KEYS = ["embed.weight", "body.0.weight", "body.0.bias", "head.weight", "decoder.0.weight", "decoder.0.bias"]


def _network() -> nn.Module:
    return archspec.load(archspec.read_text(TIED), seed=1)


def test_the_state_has_all_keys_of_the_same_tensors() -> None:
    network = _network()
    state = network.state_dict()
    assert (
        sorted(state) == sorted(KEYS) and state["head.weight"].data_ptr() == state["embed.weight"].data_ptr()
    )
    assert len(list(network.parameters())) == 3
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert sorted(other.state_dict()) == sorted(KEYS)
    around = nn.ModuleDict({"net": network})
    assert sorted(around.state_dict()) == sorted(f"net.{key}" for key in KEYS)


@pytest.mark.parametrize(
    "left_out", [(), ("head.weight",), ("embed.weight",), ("embed.weight", "body.0.weight")]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_any_of_the_keys_is_taken(left_out: tuple[str, ...], prefix: str, tmp_path: Path) -> None:
    state = {key: torch.randn_like(value) for key, value in _network().state_dict().items()}
    for key, first in (("head", "embed"), ("decoder.0", "body.0")):
        state[f"{key}.weight"] = state[f"{first}.weight"]
    state["decoder.0.bias"] = state["body.0.bias"]
    given = {prefix + key: value for key, value in state.items() if key not in left_out}
    torch.save(given, tmp_path / "weights.pt")
    by_file = archspec.load(archspec.read_text(TIED), weights=tmp_path / "weights.pt")
    by_mapping = _network()
    by_mapping.load_state_dict(given)
    inside = nn.ModuleDict({"net": _network()})
    if not prefix:
        inside.load_state_dict({f"net.{key}": value for key, value in given.items()})
        assert torch.equal(inside.state_dict()["net.head.weight"], state["head.weight"])
    for network in (by_file, by_mapping):
        found = network.state_dict()
        assert all(torch.equal(found[key], state[key]) for key in KEYS)


def test_keys_of_one_weight_with_other_values_are_refused(tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in _network().state_dict().items()}
    state["head.weight"] += 1
    for load in (
        lambda: _network().load_state_dict(state),
        lambda: archspec.load(archspec.read_text(TIED), weights=state),
        lambda: nn.ModuleDict({"net": _network()}).load_state_dict({f"net.{k}": v for k, v in state.items()}),
    ):
        with pytest.raises(
            (archspec.SpecError, RuntimeError), match=r"head.weight.* are one weight here, and differ"
        ):
            load()


def test_what_is_written_has_the_first_keys(tmp_path: Path) -> None:
    network = _network()
    save_artifact(network, tmp_path / "net.archmod")
    again = archspec.load(tmp_path / "net.archmod")
    assert torch.equal(again.state_dict()["head.weight"], network.state_dict()["head.weight"])
    graph = archspec.Graph.from_json(archspec.read_text(TIED).to_json())
    assert sorted(archspec.load(graph).state_dict()) == sorted(KEYS)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('"body.0.bias" -> "embed.weight"', "would be both"),
        ('"a" -> "embed.weight"\n    "a.{i}" -> "body.{i}.weigth"', "no weight is called"),
        ('"a" -> "embed.wieght"', "did you mean `embed.weight`"),
    ],
)
def test_keys_of_no_weight_or_of_two_are_told(rule: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(TIED.replace('"head.weight" -> "embed.weight"', rule))
    with pytest.raises(archspec.SpecError, match=said):
        archspec.check(path)


SPEC_WITH_UNREAD = """
model Net:
    input x: [4]
    return x -> fc: Linear(2)

names Net "the library":
    "aux.{rest}" -> none "nothing reads it at inference"
"""


def test_keys_that_a_map_leaves_out_may_be_given() -> None:
    network = archspec.load(archspec.read_text(SPEC_WITH_UNREAD))
    state = {**network.state_dict(), "aux.0.weight": torch.zeros(3)}
    network.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected"):
        network.load_state_dict({**state, "other": torch.zeros(3)})
