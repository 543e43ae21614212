"""On a GPU: throughput and peak memory against timm under the same settings. Nothing where there is none."""

from __future__ import annotations

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


def _peak(work: Callable[[], None]) -> int:
    import torch

    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated()


def on_the_gpu(device: str = "cuda", batches: tuple[int, ...] = (1, 256), runs: int = 15) -> Iterator[Row]:
    """Forward passes eager, compiled, and compiled with CUDA graphs, in bf16 autocast and channels last."""
    import torch

    import archspec

    models = timm()
    if (device == "cuda" and not torch.cuda.is_available()) or models is None:
        print("    (no GPU, or no timm: not compared)")
        return
    card = torch.cuda.get_device_name() if device == "cuda" else device
    for name, peer in _NETWORKS:
        for mode in (None, "default", "reduce-overhead"):
            for batch in batches:
                x = torch.randn(batch, 3, 224, 224, device=device)
                x = x.contiguous(memory_format=torch.channels_last)
                theirs = models.create_model(peer).eval().to(device).to(memory_format=torch.channels_last)
                theirs = torch.compile(theirs, mode=mode) if mode else theirs
                for how, settings in (("plain", {}), ("optimised", {"optimize": "inference"})):
                    ours = archspec.load(name, device=device, compile=mode or False, **settings).eval()
                    if mode is None and not settings:
                        ours = ours.to(memory_format=torch.channels_last)
                    a, b = _call(ours, x), _call(theirs, x)
                    times = compare(a, b, runs)
                    claim = f"{name}, {mode or 'eager'}, {how}, batch {batch} / timm on {card}"
                    yield ratio(claim, 1.0, *times, ("ours", "timm"))
                    if device == "cuda":
                        mine, other = _peak(a), _peak(b)
                        detail = f"{mine / 2**20:.0f} MiB, timm {other / 2**20:.0f} MiB"
                        yield Row(f"peak memory: {claim}", mine / other, 1.0, (mine / other,) * 2, detail)
