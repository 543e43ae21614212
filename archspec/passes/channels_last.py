"""Lay out images channels last where convolutions dominate: the layout that their fastest kernels take."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from archspec.analyses.cost import node_costs
from archspec.analyses.formulas import of_batch
from archspec.backends.torch_inputs import checked
from archspec.backends.torch_modules import Network
from archspec.graph import Graph
from archspec.op.torch_layers import DeformConv
from archspec.ops.conv import Conv, WSConv

SHARE = 0.5  # of the multiply-adds, in convolutions, from which on it pays


def dominated_by_convolutions(graph: Graph) -> bool:
    """Whether most multiply-adds are those of two-dimensional convolutions, and every input is known to be an image or none."""
    if not graph.is_sized or not any(given.type.rank == 3 for given in graph.inputs):
        return False
    costs = node_costs(of_batch(graph, 1))
    in_convolutions = sum(costs[node.name].macs for node in graph.nodes if isinstance(node.op, Conv | WSConv))
    return in_convolutions > SHARE * sum(cost.macs for cost in costs.values())


def last(image: Tensor) -> Tensor:
    """The same values, channels last in memory."""
    return image.contiguous(memory_format=torch.channels_last)


def channels_last(network: Network) -> None:
    """Lay out weights and images so, if that pays; training goes on as before."""
    graph: Graph = network.meta["archspec"]
    if not dominated_by_convolutions(graph):
        return
    for module in network.modules():
        if isinstance(module, _ConvNd) and not isinstance(module, DeformConv) and module.weight.ndim == 4:
            module.weight.data = last(module.weight.data)
    for node in list(network.graph.nodes):
        if node.op == "placeholder" and node.meta["type"].rank == 3:
            node = checked(node)
            with network.graph.inserting_after(node):
                laid = network.graph.call_function(last, (node,))
            node.replace_all_uses_with(laid)
            laid.args, laid.meta = (node,), dict(node.meta)
    network.recompile()
