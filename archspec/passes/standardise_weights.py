"""Standardise the weights of weight-standardised convolutions once [Qiao et al., 2019; Brock et al., 2021]."""

from __future__ import annotations

from typing import cast

from torch import nn

from archspec.backends.torch_modules import Network
from archspec.op import padded_layers as padded
from archspec.op.torch_layers import WSConv1d, WSConv2d, WSConv3d
from archspec.passes.rewriting import modules

PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    WSConv1d: nn.Conv1d,
    WSConv2d: nn.Conv2d,
    WSConv3d: nn.Conv3d,
    padded.PaddedWSConv1d: padded.PaddedConv1d,
    padded.PaddedWSConv2d: padded.PaddedConv2d,
    padded.PaddedWSConv3d: padded.PaddedConv3d,
}


def standardise_weights(network: Network) -> None:
    """Make each such convolution a plain one of the weights that it would compute each time."""
    for _, module in modules(network):
        if type(module) in PLAIN:
            conv = cast(WSConv2d, module)
            conv.weight = nn.Parameter(conv.standardised(conv.weight), requires_grad=False)
            conv.register_parameter("gain", None)
            conv.__class__ = PLAIN[type(module)]  # type: ignore[assignment]
