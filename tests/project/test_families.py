"""Shipped families take what people set most, under the same names."""

import re
from math import prod
from pathlib import Path

import pytest
from nets import KINDS, NAMES, shipped

import archspec
from archspec.elaboration import shipped_names, shipped_specs

ROOT = shipped_specs()


def one_of_each() -> list[str]:
    """Of the specs that import a family's file, the one with the shortest name: one per file, in order."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.glob("*.arch"), key=lambda path: (len(path.stem), path.stem)):
        for family in re.findall(r"^from families\.(\w+) import", path.read_text(), flags=re.M):
            found.setdefault(family, path.stem)
    return [found[family] for family in sorted(found)]


NOT_OF_IMAGES = ("igpt", "transformer")  # but of sequences of colours and of words
DENSE = (
    "context",
    "deeplab",
    "dpt",
    "fcn",
    "fpn",
    "unet",
    "detr",
)  # a class or a depth per pixel, maps of features, boxes
IMAGES = [name for name in one_of_each() if not name.startswith(NOT_OF_IMAGES)]
CLASSIFIERS = [name for name in IMAGES if not name.startswith(DENSE)]


def test_every_family_has_a_spec() -> None:
    families = {path.stem for path in ROOT.joinpath("families").glob("*.arch")}
    used = set()
    for path in [*ROOT.glob("*.arch"), *ROOT.glob("families/*.arch")]:
        used |= set(re.findall(r"^from families\.(\w+) import", Path(path).read_text(), flags=re.M))
    assert families == used


@pytest.mark.parametrize("name", [name for name in IMAGES if not name.startswith("context")])
def test_takes_images_of_other_channels(name: str) -> None:
    usual, many = shipped(name), archspec.read(name, in_channels=5)
    assert many.inputs[0].type.shape == (5, *usual.inputs[0].type.shape[1:])
    first = next(key for key in usual.weights if usual.weights[key].shape != many.weights[key].shape)
    assert list(usual.weights) == list(many.weights)
    channels = usual.inputs[0].type.shape[0]
    assert prod(many.weights[first].shape) * channels == prod(usual.weights[first].shape) * 5


@pytest.mark.parametrize("name", IMAGES)
def test_takes_height_and_width_apart(name: str) -> None:
    _, height, _ = shipped(name).inputs[0].type.shape
    assert isinstance(height, int)
    wide = archspec.read(name, resolution=[height, 2 * height])
    assert wide.inputs[0].type.shape[1:] == (height, 2 * height)
    assert archspec.read(name, resolution=[height, height]).outputs == shipped(name).outputs


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_of_no_classes_are_features(name: str) -> None:
    usual, features = shipped(name), archspec.read(name, classes=0)
    left_out = set(usual.weights) - set(features.weights)
    assert set(features.weights) < set(usual.weights)
    # The last layer alone: RiR's is a convolution with a norm behind it.
    assert len({key.rpartition(".")[0] for key in left_out}) == (2 if name == "rir18_cifar" else 1)
    (width,) = features.outputs[0].type.shape
    assert any(width in usual.weights[key].shape for key in left_out)
    seven = archspec.read(name, classes=7)
    assert seven.outputs[0].type.shape == (7,) and set(seven.weights) == set(usual.weights)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_drops_before_the_last_layer(name: str) -> None:
    dropped = [
        node.op.p for node in archspec.read(name, dropout=0.375).nodes if type(node.op).__name__ == "Dropout"
    ]
    assert dropped and set(dropped) == {0.375}
    assert not any(type(node.op).__name__ == "Dropout" for node in archspec.read(name, dropout=0.0).nodes)


# Nets without residual blocks have nothing that could be left out; nor have sums that are one convolution.
WITHOUT_RESIDUALS = (
    *("lenet", "alexnet", "zfnet", "vgg", "googlenet", "bn_inception", "inception_v3", "inception_v4"),
    *("densenet", "dpn", "rir", "shake_shake", "mobilenet_v1", "repvgg", "mobileone"),
)
RESIDUAL = [name for name in CLASSIFIERS if not name.startswith(WITHOUT_RESIDUALS)]


@pytest.mark.parametrize("name", RESIDUAL)
def test_drops_paths(name: str) -> None:
    rates = [
        node.op.p
        for node in archspec.read(name, drop_path=0.375).nodes
        if type(node.op).__name__ == "DropPath"
    ]
    # The mobile nets, as timm has them, come close to the rate: they would have it at the block after the last.
    assert rates and 0.8 * 0.375 < max(rates) <= 0.375
    assert rates == sorted(rates)
    assert not any(type(node.op).__name__ == "DropPath" for node in archspec.read(name, drop_path=0.0).nodes)


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name not in RESIDUAL])
def test_has_no_paths_to_drop(name: str) -> None:
    with pytest.raises(archspec.SpecError, match="has no argument `drop_path`"):
        archspec.read(name, drop_path=0.375)


# What families call their norm and their activation, where it is not BatchNorm and ReLU; "" where they have none.
NORMS = {
    **dict.fromkeys(("lenet", "context", "nfnet", "alexnet_one", "fcn"), ""),
    **dict.fromkeys(("vit", "mixer", "pit", "swin", "t2t", "transformer", "detr", "dpt"), "LayerNorm"),
    **dict.fromkeys(("alexnet", "zfnet"), "LocalResponseNorm"),
    **dict.fromkeys(("vgg", "unet"), "[]"),
    "igpt": "RMSNorm",
}
ACTS = {
    **dict.fromkeys(("vit", "mixer", "pit", "swin", "t2t", "nfnet"), "GELU"),
    **dict.fromkeys(("mobilenet",), "ReLU6"),
    "lenet": "Tanh",
    "efficientnet": "SiLU",
    "igpt": "QuickGELU",
}


def of(name: str, table: dict[str, str], usual: str) -> str:
    return next((op for start, op in table.items() if name.startswith(start)), usual)


def ops(graph: archspec.Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


@pytest.mark.parametrize("name", one_of_each())
def test_takes_another_norm(name: str) -> None:
    op = of(name, NORMS, "BatchNorm")
    if not op:
        with pytest.raises(archspec.SpecError, match="has no argument `norm`"):
            archspec.read(name, norm=archspec.parse_value("GroupNorm(1)"))
        return
    layer = {"LayerNorm": "RMSNorm", "RMSNorm": "LayerNorm"}.get(op, "GroupNorm(1)")
    stands = layer.partition("(")[0]
    usual, other = shipped(name), archspec.read(name, norm=archspec.parse_value(layer))
    if op == "[]":
        assert ops(other).count(stands) == ops(usual).count("Conv") - (name.startswith("unet"))
        return
    assert ops(usual).count(op) > 0 and op not in ops(other)
    assert ops(other) == [stands if found == op else found for found in ops(usual)]
    # What is no weight of a norm keeps its name.
    norms = {node.name for node in usual.nodes if type(node.op).__name__ == op}
    kept = [key for key in usual.weights if key.rpartition(".")[0] not in norms]
    assert kept == [key for key in other.weights if key.rpartition(".")[0] not in norms]
    without = archspec.read(name, norm=[])
    assert list(without.weights) == kept


@pytest.mark.parametrize("name", one_of_each())
def test_takes_another_activation(name: str) -> None:
    op = of(name, ACTS, "ReLU")
    usual, other = shipped(name), archspec.read(name, act=archspec.parse_value("Mish"))
    if op == "QuickGELU":  # a block
        assert ops(other).count("Mish") == ops(usual).count("Sigmoid") > 0
        return
    assert ops(usual).count(op) > 0
    assert ops(other) == ["Mish" if found == op else found for found in ops(usual)]
    assert list(other.weights) == list(usual.weights)


def kinds(name: str, path: Path) -> set[tuple[str, ...]]:
    """What of the zoo a network has: families, blocks, ops, their options and initialisations."""
    graph = shipped(name)
    found: set[tuple[str, ...]] = {("block", str(scope.block)) for scope in graph.scopes[1:]}
    found |= {("family", family) for family in re.findall(r"^from families\.(\w+)", path.read_text(), re.M)}
    found |= {("initialisation", type(weight.init).__name__) for weight in graph.weights.values()}
    for op in {node.op for node in graph.nodes}:
        found.add(("op", type(op).__name__))
        found |= {
            ("option", type(op).__name__, field, str(value))
            for field in type(op).model_fields
            if isinstance(value := getattr(op, field), bool | str)
        }
    return found


@pytest.mark.slow
def test_the_networks_that_stand_for_all_have_whatever_a_network_has() -> None:
    has = {name: kinds(name, path) for name, path in shipped_names()}
    assert set(has) >= KINDS
    assert set().union(*has.values()) - set().union(*(has[name] for name in KINDS)) == set()
    assert len(KINDS) < len(NAMES) / 3
