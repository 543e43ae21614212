"""Fold batch normalisation into the convolution or linear layer before it, or behind it.

At inference a batch norm is a factor and an offset for each channel [Ioffe & Szegedy, 2015, Section 3.1], which a
linear layer can do with its own weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from archspec.backends.torch_fx import Network
from archspec.passes.rewriting import hand_on, module_of, modules


def fold_norms(network: Network) -> None:
    """Fold each batch norm whose input is made by such a layer for it alone, or whose result only such layers read."""
    for node, norm in modules(network):
        if isinstance(norm, _BatchNorm):
            _fold_into_maker(network, node, norm) or _fold_into_readers(network, node, norm)


def _fold_into_maker(network: Network, node: Node, norm: _BatchNorm) -> bool:
    maker = node.all_input_nodes[0]
    layer = module_of(network, maker)
    if len(maker.users) > 1:
        return False
    if isinstance(layer, _ConvNd):
        fused: nn.Module = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, _ConvTransposeNd))
    elif isinstance(layer, nn.Linear):
        fused = fuse_linear_bn_eval(layer, norm)
    else:
        return False
    network.set_submodule(str(maker.target), fused)
    hand_on(node, maker)
    return True


def _fold_into_readers(network: Network, node: Node, norm: _BatchNorm) -> bool:
    readers = [(reader, module_of(network, reader)) for reader in node.users]
    if not readers or not all(reader.op == "call_module" and _takes(layer) for reader, layer in readers):
        return False
    factor, offset = _as_affine(norm)
    for _, layer in readers:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        weight = layer.weight
        per_input = (1, -1) + (1,) * (weight.ndim - 2)
        moved = (weight * offset.view(per_input)).flatten(1).sum(1)
        bias = moved if layer.bias is None else layer.bias + moved
        layer.weight = nn.Parameter(weight * factor.view(per_input), requires_grad=False)
        layer.bias = nn.Parameter(bias, requires_grad=False)
    hand_on(node, node.all_input_nodes[0])
    return True


def _takes(layer: nn.Module | None) -> bool:
    """Whether an offset of its input is an offset of its result: not where zeros are padded to the input."""
    if isinstance(layer, nn.Linear):
        return True
    return type(layer) is nn.Conv2d and layer.groups == 1 and not any(map(int, layer.padding))


def _as_affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The factor and the offset of each channel."""
    assert norm.running_mean is not None and norm.running_var is not None
    factor = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        factor = factor * norm.weight
    offset = -norm.running_mean * factor
    return factor, offset if norm.bias is None else offset + norm.bias
