"""Compiled training steps against those of hand-written modules, and what recomputing saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import Row, alone, compare, ratio


def _step(module: Any, batch: int = 4, size: int = 224) -> Callable[[], None]:
    """A forward pass, a backward pass and an update."""
    import torch
    from torch.nn import functional

    optimiser = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    x, labels = torch.randn(batch, 3, size, size), torch.arange(batch)

    def run() -> None:
        functional.cross_entropy(module(x), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return run


def training_steps() -> Iterator[Row]:
    """A compiled training step against `torch.compile` of the network by hand, batch 4."""
    from benchmarks.peers.resnet import ResNet
    from benchmarks.peers.vit import ViT

    yield from alone(_training_step, "resnet50", ResNet)
    yield from alone(_training_step, "vit_b16", ViT)


def _training_step(name: str, peer: Callable[[], Any]) -> Iterator[Row]:
    import torch

    import archspec

    ours = _step(archspec.load(name, compile=True).train())
    theirs = _step(torch.compile(peer().train()))
    yield ratio(
        f"compiled training step of {name} / by hand", 1.0, *compare(ours, theirs, 21), ("ours", "by hand")
    )


def recomputing() -> Iterator[Row]:
    """Bytes that autograd keeps of a forward pass with `recompute`, against those without."""
    import torch

    import archspec

    def kept(module: Any) -> int:
        seen: dict[int, int] = {}
        weights = {parameter.data_ptr() for parameter in module.parameters()}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = module(torch.randn(2, 3, 224, 224))
        del out
        return sum(seen.values())

    for name in ("resnet50", "vit_b16"):
        saving, plain = kept(archspec.load(name, recompute=True)), kept(archspec.load(name))
        share = saving / plain
        detail = f"{saving / 2**20:.0f} MiB, without {plain / 2**20:.0f} MiB, batch 2"
        yield Row(
            f"kept for the backward pass of {name}, recomputed / all", share, 1.0, (share, share), detail
        )
