"""How things are timed: alternating runs of ours and theirs, medians of the ratios, quartiles as the spread."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


# About as many frames of `_deep` as a chunk of 16 KiB of CPython's stack holds. Where a loop happens to call across
# the end of a chunk, each call allocates and frees one: whatever is written in Python, by hand as well, takes two to four
# times as long from one depth of ten. Runs from all depths alike keep that out of medians.
_FRAMES = 136


@dataclass(frozen=True)
class Row:
    """One claim: what was measured, against what, and the goal that the ratio must keep below."""

    claim: str
    measured: float
    goal: float
    spread: tuple[float, float]
    detail: str


def machine() -> str:
    """The hardware and the versions that ratios were measured with, in a line."""
    import torch

    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    processor = f"{os.cpu_count()} cores, {_processor()} with {torch.backends.cpu.get_cpu_capability()}"
    return ", ".join([processor, *cards, f"Python {platform.python_version()}", f"torch {torch.__version__}"])


def _processor() -> str:
    """What the processor calls itself, where Linux tells, and otherwise its kind."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.+)$", told.read_text(), re.MULTILINE) if told.exists() else []
    return next(iter(names), platform.machine())


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int
) -> tuple[list[float], list[float]]:
    """Seconds of alternating runs of both, from depths all over a chunk of the stack, after one of each not counted."""
    ours(), theirs()
    depths = [i * _FRAMES // runs for i in range(runs)]
    pairs = [
        (_deep(n, ours), _deep(n, theirs)) if i % 2 else (_deep(n, theirs), _deep(n, ours))[::-1]
        for i, n in enumerate(depths)
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _deep(frames: int, work: Callable[[], object]) -> float:
    """Seconds that one call takes from that many frames deeper in Python's stack."""
    return _deep(frames - 1, work) if frames else timed(work)


def ratio(claim: str, goal: float, ours: list[float], theirs: list[float], names: tuple[str, str]) -> Row:
    """The median of the ratios pair by pair, and their quartiles as the spread."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    quartiles = statistics.quantiles(ratios, n=4)
    a, b = statistics.median(ours), statistics.median(theirs)
    detail = (
        f"{names[0]} {1000 * a:.1f} ms, {names[1]} {1000 * b:.1f} ms, medians of {len(ours)} alternating runs"
    )
    return Row(claim, statistics.median(ratios), goal, (quartiles[0], quartiles[2]), detail)


def check_same(name: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """That two networks gave equal results: within 1e-3 of the largest value.

    Deep residual networks with fresh weights give values about 1e8, and one that happens to lie near zero then has no
    digit in common with itself.

    Raises:
        ValueError: They are not the same function, and no ratio of their times means anything.
    """
    if not (ours - theirs).abs().max() <= 1e-3 * theirs.abs().max():
        raise ValueError(f"{name}: not the same function as the one by hand")


def alone(rows: Callable[..., Iterable[Row]], *arguments: Any) -> list[Row]:
    """The rows of a function, measured in a process of its own.

    What ran before leaves its mark: where the allocator has seen large blocks it returns less memory to the system, and
    the eager ResNet-50 of batch 8 then runs in 0.8 of the time that it takes in a fresh process.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_listed, rows, *arguments).result()


def _listed(rows: Callable[..., Iterable[Row]], *arguments: Any) -> list[Row]:
    return list(rows(*arguments))


def run(*command: str) -> Callable[[], object]:
    """A call of Python in a process of its own."""
    return lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True)
