"""The budget: how much a spec may take to evaluate, and how many nodes its functions may have."""

from __future__ import annotations

from typing import TypeVar

from archspec.elaboration.checks import weigh
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.source import Span

BUDGET = 1_000_000  # nodes in functions; and steps of evaluation
MOST_STATED = 5_000_000  # what a spec may ask for itself
NEW_NODE, NEW_FUNCTION, NEW_CALL = 10, 120, 5  # steps of evaluation, about as long as each takes
_LIGHT = 16  # what holds no more is not worth counting

Value = TypeVar("Value")


class Budget:
    """Counts steps of evaluation and nodes, and stops what takes more than is allowed."""

    def __init__(self, most: int = BUDGET) -> None:
        self.most = most
        self.most_steps = max(most, BUDGET)  # whoever lowers it stops what is running
        self.steps = 0
        self.nodes = 0  # of functions, however often these are called

    def spend(self, steps: int, span: Span) -> None:
        """Count steps of evaluation. Raises SpecError past the budget."""
        self.steps += steps
        if self.steps > self.most_steps:
            raise SpecError.of(
                codes.BUDGET,
                f"evaluating the spec takes more than {self.most_steps:,} steps",
                span,
                help=_LARGER,
            )

    def add_node(self, span: Span) -> None:
        """Count one more node. Raises SpecError past the budget."""
        if self.nodes >= self.most:
            raise SpecError.of(
                codes.BUDGET, f"the graph would have more than {self.most:,} nodes", span, help=_LARGER
            )
        self.nodes += 1

    def weighed(self, value: Value, span: Span, *, twice: bool = False) -> Value:
        """The same value, once it is known to be no larger than a value may be; what it holds counts as steps.

        Looking at an item takes about half as long as a step, `twice` that where something is computed of it.
        """
        try:  # `at` would take longer than the rest of it
            weight = weigh(value)
        except Mistake as mistake:
            raise mistake.at(span) from None
        if weight > _LIGHT:
            self.spend(weight if twice else weight // 2, span)
        return value


_LARGER = "if it is meant to be that large, raise the `budget`"
