"""The paths from the inputs of a network to its outputs [Veit et al., 2016].

Each function is gone through once: what leads from each of its inputs to each of its outputs is what its calls add.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from functools import reduce
from math import log2, log10
from typing import Generic, TypeVar

from archspec.graph import Apply, Function, Graph, Ref
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.op import Op

MOST_BITS = 2**22  # of the number of paths
MOST_DIGITS = 10_000_000  # of the one number that holds those of all lengths

Number = TypeVar("Number", int, float, Decimal)


def path_count(graph: Graph) -> int:
    """The number of paths from an input to an output: 2^n through n residual blocks.

    Raises SpecError when it has too many digits, as that of a trillion blocks.
    """
    _require_room(graph, _path_bits(graph), MOST_BITS, "bits")
    return sum(_to_outputs(graph, _Paths(1, operator.add, operator.mul, 1)))


def path_lengths(graph: Graph) -> dict[int, int]:
    """The number of paths of each length, shortest first; lengths are in weighted layers.

    Exact, in one walk: the counts of all lengths are packed into one long number, with room for the count of all paths
    in each place, so that one addition or product does for all of them. Of numbers of millions of digits, `decimal` has the
    faster product, in n log n. Raises SpecError when it has too many digits.
    """
    width = int(path_count(graph).bit_length() * log10(2)) + 1
    _require_room(graph, width * (depth(graph) + 1), MOST_DIGITS, "digits")
    exact = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
    one = Decimal(1)
    paths = _Paths(one, exact.add, exact.multiply, one.scaleb(width, exact))
    digits = format(reduce(exact.add, _to_outputs(graph, paths), Decimal(0)), "f")
    digits = digits.zfill(-(-len(digits) // width) * width)
    found = (int(Decimal(digits[at : at + width])) for at in range(len(digits) - width, -1, -width))
    return {length: count for length, count in enumerate(found) if count}


def depth(graph: Graph) -> int:
    """Weighted layers on the longest path, as papers count them: 50 in ResNet-50."""
    return max(_to_outputs(graph, _Paths(0, max, operator.add, 1)), default=0)


def _path_bits(graph: Graph) -> float:
    """The logarithm of the number of paths, nearly."""
    bits = _to_outputs(graph, _Paths(0.0, _log_of_sum, operator.add, 0.0))
    return max(bits, default=0.0) + log2(len(bits) + 1)


def _log_of_sum(left: float, right: float) -> float:
    low, high = sorted((left, right))
    return high + log2(1 + 2.0 ** max(low - high, -1000.0))


def _require_room(graph: Graph, needed: float, most: int, unit: str) -> None:
    if needed > most:
        message = f"the paths of {graph.name} are too many to count"
        raise SpecError.of(codes.TOO_LARGE, f"{message}: it would take more than {most:,} {unit}")


# ------------------------------------------------------------------ what leads from inputs to outputs

Sources = dict[int, Number]
"""For a value the paths that lead to it from each input of its function, as a number of some kind."""


@dataclass(frozen=True)
class _Paths(Generic[Number]):
    """What is told of paths: a number of an empty one, of paths side by side and end to end, and of a weighted layer."""

    empty: Number
    beside: Callable[[Number, Number], Number]
    behind: Callable[[Number, Number], Number]
    layer: Number

    def joined(self, values: Sequence[Sources[Number]]) -> Sources[Number]:
        """What leads to a value that is made of others."""
        found: Sources[Number] = {}
        for value in values:
            for source, number in value.items():
                found[source] = self.beside(found[source], number) if source in found else number
        return found

    def extended(self, value: Sources[Number], number: Number) -> Sources[Number]:
        """What leads to a value through what leads to another."""
        if number == self.empty:
            return value
        return {source: self.behind(before, number) for source, before in value.items()}

    def called(
        self, outputs: Sequence[Sources[Number]], given: Sequence[Sources[Number]]
    ) -> tuple[Sources[Number], ...]:
        """What leads to the outputs of a function through what it is given."""
        return tuple(
            self.joined([self.extended(given[source], number) for source, number in output.items()])
            for output in outputs
        )

    def row(self, outputs: tuple[Sources[Number], ...], times: int) -> tuple[Sources[Number], ...]:
        """What leads through so many calls of a function, each on what the one before gives."""
        if times == 1:
            return outputs
        half = self.row(outputs, times // 2)
        twice = self.called(half, half)
        return self.called(outputs, twice) if times % 2 else twice


def _to_outputs(graph: Graph, paths: _Paths[Number]) -> list[Number]:
    """What leads to each output of a network from each input, where anything does."""
    functions: list[tuple[Sources[Number], ...]] = []
    for function in graph.functions:
        functions.append(_through(function, functions, paths))
    return [number for output in functions[-1] for number in output.values()]


def _through(
    function: Function, functions: Sequence[tuple[Sources[Number], ...]], paths: _Paths[Number]
) -> tuple[Sources[Number], ...]:
    """What leads to each output of a function, whose calls are of earlier ones."""
    values: dict[Ref, Sources[Number]] = {Ref(f"%{i}"): {i: paths.empty} for i in range(len(function.inputs))}
    uses = Counter(ref for step in function.steps for ref in step.operands)
    uses.update(function.outputs)
    for step in function.steps:
        given = [values[ref] for ref in step.operands]
        uses.subtract(step.operands)
        for ref in step.operands:
            if not uses[ref]:  # free large numbers as soon as possible
                values.pop(ref, None)
        if isinstance(step, Apply):
            made = paths.joined(given)
            if _is_weighted(function, step):
                made = paths.extended(made, paths.layer)
            results = (made,) * len(step.types)
        else:
            results = paths.called(paths.row(functions[step.function], step.times), given)
        values.update((Ref(step.name, i), made) for i, made in enumerate(results) if uses[Ref(step.name, i)])
    return tuple(values[ref] for ref in function.outputs)


def _is_weighted(function: Function, step: Apply) -> bool:
    """Whether a step multiplies by trained weights: convolutions and linear layers do, norms do not."""
    if type(step.op).macs is Op.macs:
        return False
    return any(weight.trainable for weight in function.held.get(step.name, {}).values())
