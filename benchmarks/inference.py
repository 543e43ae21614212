"""`optimize="inference"` against hand-written modules, eager and compiled, and packages compiled ahead of time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, alone, check_same, compare, ratio


def _networks() -> Iterator[tuple[str, Callable[[], Any], float, float]]:
    """Name, peer, and the speed that is aimed at: uncompiled and compiled, as times of eager."""
    from benchmarks.peers.efficientnet import EfficientNetB0
    from benchmarks.peers.resnet import ResNet
    from benchmarks.peers.vit import ViT

    yield "resnet50", ResNet, 1.3, 1.4
    yield "efficientnet_b0", EfficientNetB0, 1.7, 1.7
    yield "vit_b16", ViT, 1.0, 1.0


def optimised() -> Iterator[Row]:
    """An optimised network, not compiled, against the eager one by hand, batches of 1 and 8."""
    for name, peer, goal, _ in _networks():
        yield from alone(_optimised, name, peer, goal)


def _optimised(name: str, peer: Callable[[], Any], goal: float) -> Iterator[Row]:
    import torch

    import archspec

    by_hand = peer().eval()
    by_hand.load_state_dict(archspec.load(name, seed=0).state_dict())
    ours = archspec.load(name, seed=0, optimize="inference")
    for batch in (1, 8):
        x = torch.randn(batch, 3, 224, 224)
        with torch.inference_mode():
            check_same(name, ours(x), by_hand(x))
            times = compare(partial(ours, x), partial(by_hand, x), 15)
        claim = f"optimised {name}, batch {batch} / eager by hand"
        yield ratio(claim, 1 / goal if batch == 8 else 1.0, *times, ("ours", "by hand"))


def optimised_and_compiled() -> Iterator[Row]:
    """An optimised and compiled network against the eager one, and the one compiled with freezing, batch 8."""
    for name, peer, _, goal in _networks():
        yield from alone(_optimised_and_compiled, name, peer, goal)


def _optimised_and_compiled(name: str, peer: Callable[[], Any], goal: float) -> Iterator[Row]:
    import torch

    import archspec

    by_hand, x = peer().eval(), torch.randn(8, 3, 224, 224)
    ours = archspec.load(name, seed=0, optimize="inference", compile=True)
    frozen = torch.compile(peer().eval(), options={"freezing": True})
    with torch.no_grad():
        eager = compare(partial(ours, x), partial(by_hand, x), 15)
        whole = compare(partial(ours, x), partial(frozen, x), 15)
    yield ratio(f"optimised, compiled {name} / eager by hand", 1 / goal, *eager, ("ours", "by hand"))
    yield ratio(f"optimised, compiled {name} / by hand, frozen", 1.0, *whole, ("ours", "by hand"))


def ahead_of_time() -> Iterator[Row]:
    """Loading a package and the first call, against building the network and compiling it then."""
    import torch

    import archspec
    from archspec.backends.torch_aot import save_package
    from archspec.passes import optimize_for_inference

    x = torch.randn(1, 3, 224, 224)
    for name in ("resnet50", "vit_b16"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.pt2"
            save_package(optimize_for_inference(archspec.load(name, seed=0, flat=True)), path)
            started = time.perf_counter()
            archspec.load_aot(path)(x)
            loaded = time.perf_counter() - started
        torch._dynamo.reset()
        with torch.no_grad(), torch._inductor.utils.fresh_cache():
            started = time.perf_counter()
            torch.compile(archspec.load(name, seed=0).eval())(x)
            compiled = time.perf_counter() - started
        share = loaded / compiled
        detail = f"{loaded:.2f} s, built and compiled {compiled:.1f} s, one run"
        yield Row(
            f"load and first call of {name}, ahead of time / compile", share, 0.1, (share, share), detail
        )
