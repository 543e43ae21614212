"""Drawings: what to draw of a network, independent of the format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from archspec.analyses.diagram import (
    MOST_IN_STAGE,
    Diagram,
    Opens,
    blocks_open,
    diagram,
    distinct_blocks,
    stages_open,
    to_depth,
)
from archspec.analyses.summary import Summary
from archspec.backends.drawing import find_backend, formats
from archspec.backends.palette import THEMES
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.atomic import replacing, require_writable
from archspec.ground.errors import SpecError, suggest

VIEWS = ("overview", "block", "blocks", "full", "cost", "table")
DIRECTIONS = ("down", "up", "right")
SHADES = {"params": "params", "macs": "macs", "memory": "activations"}
"""The quantities by whose share boxes can be shaded, and what a cost calls them."""
DEFAULTS = {"depth": None, "focus": "", "shade": "", "theme": "light", "direction": "down"}


@dataclass(frozen=True)
class Drawing:
    """A drawing of a network, which renders to any format and displays itself in Jupyter.

    `scope` is the part to draw; `folders` are searched for the spec files that a page quotes.
    """

    graph: Graph = field(repr=False)
    view: str = "overview"
    depth: int | None = None
    focus: str = ""
    shade: str = ""
    theme: str = "light"
    direction: str = "down"
    scope: int = field(default=0, repr=False)
    folders: tuple[Path, ...] = field(default=(), repr=False)

    def render(self, format: str = "svg", *, folders: Sequence[Path] = ()) -> bytes:
        """The drawing in a format such as `svg`, `png`, `pdf`, `dot` or `html`.

        A page quotes lines of the spec from files found below `folders`. Raises SpecError for an unknown format, for one that
        cannot show this view or use an argument, and when Graphviz is needed but missing or fails.
        """
        backend = find_backend(format)
        if self.view not in backend.views:
            message = f"a .{format} file cannot show the view `{self.view}`"
            able = [f".{suffix}" for suffix, other in formats().items() if self.view in other.views]
            raise SpecError.of(codes.OPTION, message, help=f"these can: {', '.join(able)}")
        idle = [name for name in backend.ignores if getattr(self, name) != DEFAULTS[name]]
        if idle:
            message = f"`{idle[0]}` has no effect on a .{format} file: {backend.reason}"
            raise SpecError.of(codes.OPTION, message)
        drawing = replace(self, folders=(*folders, *self.folders)) if folders else self
        return backend.render(drawing, format)

    def save(
        self, path: str | os.PathLike[str], *, folders: Sequence[Path] = (), sources: Iterable[Path] = ()
    ) -> None:
        """Write the drawing, in the format of the path's suffix. Never overwrites any of `sources`.

        Raises SpecError as `render` does, or when the file cannot be written.
        """
        path, sources = Path(path), tuple(sources)
        require_writable(path, sources=sources)
        if not path.suffix:
            what = (
                "has a suffix but no name"
                if path.name.startswith(".")
                else "has no suffix, which selects the format"
            )
            help_ = f"the formats are {', '.join(formats())}, as in `{path.with_name('net.svg')}`"
            raise SpecError.of(codes.SUFFIX, f"`{path}` {what}", help=help_)
        data = self.render(path.suffix.removeprefix("."), folders=folders)
        with replacing(path, sources=sources) as file:
            file.write(data)

    @property
    def dot(self) -> str:
        """The drawing in DOT."""
        return self.render("dot").decode()

    def _repr_svg_(self) -> str | None:
        return None if self.view == "table" else self.render("svg").decode()

    def _repr_markdown_(self) -> str | None:
        return self.render("md").decode() if self.view == "table" else None

    # ---------------------------------------------------------------- what backends ask

    @property
    def in_stages(self) -> bool:
        """Whether the stages of the whole network are drawn."""
        return self.view in ("overview", "cost") and not self.focus

    @property
    def shaded(self) -> str:
        """The quantity of a cost by whose share boxes are shaded; empty for none."""
        return SHADES.get(self.shade or ("macs" if self.view == "cost" else ""), "")

    @property
    def opens(self) -> Opens:
        """Which blocks are open."""
        if self.depth:
            return to_depth(self.depth)
        if self.view == "full":
            return to_depth(1000)
        return stages_open if self.in_stages else blocks_open

    @cached_property
    def diagrams(self) -> list[tuple[str, Diagram]]:
        """What is drawn: each distinct block under its title, or one diagram under the network's name."""
        summary = Summary(self.graph)
        if self.view == "blocks":
            scopes = distinct_blocks(summary) or [(self.graph.name, 0)]
            return [
                (title, diagram(summary, blocks_open, scope=scope, frames="repeated"))
                for title, scope in scopes
            ]
        full = self.view == "full"
        found = diagram(
            summary,
            self.opens,
            scope=self.scope,
            join=not full,
            frames="repeated" if self.opens is blocks_open else "needed",
            weights=full,
            shapes=full or self.depth is not None,
            most=MOST_IN_STAGE if self.in_stages else None,
        )
        return [(self.graph.name, found)]

    @property
    def rows_crossed(self) -> int:
        """How many rows of boxes all edges cross together, by which grows the work to lay them out."""
        return sum(found.rows_crossed for _, found in self.diagrams)


def draw_graph(
    graph: Graph,
    view: str = "overview",
    *,
    depth: int | None = None,
    focus: str = "",
    shade: str = "",
    theme: str = "light",
    direction: str = "down",
    folders: Sequence[Path] = (),
) -> Drawing:
    """A drawing of a network, or of its part named `focus`: the name of a step, or of a block.

    `overview` shows its stages, repeats folded, and `cost` the same shaded by multiply-adds; `block` the inside of one
    block, the first one unless `focus` names another, `blocks` every distinct block on one sheet; `full` every node; `table`
    the stages as a paper lists them. `depth` is how many levels of blocks are opened, `shade` the quantity by whose share boxes are shaded (`params`, `macs`
    or `memory`), `direction` where the network leads: down, up or right. Raises SpecError for an unknown view, theme,
    quantity or direction, for a part that is not there, and for a `depth` or `focus` without effect.
    """
    _require_known("view", view, VIEWS)
    if view == "blocks" and (focus or depth is not None):
        raise SpecError.of(
            codes.LATE,
            f"`{'focus' if focus else 'depth'}` has no effect: `blocks` shows one level of every block",
            help="use the view `block` to draw one block",
        )
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise SpecError.of(codes.OPTION, f"`depth` must be a positive integer, not {depth!r}")
    _require_known("shade", shade, ("", *SHADES))
    _require_known("direction", direction, DIRECTIONS)
    _require_known("theme", theme, tuple(THEMES))
    scope = _scope(graph, focus, block=view == "block") if view != "blocks" else 0
    return Drawing(graph, view, depth, focus, shade, theme, direction, scope, tuple(folders))


def overview_svg(graph: Graph) -> str | None:
    """The overview as SVG, for notebooks; None if it cannot be drawn, so that they show text."""
    if not shutil.which("dot"):
        return None
    try:
        return draw_graph(graph.validated()).render("svg").decode()
    except SpecError:
        return None


def _require_known(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise SpecError.of(
            codes.CHOICE,
            f"unknown {what} `{given}`",
            help=suggest(given, known) or f"choose from {', '.join(filter(None, known))}",
        )


def _scope(graph: Graph, focus: str, *, block: bool) -> int:
    """The scope with this name, or the first of the block with this name; the network itself if it has no blocks."""
    if not focus and not block:
        return 0
    if not focus:
        blocks = [i for i, scope in enumerate(graph.scopes) if i and scope.block]
        return blocks[0] if blocks else 0
    for wanted in ("name", "block"):
        for index, scope in enumerate(graph.scopes):
            if getattr(scope, wanted) == focus:
                return index
    names = {text for scope in graph.scopes for text in (scope.name, scope.block) if text}
    raise SpecError.of(
        codes.UNKNOWN_PART,
        f"{graph.name} has no block or stage `{focus}`",
        help=suggest(focus, names) or "list them with `archspec show`",
    )
