"""SVG, PNG and PDF: DOT, laid out by Graphviz."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from archspec.backends.drawing import Backend
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.leaving import tidied

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing

LONGEST = 300  # seconds: what `MOST_ROWS_CROSSED` lets through takes less
MOST_ROWS_CROSSED = 12_000


def render(drawing: Drawing, format: str) -> bytes:
    """The picture, laid out by Graphviz. Raises SpecError when Graphviz is missing, fails, or would take too long."""
    if drawing.rows_crossed > MOST_ROWS_CROSSED:
        raise SpecError.of(
            codes.TOO_LARGE,
            f"the picture is too large for Graphviz: its edges cross {drawing.rows_crossed:,} rows of boxes,"
            f" more than the {MOST_ROWS_CROSSED:,} that can be laid out in minutes",
            help="draw a part of it (`--focus NAME`), fewer levels of blocks (`--depth 2`), its stages (`--view overview`),\n"
            "or an interactive page (`-o NAME.html`); a .dot file contains all of it for other programs",
        )
    return _run_dot(drawing.dot, format)


def _run_dot(text: str, format: str) -> bytes:
    """The output of `dot`. Raises SpecError when it is missing, fails, takes too long, or prints something else."""
    from graphviz.backend import dot_command

    mend = "install Graphviz (`apt install graphviz`, `brew install graphviz`), or write a .dot file"
    try:
        # The library's own way, `Source.pipe`, takes no time limit, and shows no process that could be ended.
        process = subprocess.Popen(
            dot_command.command("dot", format), stdin=_PIPE, stdout=_PIPE, stderr=_PIPE
        )
        with process, tidied(process.kill):
            try:
                data, said = process.communicate(text.encode(), timeout=LONGEST)
            except BaseException:
                process.kill()
                raise
    except FileNotFoundError:
        raise SpecError.of(codes.PROGRAM, "Graphviz's `dot` is not installed", help=mend) from None
    except subprocess.TimeoutExpired:
        raise SpecError.of(
            codes.PROGRAM,
            f"Graphviz failed: `dot` timed out after {LONGEST} seconds",
            help="draw a part of it (`--focus NAME`), or write a .dot file",
        ) from None
    except OSError as error:
        raise SpecError.of(
            codes.PROGRAM, f"cannot run Graphviz's `dot`: {error.strerror}", help=mend
        ) from None
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"`dot` exited with status {process.returncode} and no message"
        raise SpecError.of(codes.PROGRAM, f"Graphviz failed: {reason}", help=mend)
    begins, ends = _FRAMES[format]
    if not re.search(begins, data[:1000]) or not re.search(ends, data[-1000:]):
        if not data:
            came = "nothing"
        elif re.search(begins, data[:1000]):
            came = f"{len(data):,} bytes, cut off"
        else:
            came = f"{len(data):,} bytes of something else"
        raise SpecError.of(
            codes.PROGRAM, f"Graphviz failed: for a .{format} file, `dot` printed {came}", help=mend
        )
    return data


_PIPE = subprocess.PIPE

_FRAMES = {
    "svg": (rb"<svg\b", rb"</svg>\s*\Z"),
    "png": (rb"\A\x89PNG\r\n\x1a\n", rb"IEND\xaeB`\x82\Z"),
    "pdf": (rb"\A%PDF-", rb"%%EOF\s*\Z"),
}
"""How files of each format start and end."""

BACKEND = Backend(
    {
        "svg": "scalable, for documents and the web",
        "png": "pixels",
        "pdf": "for LaTeX and print",
    },
    render,
)
