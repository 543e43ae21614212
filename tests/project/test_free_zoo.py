"""Specs of the zoo at free sizes: the fixed graph where numbers are put in, and any size that they accept."""

from random import Random

import pytest
import torch
from nets import networks, shipped

import archspec
from archspec import SpecError
from archspec.analyses.formulas import at_sizes
from archspec.graph import Graph
from archspec.ground.size import Free, Size

# What stays fixed, and why: connected layers behind a Flatten, position tables, MLPs over positions, windows of attention.
FIXED = ("alexnet", "zfnet", "lenet", "vit_", "mixer", "pit_", "swin", "halonet", "igpt", "dpt")


def stays_fixed(name: str) -> bool:
    return name.startswith(FIXED) and name != "alexnet_one_tower"  # which pools to a known size


FEW = ("resnet18", "vgg11", "efficientnet_b0", "densenet121", "googlenet")
SHIPPED = [
    entry.name for entry in archspec.shipped() if not entry.name.startswith("transformer")
]  # of free lengths
NAMES = [name for name in SHIPPED if not stays_fixed(name)]
each = networks(NAMES, FEW)


def numbers(graph: Graph, sides: tuple[int, int]) -> dict[str, int]:
    """What the free names are, where the first input has these sides."""
    found = {}
    for size, side in zip(graph.inputs[0].type.shape[1:], sides, strict=True):
        assert isinstance(size, Free)
        (name,) = size.names
        found[name] = next(n for n in range(1, side + 1) if size.substitute({name: n}) == side)
    return found


def at(size: Size, known: dict[str, int]) -> int:
    return size.substitute(known) if isinstance(size, Free) else size


@each
def test_at_the_usual_size_it_is_the_fixed_graph(name: str) -> None:
    fixed, free = shipped(name), archspec.read(name, free=True)
    height, width = fixed.inputs[0].type.shape[1:]
    assert isinstance(height, int) and isinstance(width, int)
    known = numbers(free, (height, width))
    assert free.weights == fixed.weights
    named = {assumed.name: side for assumed, side in zip(free.accepts, (height, width), strict=False)}
    for one, other, free_one in zip(at_sizes(free, named).nodes, fixed.nodes, free.nodes, strict=True):
        options = {name: ref for name, ref in free_one.options.items() if name != "sizes_of"}
        assert (one.name, one.op, one.inputs, options) == (
            other.name,
            other.op,
            other.inputs,
            other.options,
        )
    for one, other in zip(free.nodes, fixed.nodes, strict=True):
        sizes = [tuple(at(size, known) for size in type_.shape) for type_ in one.types]
        assert sizes == [tuple(type_.shape) for type_ in other.types], one.name
    assert Graph.from_json(free.to_json()) == free


@each
def test_at_other_sizes_it_is_the_net_read_for_them(name: str) -> None:
    free = archspec.read(name, free="H W")
    least = max(assumed.least for assumed in free.accepts)
    steps = max(assumed.multiple for assumed in free.accepts)
    draw = Random(name)
    for _ in range(2):
        fewest = -(-max(least, 24) // steps)
        sides = tuple(steps * draw.randint(fewest, max(64 // steps + 2, fewest + 3)) for _ in range(2))
        known = numbers(free, sides)
        fixed = archspec.read(name, resolution=list(sides))
        for one, other in zip(free.nodes, fixed.nodes, strict=True):
            sizes = [tuple(at(size, known) for size in type_.shape) for type_ in one.types]
            assert sizes == [tuple(type_.shape) for type_ in other.types], (one.name, sides)


@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", pytest.param("nasnet_a_mobile", marks=pytest.mark.slow)]
)
def test_the_module_runs_at_what_it_accepts_and_refuses_others(name: str) -> None:
    free = archspec.read(name, free=True)
    net = archspec.load(free, seed=0).eval()
    for height, width in ((64, 96), (97, 65)):
        x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        fixed = archspec.load(name, seed=0, resolution=[height, width]).eval()
        with torch.no_grad():
            assert torch.equal(net(x), fixed(x))
    for assumed in free.accepts:
        if assumed.least > 1:
            with pytest.raises(SpecError, match="must be"):
                net(torch.zeros(1, 3, assumed.least - 1, 96))
            break


@pytest.mark.parametrize(
    ("name", "settings", "sides"),
    [
        ("fpn_resnet50", {}, [(65, 97), (128, 80)]),
        ("unet", {"width": 4}, [(252, 268), (188, 231)]),
        ("deeplabv3_resnet50_os16", {}, [(65, 97), (128, 40)]),
    ],
)
def test_maps_follow_the_size_of_the_image(
    name: str, settings: dict[str, int], sides: list[tuple[int, int]]
) -> None:
    net = archspec.load(name, free=True, seed=0, **settings).eval()
    channels = archspec.graph_of(net).inputs[0].type.shape[0]
    shapes = tuple(archspec.dynamic_shapes(archspec.graph_of(net)).values())
    images = [torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0)) for size in sides]
    with torch.no_grad():
        exported = torch.export.export(net, (images[0],), dynamic_shapes=shapes).module()
        for x in images:
            fixed = archspec.load(name, seed=0, resolution=list(x.shape[2:]), **settings).eval()
            torch.testing.assert_close(net(x), fixed(x), rtol=0, atol=0)
            torch.testing.assert_close(exported(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vit_ti16", "a weight's size must be known"),
        ("mixer_s16", "must be known"),
        ("alexnet", "must be known"),
        ("igpt_s", "no parameter|could be free"),
    ],
)
def test_what_cannot_be_free_says_why(name: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        archspec.read(name, free=True)
    assert caught.value.problems[0].span is not None


@pytest.mark.parametrize("name", filter(stays_fixed, SHIPPED))
def test_what_is_left_out_here_cannot_be_free(name: str) -> None:
    with pytest.raises(SpecError):
        archspec.read(name, free=True)
