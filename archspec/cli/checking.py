"""What `archspec check` does, and prints: without typer, which takes longer to import than most specs to check."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from archspec.api.checking import check_file
from archspec.elaboration import BUDGET
from archspec.ground.errors import MOST_PROBLEMS, SpecError


def check_all(specs: Sequence[str], budget: int = BUDGET, *, strict: bool = False) -> bool:
    """Check each of these specs, and print what came of it; whether all are right, with `strict` without a warning."""
    right = True
    for spec in specs:
        try:
            checked, warnings = check_file(spec, budget)
        except SpecError as error:
            print(f"{error}\n", file=sys.stderr, flush=True)
            right = False
            continue
        for warning in warnings[:MOST_PROBLEMS]:
            print(f"{warning.render()}\n", file=sys.stderr, flush=True)
        if len(warnings) > MOST_PROBLEMS:
            print(f"These are the first {MOST_PROBLEMS} warnings.\n", file=sys.stderr, flush=True)
        ok, right = ("not ok", False) if strict and warnings else ("ok", right)
        warned = [_counted(len(warnings), "warning")] if warnings else []  # about the whole file
        for i, (graph, verdicts) in enumerate(checked):
            which = spec if len(checked) == 1 else f"{spec}:{graph.name}"
            said = [_counted(graph.sizes[-1], "node"), _counted(graph.parameters, "parameter")]
            said += [_counted(len(verdicts), "claim")] if verdicts else []
            said += warned if i == len(checked) - 1 else []
            print(f"{which}: {ok} ({', '.join(said)})", flush=True)
        if not checked:
            print(f"{spec}: {ok} ({', '.join(['no model to check by itself', *warned])})", flush=True)
    return right


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def as_records(specs: Sequence[str], budget: int) -> list[dict[str, Any]]:
    """What came of checking each of these specs, as JSON holds it."""
    records: list[dict[str, Any]] = []
    for spec in specs:
        try:
            checked, problems = check_file(spec, budget)
        except SpecError as error:
            checked, problems = [], [*error.problems]
        models = [
            {
                "name": graph.name,
                "nodes": graph.sizes[-1],
                "parameters": graph.parameters,
                "claims": len(verdicts),
            }
            for graph, verdicts in checked
        ]
        records.append(
            {"spec": spec, "models": models, "problems": [problem.as_record() for problem in problems]}
        )
    return records
