"""Drop what only training needs: dropout of all kinds, and edges that change nothing."""

from __future__ import annotations

from archspec.backends.torch_modules import Network
from archspec.passes.rewriting import hand_on, op_of


def drop_training(network: Network) -> None:
    """Hand on the input of each op that does nothing else at inference, and drop what nobody reads."""
    for node in list(network.graph.nodes):
        op = op_of(node)
        if op is not None and op.only_trains:
            hand_on(node, node.all_input_nodes[0])
    network.graph.eliminate_dead_code()
