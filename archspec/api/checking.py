"""Checking specs, and measuring what they claim."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archspec.api.arguments import checked, path_or_graph, told
from archspec.api.reading import opened, refuse_late
from archspec.elaboration import BUDGET
from archspec.elaboration.mistakes import in_order
from archspec.graph import Graph
from archspec.ground.errors import Problem, SpecError
from archspec.ground.warned import warn_all

if TYPE_CHECKING:
    from archspec.analyses.claims import Verdict

Measured = list[tuple[Graph, list["Verdict"]]]


@checked(spec=path_or_graph)
@told
def check(
    given: frozenset[str], /, spec: str | os.PathLike[str] | Graph, *, budget: int = BUDGET
) -> Measured:
    """Every model of a file that can stand alone, and the verdicts on its claims, of which none is wrong.

    `spec` is the path or name of a spec, or a graph, which is checked as `claims` measures it. Never imports torch. Raises
    SpecError when the spec is wrong or a claim does not hold. Warns, with a SpecWarning, of what nothing uses.
    """
    from archspec.analyses.measuring import measure_graph, require_true

    if isinstance(spec, Graph):
        refuse_late(f"{spec.name} is a graph already", given)
        measured = [measure_graph(spec)]
        require_true(measured)
        return measured
    measured, warnings = check_file(spec, budget)
    warn_all(warnings)
    return measured


class Checked(NamedTuple):
    """What came of checking a spec: the models that are right, and the error that tells of the others, if there are any.

    Warnings are about all models, so that there are none beside an error.
    """

    models: Measured
    error: SpecError | None
    warnings: list[Problem]

    @property
    def problems(self) -> list[Problem]:
        """Errors and warnings."""
        return [*(self.error.problems if self.error else ()), *self.warnings]


def check_file(spec: str | os.PathLike[str], budget: int) -> tuple[Measured, list[Problem]]:
    """What `check` gives for a spec, and the warnings about it. Raises SpecError as `check` does."""
    models, error, warnings = check_models(spec, budget)
    if error is not None:
        raise error
    return models, warnings


def check_models(
    spec: str | os.PathLike[str], budget: int, texts: Mapping[Path, str] | None = None
) -> Checked:
    """Check each model of a spec, whatever is wrong with the others; `texts` stand for what files hold, by resolved paths."""
    from archspec.analyses.measuring import measure_models, wrong_claims
    from archspec.analyses.unused_steps import Steps
    from archspec.analyses.warnings import warnings_about
    from archspec.analyses.wrong_names import wrong_names

    steps = Steps()
    try:
        module, model = opened(spec, right=False, texts=texts)
        measured, found = measure_models(module, model, budget=budget, each=steps.add)
    except SpecError as error:
        return Checked([], error, [])
    problems = [*module.problems, *found]
    right: Measured = []
    for each in measured:
        wrong = list(wrong_claims([each], module))
        problems += wrong
        right += [] if wrong else [each]
    problems += wrong_names(module, (graph for graph, _ in measured))
    if problems:
        return Checked(right, SpecError(in_order(problems, module.file.source)), [])
    return Checked(right, None, warnings_about(module, steps, whole=model is None))


@checked(spec=path_or_graph)
@told
def claims(
    given: frozenset[str], /, spec: str | os.PathLike[str] | Graph, *, budget: int = BUDGET
) -> Measured:
    """Every model of a file that can stand alone, and the verdict on each of its claims.

    A model is read once as it is, and once more for each combination of settings that its claims name. Never imports torch.
    Raises SpecError when the spec is wrong or a claim cannot be measured.

    A graph is measured as it is. A claim about other settings than the graph was read with cannot be measured of it: its
    verdict is `unmeasured`, and does not hold.
    """
    from archspec.analyses.measuring import measure_file, measure_graph

    if isinstance(spec, Graph):
        refuse_late(f"{spec.name} is a graph already", given)
        return [measure_graph(spec)]
    module, model = opened(spec)
    return measure_file(module, model, budget=budget)
