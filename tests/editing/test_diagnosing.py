"""Problems in the editor's terms: the edits that fix them, and where they stand."""

from __future__ import annotations

from pathlib import Path

from archspec.editing.analysis import analyse
from archspec.editing.diagnosing import diagnostics, fix_of_all, fixes
from archspec.editing.positions import Positions
from archspec.ground import codes
from archspec.ground.errors import Edit, Fix, Problem
from archspec.ground.source import Span

TEXT = "model Net:\n    input x: [3, 8, 8]\n    return x -> Relu\n"


def test_a_fix_is_offered_where_its_problem_stands() -> None:
    analysis = analyse(TEXT, Path("net.arch"))
    positions = Positions(TEXT)
    start = TEXT.index("Relu")
    span = Span(analysis.source, start, start + 4)
    places = (("bound here", Span(analysis.source, 0, 5)),)
    fix = Fix("write `ReLU`", (Edit(span, "ReLU"),))
    analysis.problems = [Problem(codes.UNKNOWN_NAME, "there is no `Relu`", span, places=places, fix=fix)]

    def locate(source):
        return "untitled:net", positions

    (action,) = fixes(analysis, positions, locate, start, start)
    assert action.title == "Write `ReLU`"
    assert action.edit is not None and action.edit.changes is not None
    (edit,) = action.edit.changes["untitled:net"]
    assert (positions.offset(edit.range.start), positions.offset(edit.range.end)) == (start, start + 4)
    assert fixes(analysis, positions, locate, 0, 5) == []
    every = fix_of_all(analysis, locate)
    assert every is not None and every.edit is not None
    assert every.edit.changes == action.edit.changes
    (found,) = diagnostics(analysis, positions, locate)
    assert found.related_information is not None
    assert found.related_information[0].message == "bound here"


def test_every_offset_has_a_position_and_back() -> None:
    text = "# 模型 𝔸é\nx = 1\n\n𝔸𝔸𝔸"
    for encoding in ("utf-8", "utf-16", "utf-32"):
        positions = Positions(text, encoding)
        for offset in range(len(text) + 1):
            position = positions.position(offset)
            assert positions.offset(position) == offset
            line = text.split("\n")[position.line]
            before = line[: offset - positions.starts[position.line]]
            width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
            encoded = before.encode(encoding if width == 1 else f"{encoding}-le")
            assert position.character == len(encoded) // width
