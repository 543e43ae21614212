"""Mermaid: flowcharts as text, which GitHub and many editors show within Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archspec.analyses.captions import sizes, title
from archspec.analyses.diagram import Box, Diagram
from archspec.backends.drawing import Backend
from archspec.backends.palette import THEMES, sign

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing

_DIRECTIONS = {"down": "TB", "up": "BT", "right": "LR"}


def render(drawing: Drawing, format: str) -> bytes:
    """A flowchart; of several diagrams, each in a frame with its title."""
    lines = [f"flowchart {_DIRECTIONS[drawing.direction]}"]
    for index, (name, found) in enumerate(drawing.diagrams):
        if len(drawing.diagrams) == 1:
            lines += _lines(found, drawing.theme, "n", "  ")
        else:
            inner = _lines(found, drawing.theme, f"n{index}_", "    ")
            lines += [f'  subgraph s{index}["{_escaped(name)}"]', *inner, "  end"]
    return "\n".join([*lines, ""]).encode()


def _lines(found: Diagram, theme: str, prefix: str, indent: str) -> Iterator[str]:
    for end in (*found.inputs, *found.outputs):
        yield f'{indent}{prefix}{end.number}(["{_escaped(f"{end.label} {sizes(end.types[0])}")}"])'
    for box in found.boxes:
        yield from _box(box, theme, prefix, indent)
    for edge in sorted(found.edges, key=lambda edge: (edge.source, edge.target)):
        yield f"{indent}{prefix}{edge.source} --> {prefix}{edge.target}"


def _box(box: Box, theme: str, prefix: str, indent: str) -> Iterator[str]:
    name = f"{prefix}{box.number}"
    kind = title(box.ops, box.part.kind if box.part else "", box.arguments)
    times = f" × {box.count}" if box.count > 1 else ""
    if box.inner:
        yield f'{indent}subgraph {name}["{_escaped(f"{box.label} {kind}".strip())}{times}"]'
        for inner in box.inner:
            yield from _box(inner, theme, prefix, f"{indent}  ")
        yield f"{indent}end"
    elif len(box.ops) == 1 and sign(box.ops[0]):
        yield f'{indent}{name}(("{_escaped(sign(box.ops[0]))}"))'
    else:
        label = "<br>".join(
            filter(None, [f"{_escaped(kind or box.label)}{times}", _escaped(box.label) if kind else ""])
        )
        yield f'{indent}{name}["{label}"]'
        if box.ops:
            look = THEMES[theme]
            tint, _ = look.family(box.ops[0])
            yield f"{indent}style {name} fill:{tint},stroke:{look.line},color:{look.text}"


def _escaped(text: str) -> str:
    """Text within quotes: whatever Mermaid, Markdown or HTML would read as more than text, by its number."""
    return "".join(c if c.isalnum() or c in " .,:()-=+×·/_" else f"#{ord(c)};" for c in text)


BACKEND = Backend(
    {"mmd": "a Mermaid flowchart, for Markdown on GitHub"},
    render,
    views=("overview", "block", "blocks", "full"),
    ignores=("shade",),
    reason="a flowchart tells ops apart by colour, and has no shades",
)
