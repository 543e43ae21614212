"""How the specs of the zoo start: loaded weights against closed forms that are written here, each with its source.

The forms were compared with the references, built and drawn, when this was written: torchvision 0.28 and timm 1.0.
"""

import math
import re
from collections.abc import Callable
from math import prod, sqrt

import pytest
import torch

import archspec

Form = Callable[[tuple[int, ...]], tuple[float, float]]  # mean and standard deviation, by shape


def fan_in(shape: tuple[int, ...]) -> int:
    return shape[1] * prod(shape[2:])


def fan_out(shape: tuple[int, ...]) -> int:
    return shape[0] * prod(shape[2:])


def exactly(value: float) -> Form:
    return lambda shape: (value, 0.0)


def normal(std: float) -> Form:
    return lambda shape: (0.0, std)


def he_in(shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.0, sqrt(2 / fan_in(shape))


def he_out(shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.0, sqrt(2 / fan_out(shape))


def depthwise(shape: tuple[int, ...]) -> tuple[float, float]:
    """He's form where each output channel is connected to one window."""
    return 0.0, sqrt(2 / prod(shape[2:]))


def lecun(shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.0, 1 / sqrt(fan_in(shape))


def glorot(shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.0, sqrt(2 / (fan_in(shape) + fan_out(shape)))


def pytorch(shape: tuple[int, ...]) -> tuple[float, float]:
    """U(-1, 1) / sqrt(fan_in): what PyTorch gives the weights of Linear and Conv."""
    return 0.0, 1 / sqrt(3 * fan_in(shape))


def bias_of(inputs: int) -> Form:
    """What PyTorch gives the bias of a layer with so many inputs."""
    return lambda shape: (0.0, 1 / sqrt(3 * inputs))


def by_classes(shape: tuple[int, ...]) -> tuple[float, float]:
    """U(-1, 1) / sqrt(fan_out)."""
    return 0.0, 1 / sqrt(3 * fan_out(shape))


NORMS = [(r".*(bn|norm)\w*\.weight|.*downsample\.1\.weight", exactly(1)), (r".*(bn|norm)\w*\.bias|.*downsample\.1\.bias", exactly(0))]  # fmt: skip
# EfficientNet's and MnasNet's code [github.com/tensorflow/tpu], and timm's `_init_weight_goog`.
GOOGLE = [
    (r".*conv_dw\.weight|blocks\.0\.0\.conv_dw\.weight", depthwise),
    (r".*conv\w*\.weight", he_out),
    (r".*conv_(reduce|expand)\.bias", exactly(0)),
    (r"classifier\.weight", by_classes),
    (r"classifier\.bias", exactly(0)),
]
# torchvision's `ResNet.__init__`: He's normal form by fan_out; a Linear as PyTorch has it.
RESNET = [
    (r".*conv\d\.weight|.*downsample\.0\.weight", he_out),
    (r"fc\.weight", pytorch),
    (r"fc\.bias", bias_of(2048)),
]
# Dosovitskiy et al., and timm's `init_weights_vit_timm`; Liu et al., and timm's Swin.
TOKENS = [
    (r"pos_embed", normal(0.02)),
    (r"cls_token", normal(1e-6)),
    (r".*(qkv|proj|fc1|fc2|head)\.weight|.*table", normal(0.02)),
]

# Of the first form whose expression fits a weight's name, mean and deviation.
STARTS: dict[str, list[tuple[str, Form]]] = {
    "resnet50": [*NORMS, *RESNET],
    "resnext50_32x4d": [*NORMS, *RESNET],
    "wide_resnet50_2": [*NORMS, *RESNET],
    # timm's `SENet`: He's form for every convolution, biases as PyTorch has them.
    "seresnet50": [
        *NORMS,
        (r".*conv\d\.weight|.*downsample\.0\.weight|.*fc\d\.weight", he_out),
        (r".*layer1.*fc1\.bias", bias_of(256)), (r".*layer2.*fc1\.bias", bias_of(512)),
        (r".*layer3.*fc1\.bias", bias_of(1024)), (r".*layer4.*fc1\.bias", bias_of(2048)),
        (r".*layer1.*fc2\.bias", bias_of(16)), (r".*layer2.*fc2\.bias", bias_of(32)),
        (r".*layer3.*fc2\.bias", bias_of(64)), (r".*layer4.*fc2\.bias", bias_of(128)),
        (r"last_linear\.weight", pytorch), (r"last_linear\.bias", bias_of(2048)),
    ],
    # torchvision's `DenseNet.__init__`.
    "densenet121": [*NORMS, (r".*conv\d\.weight|.*conv\.weight", he_in), (r"classifier\.weight", pytorch), (r"classifier\.bias", exactly(0))],
    # torchvision's `VGG.__init__`.
    "vgg11": [(r"features.*weight", he_out), (r"classifier.*weight", normal(0.01)), (r".*bias", exactly(0))],
    # Krizhevsky et al., Section 5: N(0, 0.01); the biases of some layers are 1.
    "alexnet": [(r".*weight", normal(0.01)), (r".*(conv[245]|fc[67])\.bias", exactly(1)), (r".*bias", exactly(0))],
    "mobilenet_v1": [*NORMS, *GOOGLE],
    "mobilenet_v2": [*NORMS, *GOOGLE],
    "mnasnet_a1": [*NORMS, *GOOGLE],
    "efficientnet_b0": [*NORMS, *GOOGLE],
    # timm's `MlpMixer` with its default scheme, `_init_weights`.
    "mixer_s16": [
        *NORMS, (r"stem\.proj\.weight", lecun), (r"stem\.proj\.bias", exactly(0)),
        (r".*fc\d\.weight", glorot), (r".*fc\d\.bias", normal(1e-6)), (r"head\..*", exactly(0)),
    ],
    # Brock et al.'s code [github.com/google-deepmind]: variance 1 / fan_in; each branch's gain 0, the head N(0, 0.01).
    "nfnet_f0": [
        (r".*skipinit_gain", exactly(0)), (r".*gain", exactly(1)), (r"head\.fc\.weight", normal(0.01)),
        (r".*bias", exactly(0)), (r".*weight", lecun),
    ],
    # timm's HaloNet, of which every block starts as its shortcut: the last norm is 0.
    "halonet_h1": [
        (r"stages.*conv3_1x1\.bn\.weight", exactly(0)), *NORMS, (r".*post_attn\.weight", exactly(1)), (r".*post_attn\.bias", exactly(0)),
        (r".*conv\.weight", he_out), (r".*self_attn\.(q|kv)\.weight|.*_rel", lambda shape: (0.0, shape[1] ** -0.5)),
        (r"head\.fc\.weight", normal(0.01)), (r"head\.fc\.bias", exactly(0)),
    ],
    "vit_ti16": [*NORMS, (r"patch_embed\.proj\.weight", pytorch), (r"patch_embed\.proj\.bias", bias_of(768)), *TOKENS, (r".*bias", exactly(0))],
    "swin_t": [
        *NORMS, (r"patch_embed\.proj\.weight", pytorch), (r"patch_embed\.proj\.bias", bias_of(48)), *TOKENS,
        (r".*(reduction|fc)\.weight", normal(0.02)), (r".*bias", exactly(0)),
    ],
    # He et al. [2015], as the papers say: by fan-out, which is that of their code. A last layer as PyTorch has it.
    "resnet20_cifar": [*NORMS, (r".*conv\w*\.weight|.*downsample\.0\.weight", he_out), (r"fc\.weight", pytorch), (r"fc\.bias", bias_of(64))],
    "preact_resnet50": [*NORMS, (r".*conv\w*\.weight", he_out), (r"head\.fc\.weight", pytorch), (r"head\.fc\.bias", bias_of(2048))],
    "shake_shake26_2x32d_cifar": [*NORMS, (r".*conv\w*\.weight", he_out), (r"fc\.weight", pytorch), (r"fc\.bias", bias_of(128))],
    # timm's `Xception.__init__`, separable convolutions too.
    "xception": [
        (r".*(conv\d|pointwise|skip)\.weight", he_out), (r"fc\.weight", pytorch), (r"fc\.bias", bias_of(2048)),
        (r".*bias", exactly(0)), (r".*weight", exactly(1)),
    ],
    # torchvision's with `init_weights=True`: normal, truncated at two, which is far.
    "inception_v3": [*NORMS, (r".*conv\.weight|fc\.weight", normal(0.1)), (r"fc\.bias", bias_of(2048))],
    "googlenet": [*NORMS, (r".*conv\.weight|fc\.weight", normal(0.01)), (r"fc\.bias", bias_of(1024))],
    # Touvron et al.'s DeiT, whose training Heo et al. follow.
    "pit_ti": [
        *NORMS, (r"patch_embed\.conv\.weight|.*pool\.conv\.weight", pytorch), (r"patch_embed\.conv\.bias", bias_of(768)),
        (r".*pool\.conv\.bias", bias_of(9)), *TOKENS[:1], *TOKENS[2:], (r"cls_token|.*pool\.fc\.weight", normal(0.02)), (r".*bias", exactly(0)),
    ],
    # Yuan et al.'s code [github.com/yitu-opensource/T2T-ViT], `_init_weights`.
    "t2t_vit_14": [*NORMS, (r"cls_token|.*weight", normal(0.02)), (r".*bias", exactly(0))],
    # Vaswani et al.'s code [github.com/tensorflow/tensor2tensor], and torch.nn.Transformer's `_reset_parameters`.
    "transformer_base": [
        *NORMS, (r".*(in_proj_|out_proj\.|linear\d\.)weight", glorot), (r".*(in_proj_|out_proj\.)bias", exactly(0)),
        (r".*linear1\.bias", bias_of(512)), (r".*linear2\.bias", bias_of(2048)), (r"embed.*", normal(512**-0.5)),
    ],
    # Chen et al.'s code [github.com/openai/image-gpt]: N(0, 0.02), positions N(0, 0.01).
    "igpt_s": [(r".*ln_\w+\.weight", exactly(1)), (r".*bias", exactly(0)), (r"wpe", normal(0.01)), (r".*(weight|sos)", normal(0.02))],
}  # fmt: skip


def expected(name: str, key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    for pattern, form in STARTS[name]:
        if re.fullmatch(pattern, key):
            return form(shape)
    raise AssertionError(f"nothing here says how {key} of {name} starts")


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_a_loaded_spec_starts_as_its_reference(name: str) -> None:
    net = archspec.load(name, seed=0)
    wrong = []
    for key, weight in net.named_parameters():
        values = weight.detach().double()
        mean, std = expected(name, key, tuple(weight.shape))
        error = 6 * std / math.sqrt(values.numel()) + 1e-9
        found = float(values.mean()), float(values.std(correction=0))
        if abs(found[0] - mean) > error or abs(found[1] - std) > error:
            wrong.append((key, found, (mean, std)))
    assert wrong == []


@pytest.mark.slow
def test_a_wrong_form_is_found() -> None:
    key, shape = "conv1.weight", (64, 3, 7, 7)
    drawn = torch.empty(shape).normal_(0, he_in(shape)[1], generator=torch.Generator().manual_seed(0))
    assert abs(float(drawn.std()) - expected("resnet50", key, shape)[1]) > 6 * he_in(shape)[1] / sqrt(
        drawn.numel()
    )
