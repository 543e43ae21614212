"""Plans of weights: what they say is what a load does, and what is adapted has the values that it should have."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec import SpecError, SpecWarning
from archspec.backends.weights.plan import WeightPlan
from archspec.cli import invoke
from archspec.graph import Graph

NET = """
block Residual:
    input x: [C, H, W]
    return x + (x -> conv: Conv(C, 3, bias=false) -> bn: BatchNorm -> ReLU)

model Net(classes: int = 5, channels: int = 3, depth: int = 2, extra: bool = false):
    input image: [channels, 8, 8]
    x = image -> stem: Conv(6, 3) -> ReLU
    x = x -> blocks: depth * [Residual]
    if extra:
        x = x -> gate: Conv(6)
    return x -> pool: GlobalAvgPool -> head: Linear(classes)
"""
VIT = """
model Vit(size: list[int] = [8, 8], patch: int = 2, classes: int = 3):
    input image: [3, *size]
    x = image -> embed: Conv(4, patch, stride=patch, padding=0) -> Flatten(start=1) -> Permute([1, 0])
    weight pos: [grid(size[0] // patch, size[1] // patch), 4] = normal(1.0)
    return x + pos -> Reduce("mean", 0) -> head: Linear(classes)
"""


def read(text: str, **settings: Any) -> Graph:
    return archspec.read_text(text, settings=settings)


def state_of(graph: Graph, seed: int = 0) -> dict[str, Tensor]:
    """Weights of a network, of which no number is as it would be drawn again."""
    torch.manual_seed(seed)
    state = archspec.load(graph, seed=seed).state_dict()
    return {
        name: torch.rand_like(tensor) + 0.5 if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def plan(graph: Graph, state: dict[str, Tensor], **more: Any) -> WeightPlan:
    return archspec.plan_weights(graph, state, **more)


# -------------------------------------------------------------- what a plan says


def test_a_plan_has_a_line_for_every_weight_and_every_tensor() -> None:
    graph = read(NET)
    state = state_of(graph)
    given = {**{k: v for k, v in state.items() if k != "stem.bias"}, "other": torch.zeros(2)}
    given["head.weight"] = torch.zeros(5, 9)
    found = plan(graph, given)
    assert {line.key for line in found.lines if line.key} == state.keys()
    assert {key for line in found.lines for key in line.sources} == given.keys()
    fates = {line.key or line.sources[0]: line.fate for line in found.lines}
    assert (fates.pop("stem.bias"), fates.pop("other"), fates.pop("head.weight")) == (
        "new",
        "unused",
        "refused",
    )
    assert set(fates.values()) == {"as it is"}
    assert not found.fits and found.new == ("stem.bias", "head.weight")
    assert plan(graph, state).fits and plan(graph, state).new == ()


def test_a_plan_is_a_value() -> None:
    graph = read(NET, classes=2)
    found = plan(graph, state_of(read(NET)), adapt="all", from_=read(NET))
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other.report() == found.report()
    assert json.loads(json.dumps(found.as_record()))["fits"] is True
    assert "<b>" not in plan(graph, {"<b>": torch.zeros(1)})._repr_html_()


def test_a_plan_of_a_deep_network_is_short() -> None:
    """What repeats is one row, in which ranges stand for numbers."""
    graph = archspec.read("resnet50")
    state = {name: torch.zeros(w.shape) for name, w in graph.weights.items() if not name.endswith("tracked")}
    lines = plan(graph, state).report().splitlines()
    assert len(lines) < 20
    assert any(line.split()[:4] == ["layer{1-4}.{0-5}.conv{1-3}", "48", "x", "Conv"] for line in lines)
    assert "counts of batches set to 0  (53 tensors, 53 values)" in "\n".join(lines)


def test_what_is_done_to_a_file_is_told() -> None:
    graph = read(NET)
    state = state_of(graph)
    halves = {f"module.{k}": v.half() if v.is_floating_point() else v for k, v in state.items()}
    found = plan(graph, {"model": halves})
    assert found.fits and "taken from `model`" in found.report()
    said = {change for line in found.as_record()["lines"] for change in line["changes"]}
    assert said == {"prefix `module.` removed", "f16 -> f32"}
    net = archspec.load(graph, weights={"model": halves})
    for name, tensor in net.state_dict().items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, halves[f"module.{name}"].to(tensor.dtype))


@pytest.mark.parametrize(
    "rename",
    [
        lambda key: f"module.{key}",
        lambda key: f"model.backbone.{key}",
        lambda key: f"_orig_mod.{key}",
        lambda key: f"module._orig_mod.{key}",
        lambda key: key.replace("blocks.0", "blocks._orig_mod.0"),
        lambda key: f"module.{key.replace('conv', '_checkpoint_wrapped_module.conv')}",
    ],
)
def test_prefixes_are_removed(rename: Any) -> None:
    graph = read(NET)
    state = state_of(graph)
    given = {rename(key): tensor for key, tensor in state.items()}
    net = archspec.load(graph, weights=given)
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    other = archspec.load(graph)
    assert str(other.load_state_dict(given)) == "<All keys matched successfully>"
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items())


def test_weights_that_are_there_twice_are_refused() -> None:
    graph = read(NET)
    state = state_of(graph)
    given = {f"{whose}.{key}": tensor for key, tensor in state.items() for whose in ("teacher", "student")}
    with pytest.raises(SpecError, match=r"twice: under `teacher.` and under `student.`"):
        plan(graph, given)
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{key}": tensor for key, tensor in state.items()}}
    found = plan(graph, averaged)
    assert [line.sources for line in found.wrong] == [("n_averaged",)]


def test_load_state_dict_is_pytorchs_where_nothing_is_to_be_done() -> None:
    graph = read(NET)
    net, state = archspec.load(graph), state_of(graph)
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({k: v for k, v in state.items() if k != "head.bias"})
    missing, unexpected = net.load_state_dict(
        {"head.bias": state["head.bias"], "z": torch.zeros(1)}, strict=False
    )
    assert "head.weight" in missing and unexpected == ["z"]
    net.load_state_dict(state, assign=True)
    assert net.head.weight.data_ptr() == state["head.weight"].data_ptr()
    net.head = nn.Linear(6, 2)
    changed = {f"module.{key}": tensor for key, tensor in net.state_dict().items() if "tracked" not in key}
    assert str(net.load_state_dict(changed)) == "<All keys matched successfully>"


# -------------------------------------------------------------- classes


def test_a_new_head_is_drawn_and_the_rest_is_kept() -> None:
    old, new = read(NET), read(NET, classes=2)
    state = state_of(old)
    with pytest.raises(SpecError, match='it can be adapted: `adapt="classes"`, or `--adapt classes`'):
        archspec.load(new, weights=state)
    net = archspec.load(new, weights=state, adapt="classes", seed=7).state_dict()
    drawn = archspec.load(new, seed=7).state_dict()
    for name, tensor in net.items():
        assert torch.equal(tensor, (drawn if name.startswith("head.") else state)[name]), name
    assert plan(new, state, adapt="classes").fits


@pytest.mark.parametrize("rows", [[4, 0], {0: 4, 1: 0}, (4, 0)])
def test_rows_of_classes_are_carried_over(rows: Any) -> None:
    old, new = read(NET), read(NET, classes=2)
    state, image = state_of(old), torch.randn(3, 3, 8, 8)
    before = archspec.load(old, weights=state).eval()
    after = archspec.load(new, weights=state, adapt={"classes": rows}).eval()
    assert torch.allclose(after(image), before(image)[:, [4, 0]], atol=1e-6)


def test_classes_that_are_not_named_are_drawn() -> None:
    old, new = read(NET), read(NET, classes=4)
    state = state_of(old)
    net = archspec.load(new, weights=state, adapt={"classes": {2: 1}}, seed=7)
    drawn = archspec.load(new, seed=7)
    for key in ("weight", "bias"):
        found, fresh = getattr(net.head, key), getattr(drawn.head, key)
        assert torch.equal(found[2], state[f"head.{key}"][1])
        assert torch.equal(found[[0, 1, 3]], fresh[[0, 1, 3]])


@pytest.mark.parametrize(
    ("adapt", "said"),
    [
        ("clases", "did you mean `classes`"),
        (["grid", "nothing"], "there is no adaptation 'nothing'"),
        ({"classes": [0, 5]}, "class 5, and the file has 5"),
        ({"classes": [0, 1, 2]}, "class 2, and the network has 2"),
        ({"classes": [0, 1.5]}, "class 1.5"),
        ({"grid": "large"}, "is True or False"),
        (3, "`adapt` names adaptations"),
    ],
)
def test_adaptations_that_are_none_are_told(adapt: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(read(NET, classes=2), state_of(read(NET)), adapt=adapt)
    assert said in str(caught.value)


# -------------------------------------------------------------- channels


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_channels_are_summed_or_cycled(count: int) -> None:
    old, new = read(NET), read(NET, channels=count)
    state = state_of(old)
    net = archspec.load(new, weights=state, adapt="channels")
    weight = state["stem.weight"]
    wanted = (
        weight.sum(1, keepdim=True)
        if count == 1
        else torch.stack([weight[:, i % 3] for i in range(count)], 1) * (3 / count)
    )
    assert torch.allclose(net.stem.weight, wanted, atol=1e-6)
    assert all(torch.equal(t, state[n]) for n, t in net.state_dict().items() if n != "stem.weight")


def test_a_grey_image_gives_what_it_gave_in_three_channels() -> None:
    state, image = state_of(read(NET)), torch.randn(2, 1, 8, 8)
    before = archspec.load(read(NET), weights=state).eval()
    after = archspec.load(read(NET, channels=1), weights=state, adapt="channels").eval()
    assert torch.allclose(after(image), before(image.expand(-1, 3, -1, -1)), atol=1e-5)


FIRST = "model Net(c: int = 3):\n    input x: [c, 8, 8]\n    "


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("return x -> PixelUnshuffle(2) -> a: Conv(4, 3)", "behind `pixel_unshuffle`"),
        ("return x -> a: Conv(12, 3, groups=3)", "in 3 groups"),
        ("return x -> n: BatchNorm -> a: Conv(4, 3)", ""),
    ],
)
def test_channels_that_mean_something_else_are_refused(layers: str, said: str) -> None:
    old, new = read(FIRST + layers + "\n"), read(FIRST + layers + "\n", c=6)
    found = plan(new, state_of(old), adapt="channels")
    assert not found.fits
    with pytest.raises(SpecError, match=f"{said}"):
        archspec.load(new, weights=state_of(old), adapt="channels")


def test_what_only_shifts_an_image_is_passed() -> None:
    layers = "y = x * 2 - 0.5 -> Pad([[0, 0], [1, 1], [1, 1]])\n    return y -> a: Conv(4, 3)\n"
    old, new = read(FIRST + layers), read(FIRST + layers, c=1)
    assert plan(new, state_of(old), adapt="channels").fits


# -------------------------------------------------------------- patches


def resized(patch: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(patch, size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_a_larger_patch_gives_what_the_patch_gave(size: int) -> None:
    """A patch that is enlarged is embedded as it was [Beyer et al., 2023, Section 3.4]."""
    old, new = read(VIT), read(VIT, size=[4 * size, 4 * size], patch=size)
    state = state_of(old)
    net = archspec.load(new, weights=state, adapt="patch")
    patches = torch.randn(9, 3, 2, 2)
    before = functional.conv2d(patches, state["embed.weight"], state["embed.bias"])
    after = net.embed(resized(patches, (size, size)))
    assert torch.allclose(after, before, atol=1e-4)


def test_a_smaller_patch_gives_as_nearly_as_can_be() -> None:
    """Of patches of independent values: no other weight comes nearer on average."""
    old, new = read(VIT, size=[24, 24], patch=6), read(VIT, size=[16, 16], patch=4)
    state = state_of(old)
    weight = archspec.load(new, weights=state, adapt="patch").embed.weight.detach().double()
    weight.requires_grad_()
    basis = torch.eye(36, dtype=torch.float64).reshape(36, 1, 6, 6)
    small = resized(basis, (4, 4)).flatten(1)  # what becomes of each value of a patch
    reached = torch.einsum("dcp,qp->dcq", weight.flatten(2), small)
    loss = (reached - state["embed.weight"].double().flatten(2)).square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert loss > 0.1 and gradient.abs().max() < 1e-4


# -------------------------------------------------------------- grids


def test_a_table_of_positions_is_resized_where_that_is_asked_for() -> None:
    old, new = read(VIT), read(VIT, size=[8, 12])
    state = state_of(old)
    with pytest.raises(SpecError, match="does not say of which grid"):
        archspec.load(new, weights=state, adapt="grid")
    with pytest.raises(SpecError, match="--adapt grid"):
        archspec.load(new, weights=state, from_=old)
    net = archspec.load(new, weights=state, from_=old, adapt="grid")
    wanted = archspec.resize_positions(state, new, before=old)["pos"]
    assert net.pos.shape == (24, 4) and torch.equal(net.pos, wanted)
    assert "grid 4 x 4 -> 4 x 6: bicubic" in plan(new, state, from_=old, adapt="grid").report()


def test_a_grid_of_as_many_places_is_another_grid(tmp_path: Path) -> None:
    """16 places are 4 x 4 and 2 x 8: what a file does not say is asked for."""
    (tmp_path / "vit.arch").write_text(VIT)
    path, wide = tmp_path / "vit.arch", [4, 16]
    state = state_of(archspec.read(path))
    found = archspec.plan_weights(path, state, size=wide)
    assert [line.key for line in found.wrong] == ["pos"]
    assert "may be a grid of 4 x 4, as at the default settings, or a grid of 2 x 8" in found.report()
    same = archspec.load(path, weights=state, from_=archspec.read(path, size=wide), size=wide)
    assert torch.equal(same.pos, state["pos"])
    moved = archspec.load(path, weights=state, from_=path, size=wide, adapt="grid")
    wanted = archspec.resize_positions(state, archspec.read(path, size=wide), before=(4, 4))["pos"]
    assert torch.equal(moved.pos, wanted) and not torch.equal(moved.pos, state["pos"])


def test_several_adaptations_are_carried_out_together(tmp_path: Path) -> None:
    (tmp_path / "vit.arch").write_text(VIT)
    old = archspec.read(tmp_path / "vit.arch")
    state = state_of(old)
    found = archspec.plan_weights(
        tmp_path / "vit.arch", state, size=[12, 12], patch=3, classes=7, adapt="all"
    )
    assert found.fits, found.report()
    found = archspec.plan_weights(tmp_path / "vit.arch", state, size=[12, 16], patch=4, classes=7)
    assert {name for line in found.wrong for name in line.offers} == {"patch", "grid", "classes"}


# -------------------------------------------------------------- another spec


def test_the_file_may_be_of_the_spec_at_its_default_settings(tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(NET)
    state = state_of(archspec.read(tmp_path / "net.arch"))
    found = archspec.plan_weights(tmp_path / "net.arch", state, depth=3)
    assert "taken to be of Net at its default settings" in found.report()
    assert all(key.startswith("blocks.") for key in found.new)


def test_steps_of_an_edited_spec_keep_their_weights() -> None:
    old = read(NET)
    edited = (
        NET.replace("stem:", "first:")
        .replace("head:", "classifier:")
        .replace("blocks: depth", "stages: depth")
    )
    new = read(edited, extra=True)
    state = state_of(old)
    found = plan(new, state, from_=old)
    assert set(found.new) == {"gate.weight", "gate.bias"}
    with pytest.warns(SpecWarning, match="2 weights of Net stay new"):
        net = archspec.load(new, weights=state, from_=old, strict=False)
    with torch.no_grad():
        net.gate.weight.copy_(torch.eye(6)[..., None, None])
        net.gate.bias.zero_()
    image = torch.randn(2, 3, 8, 8)
    assert torch.allclose(net.eval()(image), archspec.load(old, weights=state).eval()(image), atol=1e-5)


def test_an_inserted_block_renames_none_of_the_others() -> None:
    text = NET.replace(
        "depth * [Residual]", "[Residual, Conv(6), Residual] if extra else [Residual, Residual]"
    )
    text = text.replace("    if extra:\n        x = x -> gate: Conv(6)\n", "")
    text = text.replace("    if extra:\n        x = x -> gate: Conv(6)\n", "")
    old, new = read(text), read(text, extra=True)
    state = state_of(old)
    found = plan(new, state, from_=old)
    assert set(found.new) == {"blocks.1.weight", "blocks.1.bias"}
    assert any(
        "was blocks.1.conv.weight" in line.said for line in found.lines if line.key == "blocks.2.conv.weight"
    )


# -------------------------------------------------------------- norms

NORMS = """
model Net(norms: bool = true, bias: bool = false, affine: bool = true):
    input x: [4, 6, 6]
    if norms:
        y = x -> a: Conv(6, 3, bias=bias) -> na: BatchNorm(eps=0.01, affine=affine) -> ReLU
        y = y -> b: ConvTranspose(4, 3, groups=2, bias=bias) -> nb: BatchNorm -> ReLU
        y = y -> Flatten -> c: Linear(5, bias=bias) -> nc: BatchNorm
    else:
        y = x -> a: Conv(6, 3) -> ReLU -> b: ConvTranspose(4, 3, groups=2) -> ReLU -> Flatten -> c: Linear(5)
    return y -> d: Linear(3)
"""


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_norms_are_folded_into_the_layers_before_them(bias: bool, affine: bool) -> None:
    old, new = read(NORMS, bias=bias, affine=affine), read(NORMS, norms=False)
    state, x = state_of(old), torch.randn(3, 4, 6, 6)
    before = archspec.load(old, weights=state).eval()
    found = plan(new, state, from_=old)
    assert {name for line in found.wrong for name in line.offers} == {"fold"}
    after = archspec.load(new, weights=state, from_=old, adapt="fold").eval()
    wanted = before(x)
    assert torch.allclose(after(x), wanted, rtol=1e-5, atol=1e-6 * wanted.abs().max().item())


@pytest.mark.parametrize("bias", [False, True])
def test_what_was_folded_loads_into_norms_that_change_nothing(bias: bool) -> None:
    old, new = read(NORMS, norms=False), read(NORMS, bias=bias)
    state, x = state_of(old), torch.randn(3, 4, 6, 6)
    with pytest.raises(SpecError, match='it can be adapted: `adapt="fold"`'):
        archspec.load(new, weights=state)
    before, after = (
        archspec.load(old, weights=state).eval(),
        archspec.load(new, weights=state, adapt="fold").eval(),
    )
    wanted = before(x)
    assert torch.allclose(after(x), wanted, rtol=1e-5, atol=1e-6 * wanted.abs().max().item())
    assert after.na.running_var.eq(1).all() and after.na.num_batches_tracked == 0


# -------------------------------------------------------------- names of other code


NAMES = """
names Net "elsewhere":
    "first/{k}" -> "stem.{k}"
    "classify/kernel" -> "head.weight": "i o -> o i"
    "classify/bias" -> "head.bias"
    "step" -> none "how long it was trained"
"""


def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {key.replace("stem.", "first/"): tensor for key, tensor in state.items() if "head" not in key}
    head = {"classify/kernel": state["head.weight"].T, "classify/bias": state["head.bias"]}
    return {**renamed, **head, "step": torch.tensor(3)}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_map_of_names_is_taken_where_it_alone_explains_the_file(prefix: str) -> None:
    graph = read(NET + NAMES)
    state = state_of(graph)
    given = {prefix + key: tensor for key, tensor in foreign(state).items()}
    found = plan(graph, given)
    assert found.fits and 'keys as in names "elsewhere"' in found.report()
    said = {line.key: line.said for line in found.lines}
    assert said["head.weight"].startswith('head.weight: adapted (rearranged "i o -> o i"')
    for net in (archspec.load(graph, weights=given), archspec.load(graph)):
        net.load_state_dict(given)
        assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


def test_an_adaptation_is_carried_out_behind_a_map_of_names() -> None:
    old, new = read(NET + NAMES), read(NET + NAMES, classes=2)
    state = state_of(old)
    net = archspec.load(new, weights=foreign(state), adapt={"classes": [3, 1]})
    assert torch.equal(net.head.weight, state["head.weight"][[3, 1]])
    with pytest.raises(SpecError, match=r"has `classify/kernel` of shape \[5, 6\], not \[2, 6\]"):
        archspec.load(new, weights=foreign(state))


def test_a_file_that_no_map_explains_whole_is_not_renamed() -> None:
    graph = read(NET + NAMES)
    given = foreign(state_of(graph))
    given["another"] = given.pop("step")
    assert "first/weight" in {key for line in plan(graph, given).wrong for key in line.sources}


def test_two_maps_that_explain_a_file_are_not_chosen_between() -> None:
    graph = read(NET + NAMES + NAMES.replace("elsewhere", "nowhere"))
    with pytest.raises(SpecError, match='two maps of names: `names "elsewhere"` and `names "nowhere"`'):
        plan(graph, foreign(state_of(graph)))


# -------------------------------------------------------------- the shell


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.arch").write_text(NET)
    torch.save({"model": state_of(archspec.read("net.arch"))}, "net.pth")
    return tmp_path


def test_the_command_says_whether_a_file_fits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, status, said in (
        (["net.pth"], 0, "\nfits\n"),
        (["net.pth", "--set", "classes=2"], 1, "could be adapted with --adapt classes"),
        (["net.pth", "--set", "classes=2", "--no-strict"], 0, "could be adapted with --adapt classes"),
        (["net.pth", "--set", "classes=2", "--adapt", "classes"], 0, "stays new: a new head, 5 -> 2 classes"),
        (["net.pth", "--set", "classes=2", "--adapt", "classes=[4, 1]"], 0, "rows of 2 of 5 classes"),
        (["net.pth", "--set", "channels=1", "--adapt", "grid,channels"], 0, "channels 3 -> 1: summed"),
        (["net.pth", "--from", "net.arch", "--from-set", "classes=5"], 0, "taken to be of Net(classes=5)"),
    ):
        assert invoke(["weights", "net.arch", *words]) == status, words
        assert said in capsys.readouterr().out
    assert invoke(["weights", "net.arch", "net.pth", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["fits"] is True
    assert invoke(["weights", "net.arch", "net.pth", "--from-set", "classes=5"]) == 2
    assert invoke(["weights", "net.arch", "net.pth", "--adapt", "clases"]) == 1


def test_build_takes_what_load_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", "net.arch", "-o", "net.archmod", "--set", "classes=2", "--weights", "net.pth"]
    assert invoke(words) == 1 and not Path("net.archmod").exists()
    assert invoke([*words, "--adapt", "classes=[4, 1]"]) == 0
    built = archspec.load("net.archmod")
    wanted = archspec.load("net.arch", classes=2, weights="net.pth", adapt={"classes": [4, 1]})
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(built.state_dict()[name], tensor), name
    assert invoke(["build", "net.arch", "--adapt", "classes"]) == 2
    assert "--weights" in capsys.readouterr().err


def test_a_load_without_weights_has_nothing_to_adapt() -> None:
    for more in ({"strict": False}, {"adapt": "all"}, {"from_": read(NET)}, {"nonfinite": True}):
        with pytest.raises(SpecError, match="says how weights are loaded, and there are none"):
            archspec.load(read(NET), **more)
