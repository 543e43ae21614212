"""What `torch.export` is told of sizes: which are free, and what they can be."""

from __future__ import annotations

from typing import Any

from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.bounds import assumed_of, linear
from archspec.ground.errors import SpecError
from archspec.ground.size import QUOTIENTS, Free


def dynamic_shapes(graph: Graph, *, batch: bool = True) -> dict[str, dict[int, Any]]:
    """The `dynamic_shapes` of `torch.export.export`, by input: a `Dim` for the batch and for each free size.

    A size that is a multiple, or not less than some number, is so in the exported program: `32*H_32` is 32 times a
    `Dim`. They begin where no axis inside the network has a size of 1, which PyTorch takes to be fixed.

    Raises SpecError for a size that is no multiple of one name and a number, which PyTorch cannot say.
    """
    from torch.export import Dim

    known: dict[str, Any] = {"batch": Dim("batch", min=1)}
    least = _least(graph)

    def dimension(name: str) -> Any:
        if name not in known:
            known[name] = Dim(name, min=least.get(name, 1), max=assumed_of(name).top)
        return known[name]

    shapes: dict[str, dict[int, Any]] = {}
    for given in graph.inputs:
        axes: dict[int, Any] = {0: dimension("batch")} if batch else {}
        for axis, size in enumerate(given.type.shape, 1):
            if isinstance(size, Free):
                found = linear(size)
                if found is None or found[0] in QUOTIENTS:
                    raise SpecError.of(
                        codes.FREE_NUMBER,
                        f"torch.export cannot say that a size is {size}, as axis {axis - 1} of `{given.name}` is",
                    )
                name, factor, offset = found
                made = dimension(name)
                made = made * factor if factor != 1 else made
                axes[axis] = made + offset if offset else made
        shapes[given.name] = axes
    return shapes


def _least(graph: Graph) -> dict[str, int]:
    """For each free name the least number at which no size that follows from it alone is 1."""
    sizes = {
        size
        for function in graph.functions
        for type_ in (*function.inputs, *(type_ for step in function.steps for type_ in step.types))
        for size in type_.shape
        if isinstance(size, Free) and len(size.names) == 1
    }
    least: dict[str, int] = {}
    for size in sizes:
        (name,) = size.names
        number = least.get(name, 1)
        while number < (assumed_of(name).top or _MOST) and size.substitute({name: number}) < 2:
            number += 1
        least[name] = number
    return least


_MOST = 1 << 14
