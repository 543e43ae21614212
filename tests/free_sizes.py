"""Which sizes of an op's examples may be free: each is tried. The manual's table says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_lowercase
from typing import NamedTuple

import archspec
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.op import Op

TENSOR = re.compile(r"(\w+)\[([^\]]*)\]")

Place = tuple[int, int]  # a tensor, and one of its axes


class Example(NamedTuple):
    """An op's example taken apart: dtypes and sizes of its tensors, the names of the optional ones, and the layer."""

    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    options: tuple[str, ...]
    layer: str

    @classmethod
    def of(cls, example: str) -> Example:
        given, *middle, _ = example.split(" -> ")
        layer = " -> ".join(middle)
        optional = re.findall(rf"(\w+)={TENSOR.pattern}", layer)
        tensors = [*TENSOR.findall(given), *(kind for _, *kind in optional)]
        return cls(
            tuple(dtype for dtype, _ in tensors),
            tuple(tuple(int(size) for size in sizes.split(",") if size) for _, sizes in tensors),
            tuple(name for name, *_ in optional),
            re.sub(rf"(\w+)={TENSOR.pattern}", r"\1=\1", layer),
        )

    @property
    def places(self) -> list[Place]:
        """Where sizes above 1 are; those of 1 are there to be stretched."""
        return [(i, j) for i, shape in enumerate(self.shapes) for j, size in enumerate(shape) if size > 1]

    def read(self, free: dict[Place, str]) -> Graph | None:
        """The graph with these free sizes, unless the op refuses them."""
        given = [f"x{i}" for i in range(len(self.shapes) - len(self.options))]
        lines = []
        for i, name in enumerate((*given, *self.options)):
            sizes = [free.get((i, j), str(size)) for j, size in enumerate(self.shapes[i])]
            lines.append(f"    input {name}: {self.dtypes[i]}[{', '.join(sizes)}]\n")
        taken = given[0] if len(given) == 1 else f"({', '.join(given)})"
        try:
            return archspec.read_text(f"model Example:\n{''.join(lines)}    return {taken} -> {self.layer}\n")
        except SpecError as error:
            assert {problem.kind for problem in error.problems} <= {"free", "shape"}, error
            return None

    def freed(self) -> Freed:
        """The example with each size free that can be: alone, or together with equal ones, or as a multiple."""
        free: dict[Place, str] = {}
        for place in self.places:
            if place in free:
                continue
            size = self.shapes[place[0]][place[1]]
            equal = [(i, j) for i, j in self.places if (i, j) not in free and self.shapes[i][j] == size]
            others = [place, *(other for other in equal if other[0] != place[0])]
            letter = ascii_lowercase[len({*free.values()})]
            for factor in (1, *(n for n in range(2, size + 1) if size % n == 0)):
                form = f"free {letter}" if factor == 1 else f"{factor} * free {letter}"
                tries = ({**free, **dict.fromkeys(places, form)} for places in ([place], others, equal))
                taken = next((more for more in tries if self.read(more)), None)
                if taken is not None:
                    free = taken
                    break
        graph = self.read(free)
        assert graph is not None, self
        return Freed(self, graph, len(self.places) - len(free), sum("*" in form for form in free.values()))


class Freed(NamedTuple):
    """An example at free sizes; how many of its sizes stay numbers, and how many are multiples."""

    example: Example
    graph: Graph
    fixed: int
    multiples: int

    def __str__(self) -> str:
        types = [str(given.type) for given in self.graph.inputs]
        count = len(types) - len(self.example.options)
        layer = self.example.layer
        for name, kind in zip(self.example.options, types[count:], strict=True):
            layer = re.sub(rf"\b{name}={name}\b", f"{name}={kind}", layer)
        return f"{joined(types[:count])} -> {layer} -> {joined([str(o.type) for o in self.graph.outputs])}"


def joined(types: list[str]) -> str:
    return types[0] if len(types) == 1 else f"({', '.join(types)})"


def examples_at_free_sizes(op: type[Op]) -> list[Freed]:
    """An op's examples, each with as many free sizes as it takes."""
    return [
        Example.of(example).freed() for example in op.examples if "[batch" not in example.split(" -> ")[0]
    ]


def free_size_table() -> Iterator[str]:
    """The ops of which every size may be free, and of the others an example."""
    found = {name: examples_at_free_sizes(Op.find(name)) for name in sorted(set(Op.names()))}
    every = [name for name, examples in found.items() if examples and not any(e.fixed for e in examples)]
    yield f"Every size may be free: {', '.join(f'`{name}`' for name in every)}."
    yield from (
        "",
        "Some sizes:",
        "",
        "| op | an example, in which letters are free sizes |",
        "| --- | --- |",
    )
    for name, examples in found.items():
        if examples and name not in every:
            best = min(examples, key=lambda e: (e.graph.is_sized, e.fixed, e.multiples))
            yield f"| `{name}` | `{best}` |"
