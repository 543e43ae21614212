"""Compound scaling: depth, width and resolution of a model grow together [Tan & Le, 2019, Section 3.3]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from numbers import Real

from archspec.analyses.multiply_adds import macs
from archspec.analyses.summary import Summary
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, SpecError

AXES = ("depth", "width", "resolution")
MOST_STEPS = 100
MOST_TIMES = 100  # alpha, beta or gamma
MOST_GROWTH = 1_000_000  # scaled FLOPs over those of the base
MOST_RULES = 2_000_000  # in a grid


@dataclass(frozen=True)
class Rule:
    """The factors of depth, width and resolution for each step of phi."""

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        """Raise Mistake unless each factor is a number from 1 to `MOST_TIMES`."""
        for name in ("alpha", "beta", "gamma"):
            value = _number(name, getattr(self, name))
            if not 1 <= value <= MOST_TIMES:
                raise Mistake(f"`{name}` must be from 1 to {MOST_TIMES}, not {value:g}", codes.SCALING)

    @property
    def growth(self) -> float:
        """The factor of a convolutional net's FLOPs for each step: alpha * beta^2 * gamma^2, about 2."""
        return _growth(self.alpha, self.beta, self.gamma)

    def settings(self, base: Base, phi: float) -> dict[str, float | int]:
        """The parameters of the model after phi steps, to six decimal places; the resolution is an integer.

        Raises Mistake when phi is not a number, or so large that no computer could run the model.
        """
        phi = _number("phi", phi)
        if not -MOST_STEPS <= phi <= MOST_STEPS:
            raise Mistake(f"`phi` must be from -{MOST_STEPS} to {MOST_STEPS}, not {phi:g}", codes.SCALING)
        if phi * math.log(self.growth) > math.log(MOST_GROWTH):
            most = math.floor(math.log(MOST_GROWTH, self.growth) * 100) / 100
            raise Mistake(
                f"phi = {phi:.9g} would multiply the FLOPs by {_power(self.growth, phi)}; the limit is {MOST_GROWTH:,}",
                codes.SCALING,
                help=f"at {self.growth:.3g} times per step, phi can be at most {most:.2f}",
            )
        found: dict[str, float | int] = {
            "depth": round(base.depth * self.alpha**phi, 6),
            "width": round(base.width * self.beta**phi, 6),
            "resolution": round(base.resolution * self.gamma**phi),
        }
        for axis, value in found.items():
            if not value and getattr(base, axis):
                raise Mistake(f"phi = {phi:.9g} would scale the {axis} of the model down to 0", codes.SCALING)
        return found


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise Mistake(f"`{name}` must be a finite number, not {value}", codes.SCALING)
    return float(value)


def _growth(alpha: float, beta: float, gamma: float) -> float:
    return alpha * beta**2 * gamma**2


def _power(base: float, exponent: float) -> str:
    digits = exponent * math.log10(base)
    return f"10^{digits:.0f}" if digits > 12 else f"{math.ceil(base**exponent):,}"


@dataclass(frozen=True)
class Base:
    """The depth, width and resolution of the model to be scaled."""

    depth: float
    width: float
    resolution: int

    @classmethod
    def of(cls, graph: Graph) -> Base:
        """Those of a model, from its parameters. Raises Mistake unless it has all three, as numbers."""
        given = graph.arguments
        values = {axis: given.get(axis) for axis in AXES}
        match values["resolution"]:
            case [height, width]:
                if height != width:
                    raise Mistake(f"{graph.name} cannot be scaled: its images are not square", codes.SCALING)
                values["resolution"] = height
        missing = [f"`{axis}`" for axis, value in values.items() if not isinstance(value, int | float)]
        if missing:
            raise Mistake(
                f"{graph.name} cannot be scaled: it has no parameter {' or '.join(missing)}",
                codes.SCALING,
                help="give it `depth: float = 1.0, width: float = 1.0, resolution: pair`, as in families/mobilenet.arch",
            )
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Scaled:
    """A scaled model: its rule, its parameters, and its cost relative to the base."""

    rule: Rule
    phi: float
    settings: dict[str, float | int]
    summary: Summary
    ratio: float
    """Multiply-adds relative to the base."""


Read = Callable[..., Graph]
"""Reads the model with these parameters, as `archspec.read` does."""


@contextmanager
def elaborating(rule: Rule, phi: float, settings: Mapping[str, float | int]) -> Iterator[None]:
    """Errors in a model of these settings name the phi that they come from, since nobody wrote them."""
    try:
        yield
    except SpecError as error:
        made = ", ".join(f"{axis} = {value:g}" for axis, value in settings.items())
        message = f"the model cannot be scaled by phi = {phi:.9g}, which gives {made}"
        factors = f"alpha = {rule.alpha:g}, beta = {rule.beta:g} and gamma = {rule.gamma:g}"
        help_ = f"choose a phi closer to 0; the rule is {factors}"
        raise SpecError([Problem(codes.SCALING, message, help=help_), *error.problems]) from None


def scaled(read: Read, rule: Rule, phi: float, *, base: Graph | None = None) -> Scaled:
    """A model scaled by phi steps of a rule. Raises Mistake when it cannot be scaled."""
    base = base or read()
    settings = rule.settings(Base.of(base), phi)
    with elaborating(rule, phi, settings):
        graph = read(**settings)
    return _measured(base, graph, rule, phi, settings)


def grid(budget: float, *, step: float, most: float, tolerance: float) -> list[Rule]:
    """The rules of a grid whose growth is within a fraction `tolerance` of the budget.

    alpha, beta and gamma go from 1 to `most` in steps, as in the paper's search at phi = 1. Raises Mistake when the grid
    is empty or too large, or no rule in it has that growth.
    """
    given = {"budget": budget, "step": step, "most": most, "tolerance": tolerance}
    for name, value in given.items():
        _number(name, value)
    if step <= 0 or budget <= 0:
        raise Mistake("the step and budget of a grid must be positive", codes.SCALING)
    if ((most - 1) / step + 1) ** 3 > MOST_RULES:
        raise Mistake(
            f"a grid from 1 to {most:g} in steps of {step:g} has more than {MOST_RULES:,} rules",
            codes.SCALING,
            help="use a larger step or a smaller end",
        )
    steps = [round(1 + i * step, 6) for i in range(int((most - 1) / step + 1e-9) + 1)]
    grown = [(values, _growth(*values)) for values in product(steps, repeat=3)]
    rules = [Rule(*values) for values, growth in grown if abs(growth / budget - 1) <= tolerance]
    if not rules:
        nearest = min((growth for _, growth in grown), key=lambda growth: abs(growth - budget))
        raise Mistake(
            f"no rule of a grid from 1 to {most:g} in steps of {step:g} multiplies the FLOPs by {budget:g}"
            f" (within {100 * tolerance:g}%)",
            codes.SCALING,
            help=f"the closest gives {nearest:.4g}; use a smaller step, a larger end or a larger tolerance",
        )
    return rules


def search(read: Read, rules: list[Rule]) -> Iterator[Scaled]:
    """A model scaled by one step of each rule, in order.

    Depths are rounded up to whole layers, so many rules of a grid give the same model; it is read once.
    """
    base = read()
    start = Base.of(base)
    layers: dict[float, tuple[str, ...]] = {}
    found: dict[tuple[object, ...], Graph] = {}
    for rule in rules:
        settings = rule.settings(start, 1)
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
        raise Mistake(
            f"{base.name} cannot be scaled: it has no multiply-adds to measure a step by", codes.SCALING
        )
    return Scaled(rule, phi, settings, Summary(graph), macs(graph) / before)
