"""`archspec.load(compile=True)` against `torch.compile` of the same network by hand: cold compile, and speed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.measuring import Row, alone, check_same, compare, ratio, timed
from benchmarks.peers import timm


def compiled() -> Iterator[Row]:
    """Seconds to compile with empty caches, and the speed of what was compiled, batches of 1, and of 8."""
    from benchmarks.peers.resnet import ResNet
    from benchmarks.peers.vit import ViT

    yield from alone(_compiled, "vit_b16", {"layers": 48}, partial(ViT, depth=48), (1, 3, 224, 224), 1 / 7)
    for batch in (1, 8):  # at 1, laying out the weights of its last stage costs what fusing gains
        image = (batch, 3, 224, 224)
        yield from alone(_compiled, "resnet152", {}, partial(ResNet, (3, 8, 36, 3)), image, 1 / 3)
    if timm() is None:
        print("    (timm is not installed: nasnet_a_large is not compared)")
    else:
        yield from alone(_compiled, "nasnet_a_large", {}, _nasnet, (1, 3, 331, 331), 1 / 3)


def _nasnet() -> Any:
    return timm().create_model("nasnetalarge")


def _compiled(
    name: str, settings: dict[str, int], peer: Callable[[], Any], image: tuple[int, ...], goal: float
) -> Iterator[Row]:
    import torch

    import archspec

    by_hand, x = peer().eval(), torch.randn(*image)
    by_hand.load_state_dict(archspec.load(name, seed=0, **settings).state_dict())
    ours, whole = archspec.load(name, seed=0, compile=True, **settings).eval(), torch.compile(by_hand)
    run = {"ours": partial(ours, x), "whole": partial(whole, x), "eager": partial(by_hand, x)}
    with torch.no_grad(), torch._inductor.utils.fresh_cache():
        # What the toolchain does once on a machine, and each time that its cache is empty, is left out.
        torch.compile(lambda x: (x + 1).relu())(torch.randn(1000))
        cold = {kind: timed(run[kind]) for kind in ("ours", "whole")}
        check_same(name, ours(x), whole(x))
        against_whole = compare(run["ours"], run["whole"], 13)
        against_eager = compare(run["ours"], run["eager"], 13)
    what = f"{name} of 48 blocks" if settings else name
    what += f", batch {image[0]}" if image[0] > 1 else ""
    share = cold["ours"] / cold["whole"]
    detail = f"{cold['ours']:.1f} s, torch.compile by hand {cold['whole']:.1f} s, one run"
    yield Row(f"cold compile of {what} / torch.compile by hand", share, goal, (share, share), detail)
    yield ratio(f"compiled {what} / torch.compile by hand", 1.05, *against_whole, ("ours", "by hand"))
    yield ratio(f"compiled {what} / eager by hand", 1.0, *against_eager, ("ours", "by hand"))
