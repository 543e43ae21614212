"""A network's own `load_state_dict`: of what PyTorch takes it does what PyTorch does, and it reads the files that `load` reads."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import archspec
from archspec import SpecError, SpecWarning

NET = archspec.read_text("""
model Net(classes: int = 5):
    input image: [3, 8, 8]
    return image -> stem: Conv(6, 3) -> bn: BatchNorm -> pool: GlobalAvgPool -> head: Linear(classes)

names Net "elsewhere":
    "first/{k}" -> "stem.{k}"
    "classify/kernel" -> "head.weight": "i o -> o i"
    "classify/bias" -> "head.bias"
""")
STATE = {key: value.clone() for key, value in archspec.load(NET, seed=7).state_dict().items()}
THEIRS = archspec.named(STATE, NET, "elsewhere")
OLDER = {f"module.{key}": value for key, value in STATE.items() if "tracked" not in key}


def fresh(**more: Any) -> Any:
    return archspec.load(NET, seed=1, **more)


def same(net: nn.Module) -> bool:
    return all(torch.equal(tensor, STATE[key].to(tensor.dtype)) for key, tensor in net.state_dict().items())


@pytest.mark.parametrize("state", [STATE, OLDER, THEIRS], ids=["own", "older", "elsewhere"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors", "npz"])
def test_a_file_is_read_as_load_reads_it(tmp_path: Path, state: Mapping[str, Tensor], suffix: str) -> None:
    path = tmp_path / f"net.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": dict(state)}, path)
    elif suffix == "safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    for given in (path, str(path), [path]):
        net = fresh()
        assert str(net.load_state_dict(given)) == "<All keys matched successfully>"
        assert same(net)
    net = fresh(dtype="bf16")
    net.load_state_dict(path, assign=True)
    assert net.head.weight.dtype == torch.bfloat16 and same(net)


def test_a_file_that_does_not_fit_is_refused_with_the_words_of_load(tmp_path: Path) -> None:
    for name, state in {
        "other.pth": nn.Linear(3, 3).state_dict(),
        "wide.pth": {**STATE, "head.weight": torch.zeros(9, 6)},
        "quantised.pth": {**STATE, "head.weight": torch.zeros(5, 6, dtype=torch.int8)},
        "nan.pth": {**STATE, "head.bias": torch.full([5], torch.nan)},
        "more.pth": {**STATE, "z": torch.zeros(2)},
    }.items():
        torch.save(state, tmp_path / name)
        with pytest.raises(SpecError) as of_load:
            archspec.load(NET, weights=tmp_path / name)
        net = fresh()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        with pytest.raises(SpecError) as of_network:
            net.load_state_dict(tmp_path / name)
        assert str(of_network.value) == str(of_load.value)
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_what_fits_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({**OLDER, "module.head.bias": torch.zeros(9), "z": torch.zeros(1)}, path)
    net = fresh()
    with pytest.warns(SpecWarning, match=r"does not fit and stays new: `head.bias`"):
        missing, unexpected = net.load_state_dict(path, strict=False)
    assert (missing, unexpected) == (["head.bias"], ["z"])
    assert torch.equal(net.stem.weight, STATE["stem.weight"])


def test_names_choose_the_map_by_its_title() -> None:
    net = fresh()
    assert str(net.load_state_dict(THEIRS, names="elsewhere")) == "<All keys matched successfully>"
    assert same(net)
    with pytest.raises(SpecError, match='Net has no names "else"'):
        net.load_state_dict(THEIRS, names="else")
    with pytest.raises(SpecError, match=r"lacks `stem.weight`, lacks `stem.bias`"):
        net.load_state_dict(STATE, names="elsewhere")
    net.head = nn.Linear(6, 2)  # the network is no longer its graph's
    with pytest.raises(RuntimeError, match=r"size mismatch for head\.weight"):
        net.load_state_dict(THEIRS, names="elsewhere")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_infinite_or_none_are_refused(tmp_path: Path, value: float) -> None:
    said = "NaN" if value != value else "an infinite number"
    torch.save(
        {**STATE, "head.bias": torch.tensor([0.0, value, 0.0, 0.0, 0.0])}, path := tmp_path / "net.pth"
    )
    given = torch.load(path)
    for weights in (path, given, {f"module.{key}": tensor for key, tensor in given.items()}):
        net = fresh()
        for strict in (True, False):
            with pytest.raises(SpecError, match=f"has {said} in `(module.)?head.bias`") as caught:
                net.load_state_dict(weights, strict=strict)
        assert "nonfinite=True" in str(caught.value)
        net.load_state_dict(weights, nonfinite=True)
        assert (
            torch.equal(
                net.head.bias,
                given["head.bias"],
            )
            or value != value
        )


def test_a_mask_may_be_infinite_and_a_network_without_values_is_loaded() -> None:
    graph = archspec.read_text("model Net:\n    input x: [2]\n    buffer b: [2] = 0.0\n    return x + b\n")
    net = archspec.load(graph)
    net.load_state_dict({"b": torch.tensor([0.0, -torch.inf])})
    assert net.b[1] == -torch.inf
    with torch.device("meta"):
        state = nn.Linear(6, 5).state_dict()
    fresh().load_state_dict({**STATE, **{f"head.{key}": value for key, value in state.items()}}, assign=True)


def test_pytorchs_own_errors_stay_what_they_are() -> None:
    net = fresh()
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({"head.bias": STATE["head.bias"]})
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict(5)
    with pytest.raises(SpecError, match="no file was given"):
        net.load_state_dict([])


def test_a_built_module_is_told_how_it_is_loaded(tmp_path: Path) -> None:
    from archspec.api.artifact import save_artifact

    save_artifact(fresh(), tmp_path / "net.archmod")
    with pytest.raises(SpecError, match="is a built module") as caught:
        fresh().load_state_dict(tmp_path / "net.archmod")
    assert "`archspec.load`" in str(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh().load_state_dict(archspec.load(tmp_path / "net.archmod").state_dict())
