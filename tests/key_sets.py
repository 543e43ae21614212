"""What other code calls the weights of nets of the zoo, with their shapes: what maps of names are held to.

`key_sets.json.gz` holds what the state_dicts of models are that other code makes: torchvision, timm, transformers and pretrainedmodels, and the authors'
repositories apple/ml-mobileone, DingXiaoH/RepVGG and facebookresearch/detr. `python tests/key_sets.py MODEL...` counts them anew, or all, where these can be imported.
What no package has any more is listed below as the code that wrote it names it.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from checkpoints import reference_shapes

FILE = Path(__file__).with_suffix(".json.gz")

Sizes = tuple[int, ...]
Shapes = dict[str, Sizes]


class KeySet(NamedTuple):
    """A spec, a title of its names, and the keys that these names are for, with the shapes of what they hold.

    `deployed` is whether it is the net whose branches are merged.
    """

    spec: str
    title: str
    shapes: Shapes
    deployed: bool = False


RECORDED = (
    ("vgg16", "timm", "timm:vgg16"),
    ("vgg16_bn", "timm", "timm:vgg16_bn"),
    ("mobilenet_v2", "torchvision", "torchvision:mobilenet_v2"),
    ("efficientnet_b0", "torchvision", "torchvision:efficientnet_b0"),
    ("efficientnet_b7", "torchvision", "torchvision:efficientnet_b7"),
    ("mnasnet_b1", "torchvision", "torchvision:mnasnet1_0"),
    ("vit_b16", "torchvision", "torchvision:vit_b_16"),
    ("vit_l16", "torchvision", "torchvision:vit_l_16"),
    ("swin_t", "torchvision", "torchvision:swin_t"),
    ("swin_b", "torchvision", "torchvision:swin_b"),
    ("vit_b16", "transformers", "transformers:vit"),
    ("swin_t", "transformers", "transformers:swin"),
    ("resnet50", "transformers", "transformers:resnet50"),
    ("resnet18", "transformers", "transformers:resnet18"),
    ("detr_resnet50", "transformers", "transformers:detr"),
    ("dpt_vit_b16", "transformers", "transformers:dpt"),
    ("bit_resnet152x4", "transformers", "transformers:bit"),
    ("bn_inception", "pretrainedmodels", "pretrainedmodels:bninception"),
    ("dpn92", "pretrainedmodels", "pretrainedmodels:dpn92"),
    ("xception", "pretrainedmodels", "pretrainedmodels:xception"),
    ("inception_resnet_v2", "pretrainedmodels", "pretrainedmodels:inceptionresnetv2"),
    ("mobileone_s0", "the authors' code", "mobileone:s0"),
    ("mobileone_s4", "the authors' code", "mobileone:s4"),
    ("repvgg_a0", "the authors' code", "repvgg:RepVGG-A0"),
    ("repvgg_b1g4", "the authors' code", "repvgg:RepVGG-B1g4"),
)
"""Specs, titles of their names, and the models whose keys these are."""

DEPLOYED = (
    ("mobileone_s0", "the authors' code", "mobileone:s0 deployed"),
    ("repvgg_a0", "the authors' code", "repvgg:RepVGG-A0 deployed"),
)
"""The same, of nets whose branches are merged."""

ALIKE = (
    ("inception_v4", "pretrainedmodels:inceptionv4"),
    ("nasnet_a_large", "pretrainedmodels:nasnetalarge"),
    ("pnasnet5_large", "pretrainedmodels:pnasnet5large"),
    ("senet154", "pretrainedmodels:senet154"),
    ("seresnet50", "pretrainedmodels:se_resnet50"),
    ("inception_v3", "timm:inception_v3"),
    ("bit_resnet152x4", "timm:resnetv2_152x4_bit"),
    ("detr_resnet50", "detr:detr_resnet50"),
)
"""Specs, and models of other code with the same keys, which need no names."""

OWN = ("timm:pit_b_224", "torchvision:densenet121", "torchvision:resnet50")
"""Models that specs are named like, of which other files are called otherwise."""


@cache
def recorded() -> dict[str, Shapes]:
    """The state_dicts that were recorded, by the model."""
    found = json.loads(gzip.decompress(FILE.read_bytes()))
    return {model: {key: tuple(shape) for key, shape in shapes.items()} for model, shapes in found.items()}


def key_sets() -> Iterator[KeySet]:
    """All of them."""
    for spec, title, reference in RECORDED:
        yield KeySet(spec, title, recorded()[reference])
    for spec, title, reference in DEPLOYED:
        yield KeySet(spec, title, recorded()[reference], deployed=True)
    yield KeySet("densenet121", "torchvision, published files", published_densenet("torchvision:densenet121"))
    for spec, dim, layers, heads, patch in (
        ("vit_ti16", 192, 12, 3, 16),
        ("vit_b16", 768, 12, 12, 16),
        ("vit_b32", 768, 12, 12, 32),
        ("vit_h14", 1280, 32, 16, 14),
    ):
        yield KeySet(spec, "the authors' files, npz", flax_vit(dim, layers, heads, patch))
    yield KeySet("mixer_b16", "the authors' files, npz", flax_mixer(768, 12, 384, 3072, 16, 196))
    yield KeySet("mixer_s16", "the authors' files, npz", flax_mixer(512, 8, 256, 2048, 16, 196))
    yield KeySet("bit_resnet152x4", "BiT's files, npz", flax_bit([3, 8, 36, 3], 4))
    for spec, depth in (("nfnet_f0", 1), ("nfnet_f2", 3)):
        yield KeySet(spec, "the authors' files, flattened", haiku_nfnet(depth))
    yield KeySet("swin_t", "the authors' code", swin(96, [2, 2, 6, 2], [3, 6, 12, 24]))
    yield KeySet("swin_b", "the authors' code", swin(128, [2, 2, 18, 2], [4, 8, 16, 32]))
    for spec, width, depth in (("efficientnet_b0", 1.0, 1.0), ("efficientnet_b4", 1.4, 1.8)):
        title = "EfficientNet-PyTorch, with TensorFlow's padding"
        yield KeySet(spec, title, efficientnet_pytorch(width, depth))
    yield KeySet("resnet50", "detectron2", detectron2(recorded()["torchvision:resnet50"]))
    yield KeySet("pit_b", "the authors' code", pit(recorded()["timm:pit_b_224"]))


# ------------------------------------------------------------------ what wrote files


def published_densenet(model: str) -> Shapes:
    """The files of before torchvision 0.2: norms and convolutions of a layer were called `norm.1`, and norms counted no batches."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): shape
        for key, shape in recorded()[model].items()
        if not key.endswith("num_batches_tracked")
    }


def dense(name: str, inside: Sizes, outside: Sizes) -> Shapes:
    """A layer of flax: a kernel from axes to axes, and a bias."""
    return {f"{name}/kernel": inside + outside, f"{name}/bias": outside}


def norm(name: str, size: int) -> Shapes:
    """A layer norm of flax."""
    return {f"{name}/scale": (size,), f"{name}/bias": (size,)}


def flax_vit(
    dim: int, layers: int, heads: int, patch: int, classes: int = 1000, resolution: int = 224
) -> Shapes:
    """google-research/vision_transformer: a layer numbers its parts as they come, norms, attention and MLP together."""
    found = {
        "cls": (1, 1, dim),
        **dense("embedding", (patch, patch, 3), (dim,)),
        **dense("head", (dim,), (classes,)),
    }
    found["Transformer/posembed_input/pos_embedding"] = (1, 1 + (resolution // patch) ** 2, dim)
    for i in range(layers):
        layer = f"Transformer/encoderblock_{i}"
        attention = f"{layer}/MultiHeadDotProductAttention_1"
        found |= norm(f"{layer}/LayerNorm_0", dim) | norm(f"{layer}/LayerNorm_2", dim)
        for name in ("query", "key", "value"):
            found |= dense(f"{attention}/{name}", (dim,), (heads, dim // heads))
        found |= dense(f"{attention}/out", (heads, dim // heads), (dim,))
        found |= dense(f"{layer}/MlpBlock_3/Dense_0", (dim,), (4 * dim,))
        found |= dense(f"{layer}/MlpBlock_3/Dense_1", (4 * dim,), (dim,))
    return found | norm("Transformer/encoder_norm", dim)


def flax_mixer(dim: int, layers: int, tokens: int, channels: int, patch: int, places: int) -> Shapes:
    """google-research/vision_transformer, models_mixer."""
    found = (
        dense("stem", (patch, patch, 3), (dim,))
        | norm("pre_head_layer_norm", dim)
        | dense("head", (dim,), (1000,))
    )
    for i in range(layers):
        for k, (name, wide, hidden) in enumerate(
            (("token_mixing", places, tokens), ("channel_mixing", dim, channels))
        ):
            found |= norm(f"MixerBlock_{i}/LayerNorm_{k}", dim)
            found |= dense(f"MixerBlock_{i}/{name}/Dense_0", (wide,), (hidden,))
            found |= dense(f"MixerBlock_{i}/{name}/Dense_1", (hidden,), (wide,))
    return found


def flax_bit(depths: list[int], factor: int) -> Shapes:
    """google-research/big_transfer: three units `a`, `b` and `c` in each block, whose norms come before convolutions."""
    width = 64 * factor
    found = {"resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, width)}
    before = width
    for i, depth in enumerate(depths):
        inner = width * 2**i
        for j in range(depth):
            block = f"resnet/block{i + 1}/unit{j + 1:02d}"
            for unit, size, came, went in (
                ("a", 1, before, inner),
                ("b", 3, inner, inner),
                ("c", 1, inner, 4 * inner),
            ):
                found[f"{block}/{unit}/standardized_conv2d/kernel"] = (size, size, came, went)
                found |= {f"{block}/{unit}/group_norm/{name}": (came,) for name in ("gamma", "beta")}
            if j == 0:
                found[f"{block}/a/proj/standardized_conv2d/kernel"] = (1, 1, before, 4 * inner)
            before = 4 * inner
    found |= {f"resnet/group_norm/{name}": (before,) for name in ("gamma", "beta")}
    return found | {"resnet/head/conv2d/kernel": (1, 1, before, 1000), "resnet/head/conv2d/bias": (1000,)}


def haiku_nfnet(depth: int) -> Shapes:
    """deepmind-research/nfnets, flattened as its `flatten_haiku_tree` does: only the first block has no number."""

    def convolution(name: str, size: int, before: int, after: int) -> None:
        found[f"NFNet.{name}.w"] = (size, size, before, after)
        found.update({f"NFNet.{name}.{key}": (after,) for key in ("gain", "bias")})

    found: Shapes = {}
    before = 3
    for i, width in enumerate((16, 32, 64, 128)):
        convolution(f"stem_conv{i}", 3, before, width)
        before = width
    count = 0
    for stage, (blocks, width) in enumerate(((1, 256), (2, 512), (6, 1536), (3, 1536))):
        for i in range(blocks * depth):
            block, hidden = f"nf_block_{count}" if count else "nf_block", width // 2
            convolution(f"{block}.conv0", 1, before, hidden)
            convolution(f"{block}.conv1", 3, 128, hidden)
            convolution(f"{block}.conv1b", 3, 128, hidden)
            convolution(f"{block}.conv2", 1, hidden, width)
            if before != width or (stage > 0 and i == 0):
                convolution(f"{block}.conv_shortcut", 1, before, width)
            for name in ("linear", "linear_1"):
                sizes = (width, hidden) if name == "linear" else (hidden, width)
                found[f"NFNet.{block}.squeeze_excite.{name}.w"] = sizes
                found[f"NFNet.{block}.squeeze_excite.{name}.b"] = sizes[1:]
            found[f"NFNet.{block}.skip_gain"] = ()
            before, count = width, count + 1
    convolution("final_conv", 1, before, 2 * before)
    return {**found, "NFNet.linear.w": (2 * before, 1000), "NFNet.linear.b": (1000,)}


def layer(name: str, *weight: int, bias: bool = True) -> Shapes:
    """A layer of PyTorch with a weight, and a bias for each of its outputs."""
    return {f"{name}.weight": weight, **({f"{name}.bias": weight[:1]} if bias else {})}


def batch_norm(name: str, size: int) -> Shapes:
    """A batch norm of PyTorch."""
    values = {f"{name}.{key}": (size,) for key in ("weight", "bias", "running_mean", "running_var")}
    return {**values, f"{name}.num_batches_tracked": ()}


def swin(dim: int, layers: list[int], heads: list[int], window: int = 7, resolution: int = 224) -> Shapes:
    """microsoft/Swin-Transformer: stages end with the merging of patches, and tables that follow from the window are saved."""
    found = layer("patch_embed.proj", dim, 3, 4, 4) | layer("patch_embed.norm", dim)
    for i, (depth, head) in enumerate(zip(layers, heads, strict=True)):
        wide, side = dim * 2**i, resolution // 4 // 2**i
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            found |= layer(f"{block}.norm1", wide) | layer(f"{block}.norm2", wide)
            found[f"{block}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, head)
            found[f"{block}.attn.relative_position_index"] = (window**2, window**2)
            if j % 2 and side > window:
                found[f"{block}.attn_mask"] = ((side // window) ** 2, window**2, window**2)
            found |= layer(f"{block}.attn.qkv", 3 * wide, wide) | layer(f"{block}.attn.proj", wide, wide)
            found |= layer(f"{block}.mlp.fc1", 4 * wide, wide) | layer(f"{block}.mlp.fc2", wide, 4 * wide)
        if i < len(layers) - 1:
            found |= layer(f"layers.{i}.downsample.reduction", 2 * wide, 4 * wide, bias=False)
            found |= layer(f"layers.{i}.downsample.norm", 4 * wide)
    wide = dim * 2 ** (len(layers) - 1)
    return found | layer("norm", wide) | layer("head", 1000, wide)


def efficientnet_pytorch(width: float, depth: float) -> Shapes:
    """lukemelas/EfficientNet-PyTorch: blocks are counted through, and the expanding convolution's norm is `_bn0`."""

    def rounded(channels: int) -> int:
        scaled = channels * width
        nearest = max(8, int(scaled + 4) // 8 * 8)
        return nearest + 8 if nearest < 0.9 * scaled else nearest

    before, count = rounded(32), 0
    found = layer("_conv_stem", before, 3, 3, 3, bias=False) | batch_norm("_bn0", before)
    for kernel, repeats, expand, out in (
        (3, 1, 1, 16), (3, 2, 6, 24), (5, 2, 6, 40), (3, 3, 6, 80), (5, 3, 6, 112), (5, 4, 6, 192), (3, 1, 6, 320),
    ):  # fmt: skip
        for _ in range(ceil(repeats * depth)):
            block, hidden, squeezed = f"_blocks.{count}", before * expand, max(1, before // 4)
            if expand > 1:
                found |= layer(f"{block}._expand_conv", hidden, before, 1, 1, bias=False) | batch_norm(
                    f"{block}._bn0", hidden
                )
            found |= layer(f"{block}._depthwise_conv", hidden, 1, kernel, kernel, bias=False)
            found |= batch_norm(f"{block}._bn1", hidden)
            found |= layer(f"{block}._se_reduce", squeezed, hidden, 1, 1) | layer(
                f"{block}._se_expand", hidden, squeezed, 1, 1
            )
            before, count = rounded(out), count + 1
            found |= layer(f"{block}._project_conv", before, hidden, 1, 1, bias=False) | batch_norm(
                f"{block}._bn2", before
            )
    last = rounded(1280)
    found |= layer("_conv_head", last, before, 1, 1, bias=False) | batch_norm("_bn1", last)
    return found | layer("_fc", 1000, last)


def pit(shapes: Shapes) -> Shapes:
    """naver-ai/pit: the poolings between stages stand beside these."""
    return {
        re.sub(r"transformers\.(\d)\.pool\.", lambda m: f"pools.{int(m[1]) - 1}.", k): v
        for k, v in shapes.items()
    }


def detectron2(shapes: Shapes) -> Shapes:
    """detectron2, tools/convert-torchvision-to-d2.py: norms are below their convolutions, stages are the paper's."""
    found = {}
    for key, shape in shapes.items():
        key = key if key.startswith("layer") else f"stem.{key}"
        key = re.sub(r"layer(\d)", lambda match: f"res{int(match[1]) + 1}", key)
        key = re.sub(r"bn(\d)", r"conv\1.norm", key)
        key = key.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        found[key] = shape
    return found


_OF_TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vit": ("ViT", "ImageClassification", {}),
    "swin": ("Swin", "ImageClassification", {}),
    "resnet50": ("ResNet", "ImageClassification", {}),
    "resnet18": (
        "ResNet", "ImageClassification",
        {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    ),
    "dpt": ("DPT", "DepthEstimation", {"is_hybrid": False}),
    "bit": (
        "Bit", "ImageClassification",
        {"depths": [3, 8, 36, 3], "embedding_size": 256, "hidden_sizes": [1024, 2048, 4096, 8192]},
    ),
    "detr": ("Detr", "ObjectDetection", {"backbone": "resnet50", "use_timm_backbone": True, "use_pretrained_backbone": False}),
}  # fmt: skip


def transformers_state(model: str) -> dict[str, Any]:
    """What a file holds that transformers writes, whatever its modules are called by now."""
    name, task, settings = _OF_TRANSFORMERS[model]
    folder = f"transformers.models.{name.lower()}"
    config = getattr(import_module(f"{folder}.configuration_{name.lower()}"), f"{name}Config")
    made = getattr(import_module(f"{folder}.modeling_{name.lower()}"), f"{name}For{task}")
    module = made(config(num_labels=91 if name == "Detr" else 1000, **settings))
    reverted = import_module("transformers.core_model_loading").revert_weight_conversion
    written: dict[str, Any] = {}
    for key, tensor in module.state_dict().items():  # one by one, as all at once come back sorted
        written |= reverted(module, {key: tensor})
    return written


def counted(model: str) -> Shapes:
    """What the state_dict of a model holds that other code makes."""
    import torch

    library, _, name = model.partition(":")
    name, _, deployed = name.partition(" ")
    if library in ("timm", "torchvision"):
        return reference_shapes(model)
    with torch.device("meta"):
        if library == "transformers":
            state = transformers_state(name)
        elif library == "pretrainedmodels":
            state = getattr(import_module(library), name)(num_classes=1000, pretrained=None).state_dict()
        elif library == "mobileone":
            state = import_module(library).mobileone(variant=name, inference_mode=bool(deployed)).state_dict()
        elif library == "repvgg":
            state = import_module(library).func_dict[name](deploy=bool(deployed)).state_dict()
        else:
            state = getattr(import_module("hubconf"), name)(pretrained=False).state_dict()
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def main(chosen: list[str]) -> None:
    """Count the models anew that are chosen, or all."""
    models = {*OWN, *(model for *_, model in (*RECORDED, *DEPLOYED, *ALIKE))}
    found = {model: counted(model) if model in (chosen or models) else recorded()[model] for model in models}
    FILE.write_bytes(
        gzip.compress(json.dumps(dict(sorted(found.items())), separators=(",", ":")).encode(), mtime=0)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
