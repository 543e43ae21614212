"""Which steps of a graph meet: a layer and what takes its result directly, also across the borders of blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from archspec.graph import Graph
from archspec.graph.function import Apply, Call, Function
from archspec.graph.records import Ref

MOST_TAKERS = 16


class Takers:
    """The steps of interest that take a value, and whether anything else does."""

    __slots__ = ("others", "steps")

    def __init__(self) -> None:
        self.steps: dict[int, Apply] = {}  # by identity: equal steps of two functions are not the same
        self.others = False

    def add(self, other: Takers) -> None:
        """Those of another place as well; of very many, some count as others."""
        self.steps.update(other.steps)
        self.others |= other.others
        while len(self.steps) > MOST_TAKERS:
            self.steps.popitem()
            self.others = True


class Meeting(NamedTuple):
    """A value within one function: the step that makes it (None if that is of no interest, or not known) and those that take it.

    `end` says whether it stays in the function, is given to the callers, which know of more takers, or is an output of the model.
    """

    maker: Apply | None
    takers: Takers
    end: Literal["inside", "given", "output"]


class _Ends(NamedTuple):
    """What a function's callers see of it: the takers of each input; the maker of each output, and its takers inside."""

    takers: tuple[Takers, ...]
    makers: tuple[Apply | None, ...]
    inside: tuple[Takers, ...]


def meetings(graph: Graph, matters: Callable[[Apply], bool]) -> Iterator[Meeting]:
    """Every value that a step of interest makes or takes, function by function, callees first; the model's inputs last.

    A call's value is one of the function that calls. An input that a block returns as it is counts as made and taken by others.
    """
    ends: list[_Ends] = []
    for index, function in enumerate(graph.functions):
        top = index == len(graph.functions) - 1
        makers, takers = _within(function, ends, matters)
        given = [Ref(f"%{i}") for i in range(len(function.inputs))]
        outputs = Counter(function.outputs)
        for ref, maker in makers.items():
            if maker is not None or takers[ref].steps:
                end: Literal["output", "given"] = "output" if top else "given"
                yield Meeting(maker, takers[ref], end if ref in outputs else "inside")
        for ref in given:
            takers.setdefault(ref, Takers())
            takers[ref].others |= ref in outputs
            if top and takers[ref].steps:
                yield Meeting(None, takers[ref], "inside")
        inside = []
        for ref in function.outputs:
            found = Takers()
            found.add(takers[ref])
            found.others |= outputs[ref] > 1
            inside.append(found)
        ends.append(
            _Ends(
                tuple(takers[ref] for ref in given),
                tuple(makers.get(ref) for ref in function.outputs),
                tuple(inside),
            )
        )


def _within(
    function: Function, ends: list[_Ends], matters: Callable[[Apply], bool]
) -> tuple[dict[Ref, Apply | None], dict[Ref, Takers]]:
    """The maker of each value that steps of a function give, and the takers of all its values."""
    makers: dict[Ref, Apply | None] = {}
    takers: dict[Ref, Takers] = {}
    for step in function.steps:
        of_interest = isinstance(step, Apply) and not step.is_use and matters(step)
        for i, ref in enumerate(step.operands):
            found = takers.setdefault(ref, Takers())
            if isinstance(step, Call):
                found.add(ends[step.function].takers[i])
            elif of_interest:
                found.steps[id(step)] = step
            else:
                found.others = True
        for i in range(len(step.types)):
            ref = Ref(step.name, i)
            taken = takers.setdefault(ref, Takers())
            if isinstance(step, Apply):
                makers[ref] = step if of_interest else None
                continue
            callee = ends[step.function]
            makers[ref] = callee.makers[i]
            taken.add(callee.inside[i])
            if step.times > 1:  # each call of a row takes what the one before gives
                taken.add(callee.takers[i])
    return makers, takers
