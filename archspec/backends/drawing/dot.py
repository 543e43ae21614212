"""Diagrams in DOT, the language of Graphviz; the same text for the same diagram."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from archspec.analyses.captions import sizes, title
from archspec.analyses.cost import Cost
from archspec.analyses.diagram import Box, Diagram
from archspec.analyses.formatting import percent, short
from archspec.backends.drawing import Backend
from archspec.backends.palette import Theme, find_theme, sign

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing

SHADES = {"params": "parameters", "macs": "multiply-adds", "activations": "activation memory"}
"""The quantities by whose share boxes can be shaded, and what they are called."""

DIRECTIONS = {"down": "TB", "up": "BT", "right": "LR"}
"""Where a network can lead, and what Graphviz calls it."""

FONT = "Helvetica"
_SIZE, _SMALL = 11, 9.5  # of type, in points


@dataclass(frozen=True)
class Style:
    """How a diagram is drawn.

    With `columns`, each box is a row and all rows line up, as in a table; else boxes are as wide as what they say.
    A `hurried` layout is good rather than the best. With `figures` a box says what it costs. `rank` is Graphviz's rankdir, `shade` the quantity by whose share
    boxes are shaded, or empty.
    """

    theme: Theme
    columns: bool = False
    figures: bool = True
    rank: str = "TB"
    shade: str = ""
    hurried: bool = False


_UNHURRIED = 2_500  # rows that edges may cross before Graphviz is told not to look for the best layout


def render(drawing: Drawing, format: str = "dot") -> bytes:
    """The text that Graphviz draws."""
    diagrams, rank = drawing.diagrams, DIRECTIONS[drawing.direction]
    style = Style(
        find_theme(drawing.theme),
        columns=drawing.in_stages and drawing.depth is None and rank != "LR",
        figures=not drawing.view.startswith("block"),
        rank=rank,
        shade=drawing.shaded,
        hurried=drawing.view != "blocks" and drawing.rows_crossed > _UNHURRIED,
    )
    if drawing.view == "blocks":
        return dot_sheet(diagrams, style).encode()
    ((_, found),) = diagrams
    return dot(found, style).encode()


def dot(found: Diagram, style: Style) -> str:
    """One diagram, with a legend."""
    writer = _Writer(found, style, "n", _heaviest([found], style))
    return _graph([*writer.lines("  "), *_legend([found], style, f"n{found.outputs[0].number}")], style)


def dot_sheet(diagrams: Sequence[tuple[str, Diagram]], style: Style) -> str:
    """Several diagrams on one sheet, each in a frame with its title, in columns of about the same height."""
    heaviest = _heaviest([found for _, found in diagrams], style)
    heights = [len(list(found.closed)) + 4 for _, found in diagrams]
    column_height = sum(heights) / max(1, round((len(diagrams) / 1.5) ** 0.5))
    lines, filled, columns = [], 0.0, [-1]
    for index, (name, found) in enumerate(diagrams):
        lines += [
            f"  subgraph cluster_{index} {{",
            f"    label=<<b>{_escaped(name)}</b>>; fontsize=13; labeljust=l; margin=14; {_frame(style)}",
            *_Writer(found, style, f"n{index}_", heaviest).lines("    "),
            "  }",
        ]
        columns.append(int((filled + heights[index] / 2) / column_height))
        filled += heights[index]
        if columns[-1] == columns[-2]:  # below the last one
            above = diagrams[index - 1][1].outputs[0].number
            lines.append(f"  n{index - 1}_{above} -> n{index}_{found.inputs[0].number} [style=invis];")
    last = f"n{len(diagrams) - 1}_{diagrams[-1][1].outputs[0].number}"
    return _graph([*lines, *_legend([found for _, found in diagrams], style, last)], style)


def _graph(lines: Sequence[str], style: Style) -> str:
    theme = style.theme
    font = f"fontname={_quoted(FONT)}, fontcolor={_quoted(theme.text)}"
    return "\n".join(
        [
            "digraph {",
            f"  graph [rankdir={style.rank}, {font}, fontsize={_SIZE}, bgcolor={_quoted(theme.paper)},"
            f" ranksep={0.18 if style.columns else 0.25}, nodesep=0.25"
            + (", nslimit=1, nslimit1=1" if style.hurried else "")
            + "];",
            f"  node [shape=plain, {font}, fontsize={_SIZE}];",
            f"  edge [fontname={_quoted(FONT)}, fontsize={_SMALL}, fontcolor={_quoted(theme.faint)},"
            f" color={_quoted(theme.line)}, arrowsize=0.6];",
            *lines,
            "}",
            "",
        ]
    )


@dataclass(frozen=True)
class _Writer:
    """Writes one diagram; `prefix` stands before the numbers of boxes, `heaviest` is the cost of the darkest shade."""

    found: Diagram
    style: Style
    prefix: str
    heaviest: float

    def lines(self, indent: str) -> Iterator[str]:
        for index, box in enumerate(self.found.inputs):
            yield f"{indent}{self.id(box)} [label=<{self.end(box, first=index == 0)}>];"
        for box in self.found.boxes:
            yield from self.box(box, indent)
        for index, box in enumerate(self.found.outputs):
            last = index == len(self.found.outputs) - 1
            yield f"{indent}{self.id(box)} [label=<{self.end(box, last=last)}>];"
        yield from self.edges(indent)

    def edges(self, indent: str) -> Iterator[str]:
        """The edges; each shape that changed stands on one, and what leads straight on is drawn straight."""
        found = self.found
        unsaid = {(box.number, type_) for box in found.closed for type_ in set(box.types) - set(box.inputs)}
        order = [box.number for box in (*found.inputs[:1], *found.closed, *found.outputs[:1])]
        following = set(pairwise(order))
        uses = Counter(edge.source for edge in found.edges)
        operands = Counter(edge.target for edge in found.edges)
        for edge in sorted(found.edges, key=lambda edge: (edge.source, edge.target)):
            options = []
            if (edge.source, edge.type) in unsaid:
                unsaid.discard((edge.source, edge.type))
                options.append(f"label={_quoted('  ' + sizes(edge.type))}")
            few = uses[edge.source] <= 2 and operands[edge.target] <= 2
            if few and (edge.source, edge.target) in following:
                options.append("weight=20")
            said = f" [{', '.join(options)}]" if options else ""
            yield f"{indent}{self.prefix}{edge.source} -> {self.prefix}{edge.target}{said};"

    def box(self, box: Box, indent: str) -> Iterator[str]:
        if not box.inner:
            yield f"{indent}{self.id(box)} [{self.shape(box)}];"
            return
        yield f"{indent}subgraph cluster_{self.prefix}{box.number} {{"
        yield f"{indent}  label=<{self.heading(box)}>; labeljust={'c' if self.style.columns else 'l'}; {_frame(self.style)}"
        for inner in box.inner:
            yield from self.box(inner, indent + "  ")
        yield f"{indent}}}"

    def id(self, box: Box) -> str:
        return f"{self.prefix}{box.number}"

    def heading(self, box: Box) -> str:
        """What stands above an open box."""
        kind = _title(box)
        if self.style.columns:
            return self.table(self.row(box, f"<b>{_escaped(kind)}</b>" if kind else ""), padding=0)
        said = f"<b>{_escaped(box.label)}</b>" + (f"  {_escaped(kind)}" if kind else "")
        return f"{said}  {_times(box)}      {self.small(self.figures(box))}"

    def shape(self, box: Box) -> str:
        """How a closed box is drawn: sums and the like as circles, the rest as a table of what it is and costs."""
        theme = self.style.theme
        if len(box.ops) == 1 and sign(box.ops[0]):
            return (
                f"shape=circle, fixedsize=true, width=0.3, fontsize=13, color={_quoted(theme.line)},"
                f" label={_quoted(sign(box.ops[0]))}, tooltip={_quoted(box.label)}"
            )
        colour = (
            self.shade(box) if self.style.shade else theme.family(box.ops[0])[0] if box.ops else theme.paper
        )
        name = f"<b>{_escaped(_title(box) or box.label)}</b>"
        if self.style.columns:
            return f"label=<{self.table(self.row(box, name), colour)}>"
        below = "   ".join(filter(None, [box.label if _title(box) else "", self.figures(box)]))
        lines = "  ".join(filter(None, [name, _times(box)])) + (f"<br/>{self.small(below)}" if below else "")
        return f"label=<{self.table(f'<td>{lines}</td>', colour)}>"

    def end(self, box: Box, *, first: bool = False, last: bool = False) -> str:
        """An input or output: the first heads the columns, the last sums them up."""
        said = f"<b>{_escaped(box.label)}</b>  {_escaped(sizes(box.types[0]))}"
        if not self.style.columns:
            return self.table(f"<td>{said}</td>", padding=3)
        figures = ["", ""]
        if first:
            figures = ["params", "MACs"]
        elif last:
            figures = _short(self.found.cost)
        share = [self.style.shade and first and "share"] if self.style.shade else []
        return self.table(self.cells(said, None, "", [*figures, *(text or "" for text in share)]), padding=2)

    # ---------------------------------------------------------------- rows that line up

    @cached_property
    def widths(self) -> list[float]:
        """Of the columns, in points: name, title, times, parameters, multiply-adds, share."""
        rows = [
            (_width(box.label, _SMALL), 1.12 * _width(_title(box), _SIZE)) for box in _all(self.found.boxes)
        ]
        widest = [max(column) for column in zip(*rows, strict=True)] or [
            0.0,
            0.0,
        ]  # no box where nothing runs
        return [*widest, 36, 46, 46, 36]

    def row(self, box: Box, title: str) -> str:
        cost = box.part.cost if box.part else Cost()
        share = [percent(self.quantity(box), self.whole) or "0%"] if self.style.shade else []
        return self.cells(self.small(box.label), title, _times(box), [*_short(cost), *share])

    def cells(self, name: str, title: str | None, times: str, figures: list[str]) -> str:
        widths = self.widths
        if title is None:
            said = f'<td align="left" width="{widths[0] + widths[1]:.0f}" colspan="2">{name}</td>'
        else:
            said = (
                f'<td align="left" width="{widths[0]:.0f}">{name}</td>'
                f'<td align="left" width="{widths[1]:.0f}">{title}</td>'
            )
        said += f'<td align="right" width="{widths[2]}">{times}</td>'
        for width, figure in zip(widths[3:], figures, strict=False):
            said += f'<td align="right" width="{width}">{self.small(figure, self.style.theme.text)}</td>'
        return said

    def table(self, cells: str, colour: str = "", padding: int = 4) -> str:
        theme = self.style.theme
        look = f' color="{theme.line}" bgcolor="{colour}" style="rounded"' if colour else ""
        return (
            f'<table border="{1 if colour else 0}" cellborder="0" cellspacing="0" cellpadding="{padding}"{look}>'
            f"<tr>{cells}</tr></table>"
        )

    def small(self, text: str, colour: str = "") -> str:
        if not text:
            return ""
        theme = self.style.theme
        colour = colour or (theme.text if self.style.shade else theme.faint)
        return f'<font point-size="{_SMALL}" color="{colour}">{_escaped(text)}</font>'

    # ---------------------------------------------------------------- costs

    def figures(self, box: Box) -> str:
        """Parameters and multiply-adds of all that a box stands for; empty where there are none."""
        if box.part is None:
            return ""
        params, macs = _short(box.part.cost)
        parts = [params and f"{params} params", macs and f"{macs} MACs"] if self.style.figures else []
        if self.style.shade:
            parts.append(percent(self.quantity(box), self.whole))
        return "  ".join(part for part in parts if part)

    def quantity(self, box: Box) -> int:
        return _quantity(box, self.style.shade)

    @cached_property
    def whole(self) -> int:
        return int(getattr(self.found.cost, self.style.shade))

    def shade(self, box: Box) -> str:
        return self.style.theme.shade(self.quantity(box) / self.heaviest if self.heaviest else 0.0)


def _title(box: Box) -> str:
    return title(box.ops, box.part.kind if box.part else "", box.arguments)


def _times(box: Box) -> str:
    return f"<b>× {box.count}</b>" if box.count > 1 else ""


def _short(cost: Cost) -> list[str]:
    return [short(cost.params) if cost.params else "", short(cost.macs) if cost.macs else ""]


def _quantity(box: Box, name: str) -> int:
    return int(getattr(box.part.cost, name)) if box.part else 0


def _heaviest(diagrams: Sequence[Diagram], style: Style) -> float:
    """The most that any closed box of the diagrams has of the quantity that shades it."""
    if not style.shade:
        return 0.0
    return max((_quantity(box, style.shade) for found in diagrams for box in found.closed), default=0.0)


def _all(boxes: Sequence[Box]) -> Iterator[Box]:
    for box in boxes:
        yield box
        yield from _all(box.inner)


def _frame(style: Style) -> str:
    theme = style.theme
    return f'style="rounded"; color={_quoted(theme.line)}; fontcolor={_quoted(theme.text)};'


def _legend(diagrams: Sequence[Diagram], style: Style, below: str) -> Iterator[str]:
    """What the colours mean, of those that occur; or the scale of shades. It stands below a node."""
    theme = style.theme
    if style.shade:
        shades = [theme.shade(step / 4) for step in range(5)]
        scale = "".join(f'<td bgcolor="{shade}" border="1" color="{theme.line}">   </td>' for shade in shades)
        cells = f"<td>{SHADES[style.shade]}:  none</td>{scale}<td>the most</td>"
    else:
        ops = [box.ops[0] for found in diagrams for box in found.closed if box.ops]
        tints = dict.fromkeys(theme.family(op) for op in ops if not sign(op))
        cells = "".join(
            f'<td bgcolor="{tint}" border="1" color="{theme.line}">  </td><td align="left">{name}  </td>'
            for tint, name in tints
        )
    if cells:
        yield (
            f'  legend [fontsize={_SMALL}, label=<<table border="0" cellborder="0" cellspacing="3">'
            f"<tr>{cells}</tr></table>>];"
        )
        yield f"  {below} -> legend [style=invis];"


def _width(text: str, size: float) -> float:
    """About how wide a text is set, in points, in the wider of the fonts that stand in for Helvetica."""
    narrow = sum(letter in "iljtfrI.,'|:;()[]/ ·" for letter in text)
    return size * (0.38 * narrow + 0.68 * (len(text) - narrow))


def _quoted(text: str) -> str:
    """A string of DOT, whatever is in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _escaped(text: str) -> str:
    """Text inside an HTML-like label."""
    return html.escape(text, quote=True)


BACKEND = Backend({"dot": "text for Graphviz and other programs, of any size"}, render)
