"""The stage table of a network in LaTeX, for the package booktabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.backends.drawing import Backend

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing


def render(drawing: Drawing, format: str) -> bytes:
    """A `tabular` of the stages, a row each."""
    from archspec.analyses.stages import COLUMNS, NUMBERS, stage_rows

    columns = "".join("r" if heading in NUMBERS else "l" for heading in COLUMNS)
    head, *rows = [" & ".join(map(_escaped, row)) + r" \\" for row in (COLUMNS, *stage_rows(drawing.graph))]
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    return "\n".join(lines).encode()


_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
}


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


BACKEND = Backend(
    {"tex": "the stage table, in LaTeX with booktabs"},
    render,
    views=("overview", "table"),
    ignores=("depth", "focus", "shade", "theme", "direction"),
    reason="it holds the stage table",
)
