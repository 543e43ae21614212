"""Print every ratio beside its goal, on whatever machine this runs."""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One claim: what was measured, against what, and the goal that the ratio must keep below."""

    claim: str
    measured: float
    goal: float
    spread: tuple[float, float]
    detail: str


def main() -> None:
    """Run all benchmarks, or those whose names are given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args()
    rows: list[Row] = []
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print(f"{'':<58} {'measured':>9} {'goal':>7} {'spread':>15}")
    for name in options.names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            rows.append(row)
            verdict = "" if row.measured <= row.goal else "  MISSED"
            spread = f"{row.spread[0]:.3f}..{row.spread[1]:.3f}"
            print(f"{row.claim:<58} {row.measured:>9.3f} {row.goal:>7.2f} {spread:>15}{verdict}")
            print(f"    {row.detail}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int
) -> tuple[list[float], list[float]]:
    """Seconds of alternating runs of both, after one of each that is not counted."""
    ours(), theirs()
    pairs = [
        (timed(ours), timed(theirs)) if i % 2 else (timed(theirs), timed(ours))[::-1] for i in range(runs)
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def ratio(claim: str, goal: float, ours: list[float], theirs: list[float], names: tuple[str, str]) -> Row:
    """The median of the ratios pair by pair, and their quartiles as the spread."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    quartiles = statistics.quantiles(ratios, n=4)
    a, b = statistics.median(ours), statistics.median(theirs)
    detail = (
        f"{names[0]} {1000 * a:.1f} ms, {names[1]} {1000 * b:.1f} ms, medians of {len(ours)} alternating runs"
    )
    return Row(claim, statistics.median(ratios), goal, (quartiles[0], quartiles[2]), detail)


def run(*command: str) -> Callable[[], object]:
    """A call of Python in a process of its own."""
    return lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True)


# ------------------------------------------------------------------ the front end


def start_up() -> Iterator[Row]:
    """A whole `archspec check` against `import torch` alone, both compiled to bytecode as pip installs them."""
    compileall.compile_dir("archspec", quiet=1)
    ours, theirs = compare(
        run("-m", "archspec", "check", "specs/efficientnet_b3.arch"), run("-c", "import torch"), 15
    )
    yield ratio("archspec check efficientnet_b3 / import torch", 0.25, ours, theirs, ("check", "import"))


def reading() -> Iterator[Row]:
    """`archspec.read` of the largest shipped net, and how it grows with the number of nodes."""
    import archspec

    archspec.read("nasnet_a_large")
    seconds = [timed(lambda: archspec.read("nasnet_a_large")) for _ in range(9)]
    nodes = len(archspec.read("nasnet_a_large").nodes)
    median = statistics.median(seconds)
    yield Row(
        "archspec.read of NASNet-A large, seconds",
        median,
        0.5,
        (min(seconds), max(seconds)),
        f"{nodes:,} nodes",
    )
    text = """
block Residual:
    input x: [C, H, W]
    return x + (x -> conv: Conv(C, 3) -> bn: BatchNorm -> ReLU) -> ReLU

model Deep(depth: int):
    input x: [8, 8, 8]
    return x -> blocks: depth * [Residual]
"""
    runs: dict[int, list[float]] = {1_000: [], 10_000: [], 100_000: []}
    for _ in range(5):  # in turns, so that a slow minute of the machine meets all sizes
        for count, times in runs.items():
            times.append(timed(lambda count=count: archspec.parse(text, depth=count // 5)))
    took = {count: min(times) for count, times in runs.items()}
    for small in (1_000, 10_000):
        growth = took[10 * small] / took[small]
        detail = f"{took[small]:.3f} s and {took[10 * small]:.3f} s"
        yield Row(f"time of {10 * small:,} nodes / time of {small:,}", growth, 12, (growth, growth), detail)


def cost() -> Iterator[Row]:
    """Parameters and multiply-adds from a spec, against fvcore on a module that is built already."""
    import torch
    from fvcore.nn import FlopCountAnalysis, parameter_count

    import archspec

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    for name, size, goal in (("efficientnet_b3", 300, 0.1), ("nasnet_a_large", 331, 0.02)):
        module, x = archspec.load(name).eval(), torch.randn(1, 3, size, size)

        def count(module: torch.nn.Module = module, x: torch.Tensor = x) -> None:
            FlopCountAnalysis(module, x).total()
            parameter_count(module)

        ours, theirs = compare(lambda name=name: archspec.cost(archspec.read(name)).total, count, 9)
        yield ratio(f"read and cost {name} / fvcore", goal, ours, theirs, ("ours", "fvcore"))

    compileall.compile_dir("archspec", quiet=1)
    shortest = """
import torch, timm
from fvcore.nn import FlopCountAnalysis, parameter_count
module = timm.create_model("efficientnet_b3").eval()
print(parameter_count(module)[""], FlopCountAnalysis(module, torch.randn(1, 3, 300, 300)).total())
"""
    by_hand = shortest.replace(
        "import torch, timm", "import torch\nimport benchmarks.peers.efficientnet_b3 as peer"
    )
    by_hand = by_hand.replace('timm.create_model("efficientnet_b3")', "peer.EfficientNetB3()")
    ours = run("-m", "archspec", "cost", "specs/efficientnet_b3.arch", "--depth", "1", "--format", "json")
    scripts = {"a script with fvcore and a net by hand": (by_hand, float("inf"))}
    if (
        subprocess.run([sys.executable, "-c", "import timm"], capture_output=True, check=False).returncode
        == 0
    ):
        scripts["the shortest script, with fvcore and timm"] = (shortest, 1 / 8)
    for name, (script, goal) in scripts.items():
        times = compare(ours, run("-c", script), 9)
        yield ratio(f"archspec cost b3 / {name}", goal, *times, ("cost", "script"))


def drawing() -> Iterator[Row]:
    """`archspec draw` of NASNet-A as a whole process against torchview and dot, and the text of large pictures."""
    import archspec

    text = """
block Residual(width: int):
    input x: [C, H, W]
    return x + (x -> Conv(width, 3) -> BatchNorm -> ReLU -> Conv(C, 3) -> BatchNorm) -> ReLU

model Deep(depth: int):
    input x: [8, 8, 8]
    return x -> blocks: [Residual(i + 1) for i in range(depth)]
"""
    graph = archspec.parse(text, depth=1430)
    seconds = [timed(lambda: archspec.draw(graph, "full").dot) for _ in range(5)]
    yield Row(
        f"DOT of {len(graph.nodes):,} nodes that all differ, seconds",
        statistics.median(seconds),
        2,
        (min(seconds), max(seconds)),
        "the full view; medians of 5 runs",
    )
    if importlib.util.find_spec("torchview") is None:
        print("    (torchview is not installed: not compared)")
        return
    compileall.compile_dir("archspec", quiet=1)
    peer = """
import archspec, torchview
module = archspec.load("nasnet_a_large").eval()
found = torchview.draw_graph(module, input_size=(1, 3, 331, 331), device="meta")
found.visual_graph.render("nasnet", format="svg")
"""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = compare(
            run("-m", "archspec", "draw", "nasnet_a_large", "-o", f"{folder}/ours.svg"),
            run("-c", peer.replace('"nasnet"', repr(f"{folder}/theirs"))),
            9,
        )
    yield ratio("archspec draw nasnet_a_large / torchview and dot", 0.2, ours, theirs, ("draw", "torchview"))


# ------------------------------------------------------------------ the modules


def peers() -> Iterator[tuple[str, type, int]]:
    """Name, hand-written peer and input size of the nets that are compared."""
    from benchmarks.peers.efficientnet_b3 import EfficientNetB3
    from benchmarks.peers.resnet50 import ResNet50

    yield "resnet50", ResNet50, 224
    yield "efficientnet_b3", EfficientNetB3, 300


def loading() -> Iterator[Row]:
    """`archspec.load` against constructing the hand-written module, both with fresh weights."""
    import archspec

    for name, peer, _ in peers():
        ours, theirs = compare(lambda name=name: archspec.load(name), peer, 15)
        yield ratio(f"archspec.load of {name} / by hand", 1.0, ours, theirs, ("load", "by hand"))


def first_load() -> Iterator[Row]:
    """The first `archspec.load` of a process against the first construction by hand, torch being imported."""

    def seconds(code: str) -> float:
        timing = "import time, torch\nstarted = time.perf_counter()\n{}\nprint(time.perf_counter() - started)"
        done = subprocess.run(
            [sys.executable, "-c", timing.format(code)], check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    for name, peer, _ in peers():
        by_hand = f"from {peer.__module__} import {peer.__name__} as Peer\nPeer()"
        pairs = [(seconds(f"import archspec\narchspec.load('{name}')"), seconds(by_hand)) for _ in range(7)]
        ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
        yield ratio(f"first load of {name} / by hand", float("inf"), ours, theirs, ("load", "by hand"))


def forward() -> Iterator[Row]:
    """An eager forward pass against the hand-written module with the same weights."""
    import torch

    import archspec

    for name, peer, size in peers():
        module, by_hand = archspec.load(name).eval(), peer().eval()
        by_hand.load_state_dict(module.state_dict())
        x = torch.randn(4, 3, size, size)
        with torch.inference_mode():
            assert torch.allclose(module(x), by_hand(x), rtol=1e-4, atol=1e-5), (
                f"{name}: not the same function"
            )
            ours, theirs = compare(lambda m=module, x=x: m(x), lambda m=by_hand, x=x: m(x), 15)
        yield ratio(f"eager forward of {name} / by hand", 1.03, ours, theirs, ("ours", "by hand"))


BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {
    "start_up": start_up,
    "reading": reading,
    "cost": cost,
    "drawing": drawing,
    "loading": loading,
    "first_load": first_load,
    "forward": forward,
}

if __name__ == "__main__":
    main()
