"""Pictures of networks, drawn with Graphviz."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from archspec.analyses.diagram import (
    MOST_IN_STAGE,
    Opens,
    blocks_open,
    diagram,
    distinct_blocks,
    stages_open,
    to_depth,
)
from archspec.analyses.summary import Summary
from archspec.backends.dot import Style, dot, dot_sheet
from archspec.backends.palette import find_theme
from archspec.graph import Graph
from archspec.ground.atomic import replacing, require_writable
from archspec.ground.errors import SpecError, suggest

FORMATS = ("svg", "png", "pdf", "dot", "html")
SHADE_NAMES = {"params": "params", "macs": "macs", "memory": "activations"}


@dataclass(frozen=True)
class Drawing:
    """A picture of a network, as the text that Graphviz draws; writes any format, and shows itself in Jupyter.

    `page` makes the same for a browser, given the folders in which the files of the spec lie. `rows_crossed` is that of
    its diagrams.
    """

    graph: Graph = field(repr=False)
    dot: str
    page: Callable[[Sequence[Path]], str] = field(repr=False)
    rows_crossed: int = 0

    def render(self, format: str = "svg", *, folders: Sequence[Path] = ()) -> bytes:
        """The picture as `svg`, `png`, `pdf`, `dot` or `html`.

        A page quotes the spec's lines from its files, which are looked for below `folders`. Raises SpecError for another format, and when Graphviz is not installed or cannot draw it.
        """
        if format not in FORMATS:
            what = f"cannot draw `{format}`" if format else "a picture without a format cannot be drawn"
            raise SpecError.of("file", what, help=f"the formats are {', '.join(FORMATS)}")
        if format == "dot":
            return self.dot.encode()
        if format == "html":
            return self.page(folders).encode()
        if self.rows_crossed > MOST_ROWS_CROSSED:
            raise SpecError.of(
                "budget",
                "this picture is too large for Graphviz, which would take minutes or hours to lay it out:"
                f" its edges cross {self.rows_crossed:,} rows of boxes, and the most is {MOST_ROWS_CROSSED:,}",
                help="draw a part of it (`--focus NAME`), fewer levels of blocks (`--depth 2`), its stages (`--view overview`),\n"
                "or a page to explore (`-o NAME.html`); a .dot file holds all of it for other programs",
            )
        return _rendered(self.dot, format)

    def save(self, path: Path, *, folders: Sequence[Path] = (), sources: Iterable[Path] = ()) -> None:
        """Write the picture in the format of the path's ending, but over none of the `sources`.

        Raises SpecError as `render`, or when it cannot be written.
        """
        sources = tuple(sources)
        require_writable(path, sources=sources)
        if not path.suffix:
            unnamed = path.name.startswith(".")
            what = "is an ending without a name" if unnamed else "has no ending, by which pictures are known"
            help_ = f"the formats are {', '.join(FORMATS)}, as in `{path.with_name('net.svg')}`"
            raise SpecError.of("file", f"`{path}` {what}", help=help_)
        data = self.render(path.suffix.removeprefix("."), folders=folders)
        with replacing(path, sources=sources) as file:
            file.write(data)

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


def _rendered(text: str, format: str) -> bytes:
    """What `dot` makes of a text. Raises SpecError when it is not there, fails, takes too long, or makes something else."""
    from graphviz import CalledProcessError, ExecutableNotFound
    from graphviz.backend import dot_command, execute

    mend = "install Graphviz (`apt install graphviz`, `brew install graphviz`), or write a .dot file"
    command = dot_command.command("dot", format)
    try:
        # `Source.pipe` takes no time limit.
        data: bytes = execute.run_check(
            command, input=text.encode(), capture_output=True, quiet=True, timeout=LONGEST
        ).stdout
    except ExecutableNotFound:
        raise SpecError.of("file", "Graphviz's `dot` is not installed", help=mend) from None
    except subprocess.TimeoutExpired:
        raise SpecError.of(
            "file",
            f"Graphviz cannot draw it: `dot` was ended after {LONGEST} seconds",
            help="draw a part of it (`--focus NAME`), or write a .dot file",
        ) from None
    except CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"`dot` ended with status {error.returncode}, and without a word"
        raise SpecError.of("file", f"Graphviz cannot draw it: {reason}", help=mend) from None
    except OSError as error:
        raise SpecError.of("file", f"Graphviz's `dot` does not run: {error.strerror}", help=mend) from None
    begins, ends = _FRAMES[format]
    if not re.search(begins, data[:1000]) or not re.search(ends, data[-1000:]):
        if not data:
            came = "nothing"
        elif re.search(begins, data[:1000]):
            came = f"{len(data):,} bytes that break off"
        else:
            came = f"{len(data):,} bytes that are something else"
        raise SpecError.of(
            "file", f"Graphviz cannot draw it: for a .{format} file, `dot` printed {came}", help=mend
        )
    return data


_FRAMES = {
    "svg": (rb"<svg\b", rb"</svg>\s*\Z"),
    "png": (rb"\A\x89PNG\r\n\x1a\n", rb"IEND\xaeB`\x82\Z"),
    "pdf": (rb"\A%PDF-", rb"%%EOF\s*\Z"),
}
"""How the formats begin and end."""
LONGEST = 300  # seconds: what `MOST_ROWS_CROSSED` lets through takes less
MOST_ROWS_CROSSED = 12_000

VIEWS = ("overview", "block", "blocks", "full", "cost")
_UNHURRIED = 2_500  # rows that edges may cross before Graphviz is told not to look for the best layout
DIRECTIONS = {"down": "TB", "up": "BT", "right": "LR"}


def draw(
    graph: Graph,
    view: str = "overview",
    *,
    depth: int | None = None,
    focus: str = "",
    shade: str = "",
    theme: str = "light",
    direction: str = "down",
) -> Drawing:
    """A picture of a network, or of its part named `focus`: the name of a step, or of a block.

    `overview` shows its stages, what repeats once, and `cost` the same shaded by multiply-adds; `block` what is
    in one block, the first there is unless `focus` names one, `blocks` every different block on one sheet;
    `full` every node. `depth` is how many levels of blocks are opened, `shade` the quantity by whose share
    boxes are shaded (`params`, `macs` or `memory`), `direction` where the network leads: down, up or right.
    Raises SpecError for another view, theme, quantity or direction, for a part that is not there, and for a `depth` or
    `focus` that would do nothing.
    """
    view = _known("view", view, VIEWS)
    if view == "blocks" and (focus or depth is not None):
        raise SpecError.of(
            "argument",
            f"`{'focus' if focus else 'depth'}` would do nothing: `blocks` shows every block, and one level of each",
            help="the view `block` shows one",
        )
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise SpecError.of("argument", f"`depth` is a whole number of levels, from 1 on, not {depth!r}")
    shade = _known("shade", shade or ("macs" if view == "cost" else ""), ("", *SHADE_NAMES))
    rank = DIRECTIONS[_known("direction", direction, tuple(DIRECTIONS))]
    style = Style(
        find_theme(theme), rank=rank, shade=SHADE_NAMES.get(shade, ""), figures=not view.startswith("block")
    )
    summary = Summary(graph)
    if view == "blocks":
        scopes = distinct_blocks(summary) or [(graph.name, 0)]
        sheet = [
            (title, diagram(summary, blocks_open, scope=scope, frames="repeated")) for title, scope in scopes
        ]
        crossed = sum(found.rows_crossed for _, found in sheet)
        return Drawing(graph, dot_sheet(sheet, style), partial(_page, graph, to_depth(2), 0), crossed)
    scope = _scope(graph, focus, block=view == "block")
    full, stages = view == "full", view in ("overview", "cost") and not focus
    opens = to_depth(depth) if depth else to_depth(1000) if full else stages_open if stages else blocks_open
    style = replace(style, columns=stages and depth is None and rank != "LR")
    found = diagram(
        summary,
        opens,
        scope=scope,
        join=not full,
        frames="repeated" if opens is blocks_open else "needed",
        weights=full,
        shapes=full or depth is not None,
        most=MOST_IN_STAGE if stages else None,
    )
    style = replace(style, hurried=found.rows_crossed > _UNHURRIED)
    return Drawing(graph, dot(found, style), partial(_page, graph, opens, scope), found.rows_crossed)


def _page(graph: Graph, opens: Opens, scope: int, folders: Sequence[Path]) -> str:
    from archspec.backends.html import page

    return page(graph, opens, scope=scope, folders=folders)


def overview_svg(graph: Graph) -> str | None:
    """The overview as SVG, for notebooks; None where it cannot be drawn, or Graphviz is missing, so that they show text."""
    if not shutil.which("dot"):
        return None
    try:
        return draw(graph.validated()).render("svg").decode()
    except SpecError:
        return None


def _known(what: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise SpecError.of(
            "argument",
            f"there is no {what} `{given}`",
            help=suggest(given, known) or f"there are {', '.join(filter(None, known))}",
        )
    return given


def _scope(graph: Graph, focus: str, *, block: bool) -> int:
    """The scope of that name, or the first one made by the block of that name; of a network without blocks, itself."""
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
