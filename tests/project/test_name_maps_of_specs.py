"""The names that families say other code has: each is held to the keys that this code writes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from key_sets import KeySet, key_sets
from nets import shipped

import archspec
from archspec.analyses.renaming import COUNTED, all_names, names_as, titles
from archspec.backends.torch_names import weight_of

SETS = list(key_sets())


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one.spec}-{one.title}")
def test_every_key_has_its_weight_and_every_weight_its_keys(one: KeySet) -> None:
    graph = shipped(one.spec)
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


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one.spec}-{one.title}")
def test_no_other_title_explains_these_keys(one: KeySet) -> None:
    graph = shipped(one.spec)
    assert [names.title for names in all_names(graph) if names.fit(one.shapes).explains] == [one.title]


SMALL = (
    "densenet121", "efficientnet_b0", "mixer_s16", "mnasnet_b1", "mobilenet_v2", "pit_ti", "resnet18", "swin_t", "vgg11", "vit_ti16",
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
    for spec in sorted({one.spec for one in SETS}):
        for names in all_names(shipped(spec)):
            rules = {(names.title, rule.location) for one in names.maps for rule in one.rules if rule.target}
            all_ |= rules
            used |= rules - {(names.title, rule.location) for rule in names.unused}
    assert all_ == used


@pytest.mark.slow
def test_every_title_of_the_zoo_is_held_to_keys() -> None:
    titled = {title for name in archspec.shipped() for title in titles(shipped(name.name))}
    assert titled == {one.title for one in SETS}
