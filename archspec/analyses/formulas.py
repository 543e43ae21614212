"""Costs of networks with free sizes: the network at numbers, and counts as formulas of its sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import lcm, prod
from typing import Any

from archspec.analyses.formatting import short
from archspec.graph import Apply, Function, Graph
from archspec.ground import codes
from archspec.ground.bounds import Assumption, assumed_of, period_of
from archspec.ground.errors import Mistake
from archspec.ground.size import Free
from archspec.ground.tensor import BATCH, TensorType
from archspec.op import Op

_DEGREE = 2  # of a count in each size: attention compares each position with each
_MOST_NAMES = 3


def at_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The network with numbers for the free sizes of its inputs: `at_sizes(graph, {"H": 224, "W": 224})`.

    Raises Mistake for a name that is not free, and for a number that the network does not accept.
    """
    names = free_names(graph)
    known: dict[str, int] = {}
    for shown, size in sizes.items():
        name = next((n for n, assumed in names.items() if assumed.name == shown), None)
        if name is None:
            raise Mistake(f"{graph.name} has no free size `{shown}`", codes.FREE_VALUE)
        if not names[name].meets(size):
            raise Mistake(f"{shown} is {size}, but it has to be so that {names[name]}", codes.FREE_VALUE)
        known[name] = _inner(names[name], size)
    return _with_numbers(graph, known)


def of_batch(graph: Graph, batch: int) -> Graph:
    """The network with a number of samples where they are an axis of a tensor; as it is where they are not."""
    functions = (f for f in graph.functions if any(BATCH in s.names for s in _free_sizes(f)))
    return _with_numbers(graph, {BATCH: batch}) if next(functions, None) else graph


def _free_sizes(function: Function) -> Iterator[Free]:
    for type_ in (*function.inputs, *(type_ for step in function.steps for type_ in step.types)):
        yield from (size for size in type_.shape if isinstance(size, Free))


def formula(graph: Graph, count: Callable[[Graph], int]) -> str:
    """A count as a formula of the free sizes, such as `36.2K * H * W + 512K`, and where it holds.

    Raises Mistake where it is none of up to three sizes, each of which it grows with at most as its square.
    """
    names = free_names(graph)
    if not 1 <= len(names) <= _MOST_NAMES:
        raise Mistake(
            f"a formula of {len(names)} free sizes would be of no use",
            codes.FREE_FORMULA,
            help="give them numbers",
        )
    steps = {name: _step(graph, name, assumed) for name, assumed in names.items()}
    degrees = range(_DEGREE + 1)

    def counted(multiples: tuple[int, ...]) -> int:
        known = {
            name: _inner(names[name], steps[name] * multiple)
            for name, multiple in zip(names, multiples, strict=True)
        }
        return count(_with_numbers(graph, known))

    first = [-(-names[name].least // steps[name]) for name in names]
    places = [[begin + i for i in degrees] for begin in first]
    beyond = tuple(begin + _DEGREE + 1 + i for i, begin in enumerate(first))
    for name, step, last in zip(names, steps.values(), beyond, strict=True):
        if not names[name].meets(step * last):
            raise Mistake(
                "there are too few sizes to tell a formula from", codes.FREE_FORMULA, help="give them numbers"
            )
    values = {at: Fraction(counted(at)) for at in product(*places)}
    terms = _polynomial(places, values)
    if _at(terms, beyond) != counted(beyond):
        raise Mistake(
            "the count is no polynomial of the free sizes", codes.FREE_FORMULA, help="give them numbers"
        )
    shown = [names[name].name for name in names]
    scales = [steps[name] for name in names]
    parts = [
        _term(factor / prod(scale**power for scale, power in zip(scales, powers, strict=True)), powers, shown)
        for powers, factor in sorted(terms.items(), key=lambda term: [-power for power in term[0]])
        if factor
    ]
    text = " + ".join(parts).replace("+ -", "- ") or "0"
    where = []
    for scale in sorted({scale for scale in scales if scale > 1}):
        alike = [name for name, other in zip(shown, scales, strict=True) if other == scale]
        are = "is a multiple" if len(alike) == 1 else "are multiples"
        where.append(f"{' and '.join(alike)} {are} of {scale}")
    return text + (f", where {' and '.join(where)}" if where else "")


def free_names(graph: Graph) -> dict[str, Assumption]:
    """The free names of a network's inputs, in order, each with what is assumed of the size that it was made for."""
    found: dict[str, Assumption] = {}
    for given in graph.inputs:
        for size in given.type.shape:
            for name in sorted(size.names) if isinstance(size, Free) else ():
                found[name] = assumed_of(name)
    return found


def _inner(assumed: Assumption, size: int) -> int:
    """What the name stands for where the size that it was made for is a number."""
    return size // assumed.multiple - assumed.before


def _step(graph: Graph, name: str, assumed: Assumption) -> int:
    """A number of whose multiples all quotients of a size are whole."""
    found = 1
    for function in graph.functions:
        for size in _free_sizes(function):
            if name in size.names:
                found = lcm(found, period_of(size))
    return found * assumed.multiple


def _with_numbers(graph: Graph, known: Mapping[str, int]) -> Graph:
    def typed(type_: TensorType) -> TensorType:
        return type_.with_shape(
            [size.replaced(known) if isinstance(size, Free) else size for size in type_.shape]
        )

    def changed(op: Op) -> Op:
        given = {name: _numbers(value, known) for name, value in vars(op).items()}
        return op if given == vars(op) else op.model_copy(update=given)

    functions = tuple(
        function.with_changes(
            inputs=tuple(map(typed, function.inputs)),
            steps=tuple(
                step.with_changes(op=changed(step.op), types=tuple(map(typed, step.types)))
                if isinstance(step, Apply)
                else step.with_changes(types=tuple(map(typed, step.types)))
                for step in function.steps
            ),
        )
        for function in graph.functions
    )
    inputs = tuple(given.with_changes(type=typed(given.type)) for given in graph.inputs)
    return graph.model_copy(update={"functions": functions, "inputs": inputs}).known_valid()


def _numbers(value: Any, known: Mapping[str, int]) -> Any:
    if isinstance(value, Free):
        return value.replaced(known)
    return tuple(_numbers(item, known) for item in value) if isinstance(value, tuple) else value


Powers = tuple[int, ...]


def _polynomial(places: list[list[int]], values: Mapping[Powers, Fraction]) -> dict[Powers, Fraction]:
    """The polynomial through values at a grid of places, by Lagrange."""
    terms: dict[Powers, Fraction] = {}
    bases = [[_base(axis, at) for at in axis] for axis in places]
    for at, value in values.items():
        chosen = [bases[axis][places[axis].index(place)] for axis, place in enumerate(at)]
        for powers in product(*(range(len(base)) for base in chosen)):
            factor = value * prod(
                (base[power] for base, power in zip(chosen, powers, strict=True)), start=Fraction(1)
            )
            terms[powers] = terms.get(powers, Fraction(0)) + factor
    return terms


def _base(places: list[int], at: int) -> list[Fraction]:
    """The polynomial, by its coefficients from the constant on, that is 1 at one place and 0 at the others."""
    made = [Fraction(1)]
    for place in places:
        if place != at:
            scaled = [c / (at - place) for c in made]
            made = [Fraction(0), *scaled]
            for power, c in enumerate(scaled):
                made[power] -= place * c
    return made


def _at(terms: Mapping[Powers, Fraction], place: tuple[int, ...]) -> Fraction:
    return sum(
        (f * prod(x**power for x, power in zip(place, powers, strict=True)) for powers, f in terms.items()),
        Fraction(0),
    )


def _term(factor: Fraction, powers: Powers, names: list[str]) -> str:
    factors = [
        name if power == 1 else f"{name}^{power}" for name, power in zip(names, powers, strict=True) if power
    ]
    size = abs(factor)
    number = short(round(size)) if size >= 100 or size.denominator == 1 else f"{float(size):.3g}"
    sign = "-" if factor < 0 else ""
    return sign + " * ".join(factors if number == "1" and factors else [number, *factors])
