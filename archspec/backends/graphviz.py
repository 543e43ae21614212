"""Pictures of networks, drawn with Graphviz."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archspec.analyses.diagram import Box, Diagram, blocks_of_layers, diagram, lists_only, to_depth
from archspec.analyses.figures import short
from archspec.analyses.stages import window
from archspec.analyses.summary import Summary
from archspec.errors import SpecError, suggest
from archspec.graph import Graph
from archspec.op import Op, written
from archspec.tensor import TensorType, show
from archspec.writing import replacing

FORMATS = ("svg", "png", "pdf", "dot")

# Tints of the palette of Okabe & Ito [2008], which the colour-blind tell apart; they differ in grey too.
_COLOURS = {
    "conv": ("#a6d3f2", "convolution"), "deform": ("#a6d3f2", "convolution"),
    "linear": ("#f9e79a", "linear map"), "attention": ("#f2b8a0", "attention"),
    "pooling": ("#9fd9c2", "pooling"), "resample": ("#9fd9c2", "pooling"),
    "norm": ("#e6e6e6", "norm, activation"), "activation": ("#e6e6e6", "norm, activation"),
    "regularisation": ("#e6e6e6", "norm, activation"), "identity": ("#e6e6e6", "norm, activation"),
    "block": ("#ffffff", "block"), "end": ("#ffffff", ""),
}  # fmt: skip
_OTHER = ("#f5f5f5", "other")
_SIGNS = {"Add": "+", "Sub": "−", "Mul": "×", "Div": "÷", "Concat": "‖", "MatMul": "@"}
_FONT = "Helvetica"


@dataclass(frozen=True)
class Drawing:
    """A picture of a network, as the text that Graphviz draws; writes any format, and shows itself in Jupyter."""

    dot: str

    def render(self, format: str = "svg") -> bytes:
        """The picture as `svg`, `png`, `pdf` or `dot`.

        Raises SpecError for another format, and when Graphviz is not installed or cannot draw it.
        """
        if format not in FORMATS:
            raise SpecError.of(
                "file", f"cannot draw `{format}`", help=f"the formats are {', '.join(FORMATS)}"
            )
        if format == "dot":
            return self.dot.encode()
        import graphviz

        try:
            return bytes(graphviz.Source(self.dot).pipe(format=format))
        except graphviz.ExecutableNotFound:
            raise SpecError.of(
                "file",
                "Graphviz's `dot` is not installed",
                help="install it (`apt install graphviz`, `brew install graphviz`), or write a .dot file",
            ) from None
        except graphviz.CalledProcessError as error:
            said = (
                error.stderr.decode(errors="replace")
                if isinstance(error.stderr, bytes)
                else str(error.stderr)
            )
            raise SpecError.of("file", f"Graphviz cannot draw it: {said.strip().splitlines()[-1]}") from None

    def save(self, path: Path) -> None:
        """Write the picture in the format of the path's ending. Raises SpecError as `render`, or when it cannot."""
        data = self.render(path.suffix.removeprefix("."))
        with replacing(path) as file:
            file.write(data)

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


VIEWS = ("overview", "block", "full")


def draw(graph: Graph, view: str = "overview", *, depth: int | None = None, focus: str = "") -> Drawing:
    """A picture of a network, or of its part named `focus`: the name of a step, or of a block.

    `overview` shows its stages, what repeats once; `block` what is in one block, the first there is unless
    `focus` names one; `full` every node. `depth` is how many levels of blocks are opened. Raises
    SpecError for another view or a part that is not there; Mistake where costs depend on a free size.
    """
    if view not in VIEWS:
        raise SpecError.of("argument", f"there is no view `{view}`", help=f"the views are {', '.join(VIEWS)}")
    scope = _scope(graph, focus, block=view == "block")
    summary, full = Summary(graph), view == "full"
    closed = blocks_of_layers if view == "block" or focus else lists_only
    opens = to_depth(depth) if depth else to_depth(1000) if full else closed
    found = diagram(
        summary, opens, scope=scope, join=not full, weights=full, shapes=full or depth is not None
    )
    return Drawing("\n".join(_dot(found)) + "\n")


def _scope(graph: Graph, focus: str, *, block: bool) -> int:
    """The scope of that name, or the first one made by the block of that name."""
    if not focus:
        blocks = [i for i, scope in enumerate(graph.scopes) if i and scope.block]
        return blocks[0] if block and blocks else 0
    for wanted in ("name", "block"):
        for index, scope in enumerate(graph.scopes):
            if getattr(scope, wanted) == focus:
                return index
    names = {text for scope in graph.scopes for text in (scope.name, scope.block) if text}
    raise SpecError.of(
        "name",
        f"{graph.name} has no block or stage `{focus}`",
        help=suggest(focus, names) or "`archspec show` lists them",
    )


# ------------------------------------------------------------------ DOT


def _dot(found: Diagram) -> Iterator[str]:
    """The diagram in Graphviz's language, a line at a time; the same for the same diagram."""
    yield "digraph {"
    yield f"  graph [rankdir=TB, fontname={_quoted(_FONT)}, fontsize=11, ranksep=0.28, nodesep=0.3, compound=true];"
    yield f"  node [shape=plain, fontname={_quoted(_FONT)}, fontsize=11];"
    yield f'  edge [fontname={_quoted(_FONT)}, fontsize=9, fontcolor="#555555", color="#555555", arrowsize=0.6];'
    for box in (*found.inputs, *found.outputs):
        yield f"  {_id(box)} [shape=plaintext, height=0.3, label=<{_end(box)}>];"
    for box in found.boxes:
        yield from _box(box, "  ")
    changing = {box.number for box in found.closed if set(box.types) != set(box.inputs)}
    for edge in found.edges:
        label = f" [label={_quoted(' ' + _sizes(edge.type))}]" if edge.source in changing else ""
        yield f"  n{edge.source} -> n{edge.target}{label};"
    yield from _legend(found)
    yield "}"


def _box(box: Box, indent: str) -> Iterator[str]:
    if not box.inner:
        yield f"{indent}{_id(box)} [{_shape(box)}];"
        return
    yield f"{indent}subgraph {_quoted(f'cluster_{box.number}')} {{"
    times = f"  × {box.count}" if box.count > 1 else ""
    kind = f"  {box.part.kind}" if box.part and box.part.kind else ""
    cost = f"      {_figures(box)}" if box.part else ""
    title = _quoted(f"{box.label}{kind}{times}{cost}")
    yield f'{indent}  label={title}; labeljust=l; style="rounded"; color="#999999"; fontcolor="#333333";'
    for inner in box.inner:
        yield from _box(inner, indent + "  ")
    yield f"{indent}}}"


def _shape(box: Box) -> str:
    """How a closed box is drawn: sums and the like as circles, the rest as a table of what it is and costs."""
    name = type(box.ops[0]).__name__ if box.ops else ""
    if name in _SIGNS and len(box.ops) == 1:
        return (
            f"shape=circle, fixedsize=true, width=0.3, fontsize=13, label={_quoted(_SIGNS[name])},"
            f" tooltip={_quoted(box.label)}"
        )
    colour = _COLOURS.get(box.family, _OTHER)[0]
    kind = box.part.kind if box.part and not box.ops else ""
    title = " · ".join(_words(op) if i == 0 else type(op).__name__ for i, op in enumerate(box.ops)) or kind
    times = f"  <b>× {box.count}</b>" if box.count > 1 else ""
    rows = f"<b>{_escaped(title or box.label)}</b>{times}"
    if title:
        rows += f'<br/><font point-size="9" color="#555555">{_escaped(box.label)}</font>'
    figures = _figures(box)
    cost = f'<td align="right"><font point-size="9">{_escaped(figures)}</font></td>' if figures else ""
    return (
        f'label=<<table border="1" cellborder="0" cellspacing="0" cellpadding="5" color="#666666"'
        f' bgcolor="{colour}" style="rounded"><tr><td align="left">{rows}</td>{cost}</tr></table>>'
    )


def _words(op: Op) -> str:
    """An op as the figures of papers name it: `3 × 3 Conv, 64, / 2`; without what is no part of its shape."""
    fields = dict(op)
    name = type(op).__name__
    kernel = fields.get("kernel")
    said = [f"{window(kernel)} {name}" if kernel is not None else name]
    if "out" in fields:
        said.append(str(fields["out"]))
    stride = fields.get("stride")
    if stride not in (None, 1):
        said.append(f"/ {window(stride) if isinstance(stride, tuple) else stride}")
    if fields.get("dilation", 1) != 1:
        said.append(f"dilation {fields['dilation']}")
    if fields.get("groups", 1) != 1:
        said.append("depthwise" if fields["groups"] == fields.get("out") else f"groups {fields['groups']}")
    if len(said) == 1 and kernel is None:
        required = [key for key, field in type(op).model_fields.items() if field.is_required()]
        if required:
            said[0] += f"({', '.join(written(fields[key]) for key in required)})"
    return ", ".join(said)


def _end(box: Box) -> str:
    return f"<b>{_escaped(box.label)}</b>  {_escaped(_sizes(box.types[0]))}"


def _figures(box: Box) -> str:
    """Parameters and multiply-adds of all that a box stands for; empty where there are none."""
    if box.part is None:
        return ""
    cost = box.part.cost
    parts = [f"{short(cost.params)} params"] if cost.params else []
    return "  ".join([*parts, f"{short(cost.macs)} MACs"] if cost.macs else parts)


def _legend(found: Diagram) -> Iterator[str]:
    """What the colours mean, of those that occur."""
    seen = dict.fromkeys(
        _COLOURS.get(box.family, _OTHER) for box in found.closed if box.ops and not _is_sign(box.ops[0])
    )
    cells = "".join(
        f'<td bgcolor="{colour}" border="1" color="#666666">  </td><td align="left">{_escaped(name)}  </td>'
        for colour, name in seen
        if name
    )
    if cells:
        yield (
            f'  legend [shape=plain, fontsize=9, label=<<table border="0" cellborder="0" cellspacing="3">'
            f"<tr>{cells}</tr></table>>];"
        )
        yield from (f"  {_id(box)} -> legend [style=invis];" for box in found.outputs[:1])


def _is_sign(op: Op) -> bool:
    return type(op).__name__ in _SIGNS


def _sizes(type_: TensorType) -> str:
    """A shape as diagrams print it: `64 × 56 × 56`; the dtype where it is not f32."""
    sizes = " × ".join(map(str, type_.shape)) if type_.shape else "1"
    return sizes if type_.dtype == "f32" else f"{type_.dtype} {show(type_.shape)}"


def _id(box: Box) -> str:
    return f"n{box.number}"


def _quoted(text: str) -> str:
    """A string of DOT, whatever is in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _escaped(text: str) -> str:
    """Text inside an HTML-like label."""
    return html.escape(text, quote=True)
