"""How the weights of a network start: as a spec says it, where it says so, and the values that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from archspec.graph import Graph, Node
from archspec.ground.source import Location
from archspec.op import Weight
from archspec.op.initialisation import Spread

Said = Literal["by the op", "at the step", "in defaults"]


@dataclass(frozen=True)
class Start:
    """How weights start that are alike but for numbers in their names, such as those of a row of blocks.

    `names` are their keys in the `state_dict`. `init` is the initialisation as a spec writes it; `said` is where that comes from, at
    `location` unless by the op. `spread` has mean and standard deviation, `bounds` the ends of what is drawn uniformly.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    init: str
    said: Said
    location: Location | None
    op: str
    spread: Spread
    bounds: tuple[float, float] | None

    @property
    def name(self) -> str:
        """One name for all: numbers that differ between them are written `*`."""
        parts = zip(*(name.split(".") for name in self.names), strict=True)
        return ".".join(same[0] if len(set(same)) == 1 else "*" for same in parts)


def starts(graph: Graph) -> list[Start]:
    """How each weight starts that is trained, or that the spec declares and the `state_dict` holds, in the order of the network."""
    rows: dict[tuple[str, tuple[int, ...], str, Said, Location | None], list[tuple[str, Node, Weight]]] = {}
    for node in graph.nodes:
        for name, key, weight in _weights(graph, node):
            said, location = _said(node, key)
            pattern = ".".join("*" if part.isdigit() else part for part in name.split("."))
            rows.setdefault((pattern, weight.shape, str(weight.init), said, location), []).append(
                (name, node, weight)
            )
    found = []
    for (_, shape, init, said, location), row in rows.items():
        _, node, weight = row[0]
        names = tuple(name for name, _, _ in row)
        spread, bounds = weight.init.spread(shape), weight.init.drawn(shape)
        drawn = bounds if bounds and _is_uniform(spread, bounds) else None
        found.append(Start(names, shape, init, said, location, type(node.op).__name__, spread, drawn))
    return found


def _weights(graph: Graph, node: Node) -> Iterator[tuple[str, str, Weight]]:
    """Full name, key and weight of those of a node whose start a spec can say."""
    if node.shares:
        return
    for key, weight in graph.weights_of(node).items():
        if weight.saved and (weight.trainable or not key):
            yield f"{node.name}.{key}" if key else node.name, key, weight


def _said(node: Node, key: str) -> tuple[Said, Location | None]:
    argument = node.op.starts.get(key, "") if key else "init"
    if argument in node.defaults:
        return "in defaults", node.defaults[argument]
    if not key or getattr(node.op, argument, None) is not None:
        return "at the step", node.location
    return "by the op", None


def _is_uniform(spread: Spread, bounds: tuple[float, float]) -> bool:
    """Whether values are spread evenly between the bounds, rather than around a mean."""
    return abs((bounds[1] - bounds[0]) / 12**0.5 - spread.std) <= 1e-9 * spread.std
