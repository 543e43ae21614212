"""The stage table of a network in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from archspec.backends.drawing import Backend

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing


def render(drawing: Drawing, format: str) -> bytes:
    """The stages, a row each."""
    from archspec.analyses.stages import COLUMNS, NUMBERS, stage_rows

    return f"{markdown_table(COLUMNS, stage_rows(drawing.graph), NUMBERS)}\n".encode()


def markdown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()
) -> str:
    """A table in Markdown, columns aligned in the source too; those named in `right` are set to the right."""
    cells = [[_escaped(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(headings))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if heading in right else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if heading in right else "-" * width
        for width, heading in zip(widths, headings, strict=True)
    ]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


def _escaped(cell: str) -> str:
    return cell.strip().replace("|", "\\|").replace("\n", " ")


BACKEND = Backend(
    {"md": "the stage table, in Markdown"},
    render,
    views=("overview", "table"),
    ignores=("depth", "focus", "shade", "theme", "direction"),
    reason="it holds the stage table",
)
