"""`archspec.load(compile=True)` against `torch.compile` of the same network by hand: cold compile, and speed after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.measuring import Row
from benchmarks.peers import timm

_SCRIPT = """
import json, statistics, sys, time
import torch
import archspec
from benchmarks.peers import timm
from benchmarks.peers.resnet import ResNet
from benchmarks.peers.vit import ViT

name, settings, size = json.loads(sys.argv[1])
peers = {
    "vit_b16": lambda: ViT(depth=48),
    "resnet152": lambda: ResNet((3, 8, 36, 3)),
    "nasnet_a_large": lambda: timm().create_model("nasnetalarge"),
}
torch.compile(lambda x: (x + 1).relu())(torch.randn(1000))  # what the toolchain does once on a machine
torch.set_grad_enabled(False)
x = torch.randn(1, 3, size, size)
by_hand = peers[name]().eval()
by_hand.load_state_dict(archspec.load(name, seed=0, **settings).state_dict())
networks = {"eager": by_hand, "ours": archspec.load(name, seed=0, compile=True, **settings).eval()}
networks["whole"] = torch.compile(by_hand)
seconds, cold, results = {kind: [] for kind in networks}, {}, {}
for kind in ("ours", "whole"):
    started = time.perf_counter()
    results[kind] = networks[kind](x)
    cold[kind] = time.perf_counter() - started
assert torch.allclose(results["ours"], results["whole"], rtol=1e-3, atol=1e-4), "not the same function"
for _ in range(13):
    for kind, network in networks.items():
        started = time.perf_counter()
        network(x)
        seconds[kind].append(time.perf_counter() - started)
print(json.dumps([cold, seconds]))
"""

_NETWORKS = (
    ("vit_b16", {"layers": 48}, 224, 1 / 7),
    ("resnet152", {}, 224, 1 / 3),
    ("nasnet_a_large", {}, 331, 1 / 3),
)


def compiled() -> Iterator[Row]:
    """Seconds to compile with empty caches, and the speed of what was compiled, batch 1, each in a process of its own."""
    for name, settings, size, goal in _NETWORKS:
        if name.startswith("nasnet") and timm() is None:
            print(f"    (timm is not installed: {name} is not compared)")
            continue
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-c", _SCRIPT, json.dumps([name, settings, size])],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
            )
        cold, seconds = json.loads(done.stdout.splitlines()[-1])
        what = f"{name} of 48 blocks" if settings else name
        share = cold["ours"] / cold["whole"]
        detail = f"{cold['ours']:.1f} s, torch.compile by hand {cold['whole']:.1f} s, one run"
        yield Row(f"cold compile of {what} / torch.compile by hand", share, goal, (share, share), detail)
        for against, limit in (("whole", 1.05), ("eager", 1.0)):
            pairs = sorted(a / b for a, b in zip(seconds["ours"], seconds[against], strict=True))
            middle, quarter = len(pairs) // 2, len(pairs) // 4
            kind = "torch.compile by hand" if against == "whole" else "eager by hand"
            yield Row(
                f"compiled {what} / {kind}",
                pairs[middle],
                limit,
                (pairs[quarter], pairs[-1 - quarter]),
                "batch 1, medians of 13 alternating runs",
            )
