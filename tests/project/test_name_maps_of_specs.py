"""The names that families say other code has: each is held to the keys that this code writes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from key_sets import ALIKE, KeySet, key_sets, recorded
from nets import shipped

import archspec
from archspec.analyses.renaming import COUNTED, all_names, names_as, titles
from archspec.backends.torch_names import weight_of
from archspec.graph import Graph

SETS = list(key_sets())


def called(one: KeySet) -> str:
    """The name of its tests."""
    return f"{one.spec}-{one.title}" + (" deployed" if one.deployed else "")


def graph_of(one: KeySet) -> Graph:
    """The net whose keys these are."""
    return archspec.read(one.spec, deployed=True) if one.deployed else shipped(one.spec)


@pytest.mark.parametrize("one", SETS, ids=called)
def test_every_key_has_its_weight_and_every_weight_its_keys(one: KeySet) -> None:
    graph = graph_of(one)
    names = names_as(graph, one.title)
    fit = names.fit(one.shapes)
    assert (fit.extra, fit.misshapen) == ((), {})
    assert all(key.endswith(COUNTED) for key in fit.lacking)
    theirs = {key: shape for key, shape in one.shapes.items() if key not in fit.ignored}
    there = {
        key: shape for key, shape in names.their_shapes.items() if not key.endswith(COUNTED) or key in theirs
    }
    assert there == theirs
    assert Counter(found.key for found in names.theirs.values()).keys() == {
        key for key, weight in graph.weights.items() if weight.saved
    }


@pytest.mark.parametrize("one", SETS, ids=called)
def test_no_other_title_explains_these_keys(one: KeySet) -> None:
    graph = graph_of(one)
    assert [names.title for names in all_names(graph) if names.fit(one.shapes).explains] == [one.title]


@pytest.mark.parametrize(("spec", "model"), ALIKE)
def test_models_that_have_the_keys_of_a_spec_need_no_names(spec: str, model: str) -> None:
    theirs = recorded()[model]
    if model == "timm:inception_v3":  # with its auxiliary classifier left out
        theirs = {key: shape for key, shape in theirs.items() if not key.startswith("AuxLogits")}
    own = {key: weight.shape for key, weight in shipped(spec).weights.items() if weight.saved}
    assert theirs == {key: shape for key, shape in own.items() if not key.endswith(COUNTED) or key in theirs}


SMALL = (
    "densenet121", "detr_resnet50", "efficientnet_b0", "mixer_s16", "mnasnet_b1", "mobilenet_v2", "mobileone_s4", "nfnet_f0", "pit_ti", "repvgg_a0",
    "resnet18", "swin_t", "vgg11", "vit_ti16",
)  # fmt: skip


@pytest.mark.parametrize("spec", SMALL)
def test_weights_are_the_same_there_and_back(spec: str) -> None:
    graph = shipped(spec)
    torch.manual_seed(0)
    ours = {key: torch.randn(weight.shape) for key, weight in graph.weights.items() if weight.saved}
    for names in all_names(graph):
        theirs = archspec.named(ours, graph, names.title)
        assert {key: tuple(tensor.shape) for key, tensor in theirs.items()} == names.their_shapes
        for key, origin in names.origins.items():
            assert torch.equal(weight_of(origin, *(theirs[other] for other in origin.keys)), ours[key]), key


def test_every_rule_of_the_families_is_of_some_key_of_the_zoo() -> None:
    used, all_ = set(), set()
    graphs = {(one.spec, one.deployed): graph_of(one) for one in SETS}
    for graph in graphs.values():
        for names in all_names(graph):
            rules = {(names.title, rule.location) for one in names.maps for rule in one.rules if rule.target}
            all_ |= rules
            used |= rules - {(names.title, rule.location) for rule in names.unused}
    assert all_ == used


@pytest.mark.slow
def test_every_title_of_the_zoo_is_held_to_keys() -> None:
    titled = {title for name in archspec.shipped() for title in titles(shipped(name.name))}
    assert titled == {one.title for one in SETS}
