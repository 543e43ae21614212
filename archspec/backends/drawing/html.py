"""A network as one page for the browser: the same picture, in which blocks open and steps tell what they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from archspec.analyses.captions import sizes, title
from archspec.analyses.cost import Cost
from archspec.analyses.diagram import Box, Diagram, Opens, diagram, to_depth
from archspec.analyses.formatting import short
from archspec.analyses.summary import Summary
from archspec.backends.drawing import Backend
from archspec.backends.palette import THEMES, sign
from archspec.elaboration import shipped_specs
from archspec.elaboration.files import LARGEST
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.ground.literals import written
from archspec.ground.regular import open_regular
from archspec.ground.source import Location

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing

EVERYTHING = 1000  # levels of blocks


def render(drawing: Drawing, format: str) -> bytes:
    """The page, on which is open at first what the drawing shows."""
    opens = to_depth(2) if drawing.view == "blocks" else drawing.opens
    return page(drawing.graph, opens, scope=drawing.scope, folders=drawing.folders).encode()


def page(graph: Graph, opens: Opens, *, scope: int = 0, folders: Sequence[Path] = ()) -> str:
    """The page of a network, or of one of its scopes; `opens` says which parts are open at first.

    The lines of the spec that it quotes are looked for below `folders` and among the shipped specs, in
    files that are still as they were when the graph was read. Nothing on the page comes from elsewhere: it
    holds its script, its style and its data, and forbids itself the network.
    """
    found = diagram(Summary(graph), to_depth(EVERYTHING), scope=scope, shapes=False, frames="all")
    model = _Model(graph, found, opens, [*folders, Path(), shipped_specs()]).data()
    data = json.dumps(model, ensure_ascii=False, separators=(",", ":"))
    parts = {path.name: path.read_text(encoding="utf-8") for path in files(__package__).joinpath("page").iterdir()
             if path.name.endswith((".html", ".css", ".js"))}  # fmt: skip
    return Template(parts["page.html"]).substitute(
        title=_harmless(graph.name),
        style=parts["page.css"],
        # Within a script, only these could end it or begin a comment.
        model=data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        dagre=parts["dagre.min.js"],
        script=parts["page.js"],
    )


class _Model:
    """What the page knows of the network, as JSON values."""

    def __init__(self, graph: Graph, found: Diagram, opens: Opens, folders: Sequence[Path]) -> None:
        self.graph, self.found, self.opens, self.folders = graph, found, opens, folders
        self.families: dict[str, int] = {}
        self.tints: list[dict[str, str]] = []
        self.scopes = {(scope.name, scope.block): scope for scope in reversed(graph.scopes)}
        self.lines: dict[str, list[str]] = {}

    def data(self) -> dict[str, Any]:
        found = self.found
        boxes = [self.end(box) for box in found.inputs]
        for box in found.boxes:
            boxes += self.box(box, None, 0)
        boxes += [self.end(box) for box in found.outputs]
        changed = {box.number for box in found.closed if set(box.types) != set(box.inputs)}
        edges = [
            [str(edge.source), str(edge.target), sizes(edge.type), edge.source in changed]
            for edge in sorted(found.edges, key=lambda edge: (edge.source, edge.target))
        ]
        figures = f"{short(found.cost.params)} parameters, {short(found.cost.macs)} multiply-adds"
        about = self.graph.doc.split("\n\n")[0].replace("\n", " ").strip()
        return {
            "name": self.graph.name,
            "about": f"{about}  ({figures})" if about else figures,
            "totals": _costs(found.cost),
            "families": self.tints,
            "boxes": boxes,
            "edges": edges,
        }

    def end(self, box: Box) -> dict[str, Any]:
        shape = sizes(box.types[0])
        return _plain(box, title=box.label, label=shape) | {
            "name": box.label,
            "end": True,
            "outputs": [shape],
            "searched": box.label,
        }

    def box(self, box: Box, parent: str | None, depth: int) -> Iterator[dict[str, Any]]:
        """A box and all that are in it, outer ones first."""
        part = box.part
        assert part is not None  # only ends have none
        cost = part.cost
        figures = " · ".join(
            [
                f"{short(number)} {name}"
                for number, name in ((cost.params, "params"), (cost.macs, "MACs"))
                if number
            ]
        )
        said = (
            [str(op) for op in box.ops] or [_call(part.kind, box.arguments)] if part.kind or box.ops else []
        )
        place = self.place(box)
        alone = len(box.ops) == 1 and not box.inner
        yield _plain(box, title=title(box.ops, part.kind, box.arguments) or box.label, label=box.label) | {
            "parent": parent,
            "name": part.name,
            "block": bool(box.inner or not box.ops),
            "sign": sign(box.ops[0]) if alone else "",
            "family": self.family(box),
            "count": box.count,
            "figures": figures,
            "written": said,
            "inputs": [sizes(type_) for type_ in box.inputs],
            "outputs": [sizes(type_) for type_ in box.types],
            "place": f"{place.file}:{place.line}" if place else "",
            "line": self.line(place) if place else "",
            "open": bool(box.inner) and self.opens(part, depth),
            "searched": " ".join([part.name, part.kind, *said]).lower(),
            **_costs(cost),
        }
        for inner in box.inner:
            yield from self.box(inner, str(box.number), depth + 1)

    def family(self, box: Box) -> int | None:
        """The place among the colours of the page, which it has in each of the page's themes."""
        if not box.ops or sign(box.ops[0]):
            return None
        name = THEMES["light"].family(box.ops[0])[1]
        if name not in self.families:
            self.families[name] = len(self.tints)
            self.tints.append(
                {"name": name, **{key: THEMES[key].family(box.ops[0])[0] for key in ("light", "dark")}}
            )
        return self.families[name]

    def place(self, box: Box) -> Location | None:
        part = box.part
        if part is None:
            return None
        if part.node is not None:
            return part.node.location
        scope = self.scopes.get((part.name, part.kind))
        return scope.location if scope else None

    def line(self, place: Location) -> str:
        """A line of the spec; empty where its file is no longer what the graph was made from."""
        if place.file not in self.lines:
            self.lines[place.file] = next(self.texts(place.file), "").split("\n")
        lines = self.lines[place.file]
        return lines[place.line - 1].strip() if place.line <= len(lines) else ""

    def texts(self, name: str) -> Iterator[str]:
        for folder in self.folders:
            try:
                with open_regular(folder / name) as file:
                    data = file.read(LARGEST)
            except (OSError, ValueError, SpecError):
                continue
            if sha256(data).hexdigest() == self.graph.sources.get(name):
                yield data.decode("utf-8-sig")


def _plain(box: Box, *, title: str, label: str) -> dict[str, Any]:
    """What every box has."""
    return {
        "id": str(box.number),
        "parent": None,
        "title": title,
        "label": label,
        "name": "",
        "count": 1,
        "sign": "",
        "family": None,
        "figures": "",
        "written": [],
        "inputs": [],
        "outputs": [],
    }


def _costs(cost: Cost) -> dict[str, int]:
    return {"params": cost.params, "macs": cost.macs, "flops": cost.flops, "memory": cost.activations}


def _call(kind: str, arguments: Any) -> str:
    return f"{kind}({', '.join(f'{name}={written(value)}' for name, value in arguments.items())})"


def _harmless(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


BACKEND = Backend(
    {"html": "a page to explore in a browser, offline"},
    render,
    views=("overview", "block", "blocks", "full"),
    ignores=("shade", "theme", "direction"),
    reason="the reader of a page sets these",
)
