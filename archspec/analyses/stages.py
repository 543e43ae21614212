"""The stage table of a network, as in papers: operator, resolution, channels and layers of each stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archspec.analyses.captions import operator
from archspec.analyses.cost import Cost, macs
from archspec.analyses.diagram import MOST_IN_STAGE, Box, diagram, stages_open
from archspec.analyses.formatting import short
from archspec.analyses.rows import shortened
from archspec.analyses.summary import Summary
from archspec.graph import Graph
from archspec.ground.errors import Mistake
from archspec.ground.literals import written
from archspec.ground.size import Size
from archspec.ground.tensor import TensorType


@dataclass(frozen=True)
class Stage:
    """A row of the table: `resolution` of its input, `channels` of its output, number of `layers`."""

    name: str
    operator: str
    resolution: str
    channels: str
    layers: int
    params: int
    macs: int


def stages(summary: Summary) -> list[Stage]:
    """The stages in order; a list of blocks of one kind is one stage."""
    found = diagram(summary, stages_open, shapes=False, most=MOST_IN_STAGE)
    graph, _ = shortened(summary.graph)
    return [stage for box in found.boxes for stage in _rows(graph, box, "", 1)]


COLUMNS = ("stage", "name", "operator", "resolution", "channels", "layers", "params", "MACs")
NUMBERS = frozenset(("stage", "channels", "layers", "params", "MACs"))
"""The columns of the table, and those that hold numbers."""


def stage_rows(graph: Graph) -> list[list[str]]:
    """The rows of the table as text, a cell for each of `COLUMNS`; `?` for multiply-adds that depend on a free size."""
    try:
        macs(graph)
        counted = True
    except Mistake:
        counted = False
    return [
        [
            str(number),
            stage.name,
            stage.operator,
            stage.resolution,
            stage.channels,
            str(stage.layers),
            short(stage.params),
            short(stage.macs) if counted else "?",
        ]
        for number, stage in enumerate(stages(Summary(graph)), 1)
    ]


def _rows(graph: Graph, box: Box, prefix: str, times: int) -> Iterator[Stage]:
    """The rows of a box inside frames that stand for `times` repeats."""
    name = f"{prefix}{box.label}"
    if box.inner and not _one_stage(box.inner):
        for inner in box.inner:
            yield from _rows(graph, inner, f"{name}.", times * box.count)
        return
    closed = box.inner or [box]
    cost = box.part.cost if box.part else Cost()
    yield Stage(
        name=name,
        operator=_operator(graph, closed),
        resolution=" × ".join(map(str, _split(closed[0].inputs)[0])),
        channels=str(_split(closed[-1].types)[1]),
        layers=times * sum(inner.count for inner in closed) * (box.count if box.inner else 1),
        params=times * cost.params,
        macs=times * cost.macs,
    )


def _operator(graph: Graph, boxes: list[Box]) -> str:
    """The ops of a box, or its block with the arguments common to all of them."""
    if boxes[0].ops:
        return ", ".join(operator(op) if i == 0 else type(op).__name__ for i, op in enumerate(boxes[0].ops))
    names = {box.part.name for box in boxes if box.part}
    given = [scope.arguments for scope in graph.scopes if scope.name in names]
    common = [
        f"{key}={written(value)}"
        for key, value in given[0].items()
        if _tells(value) and all(arguments.get(key) == value for arguments in given)
    ]
    kind = boxes[0].part.kind if boxes[0].part else ""
    return f"{kind}({', '.join(common)})" if common else kind


def _tells(value: object) -> bool:
    """Whether an argument belongs in a narrow table: a number other than 0, which stands for absence."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _one_stage(boxes: list[Box]) -> bool:
    """Whether boxes are closed blocks of one kind with outputs of one type."""
    kinds = {box.part.kind for box in boxes if box.part and not box.ops}
    return (
        len(kinds) == 1
        and not any(box.inner or box.ops for box in boxes)
        and len({box.types for box in boxes}) == 1
    )


def _split(types: tuple[TensorType, ...]) -> tuple[tuple[Size, ...], Size]:
    """The spatial sizes of a tensor and its channels.

    Channels come first in images, last in sequences of tokens and in grids of tokens, which are square.
    """
    shape = types[0].shape if types and types[0].rank else (1,)
    last = len(shape) == 2 or (len(shape) == 3 and shape[0] == shape[1] != shape[2])
    return (shape[:-1], shape[-1]) if last else (shape[1:], shape[0])
