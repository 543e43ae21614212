"""`archspec cost --at`: what it takes, and that anything else is told."""

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from archspec.cli.points import parse_points
from archspec.elaboration.values import describe

PIECES = [
    "n",
    "batch",
    "=",
    ",",
    ":",
    "1",
    "2.5",
    "-1",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    '"',
    "'",
    "\\",
    "Conv(8)",
]
PIECES += ["ReLU", "none", "10**20", "1e308", "1e-300", "\n", "#", " ", "\ud800", "\0", "é"]


@pytest.mark.parametrize(
    ("at", "points"),
    [
        ("stem=[ReLU, Conv(8)]", ["[ReLU, Conv(8)]"]),
        ("stem=[act: ReLU, conv: Conv(8, 3)]", ["[act: ReLU, conv: Conv(8, 3)]"]),
        ("stem=[[1, 2], (3, [4])]", ["[[1, 2], (3, [4])]"]),
        ('stem="a,b:c]"', ['"a,b:c]"']),
        ("stem='a\"(,'", ['"a\\"(,"']),
        ("stem=1:3", ["1", "2", "3"]),
        ("stem=0.5:1:0.25", ["0.5", "0.75", "1.0"]),
    ],
)
def test_values_are_cut_at_commas_and_colons_outside_brackets_and_strings(at: str, points: list[str]) -> None:
    assert [describe(point["stem"]) for point in parse_points(at, 1)] == points
    several = parse_points(f"first=7,{at},last=[8, 9]", 2)
    assert [describe(point["stem"]) for point in several] == points
    assert all(point["first"] == 7 and point["last"] == [8, 9] and point["batch"] == 2 for point in several)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("n=1:1e308:1e-300")
@example("n=1e308:1e308")
@example("n=0:1e308:1e308,batch=1:2")
@example("n=-1e308:1e308:1e308")
def test_any_text_is_read_or_told(at: str) -> None:
    for text in (at, f"n={at}", f"n={at},batch=2"):
        try:
            points = parse_points(text, 1)
        except typer.BadParameter:
            continue
        assert 1 <= len(points) <= 1000
        assert all(type(point["batch"]) is int and point["batch"] >= 1 for point in points)
