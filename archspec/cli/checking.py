"""What `archspec check` does, and prints: without typer, which takes longer to import than most specs to check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from archspec.api.checking import Checked, check_models
from archspec.cli.printing import print_error, print_problem
from archspec.elaboration import BUDGET
from archspec.ground.errors import MOST_PROBLEMS


def check_all(specs: Sequence[str], budget: int = BUDGET, *, strict: bool = False) -> bool:
    """Check each of these specs, and print what came of it; whether all are right, with `strict` without a warning."""
    right = True
    told: set[object] = set()
    for spec in specs:
        right = report(spec, check_models(spec, budget), told, strict=strict) and right
    return right


def report(spec: str, checked: Checked, told: set[object], *, strict: bool = False) -> bool:
    """Print what came of checking a spec; whether it is right, with `strict` without a warning.

    `told` are the warnings printed so far, to which its own are added: one about a file that several specs share is printed once.
    """
    if checked.error is not None:
        print_error(checked.error)
    new = [warning for warning in checked.warnings if (warning.kind, warning.span) not in told]
    told.update((warning.kind, warning.span) for warning in new)
    for warning in new[:MOST_PROBLEMS]:
        print_problem(warning)
    if len(new) > MOST_PROBLEMS:
        print(f"These are the first {MOST_PROBLEMS} warnings.\n", file=sys.stderr, flush=True)
    failed = strict and bool(checked.warnings)
    for line in _lines(spec, checked, "not ok" if failed else "ok"):
        print(line, flush=True)
    return checked.error is None and not failed


def _lines(spec: str, checked: Checked, ok: str) -> Iterator[str]:
    """A line for each model that is right; the last tells of the warnings, which are about the whole file."""
    warned = [_counted(len(checked.warnings), "warning")] if checked.warnings else []
    alone = len(checked.models) == 1 and checked.error is None
    for i, (graph, verdicts) in enumerate(checked.models):
        which = spec if alone or spec.endswith(f":{graph.name}") else f"{spec}:{graph.name}"
        said = [_counted(graph.sizes[-1], "node"), _counted(graph.parameters, "parameter")]
        said += [_counted(len(verdicts), "claim")] if verdicts else []
        said += warned if i == len(checked.models) - 1 else []
        yield f"{which}: {ok} ({', '.join(said)})"
    if not checked.models and checked.error is None:
        yield f"{spec}: {ok} ({', '.join(['no model to check by itself', *warned])})"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def as_record(spec: str, checked: Checked) -> dict[str, Any]:
    """What came of checking a spec, as JSON holds it."""
    models = [
        {
            "name": graph.name,
            "nodes": graph.sizes[-1],
            "parameters": graph.parameters,
            "claims": len(verdicts),
        }
        for graph, verdicts in checked.models
    ]
    return {"spec": spec, "models": models, "problems": [problem.as_record() for problem in checked.problems]}
