"""Values inside a block that was applied are what a hook on that module sees; names and weights stay as they were."""

from random import Random

import pytest
import torch
from torch import nn

import archspec
from archspec import SpecError
from archspec.graph import Graph

BACKBONES = {
    "resnet18": ("families.resnet", "ResNet(BasicBlock, [2, 2, 2, 2], classes=5)", "ResNet, BasicBlock", 64),
    "resnet50": ("families.resnet", "ResNet(Bottleneck, [3, 4, 6, 3], classes=0)", "ResNet, Bottleneck", 64),
    "vgg": ("families.vgg", "VGG(A, classes=5)", "VGG, A", 64),
    "dpn": (
        "families.dpn",
        "DPN(64, [1, 1, 2, 1], hidden=96, groups=32, growth=[16, 32, 24, 128])",
        "DPN",
        64,
    ),
    "densenet": ("families.densenet", "DenseNet([2, 3, 2, 2])", "DenseNet", 64),
    "vit": (
        "families.vit",
        "VisionTransformer(layers=4, dim=32, hidden=64, heads=2)",
        "VisionTransformer",
        32,
    ),
    "mobile": ("families.mobilenet", "MobileNet(stages_v2)", "MobileNet, stages_v2", 64),
}


def spec_of(name: str, paths: list[str]) -> str:
    """A net that returns what stands at some paths in a backbone, last what the backbone gives itself."""
    home, applied, imported, size = BACKBONES[name]
    taps = ", ".join(f'b["{path}"]' for path in paths)
    return (
        f"from {home} import {imported}\n\nmodel Net:\n    input image: [3, {size}, {size}]\n"
        f"    b = image -> backbone: {applied}\n    return {taps}, b\n"
    )


def hooked(net: nn.Module, paths: list[str], x: torch.Tensor) -> list[torch.Tensor]:
    """What modules inside the backbone of a net give, and what it gives itself."""
    seen: dict[str, torch.Tensor] = {}
    for path in paths:
        net.get_submodule(path).register_forward_hook(
            lambda m, i, out, path=path: seen.update({path: out.clone()})
        )
    last = net(x)
    return [*(seen[path] for path in paths), last]


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
def test_they_are_what_hooks_see(name: str, flat: bool) -> None:
    size = BACKBONES[name][3]
    home, applied, imported, _ = BACKBONES[name]
    plain_spec = f"from {home} import {imported}\n\nmodel Net = {applied}\n"
    plain = archspec.load(archspec.read_text(plain_spec, resolution=size), seed=0).eval()
    everywhere = [path for path, module in plain.named_modules() if path]
    paths = Random(name).sample(everywhere, min(8, len(everywhere)))
    graph = archspec.read_text(spec_of(name, paths))
    assert Graph.from_json(graph.to_json()) == graph
    net = archspec.load(graph, seed=1, flat=flat).eval()
    weights = {key.removeprefix("backbone."): value for key, value in net.state_dict().items()}
    assert list(weights) == list(plain.state_dict())
    plain.load_state_dict(weights)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = hooked(plain, paths, x), net(x)
    for path, wanted, value in zip([*paths, "itself"], expected, found, strict=True):
        assert torch.equal(wanted, value), path


def test_dots_and_brackets_lead_to_the_same_value() -> None:
    spec = (
        "from families.resnet import ResNet, BasicBlock\n\n"
        "model Net:\n    input image: [3, 64, 64]\n    b = image -> backbone: ResNet(BasicBlock, [2, 2, 2, 2])\n"
        '    inner = b.layer2\n    return inner["1"].conv1, b["layer2.1.conv1"], inner["1.conv1"], b.layer2, inner\n'
    )
    first, second, third, fourth, fifth = archspec.read_text(spec).outputs
    assert first.value == second.value == third.value and fourth.value == fifth.value
    # No step is there twice, and none is new.
    assert [node.name for node in archspec.read_text(spec).nodes] == [
        f"backbone.{node.name}" for node in archspec.read("resnet18", resolution=64).nodes
    ]


def test_one_of_two_equal_uses_is_looked_into() -> None:
    spec = (
        "block Two:\n    input x: [C, H, W]\n    return x -> first: [Conv(C, 3), ReLU] -> second: 4 * [Conv(C, 3)]\n"
        "model Net:\n    input x: [4, 8, 8]\n    a = x -> one: Two\n    b = a -> two: Two\n"
        '    return a.first, b, b["second.2"]\n'
    )
    net = archspec.load(archspec.read_text(spec), seed=0)
    x = torch.randn(2, 4, 8, 8)
    first, last, middle = net(x)
    one = net.get_submodule("one.first")
    assert torch.equal(first, one(x))
    assert torch.equal(net.get_submodule("two.second.3")(middle), last)


def test_sizes_inside_follow_from_the_input() -> None:
    spec = (
        "from families.resnet import ResNet, BasicBlock\n\n"
        "model Net(resolution: pair = 64):\n    input image: [3, *resolution]\n"
        "    b = image -> backbone: ResNet(BasicBlock, [1, 1, 1, 1], classes=0)\n"
        "    wide = b.layer4 -> Conv(8) -> Upsample(size=b.layer2.shape[1:])\n    return wide + (b.layer2 -> Conv(8))\n"
    )
    net = archspec.load(archspec.read_text(spec), seed=0).eval()
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 8, 8, 8)
    other = archspec.load(archspec.read_text(spec, resolution=[96, 128]), seed=0).eval()
    x = torch.randn(1, 3, 96, 128)
    try:
        same = net(x)
    except archspec.SpecError:
        return  # an input of another size is refused, which is right too
    assert torch.equal(same, other(x))


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ("b.layer9", "has no step `layer9`"),
        ('b["layer2.7"]', "`backbone.layer2` has no step `7`"),
        ('b["layer2.0.conv1.weight"]', "has no step"),
        ("b.layer1.nothing", "`backbone.layer1` has no step `nothing`"),
        ("image.layer1", "has no `layer1`"),
        ('image["layer1"]', "only a block that was applied"),
        ('(b -> Flatten)["layer1"]', "only a block that was applied"),
    ],
)
def test_what_is_not_there_is_named(taken: str, said: str) -> None:
    spec = (
        "from families.resnet import ResNet, BasicBlock\n\n"
        "model Net:\n    input image: [3, 64, 64]\n    b = image -> backbone: ResNet(BasicBlock, [1, 2, 1, 1])\n"
        f"    return {taken}\n"
    )
    with pytest.raises(SpecError, match=said):
        archspec.read_text(spec)


def test_a_facts_name_wins_and_brackets_reach_the_step() -> None:
    spec = (
        "block B:\n    input x: [C, H, W]\n    return x -> shape: Conv(5, 3) -> ReLU\n"
        "model Net:\n    input x: [3, 8, 8]\n    b = x -> b: B\n    require b.shape == [5, 8, 8]\n"
        '    return b["shape"]\n'
    )
    assert archspec.read_text(spec).outputs[0].value.producer == "b.shape"


def test_a_model_used_as_a_block_takes_the_size_that_comes() -> None:
    spec = (
        "from families.vit import VisionTransformer\n\n"
        "model Net:\n    input image: [5, 32, 64]\n"
        "    return image -> vit: VisionTransformer(layers=1, dim=32, hidden=64, heads=2)\n"
    )
    graph = archspec.read_text(spec)
    assert graph.weights["vit.pos_embed"].shape == (1, 1 + 2 * 4, 32)
    assert graph.weights["vit.patch_embed.proj.weight"].shape[1] == 5
    with pytest.raises(SpecError, match="does not fit"):
        archspec.read_text(spec.replace("heads=2", "heads=2, resolution=32"))
