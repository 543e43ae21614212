"""Lines above models and claims: what a network costs, and whether what is claimed of it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from archspec.analyses.claims import Verdict
from archspec.analyses.formatting import plural, short
from archspec.analyses.multiply_adds import macs
from archspec.editing.analysis import Analysis
from archspec.ground.errors import Mistake
from archspec.ground.source import Span
from archspec.syntax import tree as t


@dataclass(frozen=True)
class Lens:
    """A text above a line."""

    span: Span
    title: str


def lenses(analysis: Analysis) -> list[Lens]:
    """The lines above the models and claims of a file."""
    found: list[Lens] = []
    for statement in analysis.file.statements:
        match statement:
            case t.Definition(kind="model", name=name) if name in analysis.graphs:
                found.append(Lens(statement.span, _cost(analysis, name)))
            case t.Claims():
                found += _of_claims(analysis, statement)
    return found


def _cost(analysis: Analysis, name: str) -> str:
    graph = analysis.graphs[name]
    said = [f"{short(graph.parameters)} {plural(graph.parameters, 'parameter')}"]
    with suppress(Mistake):  # which says that they depend on a free size
        said.append(f"{short(macs(graph))} multiply-adds")
    return " · ".join([*said, f"{graph.sizes[-1]:,} {plural(graph.sizes[-1], 'step')}"])


def _of_claims(analysis: Analysis, statement: t.Claims) -> Iterator[Lens]:
    for claim in statement.claims:
        verdict = analysis.verdicts.get(claim.span.location)
        if verdict is not None:
            yield Lens(statement.span, said_of(verdict))


def said_of(verdict: Verdict) -> str:
    """`params 26M ok`, `macs claimed 4.1G, measured 4.09G`."""
    claim = verdict.claim
    what = " ".join(filter(None, (claim.quantity, claim.subject)))
    if verdict.finding == "printed":
        return f"{what} {verdict.claimed} ok"
    if verdict.finding == "unmeasured":
        return f"{what} {verdict.claimed} not measured"
    digits = verdict.measured.replace(",", "")
    measured = short(int(digits)) if digits.isdigit() else verdict.measured
    known = " (known)" if verdict.finding == "differs" else ""
    return f"{what} claimed {verdict.claimed}, measured {measured}{known}"
