"""Whatever a command is given, it succeeds or says what is wrong; whatever it prints to, it ends as a good tool does."""

import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer.main
from safetensors.torch import save_file

import archspec
from archspec import SpecError
from archspec.analyses.scaling import Base, Rule
from archspec.backends.drawing.graphviz import MOST_ROWS_CROSSED
from archspec.cli import invoke
from archspec.cli.app import load
from archspec.ground.errors import Mistake

ROOT = Path(__file__).resolve().parents[2]
SPEC = (
    "model M(act: layer = ReLU, depth: float = 1.0, width: float = 1.0, resolution: int = 8):"
    "  # allow unused-parameter: to be scaled\n"
    "    input x: [3, resolution, resolution]\n"
    "    return x -> c: Conv(4, 3) -> act\n"
)
FREE = "model M:\n    input x: [free S, 8]\n    return x -> fc: Linear(4) -> ReLU\n"
PRODUCT = "model M:\n    input q: [free S, 8]\n    return (q, q, q) -> Attention\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, text in (("m", SPEC), ("free", FREE), ("product", PRODUCT)):
        Path(f"{name}.arch").write_text(text)
    for name, text in (("zero", "1 / 0"), ("syntax", "def"), ("leaves", "raise SystemExit(3)")):
        Path(f"{name}.py").write_text(text)
    save_file(archspec.load("m.arch", seed=0).state_dict(), "w.safetensors")
    yield tmp_path
    # Folders 1,500 deep, which pytest cannot remove when it tidies up after later runs: they are taken apart level by level.
    while (tmp_path / "x" / "x").exists():
        (tmp_path / "x").rename(tmp_path / "outer")
        (tmp_path / "outer" / "x").rename(tmp_path / "x")
        for left in (tmp_path / "outer").iterdir():
            left.unlink()
        (tmp_path / "outer").rmdir()


# ------------------------------------------------------------------ hostile arguments

SPECS = {
    "build": ["m.arch"],
    "check": ["m.arch"],
    "claims": ["m.arch"],
    "completion": ["bash"],
    "cost": ["m.arch"],
    "diff": ["m.arch", "m.arch"],
    "draw": ["m.arch"],
    "explain": ["E0504"],
    "export": ["m.arch"],
    "fmt": ["m.arch"],
    "import": ["torch.nn:Tanh", "--input=3"],
    "list": [],
    "scale": ["m.arch"],
    "show": ["m.arch"],
    "weights": ["m.arch", "w.safetensors"],
}
COMMANDS = typer.main.get_command(load()).commands  # type: ignore[attr-defined]
del COMMANDS["watch"], COMMANDS["lsp"]  # which do not end: test_watch.py, tests/editing
OPTIONS = [
    (name, option.opts[-1])
    for name, command in COMMANDS.items()
    for option in command.params
    if option.opts[0].startswith("-")
]
VALUES = [
    "", "-", "x", "=1", "-1", "0", "1.5", "nan", "inf", "1e308", "10**30", "/", "m.arch", "m.arch/x.svg", "/dev/full",
    "x.SVG", "x.tex", "x.archmod", "no/such/x.dot", "zero.py", "syntax.py", "leaves.py", "resolution=-1",
    "resolution=10**9", "resolution=8:16:4", "resolution=1:3:0", "batch=0", "act=Conv", "act=[ReLU,GELU]", 'act="a',
    "width=nan", "width=[", "budget=3", "spec=1", "class=3", "c", "\0", "\udc80=1", "a" * 300, "x/" * 1500 + "y.svg",
]  # fmt: skip


def answered(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """The status of a command, which has said why if it is not 0; any exception fails the test."""
    for stream in (sys.stdout, sys.stderr):  # as `main` does it
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    status = invoke(arguments)
    printed = capsys.readouterr()
    assert status in (0, 1, 2), arguments
    assert status == 0 or "rror" in printed.err, arguments
    return status


def test_every_command_is_tried() -> None:
    assert sorted(SPECS) == sorted(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_any_value_of_any_option_works_or_is_told(
    name: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    companions: list[str] = []
    if name in ("build", "draw") and option != "--output":
        companions = ["-o", {"build": "o.archmod", "draw": "o.dot"}[name]]
    elif option == "--plot":
        companions = ["--at", "batch=1:3"]
    elif option in ("--times", "--step", "--most", "--tolerance", "--top"):
        companions = ["--search", "--step", "0.5"]
    for value in VALUES:
        answered([name, *SPECS[name], *companions, f"{option}={value}"], capsys)


@pytest.mark.parametrize("name", sorted(SPECS.keys() - {"list"}))
def test_any_name_of_a_spec_works_or_is_told(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"model M:\n    input x: [3]\n")))  # for `-`
    for value in [*VALUES, "m.arch:M", "m.arch:N", "m.arch:", ":M", "resnet18:", "free.arch", "product.arch"]:
        if not value.startswith("-") or value == "-":
            answered([name, *([value] * len(SPECS[name]))], capsys)


@pytest.mark.parametrize(("spec", "macs"), [("free.arch", "32 * S"), ("product.arch", "16 * S^2")])
def test_a_network_of_free_sizes_is_built_shown_drawn_and_costed(
    spec: str, macs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["build", spec], ["show", spec], ["draw", spec, "-o", "x.dot"], ["diff", spec, spec]):
        assert answered(command, capsys) == 0
    invoke(["show", spec])
    assert re.search(rf"^ *multiply-adds +{re.escape(macs)}$", capsys.readouterr().out, re.M)
    assert invoke(["draw", spec, "--view", "table"]) == 0
    assert all(row.endswith("? |") for row in capsys.readouterr().out.splitlines()[2:])
    for command in (
        ["cost", spec],
        ["cost", spec, "--set", "S=3"],
        ["cost", spec, "--by", "node", "--set", "S=3"],
    ):
        assert answered(command, capsys) == 0
    assert answered(["cost", spec, spec], capsys) == 1
    assert answered(["cost", spec, "--by", "node"], capsys) == 2


def test_a_free_size_is_named_where_a_package_cannot_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gru.arch").write_text("model M:\n    input x: [free S, 8]\n    return x -> rnn: GRU(4)\n")
    assert invoke(["build", "gru.arch", "--aot"]) == 1
    said = capsys.readouterr().err
    assert "torch.export cannot leave `S` of M free" in said
    assert "gru.arch:2:5" in said
    assert not Path("build").exists()


@pytest.mark.parametrize("phi", ["nan", "inf", "-inf", "100", "1e9", "-1e9", "1e308"])
def test_steps_that_no_computer_runs_are_refused_at_once(
    phi: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["scale", "efficientnet_b0", "--phi", phi, "-o", "x.arch"]) == 1
    assert "phi" in capsys.readouterr().err
    assert not Path("x.arch").exists()
    with pytest.raises(SpecError, match="phi"):
        archspec.scale("efficientnet_b0", float(phi))


@pytest.mark.parametrize("rule", [(1.2, 1.1, 1.15), (2.0, 1.0, 1.0), (10.0, 1.0, 1.0), (1.3, 1.3, 1.3)])
def test_the_largest_phi_that_is_told_is_taken(rule: tuple[float, float, float]) -> None:
    base = Base(1.0, 1.0, 224)
    with pytest.raises(Mistake, match="phi = 99 would multiply the FLOPs") as caught:
        Rule(*rule).settings(base, 99)
    told = float(caught.value.help.split()[-1])
    Rule(*rule).settings(base, told)
    with pytest.raises(Mistake, match="the limit is 1,000,000"):
        Rule(*rule).settings(base, told + 0.02)


@pytest.mark.parametrize("phi", [-100.0, -40.0, -20.0])
def test_a_phi_that_leaves_no_model_is_told_as_such(phi: float, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.arch").write_text(
        "model M(depth: float = 1.0, width: float = 1.0, resolution: int = 8):\n"
        "    input x: [3, resolution, resolution]\n    return x -> Conv(8, 3, padding=0)\n"
    )
    with pytest.raises(SpecError) as caught:
        archspec.scale("s.arch", phi)
    assert f"phi = {phi:g}" in caught.value.problems[0].message
    assert caught.value.problems[0].span is None
    assert invoke(["scale", "s.arch", f"--phi={phi:g}"]) == 1
    assert f"phi = {phi:g}" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize(
    "more", [["--times=1e9"], ["--times=40"], ["--times=1.01", "--tolerance=0"]], ids=str
)
def test_a_search_that_finds_no_rule_is_told(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["scale", "mobilenet_v1", "--search", *more]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no rule of a grid from 1 to 2 in steps of 0.05" in printed.err


@pytest.mark.parametrize("axis", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5, -1.0, 1e308])
def test_a_rule_is_of_numbers_that_can_be_used(axis: str, value: float) -> None:
    with pytest.raises(SpecError, match=f"`{axis}` (is|must be)"):
        archspec.scale("m.arch", **{axis: value})  # type: ignore[arg-type]


# ------------------------------------------------------------------ where output goes


def start(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}  # type: ignore[dict-item]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "archspec", *arguments], env=environment, check=False, **settings
    )


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    for arguments in (["show", "resnet18"], ["check", "m.arch"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = start(*arguments, stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said() -> None:
    for arguments in (["show", "m.arch"], ["cost", "m.arch", "--format", "json"], ["--version"]):
        with Path("/dev/full").open("wb") as full:
            done = start(*arguments, stdout=full)
        assert done.returncode == 1
        assert done.stderr == b"error[E1008]: the output cannot be written: No space left on device\n"


def test_where_errors_cannot_be_written_the_status_tells() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start("check", "none.arch", stderr=writing)
    os.close(writing)
    assert done.returncode in (1, 141)


@pytest.mark.parametrize("closed", ["1", "2", "0"])
def test_a_stream_that_is_closed_takes_nothing(closed: str) -> None:
    script = f"exec {sys.executable} -m archspec draw m.arch -o x.dot {closed}>&-"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    told = b"error[E1008]: the output cannot be written: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == ((1, told) if closed == "1" else (0, b""))
    assert Path("x.dot").read_text() == archspec.draw(archspec.read("m.arch")).dot


@pytest.mark.parametrize("arguments", ["show m.arch", "cost m.arch --format json", "--version", "--help"])
def test_what_a_closed_output_does_not_take_is_said(arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for closed in (">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"):
        script = f"exec {sys.executable} -m archspec {arguments} {closed}"
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, check=False)
        assert done.returncode == 1
        assert done.stdout == b""
        assert (done.stderr == b"") == ("2>" in closed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw", "m.arch", "-o", "foo"], "`foo` has no suffix, which selects the format"),
        (["draw", "m.arch", "-o", ".svg"], "`.svg` has a suffix but no name"),
        (["build", "m.arch", "-o", ".archmod"], "`.archmod` has a suffix but no name"),
    ],
)
def test_a_file_has_a_name_and_an_ending(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 1
    assert said in capsys.readouterr().err
    assert not Path(arguments[-1]).exists()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "utf-16"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "1"},
        {"COLUMNS": "0"},
        {"COLUMNS": "-5"},
        {"COLUMNS": "x"},
        {"NO_COLOR": "1", "TERM": "dumb"},
    ],
    ids=str,
)
def test_any_terminal_will_do(environment: dict[str, str]) -> None:
    for arguments in (["cost", "lenet5"], ["check", "none\u2588.arch"]):
        done = start(*arguments, env=environment)
        assert done.returncode == (1 if "check" in arguments else 0), done.stderr
        assert b"Traceback" not in done.stderr


# ------------------------------------------------------------------ Graphviz

BROKEN = {
    "fails in silence": ("exit 3", "`dot` exited with status 3 and no message"),
    "fails": ("cat > /dev/null; echo oops >&2; exit 3", "Graphviz failed: oops"),
    "prints nothing": ("cat > /dev/null", "for a .svg file, `dot` printed nothing"),
    "prints something else": ("cat > /dev/null; echo hello", "printed 6 bytes of something else"),
    "breaks off": ("cat > /dev/null; echo '<svg'", "printed 5 bytes, cut off"),
    "is killed": ("cat > /dev/null; kill -9 $$", "`dot` exited with status -9"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_dot_that_does_not_draw_is_told(
    here: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body, said = BROKEN[case]
    if body == "exit 3":
        body = "cat > /dev/null; exit 3"
    (here / "bin").mkdir()
    (here / "bin" / "dot").write_text(f"#!/bin/sh\n{body}\n")
    (here / "bin" / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert invoke(["draw", "m.arch", "-o", "x.svg"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("x.svg").exists()
    assert archspec.draw(archspec.read("m.arch")).dot
    assert archspec.read("m.arch")._repr_svg_() is None  # a notebook shows text instead


@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_half_a_picture_is_not_written(
    here: Path, format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = archspec.draw(archspec.read("m.arch")).render(format)
    (here / "half").write_bytes(whole[: len(whole) // 2])
    (here / "dot").write_text(f"#!/bin/sh\ncat > /dev/null; cat {here / 'half'}\n")
    (here / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    assert invoke(["draw", "m.arch", "-o", f"x.{format}"]) == 1
    assert f"printed {len(whole) // 2:,} bytes, cut off" in capsys.readouterr().err
    assert not Path(f"x.{format}").exists()


@pytest.mark.parametrize("reads", ["cat > /dev/null; ", ""], ids=["reads", "reads nothing"])
def test_a_dot_that_does_not_end_is_ended(
    here: Path, reads: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "dot").write_text(f"#!/bin/sh\n{reads}exec sleep 1000\n")
    (here / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("archspec.backends.drawing.graphviz.LONGEST", 1)
    assert invoke(["draw", "resnet50", "--view", "full", "-o", "x.svg"]) == 1
    assert "`dot` timed out after 1 seconds" in capsys.readouterr().err
    assert not Path("x.svg").exists()


def test_a_dot_that_reads_nothing_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "dot").write_text("#!/bin/sh\nexec <&-\nexit 1\n")
    (here / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    assert invoke(["draw", "resnet50", "--view", "full", "-o", "x.svg"]) == 1
    assert "`dot` exited" in capsys.readouterr().err


def tangled(steps: int, reach: Callable[[int], int]) -> str:
    """A chain of layers with sums of what came long before."""
    lines = ["x0 = x"]
    for i in range(1, steps):
        lines.append(
            f"x{i} = x{i - 1} -> c{i}: Conv(8, {1 + 2 * (i % 5)})"
            if i % 2
            else f"x{i} = x{i - 1} + x{reach(i)}"
        )
    body = "".join(f"    {line}\n" for line in [*lines, f"return x{steps - 1}"])
    return f"model M:\n    input x: [8, 8, 8]\n{body}"


def test_a_picture_too_large_to_lay_out_is_refused_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw = random.Random(0)
    Path("big.arch").write_text(tangled(1000, lambda i: draw.randrange(i)))
    assert invoke(["draw", "big.arch", "--view", "full", "-o", "big.svg"]) == 1
    said = capsys.readouterr().err
    assert "too large for Graphviz" in said
    assert all(way in said for way in ("--focus", "--depth", "--view overview", ".html", ".dot"))
    assert not Path("big.svg").exists()
    for ending in ("dot", "html"):
        assert invoke(["draw", "big.arch", "--view", "full", "-o", f"big.{ending}"]) == 0


def test_rows_crossed_are_those_between_the_ends_of_edges() -> None:
    chain = archspec.draw(archspec.read_text(tangled(21, lambda i: i - 1)), "full")
    far = archspec.draw(archspec.read_text(tangled(21, lambda i: 0)), "full")
    edges = far.dot.count("] -> ") or far.dot.count(" -> ")
    assert chain.rows_crossed < far.rows_crossed
    assert far.rows_crossed > edges
    assert archspec.draw(archspec.read("nasnet_a_large"), "full").rows_crossed < MOST_ROWS_CROSSED
