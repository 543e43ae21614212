"""Part convolutions from the padding before them, so that what is left is one that other passes know."""

from __future__ import annotations

from torch import nn

from archspec.backends.torch_modules import Network
from archspec.op.padded_layers import PaddedConv, PaddedConv1d, PaddedConv2d, PaddedConv3d, padded
from archspec.passes.rewriting import modules

PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    PaddedConv1d: nn.Conv1d,
    PaddedConv2d: nn.Conv2d,
    PaddedConv3d: nn.Conv3d,
}


def part_padding(network: Network) -> None:
    """Make two steps of each convolution behind padding: the padding, and a plain convolution."""
    for node, module in modules(network):
        if isinstance(module, PaddedConv) and type(module) in PLAIN:
            with network.graph.inserting_before(node):
                around = network.graph.call_function(padded, (node.args[0],), module.around)
            around.meta = {"location": node.meta.get("location")}
            node.args = (around,)
            module.__class__ = PLAIN[type(module)]  # type: ignore[assignment]
