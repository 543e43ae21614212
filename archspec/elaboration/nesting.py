"""Nesting: the blocks around what is being elaborated, which errors tell, and which may not go on without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.ground.errors import SpecError
from archspec.ground.source import Span

DEEPEST = 50  # blocks within blocks, and files that import files
NO_RECURSION = "blocks cannot recur; repeat with a list: `n * [Block]`"


class Nesting:
    """The blocks being applied, outermost first, each as `name: Block(arguments)` with its place."""

    def __init__(self) -> None:
        self.around: list[tuple[str, Span]] = []
        self.deepest = 0  # the most blocks around a step, since this was last set

    @property
    def depth(self) -> int:
        """How many blocks there are around."""
        return len(self.around)

    @contextmanager
    def inside(self, what: str | None, span: Span) -> Iterator[None]:
        """Add a block to the errors that come up inside. Raises SpecError when blocks are nested too deeply."""
        if what is None:
            yield
            return
        if self.depth >= DEEPEST:
            blocks = [name.partition(": ")[2] for name, _ in self.around]
            recurs = blocks.count(what.partition(": ")[2]) > 1
            message = (
                f"`{blocks[-1]}` applies itself endlessly"
                if recurs
                else f"blocks are nested more than {DEEPEST} deep"
            )
            raise SpecError.of("recursion", message, span, help=NO_RECURSION)
        self.around.append((what, span))
        self.deepest = max(self.deepest, self.depth)
        try:
            yield
        except SpecError as error:
            raise error.inside(what, span) from None
        finally:
            self.around.pop()
