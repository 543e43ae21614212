"""The values of weights that were adapted: other channels, patches, grids and classes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

Grid = tuple[int, int]


def with_channels(weight: Tensor, *, count: int) -> Tensor:
    """The weight [out, C, *kernel] of a convolution for images of `count` channels: [out, count, *kernel].

    For one channel, the sum: what a grey image gets where its value stood in all channels. For others, those of the file in turn, times
    C / count, so that an image that is grey gets nearly what it got.
    """
    channels = weight.shape[1]
    precise = _precise(weight)
    if count == 1:
        made = precise.sum(1, keepdim=True)
    else:
        repeated = precise.repeat(1, ceil(count / channels), *[1] * (weight.ndim - 2))
        made = repeated[:, :count] * (channels / count)
    return made.to(weight.dtype)


def with_patches(weight: Tensor, *, size: Grid) -> Tensor:
    """The weight [D, C, h, w] of a patch embedding for patches of another size: [D, C, *size].

    It is the weight that gives a resized patch what the patch itself got: exactly where the patch was enlarged, and as nearly as can be
    where it was reduced.
    """
    height, width = weight.shape[2:]
    basis = torch.eye(height * width, dtype=torch.float64).reshape(height * width, 1, height, width)
    resized = functional.interpolate(basis, size, mode="bilinear", align_corners=False)
    inverse = torch.linalg.pinv(resized.flatten(1))  # of the transposed matrix of resizing
    flat = weight.to(torch.float64).reshape(*weight.shape[:2], height * width)
    made: Tensor = flat @ inverse.mT
    return made.reshape(*weight.shape[:2], *size).to(weight.dtype)


def with_rows(weight: Tensor, drawn: Tensor | None = None, *, rows: Mapping[int, int]) -> Tensor:
    """A last layer's weight [classes, *], of which each row is that of the file that `rows` says; others are as drawn."""
    made = (
        drawn.to(weight.dtype).clone()
        if drawn is not None
        else weight.new_empty((len(rows), *weight.shape[1:]))
    )
    for new, old in rows.items():
        made[new] = weight[old]
    return made


def own_memory(tensors: Mapping[str, Tensor], *, shared: bool) -> dict[str, Tensor]:
    """The tensors, laid out row by row, none of which shares memory with another; nor with the caller, whose they are if `shared`.

    A file may keep two names for one tensor. Two weights that share memory would be trained as one.
    """
    owned: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        made = tensor.contiguous()
        if made.device.type != "cpu":
            made = made.cpu()
        if shared and made is tensor:
            made = tensor.clone()
        owned[name] = made
    end = 0
    for name in sorted(owned, key=lambda name: owned[name].data_ptr()):
        tensor = owned[name]
        if not tensor.numel():
            continue
        start = tensor.data_ptr()
        if start < end:
            owned[name] = tensor.clone()
        end = max(end, start + tensor.numel() * tensor.element_size())
    return {name: owned[name] for name in tensors}


def _precise(tensor: Tensor) -> Tensor:
    return tensor if tensor.element_size() >= 4 else tensor.float()
