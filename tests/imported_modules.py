"""Small PyTorch modules whose shapes are those that are hard in large ones: what `archspec import` is tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {}


def _image(channels: int = 3, size: int = 16) -> Tensor:
    return torch.zeros(1, channels, size, size)


def case(*inputs: Tensor) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Try a class of modules on inputs like these."""

    def keep(kind: type[nn.Module]) -> type[nn.Module]:
        MODULES[kind.__name__] = (kind, inputs)
        return kind

    return keep


class _Residual(nn.Module):
    def __init__(self, taken: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(taken, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(taken, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            if stride > 1 or taken != width
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


@case(_image())
class Residuals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = nn.Sequential(_Residual(8, 8), _Residual(8, 8))
        self.layer2 = nn.Sequential(_Residual(8, 16, 2), _Residual(16, 16), _Residual(16, 16))
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class _Growth(nn.Module):
    def __init__(self, taken: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(taken)
        self.conv = nn.Conv2d(taken, 4, 3, padding=1)

    def forward(self, states: list[Tensor]) -> Tensor:
        return self.conv(functional.relu(self.norm(torch.cat(states, 1))))


class _Dense(nn.ModuleDict):
    def __init__(self, taken: int, layers: int) -> None:
        super().__init__({f"layer{i + 1}": _Growth(taken + 4 * i) for i in range(layers)})

    def forward(self, x: Tensor) -> Tensor:
        states = [x]
        for layer in self.values():
            states.append(layer(states))
        return torch.cat(states, 1)


@case(_image())
class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = _Dense(3, 3), _Dense(15, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(functional.avg_pool2d(self.one(x), 2))


class _Excite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = (
            nn.Conv2d(channels, channels // 4, 1),
            nn.Conv2d(channels // 4, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(
            self.expand(functional.silu(self.reduce(functional.adaptive_avg_pool2d(x, 1))))
        )


class _Inverted(nn.Module):
    def __init__(self, taken: int, out: int, stride: int, kernel: int) -> None:
        super().__init__()
        self.has_skip = stride == 1 and taken == out
        self.wide = nn.Sequential(
            nn.Conv2d(taken, 4 * taken, 1, bias=False), nn.BatchNorm2d(4 * taken), nn.Hardswish()
        )
        self.deep = nn.Conv2d(4 * taken, 4 * taken, kernel, stride, kernel // 2, groups=4 * taken)
        self.se = _Excite(4 * taken)
        self.out = nn.Conv2d(4 * taken, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(self.se(self.deep(self.wide(x))))
        return x + y if self.has_skip else y


@case(_image(8))
class Inverteds(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            _Inverted(8, 8, 1, 3), _Inverted(8, 16, 2, 5), _Inverted(16, 16, 1, 3), _Inverted(16, 16, 1, 3)
        )


class _Attention(nn.Module):
    def __init__(self, dim: int, num_heads: int, fused: bool) -> None:
        super().__init__()
        self.num_heads, self.fused = num_heads, fused
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = (
            self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        )
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            scores = (q * (c // self.num_heads) ** -0.5) @ k.transpose(-2, -1)
            y = scores.softmax(dim=-1) @ v
        return self.proj(y.transpose(1, 2).reshape(b, n, c))


class _Layer(nn.Module):
    def __init__(self, dim: int, num_heads: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn = _Attention(dim, num_heads, fused)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-5))
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gamma * self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Tokens(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 16))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 16) * 0.02)
        self.blocks = nn.ModuleList([_Layer(16, 2, fused) for _ in range(3)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


@case(_image())
class Tokens(_Tokens):
    def __init__(self) -> None:
        super().__init__(True)


@case(_image())
class TokensByHand(_Tokens):
    def __init__(self) -> None:
        super().__init__(False)


class _Window(nn.Module):
    def __init__(self, dim: int, shift: int) -> None:
        super().__init__()
        self.shift, self.window = shift, 4
        self.norm, self.qkv = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim)
        self.table = nn.Parameter(torch.randn(49, 2) * 0.02)
        places = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + 3
        self.register_buffer("index", apart[:, :, 0] * 7 + apart[:, :, 1], persistent=False)
        if shift:
            regions = torch.zeros(1, 8, 8, 1)
            count = 0
            for rows in (slice(0, -4), slice(-4, -2), slice(-2, None)):
                for columns in (slice(0, -4), slice(-4, -2), slice(-2, None)):
                    regions[:, rows, columns] = count
                    count += 1
            flat = regions.view(1, 2, 4, 2, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16)
            mask = (flat[:, None] != flat[:, :, None]).float() * -100.0
            self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        y = self.norm(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        q, k, v = self.qkv(y).reshape(-1, 16, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (c // 2) ** -0.5) @ k.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(16, 16, -1).permute(2, 0, 1).unsqueeze(0)
        if self.shift:
            scores = scores.view(-1, 4, 2, 16, 16) + self.mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, 2, 16, 16)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, c)
        y = y.view(b, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + y


@case(torch.zeros(1, 8, 8, 6))
class Windows(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(_Window(6, 0), _Window(6, 2), _Window(6, 0), _Window(6, 2))


class _ChannelNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


@case(_image())
class NormOfChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 7, padding=3), _ChannelNorm(6)
        self.scale = nn.Parameter(torch.ones(6, 1, 1) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.scale


@case(_image())
class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.twice(self.twice(self.stem(x)))


@case(_image())
class Upwards(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)])
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = functional.relu(self.down[0](x))
        two = functional.relu(self.down[1](functional.max_pool2d(one, 2)))
        joined = torch.cat([one, self.up(two)], 1)
        return functional.interpolate(self.out(joined), scale_factor=2, mode="bilinear", align_corners=False)


class _Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = functional.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None, training=True, momentum=0.0, eps=1e-6
        ).reshape_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@case(_image())
class Standardised(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(_Standardised(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.PReLU(8), nn.Flatten())


@case(torch.zeros(1, 5, 8), torch.zeros(1, 7, 8))
class Crossed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(8, 8, bias=False), nn.Linear(8, 16)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self.kv(memory).chunk(2, dim=-1)
        scores = torch.einsum("bnd,bmd->bnm", self.q(x), k)
        return scores.softmax(-1) @ v, scores.amax(-1)


@case(torch.zeros(1, 9, dtype=torch.int64))
class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(20, 8), nn.LayerNorm(8)
        self.register_buffer("positions", torch.randn(1, 9, 8))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.positions
        gate, value = self.norm(x).chunk(2, -1)
        return (functional.silu(gate) * value).mean(1)


@case(torch.zeros(1, 3, 20))
class Signal(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv1d(3, 6, 5, 2), nn.BatchNorm1d(6), nn.LeakyReLU(0.2), nn.AvgPool1d(2), nn.Flatten(1)
        )


@case(torch.zeros(1, 2, 6, 6, 6))
class Volume(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ELU(), nn.MaxPool3d(2), nn.Conv3d(4, 2, 1)
        )


@case(_image(4, 7))
class PaddedLikeTensorFlow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (1, 1, 1, 1)))


@case(_image(8, 4))
class Shuffled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        return functional.pixel_shuffle(x, 2)[:, :, 1:, ::2] - x.mean(dim=1, keepdim=True).amax(
            (2, 3), keepdim=True
        )


@case(torch.zeros(1, 4, 6))
class Arithmetic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        return torch.where(y > 0, y, 0.1 * y) + (1 - y).abs().clamp(min=0.5) / 3


@case(_image(3, 8))
class Inner(nn.Module):
    """A wrapper around a wrapper."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 4, 1))
        )
        self.body.add_module("last", nn.Conv2d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@case(torch.zeros(1, 6, 8))
class Repeats(nn.Module):
    """The same steps again and again in one method, without a class for them."""

    def __init__(self) -> None:
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        for fc, norm in zip(self.fcs, self.norms, strict=True):
            x = x + fc(norm(x))
        return x


@case(_image(4, 8))
class Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(4, 4, k, padding=k // 2, groups=4) for k in (1, 3, 5)])

    def forward(self, x: Tensor) -> Tensor:
        y = sum(branch(x) for branch in self.branches)
        return torch.cat(torch.split(y, [1, 3], dim=1)[::-1], dim=1)


@case(torch.zeros(1, 10, 6))
class Positions(nn.Module):
    """Angles that are computed in every pass."""

    def forward(self, x: Tensor) -> Tensor:
        rates = 10000.0 ** (-torch.arange(0, 6, 2) / 6)
        angles = torch.arange(10)[:, None] * rates[None]
        return x + torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@case(torch.zeros(1, 5, 8), torch.zeros(1, 6, 8))
class Translation(nn.Module):
    """PyTorch's own layers of attention, with the batch along the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False
        )
        self.cross = nn.MultiheadAttention(8, 4)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        memory = self.encoder(x.transpose(0, 1))
        queries = y.transpose(0, 1)
        return {
            "found": self.cross(queries, memory, memory)[0].transpose(0, 1),
            "memory": memory.transpose(0, 1),
        }


@case(torch.zeros(1, 5, 5))
class Causal(nn.Module):
    """Scores that are masked with minus infinity."""

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(5, 5).triu(1).bool()
        return x.masked_fill(later, float("-inf")).softmax(-1)


@case(torch.zeros(1, 7, 5))
class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(12, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, (last, _) = self.lstm(x)
        return self.gru(y.transpose(0, 1))[0].transpose(0, 1), last.transpose(0, 1)


def built(name: str) -> tuple[nn.Module, Any]:
    """A module of that name, with weights from a seed, and its inputs."""
    torch.manual_seed(0)
    make, inputs = MODULES[name]
    return make().eval(), inputs
