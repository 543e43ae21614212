"""Networks whose spec edits a family by path: what compares, loads, taps, draws, exports and measures them takes them like any other."""

from pathlib import Path

import pytest
import torch

import archspec
from archspec.ground.errors import SpecError

TEXT = """
from blocks.attention import SqueezeExcite
from families.resnet import BasicBlock, ResNet

defaults:
    "layer4.*.relu*" = GELU
    "layer*.conv2" -> se: SqueezeExcite(16)
    drop: Dropout(0.1) -> "fc"
    "layer3.1" = []

model Mine = ResNet(BasicBlock, [2, 2, 2, 2], resolution=64, classes=10)

claims Mine "counted":
    params {params}
"""
KNOWN = """
from families.resnet import BasicBlock, ResNet

model Known = ResNet(BasicBlock, [2, 2, 2, 2], resolution=64, classes=10)
"""


@pytest.fixture(name="mine")
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known.arch").write_text(KNOWN)
    path = tmp_path / "mine.arch"
    path.write_text(TEXT.replace("{params}", "11M"))
    return path


def squeezed(width: int) -> int:
    """The parameters of two layers of 1x1 convolutions, from a width to a sixteenth of it and back."""
    return width * (width // 16) * 2 + width + width // 16


def test_a_difference_is_the_surgery(mine: Path) -> None:
    found = archspec.diff("known.arch", "mine.arch")
    assert {piece.name for piece in found.removed} == {
        "layer3.1",
        *(f"layer4.{i}.{relu}" for i in (0, 1) for relu in ("relu", "relu_1")),
    }
    assert {piece.name for piece in found.added} == {
        "drop",
        *(f"layer{i}.{j}.se" for i in range(1, 5) for j in (0, 1) if (i, j) != (3, 1)),
        *(f"layer4.{i}.{relu}" for i in (0, 1) for relu in ("relu", "relu_1")),
    }
    assert not found.renamed
    assert all(change.rewired and not change.arguments for change in found.changed)
    assert found.weights.renamed == found.weights.reshaped == ()


def test_weights_of_the_original_carry_over(mine: Path) -> None:
    known = archspec.load("known.arch", seed=1)
    torch.save(known.state_dict(), "known.pth")
    plan = archspec.plan_weights("mine.arch", "known.pth", from_="known.arch")
    keys = [line.key for line in plan.lines if line.key is not None]
    assert plan.new and {*plan.new} == {key for key in keys if ".se." in key}
    assert all(line.changes == () for line in plan.lines if line.key not in plan.new)
    with pytest.warns(archspec.SpecWarning, match="stay new"):
        net = archspec.load("mine.arch", weights="known.pth", from_="known.arch", strict=False)
    ours, theirs = net.state_dict(), known.state_dict()
    assert {key for key in theirs if key not in ours} == {
        key for key in theirs if key.startswith("layer3.1.")
    }
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items() if key in theirs)


def test_its_stages_are_those_of_the_original(mine: Path) -> None:
    net, known = archspec.load("mine.arch", features="stages"), archspec.load("known.arch", features="stages")
    assert net.feature_info.channels() == known.feature_info.channels()
    x = torch.randn(2, 3, 64, 64)
    assert [tuple(t.shape) for t in net(x).values()] == [tuple(t.shape) for t in known(x).values()]


def test_the_exported_python_is_the_edited_net(mine: Path) -> None:
    archspec.export("mine.arch", "mine.py", format="python")
    made: dict[str, object] = {}
    exec(compile(Path("mine.py").read_text(), "mine.py", "exec"), made)
    theirs, ours = made["Mine"]().eval(), archspec.load("mine.arch").eval()  # type: ignore[operator]
    assert list(theirs.state_dict()) == list(ours.state_dict())
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(theirs(x), ours(x))


def test_what_is_measured_and_drawn_is_the_edited_net(mine: Path) -> None:
    before = archspec.read("known.arch").parameters
    block = sum(
        p.numel() for key, p in archspec.load("known.arch").named_parameters() if key.startswith("layer3.1.")
    )
    after = before - block + 2 * (squeezed(64) + squeezed(128) + squeezed(512)) + squeezed(256)
    assert archspec.read("mine.arch").parameters == after
    mine.write_text(TEXT.replace("{params}", f"{after}"))
    archspec.check("mine.arch")
    mine.write_text(TEXT.replace("{params}", f"{after + 1}"))
    with pytest.raises(SpecError, match="params"):
        archspec.check("mine.arch")
    archspec.draw("mine.arch", "full").save(Path("mine.dot"))
    drawn = Path("mine.dot").read_text()
    assert all(word in drawn for word in ("GELU", "SqueezeExcite", "Dropout"))
