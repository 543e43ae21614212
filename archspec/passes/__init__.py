"""Passes over a lowered network that make it faster: one per file, each a function that changes the network in place.

They take a flat network in eval mode, and leave one that computes the same, to rounding, and can no longer train.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from archspec.backends.torch_modules import Network
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.passes.channels_last import channels_last
from archspec.passes.compile_blocks import compile_network
from archspec.passes.drop_marks import drop_marks
from archspec.passes.drop_training import drop_training
from archspec.passes.fold_norms import fold_norms
from archspec.passes.fuse_parallel import fuse_parallel
from archspec.passes.merge_branches import merge_branches
from archspec.passes.pack_layers import leaves_little, pack_layers
from archspec.passes.part_padding import part_padding
from archspec.passes.plain_names import plain_names
from archspec.passes.precompute import precompute
from archspec.passes.standardise_weights import standardise_weights
from archspec.passes.write_over import write_over

PASSES: tuple[Callable[[Network], None], ...] = (
    plain_names,
    drop_marks,
    drop_training,
    standardise_weights,
    part_padding,
    merge_branches,
    fold_norms,
    precompute,
    fuse_parallel,
    channels_last,
    pack_layers,
    write_over,
)


class Inference(Network):
    """A network that was optimised for inference. Its weights are no longer those of the spec, and fixed."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network, keeping nothing for a backward pass."""
        with torch.no_grad():
            return super().__call__(*args, **kwargs)

    def train(self, mode: bool = True) -> Inference:
        """Stay in eval mode. Raises SpecError when asked to train."""
        if mode:
            raise SpecError.of(
                codes.CHANGED,
                f"{self.meta['archspec'].name} is optimised for inference and cannot train",
                help="load it without `optimize`",
            )
        super().train(False)
        return self


def optimize_for_inference(network: Network) -> Inference:
    """Run all passes over a flat network, and freeze its weights; what it gives takes the place of the network."""
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        for run in PASSES:
            run(network)
    network.delete_all_unused_submodules()
    made = Inference.__new__(Inference)  # of a class of its own, which holds its `forward`
    made.__dict__ = network.__dict__
    made.recompile()
    return made


__all__ = ["PASSES", "Inference", "compile_network", "leaves_little", "optimize_for_inference"]
