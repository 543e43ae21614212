"""Signals end a command at once: without a word, by the signal itself, and nothing half done is left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import archspec

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SPEC = "model M(width: int = 4):\n    input x: [3, 8, 8]\n    return x -> c: Conv(width, 3) -> ReLU\n"
USUAL = """
import os, signal, sys

# Who started the tests may have ignored them, as nohup does.
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
"""
START = """
from archspec.__main__ import program

sys.argv[0] = "archspec"
program()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.arch").write_text(SPEC)
    return tmp_path


def started(program: str, *arguments: str, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, **options.pop("env", {})},  # type: ignore[dict-item]
        text=True,
        **options,
    )


HELD = f"""{USUAL}
from archspec.ground import atomic

real = os.fsync
def held(handle):  # all is written, and nothing has taken its place yet
    real(handle)
    print("written", flush=True)
    sys.stdin.read()
atomic.os.fsync = held
{START}"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_signal_leaves_nothing_behind(here: Path, name: str, existing: bool) -> None:
    if existing:
        Path("m.dot").write_text("old")
    before = sorted(path.name for path in here.iterdir())
    with started(HELD, "draw", "m.arch", "-o", "m.dot") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "written\n"
        assert len(list(here.iterdir())) == len(before) + 1
        process.send_signal(getattr(signal, name))
        assert process.wait() == -getattr(signal, name)
        assert process.stderr.read() == ""
    assert sorted(path.name for path in here.iterdir()) == before
    assert not existing or Path("m.dot").read_text() == "old"


def test_a_shell_shows_130_and_leaves_its_loop(here: Path) -> None:
    """After a command that merely exits with 130, bash would go on with the next turn."""
    Path("held.py").write_text(HELD.replace('print("written", flush=True)', "os.killpg(0, signal.SIGINT)"))
    command = f"{sys.executable} held.py draw m.arch -o m.dot"
    for script, said in (
        (f"for i in 1 2; do echo $i; {command}; done", b"1\n"),
        (f"trap : INT; {command}; echo $?", b"130\n"),
    ):
        done = subprocess.run(
            ["bash", "-c", script],
            env=ENVIRONMENT,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (said, b"")


IN_AN_IMPORT = f"""{USUAL}
class Interrupting:
    name = sys.argv.pop(1)

    def find_spec(self, name, path, target=None):
        if name == self.name:
            sys.meta_path.remove(self)
            print("interrupted", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
{START}"""


@pytest.mark.parametrize(
    "module",
    [
        "archspec.cli",
        "archspec.cli.build",
        "typer",
        "torch",
        "numpy",  # which torch imports from C, where an exception is dropped
        "numpy._core.fromnumeric",
        "safetensors.torch",
        "concurrent.futures.thread",
    ],
)
def test_an_interrupt_while_a_module_is_imported_ends_the_command(here: Path, module: str) -> None:
    with started(IN_AN_IMPORT, module, "build", "m.arch", "-o", "m.archmod") as process:
        out, err = process.communicate()
    assert (process.returncode, out, err) == (-signal.SIGINT, "interrupted\n", "")
    assert [path.name for path in here.iterdir()] == ["m.arch"]


def test_who_ignores_interrupts_still_does(here: Path) -> None:
    """As a shell has it of what runs in the background."""
    ignoring = IN_AN_IMPORT.replace("signal.default_int_handler", "signal.SIG_IGN")
    with started(ignoring, "archspec.cli.draw", "draw", "m.arch", "-o", "m.dot") as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert Path("m.dot").read_text() == archspec.draw(archspec.read("m.arch")).dot


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_what_lays_out_a_picture_ends_as_well(here: Path, name: str) -> None:
    Path("dot").write_text("#!/bin/sh\necho $$ > pid\nmv pid running\nexec sleep 1000\n")
    Path("dot").chmod(0o755)
    path = {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}
    with started(USUAL + START, "draw", "m.arch", "-o", "m.svg", env=path) as process:
        while not Path("running").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(getattr(signal, name))  # to the command alone: a terminal would tell both
        assert process.wait() == -getattr(signal, name)
    number = int(Path("running").read_text())
    for _ in range(1000):
        if not _runs(number):
            break
        time.sleep(0.01)
    assert not _runs(number)
    assert sorted(path.name for path in here.iterdir()) == ["dot", "m.arch", "running"]


def _runs(number: int) -> bool:
    """Whether a process is there and has not ended, though whoever adopted it may not have asked for its status yet."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


COMMANDS = {
    "check": ["check", "resnet18"],
    "build": ["build", "m.arch", "-o", "made.archmod"],
    "draw": ["draw", "resnet18", "-o", "made.svg"],
    "cost": ["cost", "resnet18"],
    "plot": ["cost", "m.arch", "--at", "batch=1:3", "--plot", "made.svg"],
}
READY = f"""{USUAL}
from archspec.__main__ import program

signal.signal(signal.SIGINT, signal.SIG_DFL)  # as `program` does first; before it, Python itself answers
print("ready", flush=True)
{START}"""


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupt_at_any_moment_ends_a_command_quietly(here: Path, command: str) -> None:
    draw = random.Random(command)
    with started(READY, *COMMANDS[command]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begun = time.monotonic()
        process.communicate()
        whole = time.monotonic() - begun
    assert process.returncode == 0
    made = {path.name: path.read_bytes() for path in here.iterdir()}
    for _ in range(8):
        for path in here.glob("made*"):
            path.unlink()
        with started(READY, *COMMANDS[command]) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.random() * whole)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert process.returncode in (0, -signal.SIGINT)
        assert process.returncode == 0 or ("Traceback" not in err and "rror" not in err), err
        for path in here.iterdir():
            assert path.read_bytes() == made[path.name]


@pytest.mark.slow
def test_of_two_builds_into_one_file_one_stays_whole(here: Path) -> None:
    wanted = {}
    for width in (4, 300):
        build = ["build", "m.arch", "--set", f"width={width}", "--seed", "1", "-o"]
        with started(USUAL + START, *build, f"{width}.archmod") as process:
            process.communicate()
        wanted[width] = Path(f"{width}.archmod").read_bytes()
    for _ in range(2):
        both = [
            started(
                USUAL + START,
                "build",
                "m.arch",
                "--set",
                f"width={width}",
                "--seed",
                "1",
                "-o",
                "both.archmod",
            )
            for width in (4, 300)
        ]
        for process in both:
            process.communicate()
            assert process.returncode == 0
        assert Path("both.archmod").read_bytes() in wanted.values()
    assert sorted(p.name for p in here.iterdir()) == ["300.archmod", "4.archmod", "both.archmod", "m.arch"]
