"""More small modules that `archspec import` is tried on: weights that several places use, tables, loops, and calls in unusual forms."""

from __future__ import annotations

from typing import Any

import torch
from imported_modules import case
from torch import Tensor, nn
from torch.nn import functional


@case(torch.zeros(1, 6, dtype=torch.int64))
class TiedEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.fc = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.fc(self.embed(tokens)))


@case(torch.zeros(1, 4))
class Twins(nn.Module):
    """Two lists that hold one layer, which therefore has two keys."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.two = nn.Sequential(self.one[0], nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x))


class _Positioned(nn.Module):
    def __init__(self, positions: nn.Module) -> None:
        super().__init__()
        self.positions = positions
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.positions(x))


@case(torch.zeros(1, 6, 8, 8))
class OneLayerInManyBlocks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.blocks = nn.ModuleList(_Positioned(self.positions) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


@case(torch.zeros(1, 20, 9, 9))
class Blurred(nn.Module):
    """A fixed filter [Zhang, 2019], as timm has it."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        filt = (line[:, None] * line[None])[None, None].repeat(20, 1, 1, 1)
        self.register_buffer("filt", filt, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=20)  # type: ignore[arg-type]


@case(torch.zeros(1, 4, 7, 7))
class WeightsOfEachSample(nn.Module):
    """A convolution whose weights are mixed for each sample [Yang et al., 2019]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 6 * 4 * 9))
        self.routing = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        routes = torch.sigmoid(self.routing(x.mean((2, 3))))
        weight = torch.matmul(routes, self.weight).view(batch * 6, channels, 3, 3)
        made = functional.conv2d(
            x.reshape(1, batch * channels, height, width), weight, padding=1, groups=batch
        )
        return made.view(batch, 6, height, width)


@case(torch.zeros(1, 5, 6, 6))
class StepsOnWindows(nn.Module):
    """A convolution that makes steps, on heads in the place of samples."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Conv2d(5, 5, 3, 2, 1, groups=5)
        self.wide = nn.Conv2d(5, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        heads = torch.stack([x, -x, x * 2], 1).reshape(batch * 3, 5, 6, 6)
        pooled = self.pool(heads).reshape(batch, 3 * 5, 9)
        return torch.cat([pooled.flatten(1), self.wide(heads).reshape(batch, -1)], 1)


@case(torch.zeros(1, 5, 6, 4))
class RowsAndColumns(nn.Module):
    """Recurrent layers along the rows and the columns of a map [Tatsunami & Taki, 2022]."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
        self.across = nn.GRU(4, 3, num_layers=2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        down, _ = self.down(x.permute(0, 2, 1, 3).reshape(-1, height, channels))
        across, _ = self.across(x.reshape(-1, width, channels))
        down = down.reshape(batch, width, height, -1).permute(0, 2, 1, 3)
        return torch.cat([down, across.reshape(batch, height, width, -1)], -1)


class _Rotary(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            rates = 100.0 ** (-torch.arange(8) / 8)
            grid = torch.arange(5.0)[:, None] * rates
            down = grid[:, None].expand(5, 5, 8).reshape(25, 8)
            across = grid[None].expand(5, 5, 8).reshape(25, 8)
            angles = torch.cat([down, across], 1)
        return angles.sin(), angles.cos()


class _Turned(nn.Module):
    def __init__(self, positions: nn.Module) -> None:
        super().__init__()
        self.positions = positions
        self.q = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
        q = self.q(self.norm(x))
        one, two = q.chunk(2, -1)
        return x + q * cosine + torch.cat([-two, one], -1) * sine


@case(torch.zeros(1, 25, 16))
class Rotations(nn.Module):
    """Rotary embeddings made without gradients, and blocks that take them beside what they hand on."""

    def __init__(self) -> None:
        super().__init__()
        self.rotary = _Rotary()
        self.blocks = nn.ModuleList(_Turned(nn.Identity()) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        sine, cosine = self.rotary(x)
        for block in self.blocks:
            x = block(x, sine, cosine)
        return x


@case(torch.zeros(1, 25, 4))
class Distances(nn.Module):
    """Scores of how far places are apart, from a table that the module makes by writing into it [d'Ascoli et al., 2021]."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        table = torch.zeros(1, 25, 25, 3)
        line = torch.arange(5.0).view(1, -1) - torch.arange(5.0).view(-1, 1)
        across = line.repeat(5, 5)
        down = line.repeat_interleave(5, dim=0).repeat_interleave(5, dim=1)
        table[:, :, :, 2] = across**2 + down**2
        table[:, :, :, 1] = down
        table[:, :, :, 0] = across
        scores = self.scores(table.expand(x.shape[0], -1, -1, -1)).permute(0, 3, 1, 2).softmax(-1)
        return scores.sum(1) @ x


@case(torch.zeros(1, 3, 8, 8))
class HyphensInNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for i in range(4):
            self.add_module(f"block-{i}", nn.Conv2d(3, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(4):
            x = getattr(self, f"block-{i}")(x).relu()
        return x


@case(torch.zeros(1, 3, 8, 8))
class HeadForTraining(nn.Module):
    """An auxiliary classifier, which only training runs [Szegedy et al., 2015]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.aux = nn.Sequential(nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
        self.head = nn.Linear(4, 5)
        self.register_buffer("unread", torch.ones(2))

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x)
        made = self.head(x.mean((2, 3)))
        return (made, self.aux(x)) if self.training else made


@case(torch.zeros(1, 6, 4))
class ZeroedBias(nn.Module):
    """A part of a bias that is set to 0 before it is used [Liu et al., 2022]."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.qkv.bias.clone()
        bias[4:8].zero_()
        return functional.linear(x, self.qkv.weight, bias)


@case(torch.zeros(1, 9, 16))
class OneKeyForAllHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).view(-1, 9, 4, 4).transpose(1, 2)
        k, v = self.k(x)[:, None], self.v(x)[:, None]
        made: Tensor = functional.scaled_dot_product_attention(q, k, v)
        return made.transpose(1, 2).flatten(2)


@case(torch.zeros(1, 3, 6))
class NormsOfWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3, padding=1), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.linear(x))


@case(torch.zeros(1, 10, 16))
class PairsWritten(nn.Module):
    """Rotary embeddings as many write them: into a tensor that is empty at first."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(10.0), 10000 ** (-torch.arange(4.0) / 4))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        q = x.view(x.shape[0], 10, 2, 8)
        made = torch.empty_like(q)
        one, two = q[..., ::2], q[..., 1::2]
        made[..., ::2] = one * self.cos[:, None] - two * self.sin[:, None]
        made[..., 1::2] = one * self.sin[:, None] + two * self.cos[:, None]
        return made.flatten(2)


@case(torch.zeros(1, 8, 5, 5))
class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.randn(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.einsum("bchw->bc", x) / 25
        gate = torch.einsum("bd,dc->bc", torch.einsum("bc,cd->bd", gate, self.w1).relu(), self.w2).sigmoid()
        return torch.einsum("bchw,bc->bwhc", x, gate)


@case(
    torch.zeros(1, 7, dtype=torch.int64),
    torch.zeros(1, 7, dtype=torch.int64),
    torch.ones(1, 7, dtype=torch.bool),
)
class SmallTables(nn.Module):
    """A table of two rows, and a mask of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.types = nn.Embedding(30, 16), nn.Embedding(2, 16)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Any:
        x = self.words(ids) + self.types(types)
        scores = (x @ x.transpose(1, 2)).masked_fill(~mask[:, None], -1e9).softmax(-1)
        return {"logits": (scores @ x)[:, 0], "hidden": x}


@case(torch.zeros(1, 4))
class HalfInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.half()).float()


@case(torch.zeros(1, 6, 4))
class StepsNamedLikeInputs(nn.Module):
    """A loop over time whose layers are named as its input is."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(4, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        state, made = x.new_zeros(x.shape[0], 8), []
        for i in range(x.shape[1]):
            state = torch.tanh(self.x(x[:, i]) + self.h(state))
            made.append(state)
        return torch.stack(made, 1), state
