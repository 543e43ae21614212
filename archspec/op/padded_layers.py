"""PyTorch's convolutions and pools behind padding that they do not have: other numbers before and after an axis, or TensorFlow's SAME."""

from __future__ import annotations

from math import inf
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from archspec.op.torch_layers import AvgPool3d, WSConv1d, WSConv2d, WSConv3d, _Layer, around

Margins = tuple[tuple[int, int] | None, ...]
"""What is added before and after each axis; None where its size decides, as for TensorFlow's SAME."""


def padded(
    x: Tensor,
    *,
    margins: Margins,
    extents: tuple[int, ...],
    stride: tuple[int, ...],
    value: float = 0.0,
) -> Tensor:
    """A tensor with padding around its last axes, for windows of `extents` that move by `stride`."""
    amounts: list[int] = []
    for axis in range(len(margins) - 1, -1, -1):
        margin, size = margins[axis], x.shape[axis - len(margins)]
        amounts += around(size, extents[axis], stride[axis]) if margin is None else margin
    return functional.pad(x, amounts, value=value)


class _Padded(_Layer):
    """A layer behind padding."""

    def __init__(self, margins: Margins, **settings: Any) -> None:
        super().__init__(**settings)
        held = vars(self)  # where convolutions have made tuples of numbers
        kernel, dilation = held["kernel_size"], held.get("dilation", 1)
        dilation = (dilation,) * len(kernel) if isinstance(dilation, int) else dilation
        extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        self.around = {"margins": margins, "extents": extents, "stride": held["stride"]}

    def extra_repr(self) -> str:
        """How it prints."""
        sides = ", ".join(
            "as TensorFlow" if margin is None else str(margin) for margin in self.around["margins"]
        )
        return f"{super().extra_repr()}, padded by ({sides})"


class PaddedConv(_Padded, nn.modules.conv._ConvNd):
    """A convolution behind padding."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` calls, behind the padding."""
        convolve = super()._conv_forward
        made: Tensor = convolve(padded(input, **self.around), weight, bias)
        return made


class PaddedConv1d(PaddedConv, nn.Conv1d):
    """`nn.Conv1d` behind padding."""


class PaddedConv2d(PaddedConv, nn.Conv2d):
    """`nn.Conv2d` behind padding."""


class PaddedConv3d(PaddedConv, nn.Conv3d):
    """`nn.Conv3d` behind padding."""


class PaddedWSConv1d(PaddedConv, WSConv1d):
    """`WSConv1d` behind padding."""


class PaddedWSConv2d(PaddedConv, WSConv2d):
    """`WSConv2d` behind padding."""


class PaddedWSConv3d(PaddedConv, WSConv3d):
    """`WSConv3d` behind padding."""


class _PaddedMaxPool(_Padded):
    """The largest value of each window, of those inside the input."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C, *S']."""
        made: Tensor = super().forward(padded(input, **self.around, value=-inf))
        return made


class PaddedMaxPool1d(_PaddedMaxPool, nn.MaxPool1d):
    """`nn.MaxPool1d` behind padding."""


class PaddedMaxPool2d(_PaddedMaxPool, nn.MaxPool2d):
    """`nn.MaxPool2d` behind padding."""


class PaddedMaxPool3d(_PaddedMaxPool, nn.MaxPool3d):
    """`nn.MaxPool3d` behind padding."""


class _PaddedAvgPool(_Padded):
    """The mean of each window, of all its values or of those inside the input."""

    count_include_pad: bool

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C, *S']."""
        mean = self._means(input)
        if self.count_include_pad:
            return mean
        return mean / self._means(input.new_ones((1, 1, *input.shape[2:])))

    def _means(self, x: Tensor) -> Tensor:
        """The mean of each window, in which padding counts as zeros."""
        made: Tensor = super().forward(padded(x, **self.around))
        return made


class PaddedAvgPool1d(_PaddedAvgPool, nn.AvgPool1d):
    """`nn.AvgPool1d` behind padding."""


class PaddedAvgPool2d(_PaddedAvgPool, nn.AvgPool2d):
    """`nn.AvgPool2d` behind padding."""


class PaddedAvgPool3d(_PaddedAvgPool, AvgPool3d):
    """`nn.AvgPool3d` behind padding."""
