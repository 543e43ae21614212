"""The tree of a network as a person sees it: blocks in blocks, and what repeats told once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from archspec.analyses.cost import Cost, total
from archspec.graph import Graph, Node, Ref
from archspec.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Part:
    """A node, a block or a list of layers, or several alike that follow one another.

    `label` is the name within the part around it (`1-5` for five alike), `kind` the op or the block,
    `count` how many there are, `cost` what all of them cost, `types` what the last one gives, `parts`
    what one of them is made of. `alike` is equal for parts that differ in names alone.
    """

    name: str
    label: str
    kind: str
    count: int
    cost: Cost
    inputs: tuple[TensorType, ...]
    types: tuple[TensorType, ...]
    parts: tuple[Part, ...]
    node: Node | None
    alike: Hashable


def hierarchy(graph: Graph, costs: Mapping[str, Cost], *, fold: bool = True) -> tuple[Part, ...]:
    """The parts of the model in order; what repeats is folded unless asked not to."""
    return _parts(graph, 0, costs, fold)


def _parts(graph: Graph, scope: int, costs: Mapping[str, Cost], fold: bool) -> tuple[Part, ...]:
    base = graph.scopes[scope].name
    found: list[Part] = []
    for member in graph.members[scope]:
        part = (
            _leaf(graph, member, base, costs)
            if isinstance(member, Node)
            else _branch(graph, member, base, costs, fold)
        )
        if fold and found and _goes_on(found[-1], part):
            found[-1] = _joined(found[-1], part)
        else:
            found.append(part)
    return tuple(found)


def _leaf(graph: Graph, node: Node, base: str, costs: Mapping[str, Cost]) -> Part:
    inputs = tuple(graph.types[ref] for ref in node.operands)
    return Part(
        name=node.name,
        label=_below(node.name, base),
        kind=type(node.op).__name__,
        count=1,
        cost=costs[node.name],
        inputs=inputs,
        types=node.types,
        parts=(),
        node=node,
        alike=(node.op, inputs, node.types, bool(node.shares)),
    )


def _branch(graph: Graph, scope: int, base: str, costs: Mapping[str, Cost], fold: bool) -> Part:
    record = graph.scopes[scope]
    parts = _parts(graph, scope, costs, fold)
    return Part(
        name=record.name,
        label=_below(record.name, base),
        kind=record.block,
        count=1,
        cost=total(part.cost for part in parts),
        inputs=_types(graph, record.inputs),
        types=_types(graph, record.outputs),
        parts=parts,
        node=None,
        alike=(record.block, tuple((part.label, part.count, part.alike) for part in parts)),
    )


def _types(graph: Graph, refs: tuple[Ref, ...]) -> tuple[TensorType, ...]:
    return tuple(graph.types[ref] for ref in refs)


def _below(name: str, base: str) -> str:
    return name.removeprefix(f"{base}.") if base else name


def _goes_on(part: Part, following: Part) -> bool:
    """Whether the following part is the next of a numbered row of equal ones."""
    head, _, last = part.label.rpartition(".")
    last = last.rpartition("-")[2]
    next_head, _, number = following.label.rpartition(".")
    return (
        part.alike == following.alike
        and head == next_head
        and last.isdigit()
        and number.isdigit()
        and int(number) == int(last) + 1
    )


def _joined(part: Part, following: Part) -> Part:
    first = part.label.partition("-")[0]
    return replace(
        part,
        label=f"{first}-{following.label.rpartition('.')[2]}",
        count=part.count + 1,
        cost=part.cost + following.cost,
        types=following.types,
    )
