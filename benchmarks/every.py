"""`optimize="inference"` on every network that is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.measuring import Row, alone, compare, ratio


def every_spec() -> Iterator[Row]:
    """Each shipped network, optimised against plain, batch 1: the slowest five, and the middle one."""
    from archspec.api import shipped

    found = [row for entry in shipped() for row in alone(_optimised, entry.name)]
    found.sort(key=lambda row: -row.measured)
    for place, row in enumerate(found):
        if place < 5 or place == len(found) // 2:
            claim = f"optimised / plain, {place + 1}. of {len(found)} specs: {row.claim}"
            yield Row(claim, row.measured, 1.0, row.spread, row.detail)


def _optimised(name: str) -> Iterator[Row]:
    """One network against itself; with more runs where the first few leave it open which is faster."""
    import torch

    import archspec

    graph = archspec.read(name)
    if not graph.is_sized:
        graph = archspec.read(name, length=16)
    x = [
        torch.randint(2, (1, *given.type.shape))  # type: ignore[arg-type]
        if given.type.dtype == "i64"
        else torch.randn(1, *given.type.shape)  # type: ignore[arg-type]
        for given in graph.inputs
    ]
    plain = archspec.load(graph, seed=0).eval()
    fast = archspec.load(graph, seed=0, optimize="inference")
    runs = partial(compare, partial(fast, *x), partial(plain, *x))
    with torch.inference_mode():
        row = ratio(name, 1.0, *runs(5), ("optimised", "plain"))
        if row.measured > 0.9:
            row = ratio(name, 1.0, *runs(15), ("optimised", "plain"))
    yield row
