"""Drop what only training needs: dropout of all kinds, and what changes nothing."""

from __future__ import annotations

from torch.fx import Node

from archspec.backends.torch_modules import Network
from archspec.backends.torch_precision import Real, Rounded
from archspec.passes.rewriting import hand_on, op_of


def drop_training(network: Network) -> None:
    """Hand on the input of each op that does nothing else at inference, and drop what nobody reads."""
    for node in list(network.graph.nodes):
        op = op_of(node)
        if op is not None and op.only_trains:
            hand_on(node, node.all_input_nodes[0])
        elif (
            op is None and node.op == "call_module" and not _casts(network, node)
        ):  # marks where a block ends
            for part in list(node.users) if isinstance(node.args[0], tuple) else ():
                hand_on(part, node.args[0][part.args[1]])
            if node.users:
                hand_on(node, node.all_input_nodes[0])
            else:
                node.graph.erase_node(node)
    network.graph.eliminate_dead_code()


def _casts(network: Network, node: Node) -> bool:
    """Whether a node brings a value to another dtype."""
    return isinstance(network.get_submodule(str(node.target)), Real | Rounded)
