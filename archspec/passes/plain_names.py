"""Give names of their own to what generated code reaches by another name than its key, as a child named `class`."""

from __future__ import annotations

from torch import nn

from archspec.backends.torch_modules import Child, Network
from archspec.passes.rewriting import add_module


def plain_names(network: Network) -> None:
    """Move each module and weight whose path holds such a name to the network itself, since passes go by keys."""
    moved: dict[str, str] = {}
    for node in network.graph.nodes:
        if node.op not in ("call_module", "get_attr"):
            continue
        path = str(node.target)
        if path not in moved:
            moved[path] = _moved(network, path)
        node.target = moved[path]


def _moved(network: Network, path: str) -> str:
    held: object = network
    renamed = False
    for part in path.split("."):
        renamed = renamed or isinstance(getattr(type(held), part, None), Child)
        held = getattr(held, part)
    if not renamed:
        return path
    if isinstance(held, nn.Module):
        return add_module(network, path, held)
    name = path.replace(".", "_")
    while hasattr(network, name):
        name += "_"
    if isinstance(held, nn.Parameter):
        network.register_parameter(name, held)
    else:
        network.register_buffer(name, held, persistent=False)  # type: ignore[arg-type]
    return name
