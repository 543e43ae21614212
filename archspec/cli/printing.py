"""How problems are printed: in colours and as wide as the terminal where there is one, plain everywhere else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from archspec.ground.errors import Problem, SpecError
    from archspec.ground.rendering import Style


def print_error(error: SpecError) -> None:
    """Print all that is wrong, to standard error."""
    print(f"{error.report(style_of(sys.stderr))}\n", file=sys.stderr, flush=True)


def print_problem(problem: Problem) -> None:
    """Print one thing that is wrong or hardly meant, to standard error."""
    print(f"{problem.render(style_of(sys.stderr))}\n", file=sys.stderr, flush=True)


def style_of(stream: TextIO) -> Style:
    """Colours on a terminal, unless NO_COLOR is set, and wherever FORCE_COLOR is; the width of a terminal."""
    from archspec.ground.rendering import Style

    is_terminal = stream.isatty()
    if os.environ.get("NO_COLOR"):
        colour = False
    elif os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        colour = True
    else:
        colour = is_terminal and os.environ.get("TERM") != "dumb"
    return Style(colour, terminal_width(stream) if is_terminal else None)


def terminal_width(stream: TextIO) -> int | None:
    """How many columns there are, as `shutil.get_terminal_size` tells it; None where nothing does."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
