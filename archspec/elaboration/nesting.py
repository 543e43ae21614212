"""Nesting: the blocks around what is being elaborated, which errors tell, and which may not go on without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Span

DEEPEST = 40  # blocks within blocks, and files that import files
NO_RECURSION_OF_FUNCTIONS = "functions cannot recur; loop over a list: `for i in range(n):`"
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
    def inside(self, what: str | None, span: Span, *, function: bool = False) -> Iterator[None]:
        """Add a block or a function to the errors that come up inside. Raises SpecError when they are nested too deeply."""
        if what is None:
            yield
            return
        if self.depth >= DEEPEST:
            applied = [_applied(name) for name, _ in self.around]
            recurs = applied.count(_applied(what)) > 1
            message = (
                f"`{applied[-1]}` applies itself endlessly"
                if recurs
                else f"{'functions' if function else 'blocks'} are nested more than {DEEPEST} deep"
            )
            raise SpecError.of(
                codes.TOO_DEEP, message, span, help=NO_RECURSION_OF_FUNCTIONS if function else NO_RECURSION
            )
        self.around.append((what, span))
        self.deepest = max(self.deepest, self.depth)
        try:
            yield
        except SpecError as error:
            raise error.inside(what, span) from None
        finally:
            self.around.pop()


def _applied(around: str) -> str:
    """What is applied or called, without the name of the step."""
    return around.partition(": ")[2] or around
