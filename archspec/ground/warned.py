"""Problems that stop nothing, as Python's warnings: `SpecWarning`, whose place is that in the spec."""

from __future__ import annotations

from collections.abc import Iterable
from warnings import warn_explicit

from archspec.ground.errors import Problem, SpecWarning

# As each Python module that warns has one, but for each place: with the default filter, a warning is shown once, and two of
# the same words on one line are two.
_SHOWN: dict[tuple[str, int], dict[str | tuple[str, type[Warning], int], int]] = {}


def warn_all(problems: Iterable[Problem]) -> None:
    """Warn of each of the problems."""
    for problem in problems:
        path, start, line = "spec", 0, 1
        if problem.span is not None:
            path, start = problem.span.source.path, problem.span.start
            line, _ = problem.span.source.position(start)
        shown = _SHOWN.setdefault((path, start), {})
        warn_explicit(SpecWarning(problem), SpecWarning, path, line, registry=shown)
