"""Whether a graph is what its claims say, to the digits that the paper printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from archspec.analyses.cost import macs
from archspec.errors import Mistake, suggest
from archspec.graph import Claim, Graph, Output
from archspec.tensor import show

_UNITS = {"K": 3, "M": 6, "G": 9, "B": 9, "T": 12}


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured instead of it, and whether that is the same as printed."""

    claim: Claim
    measured: str
    holds: bool


def check_claims(graph: Graph, claims: tuple[Claim, ...]) -> list[Verdict]:
    """The verdict on each claim. Raises Mistake for a claim about what cannot be measured."""
    return [_check(graph, claim) for claim in claims]


def bounds(figure: str) -> tuple[Decimal, Decimal]:
    """The least and the greatest value that print as the figure: `12M` is 11.5 to 12.5 million."""
    digits = figure.replace("_", "")
    exponent = _UNITS.get(digits[-1], 0)
    value = Decimal(digits.rstrip("".join(_UNITS)))
    places = -int(value.as_tuple().exponent)
    scale = Decimal(10) ** exponent
    half = Decimal(5) * Decimal(10) ** (-places - 1) if exponent or places else Decimal(0)
    return (value - half) * scale, (value + half) * scale


def _check(graph: Graph, claim: Claim) -> Verdict:
    if claim.quantity == "output":
        return _check_output(graph, claim)
    measures: dict[str, Callable[[Graph], int]] = {"params": lambda g: g.parameters, "macs": macs}
    if claim.quantity not in measures:
        names = [*measures, "output"]
        raise Mistake(
            f"there are no claims about `{claim.quantity}`",
            kind="claim",
            help=suggest(claim.quantity, names) or f"claims are about {', '.join(names)}",
        )
    if not claim.figure:
        raise Mistake(f"`{claim.quantity}` is claimed as a figure such as `25.56M`", kind="claim")
    measured = measures[claim.quantity](graph)
    low, high = bounds(claim.figure)
    return Verdict(claim, f"{measured:,}", low <= measured <= high)


def _check_output(graph: Graph, claim: Claim) -> Verdict:
    if claim.shape is None:
        raise Mistake("an output is claimed by its shape: `output [1000]`", kind="claim")
    output = _output(graph, claim.subject)
    return Verdict(claim, show(output.type.shape), output.type.shape == claim.shape)


def _output(graph: Graph, name: str) -> Output:
    if not name:
        return graph.outputs[0]
    names = [output.name for output in graph.outputs]
    if name not in names:
        raise Mistake(
            f"there is no output `{name}`",
            kind="claim",
            help=suggest(name, names) or f"name an output: {', '.join(names)}",
        )
    return graph.outputs[names.index(name)]
