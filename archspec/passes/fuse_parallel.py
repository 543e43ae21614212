"""Fuse linear layers and 1x1 convolutions of one input into one: the branches of a module, the projections of attention."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Hashable

import torch
from torch import nn
from torch.fx import Node

from archspec.backends.torch_modules import Network
from archspec.ops.arithmetic import Add
from archspec.ops.matmul import MatMul
from archspec.passes.rewriting import add_module, hand_on, modules, op_of


def fuse_parallel(network: Network) -> None:
    """Run layers that read the same as one with all their outputs, which is then split."""
    _name_matrix_products(network)
    groups: dict[Hashable, list[tuple[Node, nn.Linear | nn.Conv2d]]] = defaultdict(list)
    for node, layer in modules(network):
        if type(layer) is nn.Linear:
            groups[node.args[0], layer.bias is None].append((node, layer))
        elif type(layer) is nn.Conv2d and layer.kernel_size == (1, 1) and layer.groups == 1:
            key = (node.args[0], layer.bias is None, layer.stride, layer.padding)
            groups[key].append((node, layer))
    for members in groups.values():
        if len(members) > 1:
            _fuse(network, members)


def _fuse(network: Network, members: list[tuple[Node, nn.Linear | nn.Conv2d]]) -> None:
    first, layer = members[0]
    layers = [each for _, each in members]
    widths = [each.weight.shape[0] for each in layers]
    layer.weight = nn.Parameter(torch.cat([each.weight for each in layers]), requires_grad=False)
    if layer.bias is not None:
        biases = [each.bias for each in layers if each.bias is not None]
        layer.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    axis = -1 if isinstance(layer, nn.Linear) else -3
    if isinstance(layer, nn.Linear):
        layer.out_features = sum(widths)
    else:
        layer.out_channels = sum(widths)
    graph = network.graph
    with graph.inserting_after(first):
        parts = graph.call_function(torch.split, (first, widths), {"dim": axis})
    before = parts
    for index, (node, _) in enumerate(members):
        with graph.inserting_after(before):
            part = graph.call_function(operator.getitem, (parts, index))
        part.meta = {"location": node.meta.get("location")}
        node.replace_all_uses_with(part, lambda user: user is not parts)
        if node is not first:
            graph.erase_node(node)
        before = part


def _name_matrix_products(network: Network) -> None:
    """Make a linear layer of each product with a fixed matrix, and of the sum with a fixed vector behind it."""
    for node in list(network.graph.nodes):
        if not isinstance(op_of(node), MatMul) or len(node.args) != 2:
            continue
        x, matrix = node.args
        if not (_is_fixed(matrix) and isinstance(x, Node)):
            continue
        assert isinstance(matrix, Node)
        weight = network.get_buffer(str(matrix.target)) if _is_buffer(network, matrix) else None
        if weight is None or weight.ndim != 2:
            continue
        layer = nn.Linear(weight.shape[0], weight.shape[1], bias=False, device="meta")
        layer.weight = nn.Parameter(weight.t().contiguous(), requires_grad=False)
        last = node
        if len(node.users) == 1:
            after = next(iter(node.users))
            adds = isinstance(op_of(after), Add) and len(after.args) == 2 and after.args[0] is node
            bias = after.args[1] if adds else None
            if isinstance(bias, Node) and _is_buffer(network, bias):
                vector = network.get_buffer(str(bias.target))
                if vector.shape == (weight.shape[1],):
                    layer.bias = nn.Parameter(vector, requires_grad=False)
                    last = after
        name = add_module(network, f"{node.name}_linear", layer)
        with network.graph.inserting_before(last):
            made = network.graph.call_module(name, (x,))
        made.meta = dict(node.meta)
        hand_on(last, made)
        if last is not node:
            network.graph.erase_node(node)
    network.graph.eliminate_dead_code()


def _is_fixed(value: object) -> bool:
    return isinstance(value, Node) and value.op == "get_attr"


def _is_buffer(network: Network, node: Node) -> bool:
    return node.op == "get_attr" and "." not in str(node.target) and str(node.target) in network._buffers
