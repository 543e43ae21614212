"""Mistakes in a spec: how they get their place, and how elaboration goes on behind them to find more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.ground.errors import Mistake
from archspec.ground.source import Span

POISON = object()  # the value of what could not be evaluated; its mistake is reported already


class Poisoned(Exception):  # noqa: N818  (no new error)
    """Something depends on a value whose mistake is reported already."""


class Stopped(Exception):  # noqa: N818  (the mistakes are kept already)
    """A mistake after which there is no point in going on."""


@contextmanager
def at(span: Span) -> Iterator[None]:
    """Give the mistakes made inside their place, which the rule that finds them does not know."""
    try:
        yield
    except Mistake as mistake:
        raise mistake.at(span) from None
