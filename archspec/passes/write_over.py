"""Run sums, products and activations in place where nothing reads their input afterwards, so that no memory is allocated.

For large images that is most of their time: the pages of a new tensor are faulted in one by one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch.fx import Node

from archspec.backends.torch_modules import Network
from archspec.passes.pack_layers import PackedConv, PackedLinear
from archspec.passes.rewriting import module_of, op_of

OVER: dict[Callable[..., Any], Callable[..., Any]] = {
    operator.add: operator.iadd,
    operator.mul: operator.imul,
}
"""Operators that may overwrite either input, and their in-place forms."""


def write_over(network: Network) -> None:
    """Run each step in place if an input has the type of its result, owns its memory and is not read later."""
    places = {node: place for place, node in enumerate(network.graph.nodes)}

    def free(value: Node, reader: Node) -> bool:
        """Whether a value owns its memory, has the type of `reader`'s result, and is last read by it."""
        others = [user for user in value.users if user is not reader]
        return (
            value.meta.get("type") == reader.meta.get("type") is not None
            and _makes_new(network, value)
            and reader.args.count(value) == 1
            and all(_makes_new(network, user) and places[user] < places[reader] for user in others)
        )

    for node in network.graph.nodes:
        op, module = op_of(node), module_of(network, node)
        if isinstance(module, PackedConv) and len(node.args) == 2:
            module.over = isinstance(node.args[1], Node) and free(node.args[1], node)
        elif node.op == "call_function" and node.target in OVER:
            inputs = [value for value in node.args if isinstance(value, Node)]
            over = [value for value in inputs if len(inputs) == 2 and free(value, node)]
            if over:
                node.args = (*over[:1], *(value for value in inputs if value is not over[0]))
                node.target = OVER[node.target]
        elif module is not None and op is not None and op.overwrites:
            module.inplace = free(node.all_input_nodes[0], node)  # type: ignore[assignment]


def _makes_new(network: Network, node: Node) -> bool:
    """Whether a node returns new memory, or memory that it took over."""
    if node.op not in ("call_module", "call_function"):
        return False  # an input, or a constant
    op = op_of(node)
    packed = isinstance(module_of(network, node), PackedConv | PackedLinear)
    return packed or (op is not None and (op.overwritable or op.overwrites))
