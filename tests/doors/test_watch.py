"""`archspec watch`: the real command, beside someone who edits."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[2]
NET = "from parts import Stem\n\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> stem: Stem -> head: Conv(4, 1)\n"
PARTS = "block Stem:\n    input x: [C, H, W]\n    return x -> conv: Conv(8, 3)\n"
PATIENCE = 120  # seconds for a line to come on a busy machine; none is waited for that does not come


class Watch:
    """A running `archspec watch`, whose lines are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "archspec", "watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        )
        self.lines: Queue[str] = Queue()
        self.seen: list[str] = []
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def until(self, pattern: str) -> str:
        """What is printed from now on, up to a line of that pattern."""
        said = ""
        try:
            while not re.search(pattern, line := self.lines.get(timeout=PATIENCE)):
                said += line
        except Empty:
            raise AssertionError(f"no `{pattern}` in:\n{said}") from None
        assert "Traceback" not in said + line
        return said + line


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watch]]:
    monkeypatch.chdir(tmp_path)
    Path("net.arch").write_text(NET)
    Path("parts.arch").write_text(PARTS)
    started: list[Watch] = []

    def start(*arguments: str) -> Watch:
        started.append(Watch(*arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def params(width: int) -> int:
    return width * (27 + 1) + 4 * (width + 1)


def macs(width: int) -> int:
    return 64 * (27 * width + 4 * width)


@pytest.mark.slow
def test_each_save_is_checked_and_costed_and_drawn(watch: Callable[..., Watch]) -> None:
    running = watch("net.arch", "--draw", "net.svg")
    first = running.until("written to net.svg")
    assert re.search(r"^\d\d:\d\d:\d\d  watching net\.arch$", first, re.M)
    assert "net.arch: ok (2 nodes, 260 parameters)" in first
    assert f"params {params(8)}  macs {macs(8) / 1000:.2f}K" in first
    assert "\033" not in first  # no terminal is cleared

    # A file that it imports, replaced as editors do that write beside it first.
    Path("new").write_text(PARTS.replace("Conv(8", "Conv(16"))
    Path("new").replace("parts.arch")
    said = running.until("written to")
    assert "parts.arch saved" in said
    change = params(16) - params(8)
    assert f"params {params(8)} -> {params(16)} (+{change}, +{change / params(8):.1%})" in said
    assert f"-> {macs(16) / 1000:.2f}K (+{macs(16) - macs(8):,}, +100.0%)" in said

    # A mistake is shown, the picture stays as it was, and the next cost compares with the last that was right.
    drawn = Path("net.svg").stat()
    Path("net.arch").write_text(NET.replace("Conv(4, 1)", "Conv(4, 1"))
    assert "error[E" in running.until(r"\^")
    assert Path("net.svg").stat().st_mtime_ns == drawn.st_mtime_ns
    Path("net.arch").write_text(NET)
    said = running.until("written to")
    assert f"params {params(16)}  macs" in said
    assert Path("net.svg").stat().st_mtime_ns != drawn.st_mtime_ns


@pytest.mark.slow
def test_a_file_that_is_gone_is_waited_for(watch: Callable[..., Watch]) -> None:
    running = watch("net.arch")
    running.until("params")
    Path("net.arch").rename("away")
    assert "net.arch is gone: waiting for it" in running.until("gone")
    Path("away").rename("net.arch")
    assert "net.arch saved" in running.until("params")

    # What an import names may come later, and of a file that was wrong.
    Path("net.arch").write_text("from others import Rest\n" + NET.replace("-> head", "-> Rest -> head"))
    running.until("error")
    Path("others.arch").write_text("block Rest:\n    input x: [C, H, W]\n    return x -> ReLU -> 3\n")
    assert "others.arch saved" in running.until("error")
    Path("others.arch").write_text("block Rest:\n    input x: [C, H, W]\n    return x -> ReLU\n")
    assert "net.arch: ok (3 nodes, 260 parameters)" in running.until("params")


@pytest.mark.slow
def test_several_models_and_free_sizes_are_costed(watch: Callable[..., Watch]) -> None:
    free = "\nmodel Free:\n    input x: [free S, 4]\n    return x -> fc: Linear(2)\n"
    Path("net.arch").write_text(NET + free)
    running = watch("net.arch", "lenet5", "--cost")
    assert "  Free: params 10  macs 8 * S" in running.until("Free: params")
    assert "receptive field" in running.until("receptive field")
    Path("net.arch").write_text(NET + free.replace("Linear(2)", "Linear(3)"))
    assert "  Free: params 10 -> 15 (+5, +50.0%)  macs 8 * S -> 12 * S" in running.until("Free: params")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_to(watch: Callable[..., Watch], number: int) -> None:
    running = watch("net.arch")
    running.until("params")
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE) == -number
    time.sleep(0.1)
    assert running.lines.empty()


def test_what_cannot_be_watched_is_told(watch: Callable[..., Watch]) -> None:
    for arguments, status, said in (
        (["nothing.arch"], 1, "there is no file `nothing.arch`"),
        (["net.arch", "lenet5", "--draw", "x.svg"], 2, "only one spec can be drawn into a file"),
    ):
        running = watch(*arguments)
        assert running.process.wait(PATIENCE) == status
        running.until(re.escape(said))
