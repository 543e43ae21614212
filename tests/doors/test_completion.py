"""Completion: what can be typed next, and what the shells make of it when Tab is pressed in them."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pexpect
import pytest
import typer.main

from archspec import SpecError, read, shipped
from archspec.analyses.quantities import SUMMED
from archspec.analyses.roofline import DEVICES
from archspec.backends.drawing import formats
from archspec.backends.palette import THEMES
from archspec.backends.picture import DIRECTIONS, SHADES
from archspec.cli import completing
from archspec.cli.app import load
from archspec.cli.commands import commands
from archspec.cli.completing import complete
from archspec.cli.completion import install_script, split
from archspec.cli.draw import FORMATS
from archspec.cli.options import parse_settings
from archspec.cli.shells import script
from archspec.ground.tensor import DType, TensorType
from archspec.op import Op

ROOT = Path(__file__).resolve().parents[2]
NET = """
from parts import Net as Long

block Unused(kernel: int):
    input x: [C, H, W]
    return x -> Conv(4, kernel)

model First(depth: int = 2):
    input x: [3, 8, 8]
    return x -> Repeat

model Net(width: int in {4, 8} = 4, norm: str in {"batch", "2d norm", "GELU"} = "batch") = Long([1], width=width, last=true)
"""
PARTS = """
own = Conv(bias=false)

block Net(
    sizes: list[int],
    width: int,
    act: layer = ReLU,  # between
    conv: layer = own,
    last: bool = false,
    first: bool = true,
):
    input x: [C, H, W]
    return x
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (
        ("net.arch", NET),
        ("parts.arch", PARTS),
        ("my net.arch", NET),
        ("wrong.arch", "model Half("),
    ):
        Path(name).write_text(text)
    return tmp_path


def words(line: str) -> list[str]:
    return [word.text for word in complete(line.split(" ")).words]


# ------------------------------------------------------------------ what can be typed


def test_commands_and_options_are_completed() -> None:
    assert words("ch") == ["check"]
    assert words("") == [*commands(), "--version", "--install-completion", "--show-completion", "--help"]
    assert words("cost --form") == ["--format"]
    assert words("cost -") == words("cost --")
    assert "--help" in words("list --")
    assert words("nothing ") == words("nothing --") == []


def test_every_option_has_a_meaning() -> None:
    known = typer.main.get_command(load()).commands  # type: ignore[attr-defined]
    for name, command in known.items():
        found = {word.text: word.meaning for word in complete([name, "-"]).words}
        options = [p for p in command.params if p.opts[0].startswith("-")]
        assert set(found) == {max(p.opts, key=len) for p in options} | {"--help"}
        assert all(found.values()), name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cost --format ", ["table", "json", "csv", "markdown"]),
        ("cost lenet5 --format ta", ["table"]),
        ("build --optimize ", ["inference"]),
        ("cost --format=m", ["--format=markdown"]),
        ("cost --nothing=m", []),
        ("build lenet5 --seed ", []),
        ("build lenet5 ", []),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_values_are_completed(line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_choices_are_those_that_the_commands_take() -> None:
    floating = {name for name in get_args(DType) if TensorType((), name).floating}
    for line, known in (
        ("draw --theme ", THEMES),
        ("draw --direction ", DIRECTIONS),
        ("draw --shade ", SHADES),
        ("cost --device ", DEVICES),
        ("cost --dtype ", floating),
        ("build --dtype ", floating),
        ("cost --sort ", [quantity.key for quantity in SUMMED]),
    ):
        assert set(words(line)) == set(known)
    assert {suffix: backend.formats[suffix] for suffix, backend in formats().items()} == FORMATS
    assert set(completing._ops()) == {
        name for name in Op.names() if Op.find(name).__module__.startswith("archspec.ops")
    }


def test_whatever_is_completed_by_name_is_a_parameter_of_a_command() -> None:
    known = typer.main.get_command(load()).commands  # type: ignore[attr-defined]
    assert set(completing._VALUES) <= {p.name for command in known.values() for p in command.params}


def test_files_are_left_to_the_shell() -> None:
    assert complete(["check", ""]).files == ".arch"
    assert complete(["build", "x", "--plugin", ""]).files == ".py"
    assert complete(["build", "x", "--weights", ""]).files == complete(["draw", "x", "-o", ""]).files == "*"
    assert complete(["build", "x", "--seed", ""]).files == complete(["ch"]).files == ""


def test_specs_and_models_are_completed() -> None:
    assert [(w.text, w.meaning) for w in complete(["check", "lene"]).words] == [
        ("lenet5", "LeNet-5 [LeCun et al., 1998]")
    ]
    assert words("check ") == sorted(entry.name for entry in shipped())
    assert words("check net.arch:") == ["net.arch:First", "net.arch:Net"]
    assert words("check net.arch:N") == ["net.arch:Net"]
    assert words("check wrong.arch:") == ["wrong.arch:Half"]  # which is being written
    assert words("check nothing.arch:") == words("check none_such:") == words("check :") == []
    assert words("diff lenet5 lene") == ["lenet5"]


def test_settings_are_completed_with_how_they_are_declared() -> None:
    found = {word.text: word.meaning for word in complete(["build", "net.arch", "--set", ""]).words}
    assert found == {
        "width=": "int in {4, 8} = 4",
        "norm=": 'str in {"batch", "2d norm", "GELU"} = "batch"',
        "act=": "layer = ReLU",
        "conv=": "layer = own",
        "first=": "bool = true",
    }
    assert words("build net.arch --set width=4 --set w") == []
    assert words("build net.arch --set=width=4 --set f") == ["first="]
    assert words("build net.arch:First --set ") == ["depth="]
    assert words("build --set w") == words("build wrong.arch --set w") == words("build no.arch --set w") == []
    assert words("diff net.arch net.arch:First --left w") == ["width="]
    assert words("diff net.arch net.arch:First --right ") == ["depth="]
    assert words("cost net.arch --at width=4,b") == ["width=4,batch="]


def test_values_of_settings_are_completed_as_they_are_typed() -> None:
    assert words("build net.arch --set width=") == ["width=4", "width=8"]
    assert words("build net.arch --set first=") == ["first=true", "first=false"]
    norms = [word.text for word in complete(["build", "net.arch", "--set", "norm="]).words]
    assert norms == ["norm=batch", 'norm="2d norm"', 'norm="GELU"']
    assert [parse_settings([norm])["norm"] for norm in norms] == ["batch", "2d norm", "GELU"]
    layers = words("build net.arch --set act=")
    assert layers[0] == "act=ReLU"
    assert "act=GELU" in layers
    assert "conv=own" not in words("build net.arch --set conv=")  # a name of that file
    assert words("build net.arch --set nothing=") == []


@pytest.mark.slow
def test_the_settings_that_are_completed_are_those_of_the_model() -> None:
    for name in {entry.family: entry.name for entry in shipped()}.values():
        found = complete(["build", name, "--set", ""]).words
        assert {word.text.removesuffix("=") for word in found} <= set(read(name).arguments), name


def test_blocks_that_stand_for_each_other_end() -> None:
    Path("round.arch").write_text("model A(x: int = 1) = B\nmodel B(y: int = 2) = A\n")
    assert words("build round.arch --set ") == ["y=", "x="]


@pytest.mark.parametrize(
    ("line", "expected", "before_quote"),
    [
        ("archspec check ", ["archspec", "check", ""], None),
        ("archspec che", ["archspec", "che"], None),
        (r"a my\ ne", ["a", "my ne"], None),
        ("a my\\ ", ["a", "my "], None),
        ("a 'b c' 'my n", ["a", "b c", "my n"], 0),
        ('a "my n', ["a", "my n"], 0),
        ('a x=y"my \\"n', ["a", 'x=ymy "n'], 3),
        ('a --set x="b c" ', ["a", "--set", "x=b c", ""], None),
    ],
)
def test_a_line_is_split_as_a_shell_does(line: str, expected: list[str], before_quote: int | None) -> None:
    assert split(line) == (expected, before_quote)


# ------------------------------------------------------------------ in shells

# Prints the line that is being typed, at Ctrl-X d.
SHOW = {
    "bash": """bind -x '"\\C-xd": echo "LINE<$READLINE_LINE>"'""",
    "zsh": """show() { print -r -- "LINE<$BUFFER>" }; zle -N show; bindkey '^Xd' show""",
    "fish": 'bind \\cxd \'echo "LINE<"(commandline)">"\'',
}
OPTIONS = {"bash": ["--noprofile", "-i"], "zsh": ["-i"], "fish": ["-i"]}
TYPED = [
    ("archspec ch", "archspec check "),
    ("archspec check lene", "archspec check lenet5 "),
    ("archspec check resnet50:", "archspec check resnet50:ResNet50 "),
    ("archspec check resnet50:Res", "archspec check resnet50:ResNet50 "),
    ("archspec check net.", "archspec check net.arch "),
    ("archspec check ./par", "archspec check ./parts.arch "),
    ("archspec check my", "archspec check my\\ net.arch "),
    ("archspec check ~/ne", "archspec check ~/nets.arch "),
    ("archspec build net.arch --set wi", "archspec build net.arch --set width="),
    ("archspec build net.arch --set act=GEL", "archspec build net.arch --set act=GELU "),
    ("archspec build net.arch --set norm='\"2", "archspec build net.arch --set norm='\"2d norm\"' "),
    ("archspec build net.arch --weights weights.s", "archspec build net.arch --weights weights.safetensors "),
    ("archspec build net.arch --plugin weig", "archspec build net.arch --plugin weig"),
    ("archspec draw --theme d", "archspec draw --theme dark "),
    ("archspec draw --theme=d", "archspec draw --theme=dark "),
    ("archspec draw net.arch --dir", "archspec draw net.arch --direction "),
    ("archspec check nothing", "archspec check nothing"),
    ("archspec nothing x", "archspec nothing x"),
    ("./broken/archspec check lene", "./broken/archspec check lene"),
    ("./missing/archspec check lene", "./missing/archspec check lene"),
]  # fmt: skip


def installed(shell: str) -> str:
    """The path of a shell; without it, tests are skipped on a desk and fail in CI."""
    path = shutil.which(shell)
    if path is None:
        if "CI" in os.environ:
            pytest.fail(f"{shell} is missing")
        pytest.skip(f"{shell} is missing")
    return path


@pytest.fixture(params=["bash", "zsh", "fish"])
def terminal(
    request: pytest.FixtureRequest, here: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pexpect.spawn]:
    """A shell in a terminal, at whose start completion is installed."""
    shell = request.param
    path = installed(shell)
    home = here / "home"
    (here / "bin").mkdir()
    home.mkdir()
    for name in ("weights.safetensors", "weights.txt", "home/nets.arch"):
        Path(name).touch()
    program = Path("bin/archspec")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m archspec "$@"\n')
    broken = Path("broken/archspec")
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho Traceback; echo Traceback >&2; exit 1\n")
    for file in (program, broken):
        file.chmod(0o755)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    environment = {
        "HOME": str(home),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
    }
    environment["PATH"] = f"{here / 'bin'}:{os.environ['PATH']}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    install_script(shell)
    terminal = pexpect.spawn(
        path, OPTIONS[shell], encoding="utf-8", timeout=60, dimensions=(40, 200), echo=False
    )
    terminal.sendline(f"{SHOW[shell]}; echo rea''dy")
    terminal.expect("ready\r")
    yield terminal
    terminal.close(force=True)


@pytest.mark.slow
def test_a_shell_completes_what_is_typed(terminal: pexpect.spawn) -> None:
    for typed, completed in TYPED:
        terminal.send(f"{typed}\t")
        # What is typed while a shell completes waits: Ctrl-X d is read when it is done.
        terminal.send("\x18d")
        terminal.expect(r"LINE<(.*)>\r?\n")
        found = terminal.match[1]
        assert (shlex.split(found), found[-1:]) == (
            shlex.split(completed),
            completed[-1:],
        )  # quoted as the shell likes
        assert "Traceback" not in terminal.before
        assert "not found" not in terminal.before
        terminal.send("\x15")  # Ctrl-U: nothing is typed any more


# ------------------------------------------------------------------ installing


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_changes_a_start_file_once(
    shell: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here / "o'home"))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    (here / "o'home").mkdir()
    start = here / "o'home" / f".{shell}rc"
    kept = here / "dotfiles"
    kept.write_bytes(b"alias x=y")  # and no end of line
    start.symlink_to(kept)
    first, second = install_script(shell), install_script(shell)
    assert first[0] == second[0]
    assert first[0].read_text() == script(shell)
    assert second == first[:1]
    if shell == "fish":
        assert kept.read_bytes() == b"alias x=y"
        assert first == [here / "o'home/.config/fish/completions/archspec.fish"]
        return
    assert start.is_symlink()
    lines = kept.read_text().splitlines()
    assert lines[0] == "alias x=y"
    assert len(lines) == 2
    assert re.search(r"completion\.(bash|zsh)", lines[1])


def test_a_start_file_that_cannot_be_written_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    (here / ".bashrc").mkdir()
    with pytest.raises(SpecError, match=r"\.bashrc` cannot be written"):
        install_script("bash")
