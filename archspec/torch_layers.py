"""The modules that ops lower to where PyTorch has none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _StandardisedWeight(nn.modules.conv._ConvNd):
    """A convolution that standardises its weight before each use [Qiao et al., 2019]."""

    def __init__(self, eps: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.eps = eps

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` calls, with the weight standardised over each output's window."""
        inputs = tuple(range(1, weight.ndim))
        variance, mean = torch.var_mean(weight, inputs, correction=0, keepdim=True)
        weight = (weight - mean) * torch.rsqrt(variance + self.eps)
        return super()._conv_forward(input, weight, bias)


class WSConv1d(_StandardisedWeight, nn.Conv1d):
    """`nn.Conv1d` of a standardised weight."""


class WSConv2d(_StandardisedWeight, nn.Conv2d):
    """`nn.Conv2d` of a standardised weight."""


class WSConv3d(_StandardisedWeight, nn.Conv3d):
    """`nn.Conv3d` of a standardised weight."""


class LayerNormAlong(nn.LayerNorm):
    """`nn.LayerNorm` along one axis, counted from the back."""

    def __init__(self, axis: int, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.axis = axis

    def forward(self, input: Tensor) -> Tensor:
        """[*S] -> [*S], batched or not."""
        return super().forward(input.movedim(self.axis, -1)).movedim(-1, self.axis)


class DropPath(nn.Module):
    """Zero whole samples with probability `p` in training, and scale up the rest [Huang et al., 2016]."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        """[N, *S] -> [N, *S]."""
        if not self.training or not self.p:
            return input
        return input * functional.dropout(input.new_ones(_per_sample(input)), self.p)

    def extra_repr(self) -> str:
        """How it prints."""
        return f"p={self.p}"


class Shake(nn.Module):
    """Mix two branches at random in training, differently forward and backward [Gastaldi, 2017]."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """[N, *S], [N, *S] -> [N, *S]."""
        if not self.training:
            return (left + right) / 2
        alpha, beta = (left.new_empty(_per_sample(left)).uniform_() for _ in range(2))
        forward, backward = torch.lerp(right, left, alpha), torch.lerp(right, left, beta)
        return backward + (forward - backward).detach()


def _per_sample(input: Tensor) -> tuple[int, ...]:
    """The shape that has one value for each sample, and broadcasts."""
    return (input.shape[0], *(1,) * (input.ndim - 1))
