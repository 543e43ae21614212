"""Whether a graph is what its claims say, to the digits that the paper printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from archspec.analyses.multiply_adds import macs
from archspec.analyses.paths import depth
from archspec.graph import Claim, Graph
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake, suggest
from archspec.ground.tensor import TensorType, show

_UNITS = {"K": 3, "M": 6, "G": 9, "B": 9, "T": 12}


def _flops(graph: Graph) -> int:
    from archspec.analyses.cost import network_cost  # few specs claim it

    return network_cost(graph).flops


def _receptive_field(graph: Graph) -> int:
    from archspec.analyses.receptive_field import largest_field  # few specs claim it

    return largest_field(graph)


MEASURES: dict[str, Callable[[Graph], int]] = {
    "params": lambda graph: graph.parameters,
    "macs": macs,
    "flops": _flops,
    "depth": depth,
    "receptive_field": _receptive_field,
}


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured instead of it, and whether it `holds`.

    It holds as `printed`, or it `differs` from what is printed just as the spec says; otherwise it is `wrong`, or
    `unmeasured` where it is about other settings than those of the graph at hand.
    """

    claim: Claim
    measured: str
    finding: Literal["printed", "differs", "wrong", "unmeasured"]
    mend: str = ""

    def __repr__(self) -> str:
        measured = f"{self.measured}, " if self.measured else ""
        return brief(self, f"{self.claim.quantity} {self.claimed}: {measured}{self.finding}")

    @property
    def holds(self) -> bool:
        """Whether it was measured, and is what the spec says."""
        return self.finding in ("printed", "differs")

    @property
    def claimed(self) -> str:
        """What is claimed, as the spec has it."""
        return self.claim.figure if self.claim.shape is None else show(self.claim.shape)


def check_claims(graph: Graph, claims: tuple[Claim, ...]) -> list[Verdict]:
    """The verdict on each claim. Raises Mistake for a claim about what cannot be measured."""
    return [_check(graph, claim) for claim in claims]


def unmeasured(claim: Claim) -> Verdict:
    """The verdict on a claim about settings that no graph at hand has."""
    return Verdict(claim, "", "unmeasured")


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
    if claim.quantity not in MEASURES:
        names = [*MEASURES, "output"]
        raise Mistake(
            f"`{claim.quantity}` is not a quantity that can be claimed",
            codes.NOT_A_CLAIM,
            help=suggest(claim.quantity, names) or f"the quantities are {', '.join(names)}",
        )
    if not claim.figure:
        raise Mistake(f"`{claim.quantity}` needs a figure, such as `25.56M`", codes.NOT_A_CLAIM)
    if claim.subject:
        raise Mistake(
            f"`{claim.quantity}` is a figure of the whole model, not of `{claim.subject}`", codes.NOT_A_CLAIM
        )
    measured = MEASURES[claim.quantity](graph)
    as_printed = _prints_as(measured, claim.figure)
    if not claim.known:
        return Verdict(claim, f"{measured:,}", "printed" if as_printed else "wrong")
    if as_printed:
        mend = f"the published figure holds: leave out `but {claim.known}` and the reason"
        return Verdict(claim, f"{measured:,}", "wrong", mend)
    return Verdict(claim, f"{measured:,}", "differs" if _prints_as(measured, claim.known) else "wrong")


def _prints_as(value: int, figure: str) -> bool:
    low, high = bounds(figure)
    return low <= value <= high


def _check_output(graph: Graph, claim: Claim) -> Verdict:
    if claim.shape is None:
        raise Mistake("`output` needs a shape, such as `output [1000]`", codes.NOT_A_CLAIM)
    if claim.known:
        raise Mistake("a shape cannot have a `but`", codes.NOT_A_CLAIM, help="only figures can")
    shape = _output(graph, claim.subject).shape
    return Verdict(claim, show(shape), "printed" if shape == claim.shape else "wrong")


def _output(graph: Graph, name: str) -> TensorType:
    if not name:
        return graph.result_types[0]
    named = [known for known in graph.returns if known]
    if name not in graph.returns:
        raise Mistake(
            f"there is no output `{name}`",
            codes.NOT_A_CLAIM,
            help=suggest(name, graph.returns)
            or (
                f"name an output: {', '.join(named)}"
                if named
                else "its outputs have no names: `output [10]` is the first"
            ),
        )
    return graph.result_types[graph.returns.index(name)]
