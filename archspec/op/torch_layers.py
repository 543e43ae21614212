"""The modules that ops lower to where PyTorch has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import Proxy, Tracer
from torch.nn import functional


@cache
def one_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that stays one step when `torch.fx` traces a network; PyTorch's own do already.

    Traced into, it would be run on tensors that have no shape.
    """
    if function.__module__ is None or function.__module__.partition(".")[0] in ("torch", "_operator", "math"):
        return function

    @wraps(function)
    def step(*inputs: Any, **settings: Any) -> Any:
        for value in inputs:
            if isinstance(value, Proxy):
                return value.tracer.create_proxy("call_function", step, inputs, settings)
        return function(*inputs, **settings)

    return step


class _Layer(nn.Module):
    """A module that stays one step when `torch.fx` traces a network, as PyTorch's own do."""

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run it on tensors."""
        for value in inputs:
            if isinstance(value, Proxy):
                tracer = cast(Tracer, value.tracer)
                # Through the tracer's own call of modules, by which those of other libraries name the steps.
                return tracer.call_module(self, partial(_leaf, tracer, self), inputs, options)
        return super().__call__(*inputs, **options)


def _leaf(tracer: Tracer, module: nn.Module, *inputs: Any, **options: Any) -> Any:
    return tracer.create_proxy("call_module", tracer.path_of_module(module), inputs, options)


class _StandardisedWeight(_Layer, nn.modules.conv._ConvNd):
    """A convolution that standardises its weight before each use [Qiao et al., 2019].

    With `gained`, the weight is then scaled by a learned gain for each output, over the root of the window's size
    [Brock et al., 2021, equation 2].
    """

    def __init__(self, eps: float, gained: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.eps = eps
        self.gain: nn.Parameter | None
        if gained:
            shape = (self.out_channels, *(1,) * (self.weight.ndim - 1))
            self.gain = nn.Parameter(torch.ones(shape, device=self.weight.device))
        else:
            self.register_parameter("gain", None)

    def standardised(self, weight: Tensor) -> Tensor:
        """A weight standardised over each output's window, and scaled by the gain."""
        inputs = tuple(range(1, weight.ndim))
        variance, mean = torch.var_mean(weight, inputs, correction=0, keepdim=True)
        weight = (weight - mean) * torch.rsqrt(variance + self.eps)
        if self.gain is not None:
            weight = weight * (self.gain * weight[0].numel() ** -0.5)
        return weight

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` calls, with the weight standardised."""
        return super()._conv_forward(input, self.standardised(weight), bias)


class WSConv1d(_StandardisedWeight, nn.Conv1d):
    """`nn.Conv1d` of a standardised weight."""


class WSConv2d(_StandardisedWeight, nn.Conv2d):
    """`nn.Conv2d` of a standardised weight."""


class WSConv3d(_StandardisedWeight, nn.Conv3d):
    """`nn.Conv3d` of a standardised weight."""


class LocalResponseNorm(nn.LocalResponseNorm):
    """`nn.LocalResponseNorm` that computes in f32 where values are kept in half precision: their squares soon overflow there,
    and on a CPU PyTorch has no such kernel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C, *S]."""
        found: Tensor = one_step(_local_response_norm)(
            input, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k
        )
        return found


def _local_response_norm(x: Tensor, *, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return functional.local_response_norm(single(x), size, alpha, beta, k).to(x.dtype)


class LayerNormAlong(_Layer, nn.LayerNorm):
    """`nn.LayerNorm` along other axes than the last, counted from the back."""

    def __init__(self, axes: tuple[int, ...], *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.axes = axes
        self.last = tuple(range(-len(axes), 0))

    def forward(self, input: Tensor) -> Tensor:
        """[*S] -> [*S], batched or not."""
        return super().forward(input.movedim(self.axes, self.last)).movedim(self.last, self.axes)


class RMSNormAlong(_Layer, nn.RMSNorm):
    """`nn.RMSNorm` along one axis, counted from the back."""

    def __init__(self, axis: int, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.axis = axis

    def forward(self, input: Tensor) -> Tensor:
        """[*S] -> [*S], batched or not."""
        return super().forward(input.movedim(self.axis, -1)).movedim(-1, self.axis)


class GroupNormOfAny(_Layer, nn.GroupNorm):
    """`nn.GroupNorm` that takes a single sample of a single value for each group too, of which it leaves the bias."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C, *S]."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _InstanceNorm(_Layer, nn.modules.instancenorm._InstanceNorm):
    """PyTorch's, which refuses single values, and batches of no samples if it has weights.

    The groups of a group norm may be its channels, and that kernel is the faster one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C, *S]."""
        return torch.group_norm(input, self.num_features, self.weight, self.bias, self.eps)


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d):
    """`nn.InstanceNorm1d` of any number of samples and values."""


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` of any number of samples and values."""


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d):
    """`nn.InstanceNorm3d` of any number of samples and values."""


class PixelUnshuffle(_Layer, nn.PixelUnshuffle):
    """`nn.PixelUnshuffle` of batches of any size: an empty one, PyTorch's own hands on as it is."""

    def forward(self, input: Tensor) -> Tensor:
        """[*, C, H, W] -> [*, C * factor^2, H / factor, W / factor]."""
        rows = torch.unflatten(input, -2, (-1, self.downscale_factor))
        squares = torch.unflatten(rows, -1, (-1, self.downscale_factor))  # [*, C, H / f, f, W / f, f]
        return squares.movedim((-3, -1), (-4, -3)).flatten(-5, -3)


class GlobalAvgPool(_Layer):
    """The mean of each channel, whose axes go."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C]."""
        return input.mean(tuple(range(-self.axes, 0)))


class GlobalMaxPool(_Layer):
    """The largest value of each channel, whose axes go, or stay with size 1 if `keep`."""

    def __init__(self, axes: int, keep: bool) -> None:
        super().__init__()
        self.axes = axes
        self.keep = keep

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *S] -> [N, C], or [N, C, 1, ...]."""
        return input.amax(tuple(range(-self.axes, 0)), self.keep)

    def extra_repr(self) -> str:
        """How it prints."""
        return "keep=True" if self.keep else ""


class AvgPool3d(_Layer, nn.AvgPool3d):
    """`nn.AvgPool3d`, in single precision where PyTorch has no kernel for less: on the CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, D, H, W] -> [N, C, D', H', W']."""
        x = single(input) if input.device.type == "cpu" else input
        return super().forward(x).to(input.dtype)


def single(x: Tensor) -> Tensor:
    """A tensor of real numbers in single precision, unless it is of double."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class DropPath(_Layer):
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


class Shake(_Layer):
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


class Attention(_Layer):
    """Attention, with weights dropped out in training; `attend` is the function that attends."""

    def __init__(self, attend: Callable[..., Tensor], dropout: float, **settings: Any) -> None:
        super().__init__()
        self.attend = attend
        self.dropout = dropout
        self.settings = settings

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[N, *A, L, D], [N, *A, M, D], [N, *A, M, E] -> [N, *A, L, E]."""
        dropout = self.dropout if self.training else 0.0
        return self.attend(q, k, v, bias=bias, mask=mask, dropout_p=dropout, **self.settings)

    def extra_repr(self) -> str:
        """How it prints."""
        return f"dropout={self.dropout}"


def around(size: int, extent: int, stride: int) -> tuple[int, int]:
    """What TensorFlow's SAME adds before and after an axis, over which a window of `extent` moves by `stride`."""
    missing = extent - 1 - (size - 1) % stride
    if extent < stride:
        missing = torch.sym_max(missing, 0)  # type: ignore[no-untyped-call]
    return missing // 2, missing - missing // 2


class DeformConv(_Layer, nn.Conv2d):
    """A convolution with samples displaced by offsets [Dai et al., 2017; Zhu et al., 2019]."""

    def __init__(
        self, offset_groups: int, margins: tuple[tuple[int, int] | None, ...], **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.offset_groups = offset_groups
        self.margins = margins  # before and after each axis; None where its size decides

    def forward(self, input: Tensor, offset: Tensor, *, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """[N, C, H, W], [N, 2 * G * K, H', W'], [N, G * K, H', W'] -> [N, out, H', W'], for K taps."""
        groups, places = self.offset_groups, offset.shape[2:]
        # Half precision has too few digits to say where in a large image a sample lies.
        offset = single(offset)
        moves = torch.unflatten(offset, 1, (groups, *self.kernel_size, 2))
        y, x = moves.unbind(4)  # [N, G, *kernel, H', W']
        y = y * (2 / input.shape[2]) + self._taps(0, input, y)[:, None, :, None]
        x = x * (2 / input.shape[3]) + self._taps(1, input, x)[:, None, :]
        grid = torch.stack((x, y), -1).flatten(4, 5)
        grid = grid.flatten(2, 3).flatten(0, 1)  # [N * G, K, H' * W', 2]
        # Of an image channels last, samples would be too, and all of them be moved to become columns.
        image = torch.unflatten(input.contiguous(), 1, (groups, -1))
        image = image.flatten(0, 1).to(grid.dtype)  # [N * G, C / G, H, W]
        samples = functional.grid_sample(image, grid, align_corners=False).to(input.dtype)
        samples = torch.unflatten(samples, 0, (-1, groups))  # [N, G, C / G, K, H' * W']
        if mask is not None:
            samples = samples * torch.unflatten(mask.flatten(2), 1, (groups, 1, -1))
        # Each window is a column now, and the convolution a product of matrices, in groups.
        columns, weight = samples.flatten(1, 3), self.weight.flatten(1)[:, :, None]
        made = functional.conv1d(columns, weight, self.bias, groups=self.groups)
        return torch.unflatten(made, 2, places)

    def _taps(self, axis: int, image: Tensor, offset: Tensor) -> Tensor:
        """Where the taps lie before they move, from -1 to 1 between the edges: [kernel, places]."""
        kernel, places = (
            torch.arange(count, dtype=offset.dtype, device=offset.device)
            for count in (self.kernel_size[axis], offset.shape[axis - 2])
        )
        margin, extent = self.margins[axis], self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        if margin is None:
            margin = around(image.shape[axis + 2], extent, self.stride[axis])
        before, _ = margin
        pixels = kernel[:, None] * self.dilation[axis] + (places * self.stride[axis] - before)
        return (2 * pixels + 1) / image.shape[axis + 2] - 1
