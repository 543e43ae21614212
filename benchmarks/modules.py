"""Built modules against the same networks by hand: constructing them, loading them, an eager forward pass."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, check_same, compare, ratio


def _peers() -> Iterator[tuple[str, Callable[[], Any], int]]:
    """Name, hand-written peer and input size of the nets that are compared."""
    from benchmarks.peers.efficientnet import EfficientNetB3
    from benchmarks.peers.resnet import ResNet

    yield "resnet50", ResNet, 224
    yield "efficientnet_b3", EfficientNetB3, 300


IN_TIMM = {
    "resnet50": "resnet50",
    "vit_b16": "vit_base_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "efficientnet_b0": "efficientnet_b0",
}


def loading() -> Iterator[Row]:
    """`archspec.load` against constructing the hand-written module, and timm's where it is there, all with fresh weights."""
    import archspec
    from benchmarks.peers import timm

    for name, peer, _ in _peers():
        ours, theirs = compare(lambda name=name: archspec.load(name), peer, 15)
        yield ratio(f"archspec.load of {name} / by hand", 1.0, ours, theirs, ("load", "by hand"))
    if (models := timm()) is not None:
        for name, theirs_name in IN_TIMM.items():
            ours, theirs = compare(
                lambda name=name: archspec.load(name), lambda name=theirs_name: models.create_model(name), 15
            )
            yield ratio(f"archspec.load of {name} / timm", 1.0, ours, theirs, ("load", "timm.create_model"))


def first_load() -> Iterator[Row]:
    """The first `archspec.load` of a process against the first construction by hand, torch being imported."""

    def seconds(code: str) -> float:
        timing = "import time, torch\nstarted = time.perf_counter()\n{}\nprint(time.perf_counter() - started)"
        done = subprocess.run(
            [sys.executable, "-c", timing.format(code)], check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    for name, peer, _ in _peers():
        by_hand = f"from {peer.__module__} import {peer.__name__} as Peer\nPeer()"
        pairs = [(seconds(f"import archspec\narchspec.load('{name}')"), seconds(by_hand)) for _ in range(7)]
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        yield ratio(f"first load of {name} / by hand", float("inf"), ours, theirs, ("load", "by hand"))


def forward() -> Iterator[Row]:
    """An eager forward pass against the hand-written module with the same weights."""
    import torch

    import archspec

    for name, peer, size in _peers():
        module, by_hand = archspec.load(name).eval(), peer().eval()
        by_hand.load_state_dict(module.state_dict())
        x = torch.randn(4, 3, size, size)
        with torch.inference_mode():
            check_same(name, module(x), by_hand(x))
            ours, theirs = compare(lambda m=module, x=x: m(x), lambda m=by_hand, x=x: m(x), 15)
        yield ratio(f"eager forward of {name} / by hand", 1.03, ours, theirs, ("ours", "by hand"))


def built() -> Iterator[Row]:
    """`archspec.load` of a built ViT-B/16 against constructing it by hand, and by timm, with first weights."""
    import archspec
    from archspec.api.artifact import save_artifact
    from benchmarks.peers import timm
    from benchmarks.peers.vit import ViT

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vit.archmod"
        save_artifact(archspec.load("vit_b16", seed=0), path, seed=0)
        rivals = {"by hand": ViT}
        if (models := timm()) is not None:
            rivals["timm.create_model"] = lambda: models.create_model("vit_base_patch16_224")
        for name, rival in rivals.items():
            ours, theirs = compare(lambda: archspec.load(path), rival, 9)
            yield ratio(f"load of a built vit_b16 / {name}", 0.3, ours, theirs, ("load", name))
