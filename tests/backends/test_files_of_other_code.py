"""Files whose keys are those of other code: read with the names that the spec has for them, or told why not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import archspec
from archspec import SpecError

TWO = """
model Net:
    input x: [4]
    return x -> a: Linear(4) -> b: Linear(4) -> head: Linear(3)

names Net "one":
    "first.{rest}" -> "a.{rest}"
    "second.{rest}" -> "b.{rest}"

names Net "other":
    "second.{rest}" -> "a.{rest}"
    "first.{rest}" -> "b.{rest}"
    "step" -> none "how long it was trained"
"""


@pytest.fixture
def net() -> torch.nn.Module:
    return archspec.load("vit_ti16", layers=2, seed=0)


def equal(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    state = right.state_dict()
    return all(torch.equal(tensor, state[key]) for key, tensor in left.state_dict().items())


@pytest.mark.parametrize("title", ["the authors' files, npz", "torchvision"])
@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pth"])
def test_a_file_of_other_code_loads(net: torch.nn.Module, title: str, suffix: str, tmp_path: Path) -> None:
    theirs = archspec.named(net.state_dict(), archspec.graph_of(net), title)
    path = tmp_path / f"theirs.{suffix}"
    if suffix == "npz":
        np.savez(path, **{key: tensor.numpy() for key, tensor in theirs.items()})
    elif suffix == "safetensors":
        save_file(theirs, path)
    else:
        torch.save({"state_dict": theirs}, path)
    assert equal(archspec.load("vit_ti16", layers=2, weights=path), net)
    assert f'names "{title}"' in archspec.plan_weights("vit_ti16", path, layers=2).report()


def test_published_files_of_densenet_load_without_counts_of_batches() -> None:
    net = archspec.load("densenet121", seed=0)
    theirs = archspec.named(net.state_dict(), archspec.graph_of(net), "torchvision, published files")
    old = {key: tensor for key, tensor in theirs.items() if not key.endswith("num_batches_tracked")}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert equal(archspec.load("densenet121", weights=old), net)


def test_a_file_that_two_maps_explain_is_refused_until_one_is_chosen() -> None:
    graph = archspec.read_text(TWO)
    state = archspec.load(graph, seed=0).state_dict()
    theirs = archspec.named(state, graph, "one")
    with pytest.raises(SpecError, match=r'two maps of names: `names "one"` and `names "other"`') as caught:
        archspec.load(graph, weights=theirs)
    assert "--names" in caught.value.problems[0].help
    one, other = (archspec.load(graph, weights=theirs, names=title) for title in ("one", "other"))
    assert torch.equal(one.a.weight, state["a.weight"])
    assert torch.equal(other.a.weight, state["b.weight"])
    with pytest.raises(SpecError, match='no names "ones"'):
        archspec.load(graph, weights=theirs, names="ones")


def test_a_map_that_is_chosen_reads_what_it_knows_of_a_file() -> None:
    graph = archspec.read_text(TWO)
    theirs = archspec.named(archspec.load(graph, seed=0).state_dict(), graph, "other")
    part = {key: tensor for key, tensor in theirs.items() if not key.startswith("head")}
    plan = archspec.plan_weights(
        graph, {**part, "step": torch.tensor(3), "more": torch.zeros(2)}, names="other"
    )
    fates = {line.key or line.sources[0]: line.fate for line in plan.lines}
    assert fates["a.weight"] == "adapted"
    assert {fates["head.weight"], fates["head.bias"]} == {"new"}
    assert {fates["step"], fates["more"]} == {"unused"}
    assert not plan.fits


def test_names_without_weights_have_no_effect() -> None:
    with pytest.raises(SpecError, match="`names` says how weights are loaded"):
        archspec.load("lenet5", names="timm")


TYPO = TWO.replace('"second.{rest}" -> "b.{rest}"', '"second.{rest}" -> "c.{rest}"', 1)


def test_a_map_that_nearly_explains_a_file_is_told() -> None:
    theirs = archspec.named(
        archspec.load(archspec.read_text(TWO), seed=0).state_dict(), archspec.read_text(TWO), "one"
    )
    alone = archspec.read_text(TYPO[: TYPO.index('names Net "other"')])
    with pytest.raises(SpecError, match=r'names "one" know 4 of its 6 keys: `names="one"`, or `--names`'):
        archspec.load(alone, weights=theirs)
    assert 'names "one" know 4 of its 6 keys' in archspec.plan_weights(alone, theirs).report()
    with pytest.raises(
        SpecError,
        match=r"has `second.weight`, which would be `c.weight` \(spec.arch:8:5\), and Net has no such",
    ):
        archspec.load(alone, weights=theirs, names="one")


def test_a_file_of_another_network_is_asked_after() -> None:
    graph = archspec.read_text(TWO)
    with pytest.raises(SpecError, match=r"is it of Net\? `from_`, or `--from`"):
        archspec.load(graph, weights={f"layer{i}.weight": torch.zeros(2, 2) for i in range(9)})
