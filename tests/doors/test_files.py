"""What commands read and write: regular files or new ones, whole or not at all, and never what they are made from."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file

import archspec
from archspec import SpecError
from archspec.cli import invoke
from archspec.ground.atomic import replacing

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "block Stem(width: int):\n    input x: [*S]\n    return x -> c: Conv(width, 3)\n"
SPEC = "from stem import Stem\n\nmodel M:\n    input x: [3, 8, 8]\n    return x -> stem: Stem(4)\n"
SCALED = "model M(depth: float = 1.0, width: float = 1.0, resolution: int = 8):\n    input x: [3, resolution, resolution]\n    return x -> Conv(4, 3)\n"

COMMANDS = {
    "build": ["build", "m.arch"],
    "draw": ["draw", "m.arch"],
    "table": ["draw", "m.arch", "--view", "table"],
    "plot": ["cost", "m.arch", "--at", "batch=1:3"],
    "scale": ["scale", "scaled.arch"],
}
ENDINGS = {"build": ".archmod", "draw": ".dot", "table": ".md", "plot": ".svg", "scale": ".arch"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("m", SPEC), ("stem", LIBRARY), ("scaled", SCALED)):
        Path(f"{name}.arch").write_text(text)
    Path("ops.py").write_text("import archspec\n")
    return tmp_path


class Done(NamedTuple):
    """How a command ended, and what it printed as errors."""

    status: int
    said: str


Run = Callable[..., Done]


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one of the commands, told to write to a path."""

    def run(command: str, output: str, *more: str) -> Done:
        flag = "--plot" if command == "plot" else "-o"
        status = invoke([*COMMANDS[command], flag, output, *more])
        return Done(status, capsys.readouterr().err)

    return run


def refused(done: Done, *said: str) -> None:
    assert done.status == 1, done.said
    assert done.said.startswith("error[E10"), done.said
    assert all(text in done.said for text in said), done.said


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(path.name)  # by a short name: paths of sockets are short


def to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def loop(path: Path) -> None:
    path.symlink_to(path)


SPECIAL: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (fifo, "it is a FIFO"),
    "socket": (bound_socket, "it is a socket"),
    "device": (to_a_device, "it is a device"),
    "folder": (Path.mkdir, "it is a folder"),
    "loop": (loop, "it is a link that leads nowhere"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_regular_file_is_not_replaced(here: Path, run: Run, command: str, kind: str) -> None:
    make, said = SPECIAL[kind]
    target = here / f"target{ENDINGS[command]}"
    make(target)
    before = target.lstat()
    refused(run(command, target.name), said)
    after = target.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_stays_and_its_target_keeps_its_permissions(here: Path, run: Run, command: str) -> None:
    (here / "elsewhere").mkdir()
    real, link = here / "elsewhere" / f"real{ENDINGS[command]}", here / f"link{ENDINGS[command]}"
    if command == "scale":
        real = here / "real.arch"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    done = run(command, link.name)
    assert done.status == 0, done.said
    assert link.is_symlink()
    assert real.read_bytes() != b"old"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "made") as file:
        file.write(b"1")
    (tmp_path / "other").write_bytes(b"1")
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_file_that_may_only_be_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    path.write_text("kept")
    path.chmod(0o444)
    if os.access(path, os.W_OK):  # whoever may do everything
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(SpecError, match="it is read-only"), replacing(path):
        pass
    assert path.read_text() == "kept"


SOURCES = {
    "spec": lambda here: "m.arch",
    "by another path": lambda here: f"./folder/../../{here.name}/m.arch",
    "import": lambda here: "stem.arch",
    "plugin": lambda here: "ops.py",
    "weights": lambda here: "w.safetensors",
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("command", "way"),
    [*product(["build", "draw", "table", "plot"], ["link", "hard link"])],
)
def test_a_source_is_never_written_over(here: Path, run: Run, command: str, way: str, source: str) -> None:
    save_file(archspec.load("m.arch", seed=0).state_dict(), "w.safetensors")
    Path("folder").mkdir()
    path = SOURCES[source](here)
    data = Path(path).read_bytes()
    target = f"target{ENDINGS[command]}"
    if way == "link":
        Path(target).symlink_to(path)
    elif way == "hard link":
        Path(target).hardlink_to(path)
    given = ["--plugin", "ops.py", *(["--weights", "w.safetensors"] if command == "build" else [])]
    done = run(command, target, *given)
    if source == "weights" and command != "build":
        assert done.status == 0  # which is no source of it
        return
    refused(done, "it is one of the files read to make it")
    assert Path(path).read_bytes() == data


@pytest.mark.parametrize("command", COMMANDS)
def test_the_spec_is_not_written_over(here: Path, run: Run, command: str) -> None:
    spec = COMMANDS[command][1]
    before = Path(spec).read_bytes()
    refused(run(command, spec))
    assert Path(spec).read_bytes() == before


def test_a_spec_named_as_its_picture_is_not_written_over(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.svg").write_text(SPEC)
    status = invoke(["draw", "net.svg"])
    refused(Done(status, capsys.readouterr().err), "it is one of the files read to make it")
    assert Path("net.svg").read_text() == SPEC


def test_a_link_to_a_spec_is_not_followed_from_python_either(here: Path) -> None:
    Path("picture.dot").symlink_to("m.arch")
    with pytest.raises(SpecError, match="it is a link to the spec"):
        archspec.draw(archspec.read("m.arch")).save(Path("picture.dot"))
    assert Path("m.arch").read_text() == SPEC


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dash_is_no_file(here: Path, run: Run, command: str) -> None:
    assert run(command, "-").status == 1
    assert not Path("-").exists()


STREAMS = [
    "/dev/stdout",
    "/dev/stderr",
    "/dev/fd/1",
    "/proc/self/fd/1",
    "/dev/../dev/stdout",
    "link.md",
    "fds/1",
]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system shows open files otherwise")
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("piped", [True, False], ids=["pipe", "file"])
def test_an_open_stream_is_not_replaced(here: Path, stream: str, piped: bool) -> None:
    Path("link.md").symlink_to("other")
    Path("other").symlink_to("/dev/stdout")
    Path("fds").symlink_to("/proc/self/fd")
    Path("log").write_text("before\n")
    inode = Path("log").stat().st_ino
    command = [sys.executable, "-m", "archspec", "draw", "m.arch", "--view", "table", "-o", stream]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("log").open("ab") as log:
        to = {"stdout": subprocess.PIPE if piped else log, "stderr": subprocess.PIPE}
        done = subprocess.run(command, env=environment, check=False, **to)  # type: ignore[call-overload]
        log.write(b"after\n")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(
        f"error[E1008]: `{stream}` cannot be written: it is an open stream"
    )
    assert Path("log").read_text() == "before\nafter\n"
    assert Path("log").stat().st_ino == inode


def test_a_built_module_is_known_by_its_ending(here: Path, run: Run) -> None:
    refused(run("build", "noext"), "does not end in .archmod", "write to `noext.archmod`")
    assert run("build", "m.archmod").status == 0
    Path("m.archmod").rename("noext")
    with pytest.raises(SpecError, match=r"`noext` is a zip file, not a spec(.|\n)*name it .archmod"):
        archspec.load("noext")


READERS: dict[str, Callable[[str], object]] = {
    ".arch": archspec.read,
    ".archmod": archspec.load,
    ".safetensors": lambda path: archspec.load("m.arch", weights=path),
    ".pt2": archspec.load_aot,
}


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
def test_only_regular_files_are_read(here: Path, ending: str, kind: str) -> None:
    path = Path(f"special{ending}")
    SPECIAL[kind][0](path)
    with pytest.raises(SpecError, match=f"{path}` is a.*, not a"):
        READERS[ending](str(path))


def test_a_page_reads_no_fifo_that_is_named_as_a_file_of_the_spec(here: Path) -> None:
    graph = archspec.read("m.arch")
    Path("m.arch").unlink()
    os.mkfifo("m.arch")
    assert b"<html" in archspec.draw(graph).render("html")


def test_a_plugin_that_is_no_regular_file_is_refused(here: Path, run: Run) -> None:
    os.mkfifo("pipe.py")
    done = run("draw", "x.dot", "--plugin", "pipe.py")
    assert done.status == 2
    assert "`pipe.py` is not a Python file" in done.said


def test_a_thread_may_write_while_others_make_files(tmp_path: Path) -> None:
    """Files made meanwhile keep the permissions that the process gives to new ones."""
    found = set()

    def others() -> None:
        for i in range(200):
            (tmp_path / f"o{i}").write_bytes(b"")
            found.add((tmp_path / f"o{i}").stat().st_mode)

    thread = threading.Thread(target=others)
    thread.start()
    for i in range(50):
        with replacing(tmp_path / f"w{i}") as file:
            file.write(b"1")
    thread.join()
    assert len(found) == 1


def test_weights_read_from_a_link_are_read(here: Path) -> None:
    save_file(archspec.load("m.arch", seed=0).state_dict(), "w.safetensors")
    Path("link.safetensors").symlink_to("w.safetensors")
    first, second = archspec.load("m.arch", seed=0), archspec.load("m.arch", weights="link.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
