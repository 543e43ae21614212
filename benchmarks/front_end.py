"""Reading, checking, costing and drawing specs."""

from __future__ import annotations

import compileall
import importlib.util
import logging
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator

from benchmarks.measuring import Row, compare, ratio, run, timed


def start_up() -> Iterator[Row]:
    """A whole `archspec check` against `import torch` alone, both compiled to bytecode as pip installs them."""
    compileall.compile_dir("archspec", quiet=1)
    ours, theirs = compare(
        run("-m", "archspec", "check", "specs/efficientnet_b3.arch"), run("-c", "import torch"), 15
    )
    yield ratio("archspec check efficientnet_b3 / import torch", 0.2, ours, theirs, ("check", "import"))


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
    runs: dict[int, list[float]] = {4_000: [], 40_000: [], 400_000: []}
    for _ in range(5):  # in turns, so that a slow minute of the machine meets all sizes
        for count, times in runs.items():
            times.append(timed(lambda count=count: archspec.read_text(text, depth=count // 5)))
    took = {count: min(times) for count, times in runs.items()}
    for small, goal in ((4_000, 1.5), (40_000, 12)):
        growth = took[10 * small] / took[small]
        detail = f"{1000 * took[small]:.1f} ms and {1000 * took[10 * small]:.1f} ms"
        yield Row(f"time of {10 * small:,} nodes / time of {small:,}", growth, goal, (growth, growth), detail)
    tracemalloc.start()
    graph = archspec.read_text(text, depth=20_000)
    read = tracemalloc.get_traced_memory()[1]
    nodes = len(graph.nodes)
    listed = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    detail = f"{read / 1e6:.2f} MB and {listed / 1e6:.0f} MB for {nodes:,} nodes"
    yield Row("memory of a graph / of its flat view", read / listed, 0.1, (read / listed,) * 2, detail)


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
        "import torch, timm", "import torch\nimport benchmarks.peers.efficientnet as peer"
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
    graph = archspec.read_text(text, depth=1430)
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
