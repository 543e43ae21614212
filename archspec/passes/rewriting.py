"""What passes share: finding the module behind a node of an fx graph, and putting another in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn
from torch.fx import Node

from archspec.backends.torch_modules import Network
from archspec.op import Op


def op_of(node: Node) -> Op | None:
    """The op of the spec that a node was lowered from."""
    source = node.meta.get("node")
    return None if source is None else source.op


def module_of(network: Network, node: Node) -> nn.Module | None:
    """The module that a node calls, when it calls one and no other node calls it, or reads a weight of it.

    Nor does a hook: it would wait for calls that are no longer made.
    """
    if node.op != "call_module" or _uses(network)[str(node.target)] != 1:
        return None
    module = network.get_submodule(str(node.target))
    return None if _is_hooked(module) else module


def modules(network: Network) -> Iterator[tuple[Node, nn.Module]]:
    """All nodes that call a module of their own without hooks, which may be erased meanwhile."""
    uses = _uses(network)
    for node in list(network.graph.nodes):
        if node.op == "call_module" and uses[str(node.target)] == 1:
            module = network.get_submodule(str(node.target))
            if not _is_hooked(module):
                yield node, module


def hand_on(node: Node, value: Node) -> None:
    """Give a value to all that took a node's, and erase the node."""
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)


def add_module(network: Network, name: str, module: nn.Module) -> str:
    """Add a module to the network under a name like that one that is not taken yet."""
    name = name.replace(".", "_")
    while hasattr(network, name):
        name += "_"
    network.add_module(name, module)
    return name


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _uses(network: Network) -> Counter[str]:
    """How many nodes call each module or read a weight of it, by the module's name."""
    called = Counter(str(node.target) for node in network.graph.nodes if node.op == "call_module")
    read = (str(node.target) for node in network.graph.nodes if node.op == "get_attr")
    return called + Counter(target.rpartition(".")[0] for target in read)
