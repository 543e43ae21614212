"""Mistakes in a spec: how they get their place, and how elaboration goes on behind them to find more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem
from archspec.ground.source import Source, Span

HOPELESS = (codes.BUDGET, codes.TOO_LARGE, codes.TOO_DEEP, codes.RECURSION)
"""Mistakes behind which it is no use to look for more."""

POISON = object()  # the value of what could not be evaluated; its mistake is reported already


class Poisoned(Exception):  # noqa: N818  (no new error)
    """Something depends on a value whose mistake is reported already."""


class Stopped(Exception):  # noqa: N818  (the mistakes are kept already)
    """A mistake after which there is no point in going on."""


def in_order(problems: Iterable[Problem], source: Source) -> tuple[Problem, ...]:
    """Problems in the order of the places of a file, at which those in other files come up; those that have none come first."""

    def place(problem: Problem) -> int:
        places = (problem.span, *(span for _, span in problem.trail))
        return next((span.start for span in places if span and span.source is source), -1)

    return tuple(sorted(problems, key=place))


@contextmanager
def at(span: Span) -> Iterator[None]:
    """Give the mistakes made inside their place, which the rule that finds them does not know."""
    try:
        yield
    except Mistake as mistake:
        raise mistake.at(span) from None
