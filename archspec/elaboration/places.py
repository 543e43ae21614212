"""Where a mistake is: the rule that finds it does not know, whoever applies the rule does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.ground.errors import Mistake
from archspec.ground.source import Span


@contextmanager
def at(span: Span) -> Iterator[None]:
    """Give a place to the mistakes made inside."""
    try:
        yield
    except Mistake as mistake:
        raise mistake.at(span) from None
