"""Norms that were folded into the layers before them, and norms that are to be: from a file with the one to a network with the other.

At inference a batch norm is a factor and an offset for each channel [Ioffe & Szegedy, 2015, Section 3.1], which the layer before it can
do with its own weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import cast

import torch
from torch import Tensor

from archspec.analyses.ends import followed_by_norm
from archspec.backends.torch_weights import dtype_of
from archspec.backends.weights.names import Origin
from archspec.backends.weights.plan import Change
from archspec.graph import Graph, Node
from archspec.op import Weight
from archspec.ops.conv import ConvTranspose
from archspec.ops.norm import BatchNorm

_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Folds:
    """The weights that are made by folding, or of what was folded, by their names in the network; and the keys that nothing needs then."""

    made: Mapping[str, Origin]
    dropped: frozenset[str] = frozenset()


def folds(graph: Graph, source: Graph, origins: Mapping[str, Origin], old_names: Mapping[str, str]) -> Folds:
    """What folding makes, of a file with these origins by their names in `source`; `old_names` are those of the network's weights there."""
    made: dict[str, Origin] = {}
    dropped: set[str] = set()
    for layer, norm in followed_by_norm(graph).items():
        made.update(_unfolded(graph, layer, norm, origins, old_names))
    if source is not graph:
        new_names = {old: new for new, old in old_names.items()}
        nodes = {node.name: node for node in source.nodes}
        for layer, norm in followed_by_norm(source).items():
            found = dict(_folded(graph, nodes[layer], norm, origins, new_names))
            made.update(found)
            if found:
                counter = origins.get(f"{norm.name}.num_batches_tracked")
                dropped.update(counter.keys if counter is not None else ())
    return Folds(made, frozenset(dropped))


def layers_with_norms(graph: Graph) -> frozenset[str]:
    """The names of biases that a file may have in which the network's norms are folded."""
    return frozenset(f"{layer}.bias" for layer in followed_by_norm(graph)) - graph.weights.keys()


def _unfolded(
    graph: Graph, layer: str, norm: Node, origins: Mapping[str, Origin], old_names: Mapping[str, str]
) -> Iterator[tuple[str, Origin]]:
    """A norm that changes nothing, but for the bias that a layer of the file has and the network's has not."""
    keys = {key: f"{norm.name}.{key}" for key in graph.weights_of(norm)}
    op = cast(BatchNorm, norm.op)
    old_layer = old_names.get(f"{layer}.weight", f"{layer}.weight").removesuffix(".weight")
    bias = origins.get(f"{old_layer}.bias")
    if bias is None or not {"weight", "bias", *_STATISTICS} <= keys.keys():
        return
    if any(old_names.get(name, name) in origins for name in keys.values()):
        return
    for key, value in (("weight", sqrt(1 + op.eps)), ("running_mean", 0.0), ("running_var", 1.0)):
        yield keys[key], Origin((), (Change(_IDENTITY, _filled(graph.weights[keys[key]], value)),))
    if f"{layer}.bias" in graph.weights:
        yield keys["bias"], Origin((), (Change(_IDENTITY, _filled(graph.weights[keys["bias"]], 0.0)),))
    else:
        yield (
            keys["bias"],
            Origin(bias.keys, (*bias.changes, Change("offset of the norm", told=f"was {old_layer}.bias"))),
        )


_IDENTITY = "a norm that changes nothing"


def _filled(weight: Weight, value: float) -> partial[Tensor]:
    return partial(torch.full, weight.shape, value, dtype=dtype_of(weight))


def _folded(
    graph: Graph, layer: Node, norm: Node, origins: Mapping[str, Origin], new_names: Mapping[str, str]
) -> Iterator[tuple[str, Origin]]:
    """The weight and the bias of a layer with the norm that the network has not."""
    name = new_names.get(f"{layer.name}.weight", "").removesuffix(".weight")
    op = cast(BatchNorm, norm.op)
    parts = ["weight", "bias"] if op.affine else []
    needed = [f"{layer.name}.weight", *(f"{norm.name}.{key}" for key in (*_STATISTICS, *parts))]
    biased = f"{layer.name}.bias" in origins
    if not name or f"{name}.bias" not in graph.weights or any(key not in origins for key in needed):
        return
    if any(key in new_names for key in needed[1:]):
        return
    weight, *others = (origins[key] for key in needed)
    statistics = tuple(key for origin in others for key in origin.keys)
    moved = [origins[key] for key in (*needed, *([f"{layer.name}.bias"] if biased else []))]
    if any(len(origin.keys) != 1 for origin in moved):
        return
    changes = weight.changes
    groups = layer.op.groups if isinstance(layer.op, ConvTranspose) else 0
    yield (
        f"{name}.weight",
        Origin(
            (*weight.keys, *statistics),
            (Change("norm folded in", partial(folded_weight, eps=op.eps, transposed=groups)), *changes),
        ),
    )
    own = origins[f"{layer.name}.bias"].keys if biased else ()
    yield (
        f"{name}.bias",
        Origin(
            (*statistics, *own),
            (Change("norm folded in", partial(folded_bias, eps=op.eps, affine=op.affine)),),
        ),
    )


def folded_weight(
    weight: Tensor, mean: Tensor, variance: Tensor, factor: Tensor | None = None, offset: Tensor | None = None,
    *, eps: float, transposed: int = 0,
) -> Tensor:  # fmt: skip
    """The weight [out, ...] of a layer times what the norm behind it multiplies each output by.

    That of a transposed convolution in so many groups is [in, out / groups, ...].
    """
    scale = _scale(variance, factor, eps)
    precise = weight.double()
    if transposed:
        grouped = precise.reshape(transposed, -1, *weight.shape[1:])
        made = grouped * scale.reshape(transposed, 1, -1, *[1] * (weight.ndim - 2))
        return made.reshape(weight.shape).to(weight.dtype)
    return (precise * scale.reshape(-1, *[1] * (weight.ndim - 1))).to(weight.dtype)


def folded_bias(mean: Tensor, variance: Tensor, *others: Tensor, eps: float, affine: bool) -> Tensor:
    """The bias of a layer with that of its own, if it has one as the last, and what the norm behind it adds."""
    factor, offset = (others[0], others[1]) if affine else (None, None)
    rest = others[2:] if affine else others
    own = rest[0].double() if rest else torch.zeros_like(mean, dtype=torch.float64)
    made = (own - mean.double()) * _scale(variance, factor, eps)
    return (made if offset is None else made + offset.double()).to(mean.dtype)


def _scale(variance: Tensor, factor: Tensor | None, eps: float) -> Tensor:
    made = (variance.double() + eps).rsqrt()
    return made if factor is None else made * factor.double()
