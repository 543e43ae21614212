"""First values of weights as code: what the spec's are where PyTorch's own differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.backends.python.classes import Class
from archspec.backends.python.expressions import Expression


class Starts:
    """Which first values are written, and where."""

    def __init__(self, classes: Sequence[Class]) -> None:
        self.classes = classes

    def lines(self, made: Class, reach: Mapping[str, Expression]) -> list[str]:
        """The statements of a class's `__init__`."""
        return []
