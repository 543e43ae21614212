"""Compound scaling, against the paper's rule and sums by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import archspec
from archspec.analyses.scaling import Base, Rule, grid, search


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archspec", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_papers_rule_is_about_two() -> None:
    assert Rule().growth == pytest.approx(1.2 * 1.1**2 * 1.15**2)
    assert abs(Rule().growth - 2) < 0.1


def test_settings_multiply_those_of_the_base() -> None:
    base = Base.of(archspec.read("efficientnet_b1"))
    assert base == Base(depth=1.1, width=1.0, resolution=240)
    assert Rule(2.0, 1.5, 1.25).settings(base, 2) == {"depth": 4.4, "width": 2.25, "resolution": 375}


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "resnet50"])
def test_flops_double_with_each_step(name: str) -> None:
    """Layers and channels are whole, so a step is not exact; over several it evens out."""
    base = archspec.cost(archspec.read(name)).total.macs
    for phi in (3, 4, 5):
        grown = archspec.cost(archspec.scale(name, phi)).total.macs / base
        assert 0.75 < grown / Rule().growth ** phi < 1.4


def test_one_axis_alone_grows_as_its_power() -> None:
    base = archspec.cost(archspec.read("resnet50")).total.macs
    finer = archspec.scale("resnet50", alpha=1, beta=1, gamma=2)
    assert finer.inputs[0].type.shape == (3, 448, 448)
    assert archspec.cost(finer).total.macs / base == pytest.approx(4, rel=0.01)
    wider = archspec.scale("resnet50", alpha=1, beta=2, gamma=1)
    assert archspec.cost(wider).total.macs / base == pytest.approx(4, rel=0.06)  # the stem stays as it is


def test_the_grid_holds_every_rule_near_the_budget() -> None:
    rules = grid(2, step=0.25, most=2, tolerance=0.05)
    by_hand = [
        Rule(a / 4, b / 4, c / 4)
        for a in range(4, 9)
        for b in range(4, 9)
        for c in range(4, 9)
        if abs(a * b * b * c * c / 4**5 / 2 - 1) <= 0.05
    ]
    assert rules == by_hand
    assert Rule(2, 1, 1) in rules


def test_a_search_measures_each_rule() -> None:
    rules = [Rule(1.15, 1.1, 1.2), Rule(1.2, 1.1, 1.2), Rule(1, 1, 1)]
    rows = list(search(lambda **given: archspec.read("mobilenet_v1", **given), rules))
    assert [row.rule for row in rows] == rules
    for row in rows:
        graph = archspec.read("mobilenet_v1", **row.settings)
        assert row.summary.total == archspec.cost(graph).total
    assert rows[2].ratio == 1


def test_a_scaled_model_is_written_as_a_spec(tmp_path: Path) -> None:
    done = command("scale", "efficientnet_b0", "--phi", "2", "-o", "b0x2.arch", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "about 2: the FLOPs grow by about 2^phi" in done.stdout
    written = archspec.read(tmp_path / "b0x2.arch")
    assert written.parameters == archspec.scale("efficientnet_b0", 2).parameters
    assert written.name == "EfficientNetB0Phi2"


def test_the_language_has_the_same_rule(tmp_path: Path) -> None:
    (tmp_path / "s.arch").write_text(
        "from blocks.scaling import CompoundScaled\nfrom efficientnet_b0 import EfficientNetB0\n"
        "model Net = CompoundScaled(EfficientNetB0, phi=2)\n"
    )
    assert archspec.read(tmp_path / "s.arch").parameters == archspec.scale("efficientnet_b0", 2).parameters


def test_rows_as_json_and_a_word_on_other_rules(tmp_path: Path) -> None:
    rows = json.loads(
        command("scale", "mobilenet_v1", "--phi", "1.5", "--format", "json", folder=tmp_path).stdout
    )
    assert [row["phi"] for row in rows] == [0, 1, 1.5]
    assert rows[0]["times"] == 1
    done = command("scale", "mobilenet_v1", "--alpha", "2", folder=tmp_path)
    assert "= 3.2, not about 2: the FLOPs grow by 3.2^phi" in done.stdout


def test_what_cannot_be_scaled_is_told(tmp_path: Path) -> None:
    done = command("scale", "vgg16", folder=tmp_path)
    assert done.returncode == 1
    assert "VGG16 cannot be scaled: it has no parameter `depth` or `width`" in done.stderr
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "m.arch").write_text(
        "from efficientnet_b0 import EfficientNetB0\nmodel M = EfficientNetB0()\n"
    )
    done = command("scale", "a/m.arch", "-o", "m2.arch", folder=tmp_path)
    assert done.returncode == 1
    assert "which is in another folder" in done.stderr
    assert not (tmp_path / "m2.arch").exists()
