"""Claims of a file or a graph, measured: which models stand alone, and which graph each claim is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from archspec.analyses.claims import Verdict, check_claims, unmeasured
from archspec.elaboration import BUDGET, Module, changes_nothing, elaborate, pick_model, sound_for
from archspec.graph import Claim, Graph
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, SpecError
from archspec.syntax.tree import Definition

Measured = tuple[Graph, list[Verdict]]


def measure_file(
    module: Module,
    model: str | None = None,
    *,
    budget: int = BUDGET,
    each: Callable[[Graph], None] = lambda graph: None,
) -> list[Measured]:
    """Each model that stands alone, or only the one named, with the verdicts on its claims.

    `each` is called with every graph that is read: a model as it is, and with the settings of its claims. Raises SpecError,
    with what is wrong in any model and every claim that cannot be measured, when there is one, or no such model.
    """
    measured, problems = measure_models(module, model, budget=budget, each=each)
    if problems:
        raise SpecError(problems)
    return measured


def measure_models(
    module: Module,
    model: str | None = None,
    *,
    budget: int = BUDGET,
    each: Callable[[Graph], None] = lambda graph: None,
) -> tuple[list[Measured], list[Problem]]:
    """As `measure_file`: the models that can be measured, and what is wrong in the others.

    A model that does not depend on what is wrong in the file is measured as if the rest were right.
    Raises SpecError when there is no such model.
    """
    measured: list[Measured] = []
    problems: list[Problem] = []
    for definition in standing_alone(module, model):
        try:
            about = sound_for(module, definition)
            graph = elaborate(about, definition.name, budget=budget)
        except SpecError as error:
            problems += error.problems
            continue
        each(graph)
        verdicts, found = _measure_claims(about, graph, budget, each)
        if found:
            problems += (*found, *wrong_claims([(graph, verdicts)], about))
        else:
            measured.append((graph, verdicts))
    return measured, problems


def measure_claims(module: Module, graph: Graph, budget: int, each: Callable[[Graph], None]) -> list[Verdict]:
    """The verdicts on the claims about a model; `each` is called with every graph that is read for other settings.

    Raises SpecError with every claim that cannot be measured, and when the model does not fit such settings.
    """
    verdicts, problems = _measure_claims(module, graph, budget, each)
    if problems:
        raise SpecError(problems)
    return verdicts


def _measure_claims(
    module: Module, graph: Graph, budget: int, each: Callable[[Graph], None]
) -> tuple[list[Verdict], list[Problem]]:
    """The verdicts on the claims that can be measured, and what is wrong in the others."""
    problems: list[Problem] = []
    others: dict[str, Graph | None] = {}
    verdicts: list[Verdict] = []
    for claim in graph.claims:
        key = str(claim.settings)
        if key not in others:
            found: Graph | None
            same = _has(graph, claim) or changes_nothing(module, graph.name, claim.settings)
            try:
                found = graph if same else _at_settings(module, graph, claim, budget)
            except SpecError as error:
                found = None
                problems += error.problems
            if found is not None and not same:
                each(found)
            others[key] = found
        about = others[key]
        if about is None:
            continue
        try:
            verdicts += check_claims(about, (claim,))
        except Mistake as mistake:
            problems += mistake.at(module.claim_spans[claim.location]).problems
    return verdicts, problems


def _at_settings(module: Module, graph: Graph, claim: Claim, budget: int) -> Graph:
    """The model of a graph with the settings of a claim. Raises SpecError, which tells of the claims, where it does not fit them."""
    statement = module.claims_at(claim.location)
    if statement is None:
        return elaborate(module, graph.name, claim.settings, budget=budget)
    places = {setting.name or "": setting.span for setting in statement.settings}
    try:
        return elaborate(module, graph.name, claim.settings, budget=budget, places=places)
    except SpecError as error:
        said = ", ".join(setting.span.text for setting in statement.settings)
        here = (f"claims {graph.name} at {said}", statement.span)
        raise SpecError(
            problem if problem.span in places.values() else replace(problem, trail=(*problem.trail, here))
            for problem in error.problems
        ) from None


def measure_graph(graph: Graph) -> Measured:
    """A graph with the verdicts on its claims; those about other settings than its own are unmeasured.

    Raises SpecError for a claim about what cannot be measured.
    """
    verdicts = []
    for claim in graph.claims:
        if not _has(graph, claim) or not graph.settings.items() <= claim.settings.items():
            verdicts.append(unmeasured(claim))
            continue
        try:
            verdicts += check_claims(graph, (claim,))
        except Mistake as mistake:
            message = f"{mistake.message} (in the spec: {claim.location})"
            raise SpecError.of(mistake.code, message, help=mistake.help) from None
    return graph, verdicts


def require_true(measured: Iterable[Measured]) -> None:
    """Raise SpecError with every claim that is wrong."""
    problems = list(wrong_claims(measured))
    if problems:
        raise SpecError(problems)


def wrong_claims(measured: Iterable[Measured], module: Module | None = None) -> Iterator[Problem]:
    """Each claim that is wrong, where it stands in the file."""
    spans = module.claim_spans if module else {}
    for graph, verdicts in measured:
        for verdict in verdicts:
            if verdict.finding == "wrong":
                claim = verdict.claim
                what = " ".join(filter(None, (claim.quantity, claim.subject)))
                span = spans.get(claim.location)
                place = "" if span else f" (in the spec: {claim.location})"
                claimed = f"{verdict.claimed} but {claim.known}" if claim.known else verdict.claimed
                message = f"{graph.name}: claimed {what} {claimed}, measured {verdict.measured}{place}"
                yield Problem(codes.CLAIM, message, span, f"measured: {verdict.measured}", verdict.mend)


def standing_alone(module: Module, model: str | None) -> list[Definition]:
    """The models of a file that need no arguments; of one that is named, that is asked for as it is."""
    if model is not None:
        return [pick_model(module, model)]
    return [
        definition
        for definition in module.file.definitions
        if definition.kind == "model" and all(p.default is not None for p in definition.parameters)
    ]


def _has(graph: Graph, claim: Claim) -> bool:
    """Whether a graph has the settings of a claim."""
    return claim.settings.items() <= graph.arguments.items()
