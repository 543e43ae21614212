"""On a GPU: throughput and peak memory against timm under the same settings. Nothing where there is none."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import Row, compare, ratio
from benchmarks.peers import timm

_NETWORKS = (
    ("resnet50", "resnet50"),
    ("efficientnet_b0", "efficientnet_b0"),
    ("vit_b16", "vit_base_patch16_224"),
)


def _call(module: Any, x: Any) -> Callable[[], None]:
    """A forward pass in bf16 autocast, to its end."""
    import torch

    def run() -> None:
        with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16):
            module(x)
        if x.is_cuda:
            torch.cuda.synchronize()

    return run


def _held(device: str) -> int:
    """The bytes that live on a card; nothing is counted elsewhere."""
    import torch

    gc.collect()  # networks are cycles
    return torch.cuda.memory_allocated() if device == "cuda" else 0


def _peak(work: Callable[[], None], before: int) -> int:
    """The bytes that a forward pass takes at its peak, weights included, beyond those held before its network was made."""
    import torch

    work(), work()  # what is compiled, and recorded as a CUDA graph, at first
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() - before


def on_the_gpu(device: str = "cuda", batches: tuple[int, ...] = (1, 256), runs: int = 15) -> Iterator[Row]:
    """Forward passes eager, compiled, and compiled with CUDA graphs, in bf16 autocast and channels last."""
    import torch

    models = timm()
    if (device == "cuda" and not torch.cuda.is_available()) or models is None:
        print("    (no GPU, or no timm: not compared)")
        return
    card = torch.cuda.get_device_name() if device == "cuda" else device
    for name, peer in _NETWORKS:
        for mode in (None, "default", "reduce-overhead"):
            for batch in batches:
                yield from _compared(name, models, peer, mode, batch, runs, device, card)


def _compared(
    name: str, models: Any, peer: str, mode: str | None, batch: int, runs: int, device: str, card: str
) -> Iterator[Row]:
    """One network and one way to run it: ours plain and optimised, each against timm's."""
    import torch

    import archspec

    x = torch.randn(batch, 3, 224, 224, device=device).contiguous(memory_format=torch.channels_last)
    before = _held(device)
    theirs = models.create_model(peer).eval().to(device).to(memory_format=torch.channels_last)
    b = _call(torch.compile(theirs, mode=mode) if mode else theirs, x)
    other = _peak(b, before) if device == "cuda" else 0
    for how, settings in (("plain", {}), ("optimised", {"optimize": "inference"})):
        before = _held(device)
        ours = archspec.load(name, device=device, compile=mode or False, **settings).eval()
        if mode is None and not settings:
            ours = ours.to(memory_format=torch.channels_last)
        a = _call(ours, x)
        mine = _peak(a, before) if device == "cuda" else 0
        claim = f"{name}, {mode or 'eager'}, {how}, batch {batch} / timm on {card}"
        yield ratio(claim, 1.0, *compare(a, b, runs), ("ours", "timm"))
        if device == "cuda":
            detail = f"{mine / 2**20:.0f} MiB, timm {other / 2**20:.0f} MiB"
            yield Row(f"peak memory: {claim}", mine / other, 1.0, (mine / other,) * 2, detail)
        del ours, a
