"""Compound scaling: depth, width and resolution of a model grow together [Tan & Le, 2019, Section 3.3]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from numbers import Real

from archspec.analyses.cost import macs
from archspec.analyses.summary import Summary
from archspec.graph import Graph
from archspec.ground.errors import Mistake, Problem, SpecError

AXES = ("depth", "width", "resolution")
MOST_STEPS = 100
MOST_TIMES = 100  # deeper, wider or finer at one step
MOST_GROWTH = 1_000_000  # times the FLOPs of a model that is scaled
MOST_RULES = 2_000_000  # of a grid


@dataclass(frozen=True)
class Rule:
    """How much deeper, wider and finer a model becomes for each step of phi."""

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        """Raise Mistake unless each is a number from 1 to `MOST_TIMES`."""
        for name in ("alpha", "beta", "gamma"):
            value = _number(name, getattr(self, name))
            if not 1 <= value <= MOST_TIMES:
                raise Mistake(f"`{name}` is from 1 to {MOST_TIMES}, not {value:g}")

    @property
    def growth(self) -> float:
        """What a step multiplies the FLOPs of a convolutional net by: alpha * beta^2 * gamma^2, about 2."""
        return _growth(self.alpha, self.beta, self.gamma)

    def settings(self, base: Base, phi: float) -> dict[str, float | int]:
        """The parameters of the model after phi steps, to six decimal digits; the resolution is whole.

        Raises Mistake for a phi that is no number, or so large that no computer would run the model.
        """
        phi = _number("phi", phi)
        if not -MOST_STEPS <= phi <= MOST_STEPS:
            raise Mistake(f"`phi` is from -{MOST_STEPS} to {MOST_STEPS}, not {phi:g}")
        if phi * math.log(self.growth) > math.log(MOST_GROWTH):
            most = math.floor(math.log(MOST_GROWTH, self.growth) * 100) / 100
            raise Mistake(
                f"phi = {phi:.9g} would multiply the FLOPs by {_power(self.growth, phi)}, and the most is {MOST_GROWTH:,}",
                help=f"with {self.growth:.3g} times for each step, phi is at most {most:.2f}",
            )
        found: dict[str, float | int] = {
            "depth": round(base.depth * self.alpha**phi, 6),
            "width": round(base.width * self.beta**phi, 6),
            "resolution": round(base.resolution * self.gamma**phi),
        }
        for axis, value in found.items():
            if not value and getattr(base, axis):
                raise Mistake(f"phi = {phi:.9g} would leave nothing of the model: its {axis} would be 0")
        return found


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise Mistake(f"`{name}` is a finite number, not {value}")
    return float(value)


def _growth(alpha: float, beta: float, gamma: float) -> float:
    return alpha * beta**2 * gamma**2


def _power(base: float, exponent: float) -> str:
    digits = exponent * math.log10(base)
    return f"10^{digits:.0f}" if digits > 12 else f"{math.ceil(base**exponent):,}"


@dataclass(frozen=True)
class Base:
    """The three parameters of the model that is scaled."""

    depth: float
    width: float
    resolution: int

    @classmethod
    def of(cls, graph: Graph) -> Base:
        """What a model's parameters are. Raises Mistake when it has not all three, as numbers."""
        given = graph.scopes[0].arguments
        values = {axis: given.get(axis) for axis in AXES}
        missing = [f"`{axis}`" for axis, value in values.items() if not isinstance(value, int | float)]
        if missing:
            raise Mistake(
                f"{graph.name} cannot be scaled: it has no parameter {' and no parameter '.join(missing)}",
                kind="argument",
                help="a model that can has `depth: float = 1.0, width: float = 1.0, resolution: int`, as in"
                " families/mobilenet.arch",
            )
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scaled:
    """A scaled model: its rule, its parameters, and what it costs against the base."""

    rule: Rule
    phi: float
    settings: dict[str, float | int]
    summary: Summary
    ratio: float
    """Its multiply-adds over those of the base."""


Read = Callable[..., Graph]
"""Gives the model with other parameters, as `archspec.read` does."""


@contextmanager
def elaborating(rule: Rule, phi: float, settings: Mapping[str, float | int]) -> Iterator[None]:
    """What is wrong with a model of these settings is told with the phi that they come from: nobody wrote them."""
    try:
        yield
    except SpecError as error:
        made = ", ".join(f"{axis} = {value:g}" for axis, value in settings.items())
        message = f"the model cannot be scaled by phi = {phi:.9g}, which gives {made}"
        factors = f"alpha = {rule.alpha:g}, beta = {rule.beta:g} and gamma = {rule.gamma:g}"
        help_ = f"take a phi nearer to 0; the rule is {factors}"
        raise SpecError([Problem("argument", message, help=help_), *error.problems]) from None


def scaled(read: Read, rule: Rule, phi: float, *, base: Graph | None = None) -> Scaled:
    """What phi steps of a rule make of a model. Raises Mistake when it cannot be scaled."""
    base = base or read()
    settings = rule.settings(Base.of(base), phi)
    with elaborating(rule, phi, settings):
        graph = read(**settings)
    return _measured(base, graph, rule, phi, settings)


def grid(budget: float, *, step: float, most: float, tolerance: float) -> list[Rule]:
    """The rules of a grid whose growth is the budget, give or take a share of `tolerance`.

    alpha, beta and gamma go from 1 to `most` in steps, as in the paper's search at phi = 1. Raises Mistake for a grid that
    is none, has too many rules, or none of that growth.
    """
    given = {"budget": budget, "step": step, "most": most, "tolerance": tolerance}
    for name, value in given.items():
        _number(name, value)
    if step <= 0 or budget <= 0:
        raise Mistake("a grid's step and budget are more than 0")
    if ((most - 1) / step + 1) ** 3 > MOST_RULES:
        raise Mistake(
            f"a grid from 1 to {most:g} in steps of {step:g} has more than {MOST_RULES:,} rules",
            help="take a larger step, or end it earlier",
        )
    steps = [round(1 + i * step, 6) for i in range(int((most - 1) / step + 1e-9) + 1)]
    grown = [(values, _growth(*values)) for values in product(steps, repeat=3)]
    rules = [Rule(*values) for values, growth in grown if abs(growth / budget - 1) <= tolerance]
    if not rules:
        nearest = min((growth for _, growth in grown), key=lambda growth: abs(growth - budget))
        raise Mistake(
            f"no rule of a grid from 1 to {most:g} in steps of {step:g} has a step of {budget:g} times the FLOPs,"
            f" give or take {100 * tolerance:g}%",
            help=f"the nearest has one of {nearest:.4g} times; take a smaller step, a later end or a larger tolerance",
        )
    return rules


def search(read: Read, rules: list[Rule]) -> Iterator[Scaled]:
    """What one step of each rule makes of a model, in order.

    Depths that give the same layers are read once: they are rounded up, so most of a grid's are alike.
    """
    base = read()
    at = Base.of(base)
    layers: dict[float, tuple[str, ...]] = {}
    found: dict[tuple[object, ...], Graph] = {}
    for rule in rules:
        settings = rule.settings(at, 1)
        depth = settings["depth"]
        with elaborating(rule, 1, settings):
            if depth not in layers:
                layers[depth] = tuple(node.name for node in read(depth=depth).nodes)
            key = (layers[depth], settings["width"], settings["resolution"])
            if key not in found:
                found[key] = read(**settings)
        yield _measured(base, found[key], rule, 1, settings)


def _measured(base: Graph, graph: Graph, rule: Rule, phi: float, settings: dict[str, float | int]) -> Scaled:
    before = macs(base)
    if not before:
        raise Mistake(f"{base.name} cannot be scaled: it has no multiply-adds, by which a step is measured")
    return Scaled(rule, phi, settings, Summary(graph), macs(graph) / before)
