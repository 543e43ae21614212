"""Claims of a graph: it is held to those about its own settings."""

from pathlib import Path
from typing import Any

import pytest

import archspec
from archspec.analyses.measuring import standing_alone
from archspec.api.checking import check_models
from archspec.elaboration import changes_nothing, elaborate, locate, module_from_text, read_module
from archspec.ground.errors import SpecError

CLAIMED = """
model M(width: int = 4, deep: bool = false):
    input x: [3, 8, 8]
    return x -> c: Conv(width, 3)

claims M "by hand":
    params 112
claims M "by hand" at width=8:
    params 0.23K
"""


@pytest.mark.parametrize(
    ("settings", "findings"),
    [
        ({}, ["printed", "unmeasured"]),
        ({"width": 8}, ["unmeasured", "wrong"]),
        ({"width": 5}, ["unmeasured", "unmeasured"]),
        ({"deep": True}, ["unmeasured", "unmeasured"]),
    ],
)
def test_a_graph_is_held_to_the_claims_about_its_settings(
    settings: dict[str, Any], findings: list[str]
) -> None:
    graph = archspec.read_text(CLAIMED, settings=settings)
    ((same, verdicts),) = archspec.claims(graph)
    assert same is graph
    assert [verdict.finding for verdict in verdicts] == findings
    assert [verdict.holds for verdict in verdicts] == [finding == "printed" for finding in findings]
    if "wrong" in findings:
        with pytest.raises(
            SpecError, match=r"M: claimed params 0\.23K, measured 224 \(in the spec: spec\.arch:9:5"
        ):
            archspec.check(graph)
    else:
        assert archspec.check(graph) == [(graph, verdicts)]


def test_a_network_that_was_changed_is_measured_as_it_is() -> None:
    graph = archspec.read("lenet5")
    claim = next(claim for claim in graph.claims if claim.quantity == "params" and not claim.settings)
    other = graph.model_copy(update={"claims": (claim.model_copy(update={"figure": "1"}),)})
    assert [verdict.finding for verdict in archspec.claims(other)[0][1]] == ["wrong"]


def test_settings_that_change_nothing_are_known_without_elaborating_again() -> None:
    names = ("efficientnet_b3", "efficientnet_b0", "resnet50", "se_vgg16", "wrn28_10_cifar", "swin_t")
    alike = 0
    for name in names:
        module = read_module(locate(name)[0])
        for definition in standing_alone(module, None):
            graph = elaborate(module, definition.name)
            for settings in [claim.settings for claim in graph.claims if claim.settings]:
                same = changes_nothing(module, definition.name, settings)
                other = elaborate(module, definition.name, settings)
                assert same <= (other.functions == graph.functions)  # where it is sure, it is right
                alike += same
    assert alike > 0
    module = module_from_text(CLAIMED)
    assert changes_nothing(module, "M", {"width": 4})
    assert not changes_nothing(module, "M", {"width": 8})
    assert not changes_nothing(module, "M", {"width": 4.0})
    assert not changes_nothing(module, "M", {"wide": 4})


def test_what_is_wrong_at_the_settings_of_claims_is_told_with_all_other_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.arch").write_text(
        "model Net(n: int = 3):\n    input x: [3, 8, 8]\n    return x -> Conv(n)\n"
        'claims Net "a" at m=3, n=true:\n    params 1\n'
        "claims Net at n=-3:\n    params 12\n"
        "claims Net:\n    parametrs 12\n    params 13\n"
    )
    checked = check_models("net.arch", 10_000)
    told = [
        (p.code, p.span and p.span.place, [(text, at.place) for text, at in p.trail])
        for p in checked.problems
    ]
    assert checked.models == []
    assert told == [
        ("E0405", "net.arch:3:22", [("claims Net at n=-3", "net.arch:6:8")]),
        ("E0401", "net.arch:4:19", []),
        ("E0411", "net.arch:4:24", []),
        ("E1102", "net.arch:9:5", []),
        ("E1101", "net.arch:10:5", []),
    ]
    (first, *_) = checked.problems
    assert "= in claims Net at n=-3, net.arch:6:8" in first.render()
