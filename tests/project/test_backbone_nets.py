"""Networks built on shipped backbones compute what PyTorch computes with the same weights, by their keys."""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional

import archspec

Weights = dict[str, Tensor]


def conv(weights: Weights, key: str, x: Tensor, **settings: int) -> Tensor:
    return functional.conv2d(x, weights[f"{key}.weight"], weights.get(f"{key}.bias"), **settings)


def seeded(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def stages(weights: Weights, prefix: str, x: Tensor) -> list[Tensor]:
    """What the four stages of a ResNet-50 give, whose weights have keys that begin so."""
    net = archspec.load("resnet50", seed=0, classes=0, resolution=list(x.shape[2:])).eval()
    net.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    seen: list[Tensor] = []
    for i in range(1, 5):
        net.get_submodule(f"layer{i}").register_forward_hook(lambda m, given, out: seen.append(out.clone()))
    net(x)
    return seen


@torch.no_grad()
def test_the_feature_pyramid() -> None:
    net = archspec.load("fpn_resnet50", seed=0, resolution=[64, 96]).eval()
    weights, x = net.state_dict(), seeded(2, 3, 64, 96)
    maps = [conv(weights, f"fpn.inner_blocks.{i}.0", c) for i, c in enumerate(stages(weights, "body.", x))]
    for i in (2, 1, 0):
        maps[i] = maps[i] + functional.interpolate(maps[i + 1], size=maps[i].shape[2:], mode="nearest")
    expected = [conv(weights, f"fpn.layer_blocks.{i}.0", p, padding=1) for i, p in enumerate(maps)]
    expected.append(functional.max_pool2d(expected[-1], 1, 2))
    for name, wanted in zip(("p2", "p3", "p4", "p5", "p6"), expected, strict=True):
        torch.testing.assert_close(net(x)[name], wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_unet() -> None:
    net = archspec.load("unet", seed=0, width=4, resolution=[188, 204]).eval()
    weights, x = net.state_dict(), seeded(2, 1, 188, 204)

    def twice(key: str, y: Tensor) -> Tensor:
        return conv(weights, f"{key}.conv2", conv(weights, f"{key}.conv1", y).relu()).relu()

    kept, y = [], x
    for i in range(1, 5):
        kept.append(twice(f"down{i}", y))
        y = functional.max_pool2d(kept[-1], 2)
    y = twice("bottom", y)
    for i in range(4, 0, -1):
        y = functional.conv_transpose2d(y, weights[f"up{i}.weight"], weights[f"up{i}.bias"], stride=2)
        skip = kept[i - 1]
        top, left = ((skip.shape[a] - y.shape[a]) // 2 for a in (2, 3))
        y = torch.cat((skip[:, :, top : top + y.shape[2], left : left + y.shape[3]], y), 1)
        y = twice(f"merge{i}", y)
    torch.testing.assert_close(net(x), conv(weights, "out", y), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_fully_convolutional_net() -> None:
    net = archspec.load("fcn8s_vgg16", seed=0, resolution=64, classes=3).eval()
    weights, x = net.state_dict(), seeded(1, 3, 64, 64)
    y, pools, place = x, [], 0
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            y = conv(weights, f"features.{place}", y, padding=1).relu()
            place += 2
        y, place = functional.max_pool2d(y, 2), place + 1
        pools.append(y)
    y = conv(weights, "fc6", y, padding=3).relu()
    y = conv(weights, "score", conv(weights, "fc7", y).relu())
    for key, pool in (("2", "4"), ("4", "3")):
        widened = functional.conv_transpose2d(y, weights[f"upscore{key}.weight"], stride=2, padding=1)
        y = widened + conv(weights, f"score_pool{pool}", pools[int(pool) - 1])
    expected = functional.conv_transpose2d(y, weights["upscore8.weight"], stride=8, padding=4)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


class ProjectReadout(nn.Module):
    """DPT's: the readout token beside each of the others, projected."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.project(torch.cat((x[:, 1:], x[:, :1].expand_as(x[:, 1:])), -1))
        return result


class ResidualConvUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv2(self.conv1(x.relu()).relu()) + x
        return result


class FeatureFusion(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resConfUnit1, self.resConfUnit2 = ResidualConvUnit(channels), ResidualConvUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, finer: Tensor | None = None) -> Tensor:
        y = self.resConfUnit2(x if finer is None else x + self.resConfUnit1(finer))
        y = functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        result: Tensor = self.out_conv(y)
        return result


class DensePrediction(nn.Module):
    """DPT's head for depth, as the authors' code has it, on the tokens of four depths of a ViT."""

    def __init__(self, dim: int, widths: list[int], channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        resized = (
            lambda w: nn.ConvTranspose2d(w, w, 4, stride=4),
            lambda w: nn.ConvTranspose2d(w, w, 2, stride=2),
            lambda w: nn.Identity(),
            lambda w: nn.Conv2d(w, w, 3, stride=2, padding=1),
        )
        self.pretrained, self.scratch = nn.Module(), nn.Module()
        for i, width in enumerate(widths):
            parts = [nn.Flatten(0, 0), nn.Unflatten(2, grid), nn.Conv2d(dim, width, 1), resized[i](width)]
            post = nn.Sequential(ProjectReadout(dim), *parts)
            self.pretrained.add_module(f"act_postprocess{i + 1}", post)
            self.scratch.add_module(f"layer{i + 1}_rn", nn.Conv2d(width, channels, 3, padding=1, bias=False))
            self.scratch.add_module(f"refinenet{i + 1}", FeatureFusion(channels))
        self.scratch.output_conv = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(channels // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, tokens: list[Tensor]) -> Tensor:
        maps = []
        for i, x in enumerate(tokens, 1):
            post = self.pretrained.get_submodule(f"act_postprocess{i}")
            assert isinstance(post, nn.Sequential)
            x = post[2:](post[0](x).mT)
            maps.append(self.scratch.get_submodule(f"layer{i}_rn")(x))
        y = self.scratch.get_submodule("refinenet4")(maps[3])
        for i in (3, 2, 1):
            y = self.scratch.get_submodule(f"refinenet{i}")(y, maps[i - 1])
        result: Tensor = self.scratch.get_submodule("output_conv")(y)
        return result.squeeze(1)


@torch.no_grad()
def test_the_dense_prediction_transformer() -> None:
    sizes = {"depths": [0, 1, 3, 4], "widths": [6, 8, 12, 16], "channels": 10, "resolution": [64, 96]}
    spec = (
        "from families.dpt import DPT\nfrom families.vit import VisionTransformer\n\n"
        "vit = VisionTransformer(dim=24, layers=5, hidden=48, heads=3, classes=0)\n\nmodel Net = DPT(vit)\n"
    )
    net = archspec.load(archspec.read_text(spec, **sizes), seed=0).eval()
    weights, x = net.state_dict(), seeded(2, 3, 64, 96)
    vit_sizes = {"dim": 24, "layers": 5, "hidden": 48, "heads": 3, "classes": 0, "resolution": [64, 96]}
    vit = archspec.load("vit_b16", **vit_sizes).eval()
    vit.load_state_dict(
        {
            k.removeprefix("pretrained.model."): v
            for k, v in weights.items()
            if k.startswith("pretrained.model.")
        }
    )
    tokens: list[Tensor] = []
    for depth in (0, 1, 3, 4):
        block = vit.get_submodule(f"blocks.{depth}")
        block.register_forward_hook(lambda m, given, out: tokens.append(out.clone()))
    vit(x)
    reference = DensePrediction(24, [6, 8, 12, 16], 10, (4, 6)).eval()
    rest = {k: v for k, v in weights.items() if not k.startswith("pretrained.model.")}
    missing, unexpected = reference.load_state_dict(rest, strict=False)
    assert unexpected == []
    assert {key.rpartition(".")[0] for key in missing} == {
        f"scratch.refinenet4.resConfUnit1.conv{i}" for i in (1, 2)
    }
    expected = reference(tokens)
    assert expected.std() > 1e-4
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-6)


class Transformer(nn.Module):
    """DETR's: post-norm, with positions added to queries and keys alone."""

    def __init__(self, dim: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()

        def layer(norms: int, attentions: tuple[str, ...]) -> nn.ModuleDict:
            parts = {name: nn.MultiheadAttention(dim, heads, batch_first=True) for name in attentions}
            parts |= {"linear1": nn.Linear(dim, hidden), "linear2": nn.Linear(hidden, dim)}
            return nn.ModuleDict({**parts, **{f"norm{i + 1}": nn.LayerNorm(dim) for i in range(norms)}})

        self.encoder = nn.ModuleDict(
            {"layers": nn.ModuleList(layer(2, ("self_attn",)) for _ in range(layers))}
        )
        decoder = nn.ModuleList(layer(3, ("self_attn", "multihead_attn")) for _ in range(layers))
        self.decoder = nn.ModuleDict({"layers": decoder, "norm": nn.LayerNorm(dim)})

    def forward(self, x: Tensor, pos: Tensor, query_pos: Tensor) -> Tensor:
        for part in self.encoder["layers"]:
            x = part["norm1"](x + part["self_attn"](x + pos, x + pos, x, need_weights=False)[0])
            x = part["norm2"](x + part["linear2"](part["linear1"](x).relu()))
        y = torch.zeros_like(query_pos).expand(len(x), -1, -1)
        for part in self.decoder["layers"]:
            q = y + query_pos
            y = part["norm1"](y + part["self_attn"](q, q, y, need_weights=False)[0])
            seen = part["multihead_attn"](y + query_pos, x + pos, x, need_weights=False)[0]
            y = part["norm2"](y + seen)
            y = part["norm3"](y + part["linear2"](part["linear1"](y).relu()))
        result: Tensor = self.decoder["norm"](y)
        return result


def sines(height: int, width: int, dim: int) -> Tensor:
    """The positions of a map, as the authors compute them: [H W, dim]."""
    rates = 10000 ** (2 * torch.div(torch.arange(dim // 2), 2, rounding_mode="floor") / (dim // 2))
    halves = []
    for size in (height, width):
        angles = (torch.arange(1, size + 1) / (size + 1e-6) * 2 * pi)[:, None] / rates
        halves.append(torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), 2).flatten(1))
    rows = halves[0][:, None].expand(-1, width, -1)
    columns = halves[1][None].expand(height, -1, -1)
    return torch.cat((rows, columns), 2).flatten(0, 1)


@torch.no_grad()
def test_the_detection_transformer() -> None:
    small = {
        "dim": 32,
        "heads": 4,
        "layers": 2,
        "hidden": 48,
        "queries": 7,
        "classes": 5,
        "resolution": [64, 96],
    }
    net = archspec.load("detr_resnet50", seed=0, **small).eval()
    weights, x = net.state_dict(), seeded(2, 3, 64, 96)
    transformer = Transformer(32, 4, 48, 2).eval()
    transformer.load_state_dict(
        {k.removeprefix("transformer."): v for k, v in weights.items() if k.startswith("transformer.")}
    )
    grid = conv(weights, "input_proj", stages(weights, "backbone.0.body.", x)[-1])
    y = transformer(grid.flatten(2).mT, sines(2, 3, 32), weights["query_embed.weight"])
    logits = functional.linear(y, weights["class_embed.weight"], weights["class_embed.bias"])
    for i in range(3):
        y = functional.linear(
            y, weights[f"bbox_embed.layers.{i}.weight"], weights[f"bbox_embed.layers.{i}.bias"]
        )
        y = y.relu() if i < 2 else y.sigmoid()
    found = net(x)
    torch.testing.assert_close(found["logits"], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["boxes"], y, rtol=1e-4, atol=1e-4)
