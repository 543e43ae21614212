"""Merge linear branches of one value that are summed into one convolution, or one linear layer.

RepVGG trains a 3x3 convolution, a 1x1 and a shortcut side by side, each with its batch norm, and runs one 3x3 in their place
[Ding et al., 2021, Section 3.3]; so do ACNet, diverse branch blocks and MobileOne. Here nobody has to write a second network.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from archspec.backends.torch_modules import Network
from archspec.ground.tensor import Shape, TensorType
from archspec.op.torch_layers import AvgPool3d
from archspec.ops.arithmetic import Add
from archspec.passes.convolutions import Convolution, identity
from archspec.passes.fold_norms import as_affine
from archspec.passes.rewriting import add_module, hand_on, modules, op_of

CONVOLUTIONS: tuple[type[nn.Linear | _ConvNd], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""By how many axes their windows slide along."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Pool = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, AvgPool3d)

Layers = dict[Node, nn.Module]


class Branch(NamedTuple):
    """What some terms of a sum, by their places in it, add up to: a convolution of one value."""

    terms: frozenset[int]
    does: Convolution
    layer: Node | None
    """One of the convolutions that it is made of; None where it is made of norms and pools alone."""


def merge_branches(network: Network) -> None:
    """Compute what several linear branches of a value add to a sum as one layer; the other terms are added to that."""
    layers = dict(modules(network))
    for root in list(network.graph.nodes):
        if _adds(root) and not (len(root.users) == 1 and _adds(next(iter(root.users)))):
            terms = _terms(root)
            merged = list(_merged([_chain(term, layers) for term in terms], layers))
            if merged:
                _put(network, root, terms, merged, layers)
    network.graph.eliminate_dead_code()


def _adds(node: Node) -> bool:
    """Whether a node is a sum that may be computed in any order: no term is given axes, or copied, for its place in it."""
    return type(op_of(node)) is Add and node.op == "call_function" and not {"ones", "dense"} & {*node.kwargs}


def _terms(root: Node) -> list[Node]:
    """The terms of a sum; a sum among them that nothing else reads gives its own."""
    found, pending = list[Node](), [root]
    while pending:
        node = pending.pop()
        if node is root or (_adds(node) and len(node.users) == 1):
            pending.extend(value for value in reversed(node.args) if isinstance(value, Node))
        else:
            found.append(node)
    return found


def _chain(term: Node, layers: Layers) -> list[Node]:
    """A term and, as far as linear layers lead to it that are read by the next alone, what each of these reads."""
    found = [term]
    while len(found[-1].users) == 1 and _is_linear(layers.get(found[-1])):
        found += found[-1].all_input_nodes
    return found


def _is_linear(layer: nn.Module | None) -> bool:
    """Whether a layer is linear, up to a bias, and does the same at each place."""
    if isinstance(layer, _BatchNorm):
        return type(layer) in NORMS and layer.running_mean is not None and not layer.training
    if isinstance(layer, Pool):
        counts_zeros = layer.count_include_pad or not any(_each(layer.padding, 1))
        return type(layer) in POOLS and counts_zeros and not layer.ceil_mode
    return _convolves(layer)


def _convolves(layer: nn.Module | None) -> bool:
    return type(layer) in CONVOLUTIONS and getattr(layer, "padding_mode", "zeros") == "zeros"


def _merged(chains: list[list[Node]], layers: Layers) -> Iterator[tuple[Node, Branch]]:
    """The branches that several terms of a sum become, each with the value that it reads."""
    like = next(
        (_weight(layers[node]) for chain in chains for node in chain[:-1] if _convolves(layers[node])), None
    )
    if like is None:
        return  # norms and pools alone are cheaper than a convolution
    taken = set[int]()
    for source, count in Counter(value for chain in chains for value in chain).most_common():
        if count < 2:
            return
        branches = [
            branch
            for place, chain in enumerate(chains)
            if place not in taken and source in chain
            for branch in _branch(place, chain[: chain.index(source) + 1], layers, like)
        ]
        for branch in _summed(branches):
            if len(branch.terms) > 1 and branch.layer is not None:
                taken |= branch.terms
                yield source, branch


def _summed(branches: list[Branch]) -> list[Branch]:
    """Branches added up where that makes one convolution of no more work, beginning with the largest."""
    found = list[Branch]()
    for branch in sorted(branches, key=lambda branch: -branch.does.weight.numel()):
        for place, other in enumerate(found):
            both = other.does.plus(branch.does)
            if both is not None:
                found[place] = Branch(other.terms | branch.terms, both, other.layer or branch.layer)
                break
        else:
            found.append(branch)
    return found


def _branch(place: int, chain: list[Node], layers: Layers, like: Tensor) -> Iterator[Branch]:
    """The term as a convolution of the last value of its chain, unless it is none: as where zeros lie around a bias."""
    *calls, source = chain
    if calls:
        does = _as_convolution(calls[0], layers[calls[0]], like)
        for call in calls[1:]:
            inner = _as_convolution(call, layers[call], like)
            does = does.after(inner) if does is not None and inner is not None else None
    else:
        does = _as_identity(source, like)
    if does is not None:
        layer = next((call for call in calls if _convolves(layers[call])), None)
        yield Branch(frozenset([place]), does, layer)


def _as_identity(value: Node, like: Tensor) -> Convolution | None:
    """A value as a convolution of itself by a layer with such a weight."""
    axes = like.ndim - 2
    shape: Shape = value.meta["type"].shape if "type" in value.meta else ()
    channels = (shape[-1] if axes == 0 else shape[0]) if len(shape) > axes else None
    return identity(channels, axes, like) if isinstance(channels, int) else None


def _as_convolution(call: Node, layer: nn.Module, like: Tensor) -> Convolution | None:
    """What a call of a linear layer computes; sums of weights in half precision are rounded once, at the end."""
    real = torch.promote_types(like.dtype, torch.float32)
    type_: TensorType = call.meta["type"]
    axes = type_.rank - 1
    if isinstance(layer, _BatchNorm):
        factor, offset = as_affine(layer)
        weight = factor.to(real).view(-1, 1, *[1] * axes)
        return Convolution.of(weight, offset.to(real), groups=len(weight))
    if isinstance(layer, Pool):
        kernel, channels = _each(layer.kernel_size, axes), type_.shape[0]
        if not isinstance(channels, int):
            return None
        weight = torch.full((channels, 1, *kernel), 1 / prod(kernel), dtype=real, device=like.device)
        stride, padding = _each(layer.stride, axes), _each(layer.padding, axes)
        return Convolution.of(weight, groups=channels, stride=stride, padding=padding)
    assert isinstance(layer, nn.Linear | _ConvNd)
    bias = None if layer.bias is None else layer.bias.to(real)
    if isinstance(layer, nn.Linear):
        return Convolution.of(layer.weight.to(real), bias)
    assert not isinstance(layer.padding, str)
    return Convolution.of(
        layer.weight.to(real),
        bias,
        groups=layer.groups,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
    )


def _put(
    network: Network, root: Node, terms: list[Node], merged: list[tuple[Node, Branch]], layers: Layers
) -> None:
    """Put layers in the place of the terms of a sum that they compute."""
    graph = network.graph
    for source, branch in merged:
        assert branch.layer is not None
        layer = _as_layer(branch.does, _weight(layers[branch.layer]).dtype)
        with graph.inserting_before(root):
            call = graph.call_module(add_module(network, f"{branch.layer.name}_merged", layer), (source,))
        call.meta = {**branch.layer.meta, "type": terms[min(branch.terms)].meta["type"]}
        layers[call] = layer
        terms.append(call)
    gone = frozenset[int]().union(*(branch.terms for _, branch in merged))
    left = [term for place, term in enumerate(terms) if place not in gone]
    left.sort(
        key=lambda term: term.meta.get("type") != root.meta["type"]
    )  # so that each sum has the type of all
    made = left[0]
    for term in left[1:]:
        with graph.inserting_before(root):
            made = graph.call_function(operator.add, (made, term))
        made.meta = dict(root.meta)
    hand_on(root, made)


def _as_layer(does: Convolution, dtype: torch.dtype) -> nn.Module:
    """PyTorch's layer that computes a convolution."""
    settings: dict[str, Any] = {"bias": does.bias is not None, "device": "meta"}
    axes = len(does.kernel)
    if axes:
        settings.update(kernel_size=does.kernel, stride=does.stride, padding=does.padding)
        settings.update(dilation=does.dilation, groups=does.groups)
    made = CONVOLUTIONS[axes](does.channels, does.weight.shape[0], **settings)
    made.weight = nn.Parameter(does.weight.to(dtype).contiguous(), requires_grad=False)
    if does.bias is not None:
        made.bias = nn.Parameter(does.bias.to(dtype), requires_grad=False)
    return made.eval()


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _each(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else value
