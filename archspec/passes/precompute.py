"""Compute once what follows from weights and constants alone: position tables, biases gathered from them, masks."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Interpreter, Node

from archspec.backends.torch_modules import Network
from archspec.backends.torch_precision import Exact
from archspec.ops.weights import Own
from archspec.passes.rewriting import add_module, op_of


def precompute(network: Network) -> None:
    """Replace each largest part of the graph that no input reaches by a buffer that holds its result."""
    fixed: dict[Node, None] = {}
    for node in network.graph.nodes:
        if _is_own(node) or (node.op.startswith("call") and _all_fixed(node, fixed)):
            fixed[node] = None
    wanted = [node for node in fixed if not _is_own(node) and any(user not in fixed for user in node.users)]
    values = _Values(network)
    for count, node in enumerate(wanted):
        value = values.of(node)
        if not isinstance(value, torch.Tensor):  # parts of it are wanted instead, which are fixed too
            continue
        name = f"precomputed_{count}"
        with network.graph.inserting_before(node):
            if node.meta.get("exact"):
                made = network.graph.call_module(add_module(network, name, Exact.of(value.contiguous())))
            else:
                network.register_buffer(name, value.contiguous(), persistent=False)
                made = network.graph.get_attr(name)
        node.replace_all_uses_with(made)
    network.graph.eliminate_dead_code()


def _is_own(node: Node) -> bool:
    """Whether a node gives a tensor of the network's own."""
    return node.op == "get_attr" or isinstance(op_of(node), Own)


def _all_fixed(node: Node, fixed: dict[Node, None]) -> bool:
    return bool(node.all_input_nodes) and all(value in fixed for value in node.all_input_nodes)


class _Values(Interpreter):
    """The values of nodes that need no input."""

    def of(self, node: Node) -> Any:
        """What a node gives, and on the way what it needs."""
        if node not in self.env:
            for needed in node.all_input_nodes:
                self.of(needed)
            self.env[node] = self.run_node(node)
        return self.env[node]
