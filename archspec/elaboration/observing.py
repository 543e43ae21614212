"""Observing elaboration: who wants to know what each place of a spec gives is told so as it runs, and up to a mistake, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from archspec.ground.source import Span
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.budget import Budget
    from archspec.elaboration.builder import Builder
    from archspec.elaboration.values import Tensor


class Observer(Protocol):
    """Is told what elaboration does. A block that is applied again in the same way is not run, and so not told of, again."""

    def begins(self, builder: Builder) -> None:
        """A model is elaborated from its start, perhaps anew: what was seen so far does not count any more."""

    def spends(self, budget: Budget) -> None:
        """Some work is done within a budget, which the observer may cut short."""

    def applied(
        self, span: Span, layer: Any, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], first: int
    ) -> None:
        """The layer that stands at a place was applied, which made the steps of the frame from the `first` on."""

    def item(self, span: Span, value: Any) -> Any:
        """An item of a list has that value; gives one that is equal, by which it is known again when it is applied."""

    def applied_item(
        self, value: Any, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], first: int
    ) -> None:
        """An item of a list was applied."""

    def ran(self, statement: t.Statement, names: Mapping[str, Any], returned: Any) -> None:
        """A statement was run, with these names bound after it; `returned` is what a `return` gave, else None."""
