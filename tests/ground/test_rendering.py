"""How problems print: carets below what they mean whatever is in the line, within the terminal, in colours only there."""

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from archspec.cli.printing import style_of
from archspec.ground import codes
from archspec.ground.errors import Problem, SpecError
from archspec.ground.rendering import PLAIN, Style, columns
from archspec.ground.source import Source, Span

ROOT = Path(__file__).resolve().parents[2]
COLOUR = re.compile(r"\033\[[\d;]*m")
PIECES = [
    "a", "Conv", " ", "(", "é", "e\u0301", "a\u0308\u0323", "漢", "字", "ｶ", "ﾊﾞ", "Ａ", "한", "\u1112\u1161\u11ab", "ก็", "שָ",
    "👩‍💻", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏽‍💻", "👍🏽", "🇩🇪", "❤️", "❤", "☀️", "1️⃣", "#️⃣", "ℹ️", "ℹ", "©️", "⌚", "⌚︎", "🙂", "சி", "—", "…", "→",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_is_as_wide_as_terminals_draw_it(piece: str) -> None:
    assert columns(piece) == wcswidth(piece)


@given(TEXTS)
def test_a_text_is_as_wide_as_terminals_draw_it(text: str) -> None:
    assert columns(text) == wcswidth(text)


def problem(text: str, start: int, end: int, **more: str) -> Problem:
    return Problem(codes.RANK, "wrong", Span(Source("a.arch", text), start, end), **more)


@given(TEXTS, TEXTS.filter(str.strip), TEXTS)
def test_carets_stand_below_what_is_meant(before: str, meant: str, after: str) -> None:
    text = f"{before} {meant} {after}"  # the blanks keep what is beside from combining with it
    start = len(before) + 1
    lines = problem(text, start, start + len(meant)).render(Style(width=1000)).split("\n")
    assert lines[3] == f"1 | {text}".rstrip()
    assert lines[4] == "  | " + " " * (wcswidth(before) + 1) + "^" * max(1, wcswidth(meant))


@given(TEXTS, TEXTS, st.integers(30, 100))
def test_a_long_line_is_cut_around_what_is_meant(before: str, after: str, width: int) -> None:
    text = f"{before} MEANT {after}"
    lines = problem(text, len(before) + 1, len(before) + 6).render(Style(width=width)).split("\n")
    shown, carets = lines[3].removeprefix("1 | "), lines[4].removeprefix("  | ")
    assert wcswidth(shown) <= width - 4
    assert shown.removeprefix("...").removesuffix("...").strip() in text
    assert carets == " " * wcswidth(shown[: shown.index("MEANT")]) + "^^^^^"
    assert (
        shown == text.rstrip() or wcswidth(shown) > width - 4 - 9
    )  # what fits is there: 3 + 3, and 2 of a wide one at each end


def test_what_is_underlined_may_be_longer_than_the_terminal() -> None:
    lines = problem("x" * 500, 100, 400).render(Style(width=40)).split("\n")
    assert lines[3].startswith("1 | ...x")
    assert lines[3].endswith("x...")
    assert len(lines[3]) <= 40
    assert len(lines[4]) <= len(lines[3]) - 3


def test_what_cannot_be_seen_is_one_blank() -> None:
    lines = problem("\ta\u200db\u202ec \x1b[1m \u200d d", 3, 4).render().split("\n")
    assert lines[3:5] == ["1 |  a b c  [1m   d", "  |    ^"]


@given(st.integers(20, 90))
def test_texts_are_wrapped_to_the_terminal(width: int) -> None:
    words = "some words that are to be read, each of which is short, " * 3
    span = Span(Source("a.arch", "model Net:"), 6, 9)
    whole = Problem(
        codes.RANK,
        "wrong",
        span,
        words,
        f"{words}\n  code = stays(as, it, is, however, long, the, line, may, be, " + "x" * 60,
        places=((words, span),),
    )
    plain, wrapped = (
        COLOUR.sub("", whole.render(Style(colour, at))) for colour, at in ((False, None), (True, width))
    )
    read = [re.sub(r"[|=^]|\b1\b", " ", text).split() for text in (plain, wrapped)]
    assert read[0] == read[1]  # nothing is lost
    for line in wrapped.split("\n"):
        assert len(line) <= max(width, 30) or "code = stays" in line


def test_colours_add_nothing_else() -> None:
    error = SpecError(
        [problem("model Net:\n    x\n", 6, 9, label="here", help="do\nthat"), Problem("W0101", "hm")]
    )
    assert error.report() == str(error) == error.report(PLAIN)
    coloured = error.report(Style(colour=True))
    assert COLOUR.sub("", coloured) == str(error)
    assert "\033" not in str(error)
    assert coloured.count("\033[1;31m") == 2  # the word, and the carets with their label
    assert coloured.count("\033[1;33m") == 1


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_there_are_colours_where_they_are_wanted(
    is_terminal: bool, environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert style_of(Terminal(is_terminal)) == (colour, None)  # type: ignore[arg-type]
    monkeypatch.setenv("COLUMNS", "33")
    assert style_of(Terminal(is_terminal)).width == (33 if is_terminal else None)  # type: ignore[arg-type]


def test_a_terminal_shows_colours_and_is_not_overrun(tmp_path: Path) -> None:
    line = '    return x -> Conv(4, padding="漢字", strid=2) -> Conv(4, 3) -> Conv(4, 3) -> Conv(4, 3)'
    (tmp_path / "net.arch").write_text(f"model Net:\n    input x: [3, 8, 8]\n{line}\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    said, status = pexpect.run(
        f"{sys.executable} -m archspec check net.arch",
        cwd=str(tmp_path),
        env={"PYTHONPATH": str(ROOT), **environment, "TERM": "xterm", "LC_ALL": "C.UTF-8"},  # type: ignore[arg-type]
        dimensions=(24, 60),
        withexitstatus=True,
        encoding="utf-8",
        timeout=120,
    )
    assert status == 1
    assert "\033[1;31merror" in said
    lines = COLOUR.sub("", said).splitlines()
    assert all(wcswidth(line) <= 60 for line in lines if not line.startswith("error["))
    _, at = (i for i, line in enumerate(lines) if "^^^^^" in line)  # of `padding`, and of `strid`
    carets, shown = lines[at].removeprefix("  | "), lines[at - 1].removeprefix("3 | ")
    assert carets.rstrip() == " " * wcswidth(shown[: shown.index("strid=2")]) + "^^^^^^^"
    assert shown.endswith("...")
