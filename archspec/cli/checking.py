"""What `archspec check` does, and prints: without typer, which takes longer to import than most specs to check."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from archspec.api.checking import check
from archspec.elaboration import BUDGET
from archspec.ground.errors import SpecError


def check_all(specs: Sequence[str], budget: int = BUDGET) -> bool:
    """Check each of these specs, and print what came of it; whether all are right."""
    right = True
    for spec in specs:
        try:
            checked = check(spec, budget=budget)
        except SpecError as error:
            print(f"{error}\n", file=sys.stderr, flush=True)
            right = False
            continue
        for graph, verdicts in checked:
            which = spec if len(checked) == 1 else f"{spec}:{graph.name}"
            counted = [(graph.sizes[-1], "node"), (graph.parameters, "parameter"), (len(verdicts), "claim")]
            said = [
                f"{count:,} {what}{'s' * (count != 1)}" for count, what in counted if count or what != "claim"
            ]
            print(f"{which}: ok ({', '.join(said)})", flush=True)
        if not checked:
            print(f"{spec}: ok (no model to check by itself)", flush=True)
    return right
