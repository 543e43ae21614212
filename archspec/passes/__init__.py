"""Passes over a lowered network that make it faster: one per file, each a function that changes the network in place.

They take a flat network in eval mode, and leave one that computes the same, to rounding, and can no longer train.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from archspec.backends.torch_fx import Network
from archspec.errors import SpecError
from archspec.passes.channels_last import channels_last
from archspec.passes.drop_training import drop_training
from archspec.passes.fold_norms import fold_norms
from archspec.passes.fuse_parallel import fuse_parallel
from archspec.passes.pack_onednn import pack_onednn
from archspec.passes.precompute import precompute
from archspec.passes.standardise_weights import standardise_weights

PASSES: tuple[Callable[[Network], None], ...] = (
    drop_training,
    standardise_weights,
    fold_norms,
    precompute,
    fuse_parallel,
    channels_last,
)


class Inference(Network):
    """A network that was optimised for inference. Its weights are no longer those of the spec, and fixed."""

    def train(self, mode: bool = True) -> Inference:
        """Stay in eval mode. Raises SpecError when asked to train."""
        if mode:
            raise SpecError.of(
                "argument",
                f"{self.meta['archspec'].name} is optimised for inference and cannot train",
                help="load it without `optimize`",
            )
        super().train(False)
        return self


def optimize_for_inference(network: Network, *, pack: bool = True) -> Network:
    """Run all passes over a flat network, and freeze its weights; returns the same network.

    With `pack`, convolutions and linear layers on the CPU are packed for oneDNN, with what follows them; `torch.compile`
    does that itself.
    """
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        for run in (*PASSES, pack_onednn) if pack else PASSES:
            run(network)
    network.delete_all_unused_submodules()
    network.recompile()
    # A GraphModule has a class of its own, which holds its `forward`.
    network.__class__ = type(type(network).__name__, (type(network), Inference), {})
    return network


__all__ = ["PASSES", "Inference", "optimize_for_inference"]
