"""Fold batch normalisation into the convolution or linear layer before it, or behind it.

At inference a batch norm is a factor and an offset for each channel [Ioffe & Szegedy, 2015, Section 3.1], which a
linear layer can do with its own weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from archspec.backends.torch_modules import Network
from archspec.ground.tensor import TensorType
from archspec.op.torch_layers import DeformConv
from archspec.passes.rewriting import hand_on, module_of, modules

CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, DeformConv),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)

Layer = nn.Linear | _ConvNd


def fold_norms(network: Network) -> None:
    """Fold each batch norm whose input is made by such a layer for it alone, or whose result only such layers read."""
    for node, norm in modules(network):
        if isinstance(norm, _BatchNorm):
            _fold_into_maker(network, node, norm) or _fold_into_readers(network, node, norm)


def _fold_into_maker(network: Network, node: Node, norm: _BatchNorm) -> bool:
    maker = node.all_input_nodes[0]
    layer = _mixing_channels(node, module_of(network, maker))
    if layer is None or len(maker.users) > 1:
        return False
    factor, offset = as_affine(norm)
    bias = offset if layer.bias is None else layer.bias * factor + offset
    weight = _grouped(layer)
    _set(layer, weight * factor.view(weight.shape[0], -1, *[1] * (weight.ndim - 2)), bias)
    hand_on(node, maker)
    return True


def _fold_into_readers(network: Network, node: Node, norm: _BatchNorm) -> bool:
    readers = [_mixing_channels(node, module_of(network, reader)) for reader in node.users]
    layers = [layer for layer in readers if layer is not None and _is_uniform(layer)]
    if len(layers) < len(readers):
        return False
    factor, offset = as_affine(norm)
    for layer in layers:
        weight = _grouped(layer)
        per_input = (weight.shape[0], 1, -1, *[1] * (weight.ndim - 3))
        moved = (weight * offset.view(per_input)).flatten(2).sum(2).flatten()
        bias = moved if layer.bias is None else layer.bias + moved
        _set(layer, weight * factor.view(per_input), bias)
    hand_on(node, node.all_input_nodes[0])
    return True


def _mixing_channels(node: Node, layer: nn.Module | None) -> Layer | None:
    """The layer, if it mixes the axis that a batch norm normalises, the first; a linear layer mixes the last."""
    if isinstance(layer, nn.Linear):
        type_: TensorType = node.meta["type"]
        return layer if type_.rank == 1 else None
    return layer if isinstance(layer, _ConvNd) and type(layer) in CONVOLUTIONS else None


def _is_uniform(layer: Layer) -> bool:
    """Whether an offset of its input is one offset of its result: not where zeros lie around the input, or between."""
    if isinstance(layer, nn.Linear):
        return True
    return not (layer.transposed or isinstance(layer, DeformConv) or any(map(int, layer.padding)))


def _grouped(layer: Layer) -> Tensor:
    """A layer's weight as [groups, out / groups, in / groups, *kernel]."""
    if isinstance(layer, nn.Linear):
        return layer.weight[None]
    weight = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
    return weight.transpose(1, 2) if layer.transposed else weight


def _set(layer: Layer, weight: Tensor, bias: Tensor) -> None:
    """Give a layer that weight, which is of the form of `_grouped`, and that bias."""
    if isinstance(layer, _ConvNd) and layer.transposed:
        weight = weight.transpose(1, 2)
    layer.weight = nn.Parameter(weight.flatten(0, 1).contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)


def as_affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The factor and the offset of each channel."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        factor = factor * norm.weight
    offset = -norm.running_mean * factor
    return factor, offset if norm.bias is None else offset + norm.bias
