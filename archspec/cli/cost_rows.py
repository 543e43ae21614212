"""The rows of `archspec cost`: the tree of a network, or its stages, blocks, ops or nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archspec.analyses.cost import Cost
    from archspec.analyses.hierarchy import Part
    from archspec.analyses.summary import Summary
    from archspec.ground.tensor import TensorType


class By(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """What a row stands for."""

    tree = "tree"
    stage = "stage"
    block = "block"
    op = "op"
    node = "node"


@dataclass(frozen=True)
class Row:
    """A line of the table: `count` parts of one kind, their cost together, and the outputs of the last."""

    name: str
    label: str
    kind: str
    count: int
    cost: Cost
    types: tuple[TensorType, ...]
    level: int

    @classmethod
    def of(cls, part: Part, level: int = 0, label: str = "") -> Row:
        """The row of a part, indented by its level."""
        return cls(part.name, label or part.label, part.kind, part.count, part.cost, part.types, level)


def rows_of(summary: Summary, by: By, depth: int, sort: str | None) -> list[Row]:
    """The rows of a network, most expensive first when there is a quantity to `sort` by; a tree has `depth` levels."""
    from archspec.analyses.hierarchy import Folding, hierarchy

    def ordered(parts: tuple[Part, ...]) -> list[Part]:
        return list(parts) if sort is None else sorted(parts, key=lambda part: -getattr(part.cost, sort))

    def tree(parts: tuple[Part, ...], level: int) -> Iterator[Row]:
        for part in ordered(parts):
            yield Row.of(part, level)
            if level + 1 < depth:
                yield from tree(part.parts, level + 1)

    if by is By.tree:
        return list(tree(summary.parts, 0))
    if by is By.stage:
        return [Row.of(part) for part in ordered(summary.parts)]
    unfolded = _inside(hierarchy(summary.counts, folding=Folding(repeats=False)))
    wanted = [part for part in unfolded if part.kind and (part.node is None) == (by is By.block)]
    parts = tuple(wanted) if by is By.node else _gathered(wanted)
    return [Row.of(part, label=part.name) for part in ordered(parts)]


def _inside(parts: tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _inside(part.parts)


def _gathered(parts: list[Part]) -> tuple[Part, ...]:
    """One part for each kind, in order of first appearance, under the name of the kind."""
    from dataclasses import replace

    from archspec.analyses.cost import total

    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(part.kind, []).append(part)
    return tuple(
        replace(
            alike[0], name=kind, kind="", types=(), count=len(alike), cost=total(part.cost for part in alike)
        )
        for kind, alike in kinds.items()
    )
