"""Files that are read: in whatever form they come, whatever is in their place, and whatever becomes of them meanwhile."""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import archspec
from archspec import SpecError
from archspec.cli import invoke
from archspec.ground import regular

SPEC = "from stem import Stem\n\nmodel M:\n    input x: [3, 8, 8]\n    return x -> stem: Stem(4)\n"
LIBRARY = "block Stem(width: int):\n    input x: [*S]\n    return x -> c: Conv(width, 3)\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.arch").write_text(SPEC)
    Path("stem.arch").write_text(LIBRARY)
    return tmp_path


FORMS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "marked": (lambda text: text.encode("utf-8-sig"), ""),
    "CRLF": (lambda text: text.replace("\n", "\r\n").encode(), ""),
    "CR": (lambda text: text.replace("\n", "\r").encode(), ""),
    "all of these": (lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n", 2).replace("\n", "\r", 1).encode(), ""),
    "tabs": (lambda text: text.replace("    ", "\t").encode(), ""),
    "no last line end": (lambda text: text.rstrip().encode(), ""),
    "a long comment": (lambda text: text.encode() + b"#" * 240_000, ""),
    "many empty lines": (lambda text: text.encode() + b"\n" * 240_000, ""),
    "UTF-16": (lambda text: text.encode("utf-16"), "it looks like UTF-16"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "NUL characters"),
    "Latin-1": (lambda text: ("# é\n" + text).encode("latin-1"), "byte 2 is not UTF-8(.|\n)*save it as UTF-8"),
    "NUL": (lambda text: text.replace("x", "\0").encode(), "NUL characters"),
    "10 MB": (lambda text: text.encode() + b"\n" * 10_000_000, "larger than 250,000 bytes"),
    "two marks": (lambda text: b"\xef\xbb\xbf" * 2 + text.encode(), r"m\.arch:1:1"),
    "a form feed": (lambda text: text.encode() + b"\f\n", r"m\.arch:6:"),
    "a vertical tab": (lambda text: text.replace("->", "\v").encode(), r"m\.arch:5:14"),
    "a line separator": (lambda text: text.replace("\n", "\u2028").encode(), r"m\.arch:1:"),
    "a no-break space": (lambda text: text.replace(" ->", "\u00a0->").encode(), r"m\.arch:5:13"),
    "a long name": (lambda text: text.replace("stem:", "s" * 100_000 + ":").encode(), "more than 1,000 characters"),
    "a long line": (lambda text: text.replace("Stem(4)", "ReLU" + " -> ReLU" * 10_000).encode(), ""),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_file_in_any_form_reads_or_is_told(here: Path, form: str) -> None:
    write, said = FORMS[form]
    wanted = archspec.read("m.arch").outputs[0].type.dtype
    Path("m.arch").write_bytes(write(SPEC))
    if said:
        with pytest.raises(SpecError, match=said):
            archspec.read("m.arch")
    else:
        assert archspec.read("m.arch").outputs[0].type.dtype == wanted


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "it is gone": (Path.unlink, "No such file|there is no file"),
    "it is a folder": (folder, "Is a directory|a folder"),
    "it is a FIFO": (fifo, "is a FIFO"),
    "it leads nowhere": (loop, "symbolic links"),
    "it is a device": (device, "is a device"),
    "it is large": (lambda path: path.write_bytes(b"#" * 10_000_000), "larger than|not a whole zip file"),
    "it is empty": (lambda path: path.write_bytes(b""), "is empty|not a whole zip file"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("changed", ["m.arch", "stem.arch", "m.archmod"])
def test_a_file_that_changes_just_before_it_is_opened_is_told(
    here: Path, changed: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invoke(["build", "m.arch", "-o", "m.archmod"]) == 0
    require, (apply, said) = regular.require_regular, CHANGES[change]

    def changing(path: Path, shown: str = "") -> None:
        require(path, shown)
        if path.name == changed:
            apply(path)

    monkeypatch.setattr(regular, "require_regular", changing)
    with pytest.raises(SpecError, match=said):
        archspec.load("m.archmod") if changed == "m.archmod" else archspec.read("m.arch")


@pytest.mark.slow
def test_files_may_change_at_any_moment(here: Path) -> None:
    draw, ended = random.Random(0), threading.Event()

    def change() -> None:
        while not ended.is_set():
            path, text = draw.choice([(Path("m.arch"), SPEC), (Path("stem.arch"), LIBRARY)])
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            match draw.randrange(5):
                case 0:
                    path.mkdir()
                case 1:
                    path.symlink_to(path.name)
                case 2:
                    path.write_text(text[: draw.randrange(len(text))])
                case _:
                    path.write_text(text)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(3_000):
            try:
                assert archspec.read("m.arch").name == "M"
            except SpecError as error:
                assert error.problems
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("kind", "make", "said"),
    [
        ("fifo", fifo, "`stem` is a FIFO, not a spec"),
        ("folder", folder, "`stem` is a folder, not a spec"),
        ("loop", loop, "`stem` is a link that leads nowhere, not a spec"),
        ("device", device, "`stem` is a link that leads nowhere, not a spec"),
    ],
)
def test_what_is_imported_but_no_file_is_told(
    here: Path, kind: str, make: Callable[[Path], None], said: str
) -> None:
    make(Path("stem.arch"))
    with pytest.raises(SpecError, match=rf"{said}\n --> m\.arch:1:1"):
        archspec.read("m.arch")


@pytest.mark.parametrize("length", [45, 1_000])
@pytest.mark.parametrize("circular", [False, True])
def test_a_long_chain_of_imports_is_told(here: Path, length: int, circular: bool) -> None:
    for i in range(length):
        Path(f"part{i}.arch").write_text(f"from part{(i + 1) % length} import Stem\n")
    if not circular:
        Path(f"part{length - 1}.arch").write_text(LIBRARY)
    Path("m.arch").write_text(SPEC.replace("from stem", "from part0"))
    with pytest.raises(SpecError, match=r"imports are nested more than 40 deep\n --> part39\.arch:1:1"):
        archspec.read("m.arch")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "lenet5"], ""),
        (["check", "{there}/m.arch"], ""),
        (["show", "lenet5"], ""),
        (["cost", "{there}/m.arch"], ""),
        (["list"], ""),
        (["draw", "lenet5", "-o", "{there}/x.dot"], ""),
        (["build", "lenet5", "-o", "{there}/x.archmod"], ""),
        (["check", "m.arch"], "there is no file `m.arch`"),
        (["build", "lenet5"], "`build/lenet5.archmod` cannot be written: No such file or directory"),
        (["draw", "lenet5", "-o", "x.dot"], "`x.dot` cannot be written: No such file or directory"),
    ],
    ids=str,
)
def test_where_the_present_folder_was_removed_commands_work_or_tell(
    here: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("gone").mkdir()
    monkeypatch.chdir("gone")
    Path("../gone").rmdir()
    assert invoke([argument.format(there=here) for argument in arguments]) == (1 if said else 0)
    assert said in capsys.readouterr().err
    assert (
        archspec.read_text(LIBRARY + "model N:\n    input x: [3, 8, 8]\n    return x -> Stem(4)\n").name
        == "N"
    )


def test_a_path_may_begin_with_a_dash(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("-m.arch").write_text(SPEC)
    assert invoke(["check", "--", "-m.arch"]) == invoke(["check", "./-m.arch"]) == 0
    assert invoke(["draw", "-o", "-x.dot", "--", "-m.arch"]) == 0
    assert Path("-x.dot").exists()
    assert invoke(["check", "-m.arch"]) == 2
    assert "-m" in capsys.readouterr().err
