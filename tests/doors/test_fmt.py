"""`archspec fmt`, as a user meets it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import archspec

RIGHT = "model M:\n    input x: [4]\n    return x -> ReLU\n"
UGLY = RIGHT.replace(" -> ", "->")
WRONG = "model M(\n"


def fmt(*arguments: str, folder: Path, text: str = "", status: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "archspec", "fmt", *arguments],
        cwd=folder,
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub" / ".hidden").mkdir(parents=True)
    for name, text in {
        "right.arch": RIGHT,
        "ugly.arch": UGLY,
        "sub/ugly.arch": UGLY,
        "sub/wrong.arch": WRONG,
        "sub/.hidden/ugly.arch": UGLY,
        "ugly.txt": UGLY,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_formatted_but_for_what_is_wrong(folder: Path) -> None:
    before = contents(folder)
    os.utime(folder / "right.arch", (0, 0))
    said, errors = fmt(".", folder=folder, status=1)
    assert said.splitlines() == ["ugly.arch: formatted", "sub/ugly.arch: formatted"]
    assert errors.startswith("error[E0102]: unclosed `(`\n --> sub/wrong.arch:1:8\n")
    changed = {"ugly.arch": RIGHT.encode(), "sub/ugly.arch": RIGHT.encode()}
    assert contents(folder) == {**before, **changed}
    assert (folder / "right.arch").stat().st_mtime == 0


@pytest.mark.parametrize("options", [["--check"], ["--diff"], ["--check", "--diff"]])
def test_nothing_is_written_where_it_is_only_asked(options: list[str], folder: Path) -> None:
    before = contents(folder)
    said, errors = fmt(*options, "right.arch", "ugly.arch", folder=folder, status=int("--check" in options))
    assert not errors
    if "--diff" in options:
        assert said == (
            "--- ugly.arch\n+++ ugly.arch\n@@ -1,3 +1,3 @@\n model M:\n     input x: [4]\n"
            "-    return x->ReLU\n+    return x -> ReLU\n"
        )
    else:
        assert said == "ugly.arch: would be formatted\n"
    assert contents(folder) == before
    assert fmt(*options, "right.arch", folder=folder) == ("", "")


def test_standard_input_is_formatted_to_standard_output(folder: Path) -> None:
    before = contents(folder)
    assert fmt("-", folder=folder, text=UGLY) == (RIGHT, "")
    assert fmt("-", folder=folder, text=RIGHT) == (RIGHT, "")
    assert fmt("-", folder=folder, text=UGLY.replace("\n", "\r\n"))[0] == RIGHT.replace("\n", "\r\n")
    assert fmt("--check", "-", folder=folder, text=UGLY, status=1) == ("-: would be formatted\n", "")
    said, errors = fmt("-", folder=folder, text=WRONG, status=1)
    assert not said
    assert "standard input:1:8" in errors
    assert contents(folder) == before


def test_permissions_links_and_line_endings_stay(folder: Path) -> None:
    (folder / "ugly.arch").write_bytes(UGLY.replace("\n", "\r\n").encode())
    (folder / "ugly.arch").chmod(0o640)
    (folder / "link.arch").symlink_to("ugly.arch")
    fmt("link.arch", folder=folder)
    assert (folder / "link.arch").is_symlink()
    assert (folder / "ugly.arch").read_bytes() == RIGHT.replace("\n", "\r\n").encode()
    assert stat.S_IMODE((folder / "ugly.arch").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.arch"], "error[E1005]: there is no file `missing.arch`"),
        (["/dev/null"], "error[E1006]: `/dev/null` is a device, not a regular file"),
        (["empty"], "error[E1005]: there is no .arch file in `empty`"),
        (["latin.arch"], "error[E1007]: `latin.arch` is not text: byte 2 is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_others_are_formatted(
    arguments: list[str], said: str, folder: Path
) -> None:
    (folder / "empty").mkdir()
    (folder / "latin.arch").write_bytes(b"# \xe9\n")
    printed, errors = fmt(*arguments, "ugly.arch", folder=folder, status=1)
    assert errors.startswith(said)
    assert printed == "ugly.arch: formatted\n"


def test_usage_is_status_2(folder: Path) -> None:
    assert "SPEC" in fmt(folder=folder, status=2)[1]


def test_the_command_never_imports_torch(folder: Path) -> None:
    program = "import sys; from archspec.cli import invoke; invoke(['fmt', 'ugly.arch']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    assert (folder / "ugly.arch").read_text() == RIGHT == archspec.format_text(UGLY)
