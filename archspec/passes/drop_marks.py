"""Drop the identities that mark where blocks of a flat network end."""

from __future__ import annotations

from torch import nn

from archspec.backends.torch_modules import Group, Network
from archspec.passes.rewriting import hand_on, op_of


def drop_marks(network: Network) -> None:
    """Hand on what each of them is called with: one value, or several as a tuple, of which parts are taken."""
    for node in list(network.graph.nodes):
        if node.op != "call_module" or op_of(node) is not None:
            continue
        if isinstance(network.get_submodule(str(node.target)), nn.Identity | Group):
            for part in list(node.users) if isinstance(node.args[0], tuple) else ():
                hand_on(part, node.args[0][part.args[1]])
            node.replace_all_uses_with(node.all_input_nodes[0])
            network.graph.erase_node(node)
