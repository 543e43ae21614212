"""`archspec check --fix`: what is sure is mended in the user's own files, and nothing else changes."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from archspec.api.fixing import apart, edited
from archspec.cli import invoke
from archspec.ground.errors import Edit, Fix, Problem, replaced
from archspec.ground.source import Source, Span

RIGHT = """model Net(k = none):
    input x: [3, 8, 8]
    y = x -> Conv(8)
    if k != none:
        y = y -> Conv(k)
    return y -> ReLU
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fix(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[list[str], str]:
    assert invoke(["check", "--fix", *arguments]) == status
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


@pytest.mark.parametrize(
    ("wrong", "count"),
    [
        ({"!= none": "is not none"}, 1),
        ({"x -> Conv(8)": "x => Conv(8)"}, 1),
        ({"x -> Conv(8)": "x - > Conv(8)"}, 1),
        ({"!= none:": "!= none"}, 1),
        ({"!= none": "is not none", "x -> Conv": "x |> Conv", "-> ReLU": "→ ReLU"}, 3),
        ({"!= none:": "is not none"}, 2),  # the colon is missed when the rest is right
    ],
)
def test_syntax_is_mended(wrong: dict[str, str], count: int, capsys: pytest.CaptureFixture[str]) -> None:
    text = RIGHT
    for right, other in wrong.items():
        text = text.replace(right, other)
    path = Path("net.arch")
    path.write_text(text, encoding="utf-8")
    said, errors = fix(capsys, "net.arch")
    assert said[0] == f"net.arch: {count} problem{'s' * (count > 1)} fixed, 0 left"
    assert said[1].startswith("net.arch: ok (")
    assert errors == ""
    assert path.read_text() == RIGHT


def test_names_of_steps_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("net.arch")
    path.write_text(RIGHT.replace("Conv(8)", "se.fc1: Conv(8)").replace("ReLU", "se.act: ReLU"))
    assert fix(capsys, "net.arch")[0][0] == "net.arch: 2 problems fixed, 0 left"
    assert path.read_text() == RIGHT.replace("Conv(8)", '"se.fc1": Conv(8)').replace("ReLU", '"se.act": ReLU')


@pytest.mark.parametrize(("mark", "end"), [("", "\r\n"), ("\ufeff", "\n"), ("\ufeff", "\r\n"), ("", "\r")])
def test_the_bytes_between_stay(mark: str, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    right = (mark + "# é 😀\n" + RIGHT).replace("\n", end).encode()
    wrong = right.replace(b"!= none:", b"is not none").replace(b"x -> Conv", b"x => Conv")
    path = Path("net.arch")
    path.write_bytes(wrong)
    path.chmod(0o640)
    assert fix(capsys, "net.arch")[0][0] == "net.arch: 3 problems fixed, 0 left"
    assert path.read_bytes() == right
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_not_sure_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("net.arch")
    path.write_text(RIGHT.replace("!= none", "is not none").replace("ReLU", "RuLE"))
    said, errors = fix(capsys, "net.arch", status=1)
    assert said == ["net.arch: 1 problem fixed, 1 left"]
    assert "there is no `RuLE`" in errors
    assert "is not" not in errors
    assert path.read_text() == RIGHT.replace("ReLU", "RuLE")


def test_warnings_are_mended_too(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("net.arch")
    text = "{}model Net:\n    input x: [3, 8, 8]\n    return x -> Conv(8{}) -> BatchNorm\n"
    path.write_text(text.format("from blocks.head import Classifier\n", ""))
    said, errors = fix(capsys, "net.arch", "--strict")
    assert said[0] == "net.arch: 2 problems fixed, 0 left"
    assert errors == ""
    assert path.read_text() == text.format("", ", bias=false")


@pytest.mark.parametrize("text", [RIGHT, RIGHT.replace("ReLU", "RuLE"), "model Net(\n"])
def test_where_nothing_is_sure_nothing_is_written(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("net.arch")
    path.write_text(text)
    os.utime(path, (0, 0))
    said, _ = fix(capsys, "net.arch", status=int(text != RIGHT))
    assert not any("fixed" in line for line in said)
    assert path.read_text() == text
    assert path.stat().st_mtime == 0
    assert list(Path().iterdir()) == [path]


def test_a_file_that_two_specs_import_is_mended_once(capsys: pytest.CaptureFixture[str]) -> None:
    part = "block Part:\n    input x: [C, H, W]\n    return x {} ReLU\n"
    Path("parts.arch").write_text(part.format("=>"))
    for name in ("one.arch", "two.arch"):
        Path(name).write_text(
            "from parts import Part\nmodel Net:\n    input x: [3, 8, 8]\n    return x -> Part\n"
        )
    said, errors = fix(capsys, "one.arch", "two.arch")
    assert said[0] == "one.arch: 1 problem fixed, 0 left"
    assert [line.split(" (")[0] for line in said[1:]] == ["one.arch: ok", "two.arch: ok"]
    assert errors == ""
    assert Path("parts.arch").read_text() == part.format("->")


def test_shipped_specs_are_not_changed(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = here / "shipped"
    shipped.mkdir()
    path = shipped / "net.arch"
    path.write_text(RIGHT.replace("x ->", "x =>"))
    for module in ("api.fixing", "elaboration.files", "elaboration.modules"):
        monkeypatch.setattr(f"archspec.{module}.shipped_specs", lambda: shipped)
    said, errors = fix(capsys, "net", status=1)
    assert said == []
    assert "the arrow is `->`" in errors
    assert path.read_text() == RIGHT.replace("x ->", "x =>")


@pytest.mark.skipif(os.name == "nt", reason="files are read-only in another way there")
def test_a_file_that_cannot_be_written_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("net.arch")
    path.write_text(RIGHT.replace("x ->", "x =>"))
    monkeypatch.setattr("os.access", lambda file, mode: mode != os.W_OK)  # root may write what is read-only
    said, errors = fix(capsys, "net.arch", status=1)
    assert said == []
    assert "`net.arch` cannot be written: it is read-only" in errors
    assert "the arrow is `->`" in errors
    assert path.read_text() == RIGHT.replace("x ->", "x =>")


def test_a_difference_is_one_that_git_applies(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("net.arch")
    wrong = RIGHT.replace("x ->", "x =>").replace("!= none:", "is not none").rstrip("\n")
    path.write_text(wrong)
    assert invoke(["check", "--diff", "net.arch"]) == 1  # as it is, it is wrong
    printed = capsys.readouterr()
    assert path.read_text() == wrong
    assert printed.err == "net.arch: 3 problems can be fixed, 0 left\n\n"
    assert fix(capsys, "--diff", "net.arch", status=1) == (printed.out.splitlines(), printed.err)
    subprocess.run(["git", "apply", "-p0"], input=printed.out, text=True, check=True, capture_output=True)
    assert path.read_text() == RIGHT.rstrip("\n")
    assert invoke(["check", "--diff", "net.arch"]) == 0
    assert capsys.readouterr().out == ""


def test_other_formats_tell_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.arch").write_text(RIGHT.replace("x ->", "x =>"))
    said, errors = fix(capsys, "net.arch", "--format", "github")
    assert said == []
    assert errors == "net.arch: 1 problem fixed, 0 left\n"
    assert invoke(["check", "--diff", "net.arch", "--format", "json"]) == 2


def test_of_fixes_that_meet_the_first_is_applied_whole() -> None:
    source = Source("a.arch", "abcdef\n")
    other = Source("b.arch", "abcdef\n")

    def problem(*edits: Edit) -> Problem:
        return Problem("E0101", "", fix=Fix("", edits))

    both = problem(Edit(Span(source, 0, 1), "A"), Edit(Span(source, 4, 5), "E"))
    meets = problem(Edit(Span(source, 2, 3), "C"), Edit(Span(source, 4, 4), "x"))
    free = problem(Edit(Span(source, 2, 3), ""))
    elsewhere = problem(Edit(Span(other, 0, 6), ""))
    chosen = apart([both, meets, Problem("E0101", ""), free, elsewhere])
    assert chosen == [p.fix for p in (both, free, elsewhere)]
    assert edited(source.text, [edit for fix in chosen[:2] for edit in fix.edits]) == "AbdEf\n"


def test_what_is_inserted_ends_its_lines_as_the_file_does() -> None:
    source = Source("a.arch", "a\nb\n")
    assert edited("a\r\nb\r\n", replaced(Span(source, 1, 2), ":\n").edits) == "a:\r\nb\r\n"
    assert edited("\ufeffa\r\nb", replaced(Span(source, 3, 4), "\nc").edits) == "\ufeffa\r\nb\r\nc"
