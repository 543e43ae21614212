"""Layers that mix or normalise the last axis of an image, where its channels or all of it were hardly not meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archspec.graph import Graph
from archspec.graph.function import Apply, Call, Function
from archspec.graph.records import Ref
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType


class Mixing(NamedTuple):
    """A layer along the last axis, whether of an image, and the calls that lead to it, innermost first, then the model."""

    step: Apply
    of_image: bool
    calls: tuple[Location, ...]


def along_last_axis(graph: Graph) -> Iterator[Mixing]:
    """The layers of a network that work along the last of three axes or more, in each function that has any.

    A tensor is an image where it comes from a convolution, a pooling or the like and kept its axes since, or is a square
    input of one or three channels. Functions are asked for each combination of inputs that are images.
    """
    if not any(_mixes(step) for f in graph.functions for step in f.steps if isinstance(step, Apply)):
        return
    walk = _Walk(graph)
    walk.function(
        len(graph.functions) - 1, tuple(_is_picture(i.type) for i in graph.inputs), (graph.location,)
    )
    yield from walk.found


def _mixes(step: Apply) -> bool:
    taken = step.types[0]
    return taken.rank > 2 and step.op.feature_axis(taken) == taken.rank - 1


def _is_picture(type_: TensorType) -> bool:
    """Whether an input is an image for sure: of one or three channels, and as high as wide."""
    shape = type_.shape
    return len(shape) == 3 and shape[0] in (1, 3) and shape[1] == shape[2] and shape[1] not in (1, 2, 3)


class _Walk:
    """Which values are images, from the model down."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[tuple[int, tuple[bool, ...]], tuple[bool, ...]] = {}
        self.found: list[Mixing] = []

    def function(self, index: int, inputs: tuple[bool, ...], calls: tuple[Location, ...]) -> tuple[bool, ...]:
        """Which outputs of a function are images, given which inputs are."""
        key = index, inputs
        if key not in self._known:
            self._known[key] = self._outputs(self._graph.functions[index], inputs, calls)
        return self._known[key]

    def _outputs(
        self, function: Function, inputs: tuple[bool, ...], calls: tuple[Location, ...]
    ) -> tuple[bool, ...]:
        images = {Ref(f"%{i}") for i, image in enumerate(inputs) if image}
        for step in function.steps:
            taken = tuple(ref in images for ref in step.inputs)
            if isinstance(step, Call):
                made = self.function(step.function, taken, (step.location, *calls))
                if step.times > 1 and made != taken:
                    made = self.function(step.function, made, (step.location, *calls))
                images.update(Ref(step.name, i) for i, image in enumerate(made) if image)
                continue
            if _mixes(step):
                self.found.append(Mixing(step, taken[0], calls))
            if step.types[0].rank > 2 and _gives_image(step, taken, function):
                images.add(Ref(step.name))
        return tuple(ref in images for ref in function.outputs)


def _gives_image(step: Apply, taken: tuple[bool, ...], function: Function) -> bool:
    rank = step.types[0].rank
    return step.op.image == "made" or (
        step.op.image == "kept"
        and any(
            image and function.types[ref].rank == rank for ref, image in zip(step.inputs, taken, strict=True)
        )
    )
