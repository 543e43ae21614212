"""What changed in steps and blocks that two networks have in common, and what only one has."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from archspec.analyses.formatting import short
from archspec.analyses.matching import Member, name_of
from archspec.graph import Graph, Node, Ref
from archspec.ground.brief import brief
from archspec.ground.literals import written
from archspec.op import trained_values

_NEW = " (new)"  # behind the name of a step that only the network on the right has

Sides = tuple[str, str]
"""Something as written on the left and on the right."""


@dataclass(frozen=True)
class Change:
    """Nodes or blocks of the right network that changed in the same way: in arguments, or in their inputs.

    `arguments` has for each argument what it was and what it is; `rewired` the inputs, likewise. `follows`
    says that they stand in a block whose own arguments changed, and may have changed with it.
    """

    kind: str
    arguments: dict[str, Sides]
    rewired: Sides | None
    names: tuple[str, ...]
    follows: bool

    def __repr__(self) -> str:
        names = self.names[0] if len(self.names) == 1 else f"{len(self.names)} steps"
        what = [f"{name}: {old} -> {new}" for name, (old, new) in self.arguments.items()]
        what += [f"reads {self.rewired[1]} instead of {self.rewired[0]}"] if self.rewired else []
        return brief(self, f"{names}: {self.kind}, {', '.join(what)}")


@dataclass(frozen=True)
class Piece:
    """A node or a whole block that only one of the networks has."""

    name: str
    kind: str
    nodes: int
    params: int

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {self.kind}, {self.nodes} nodes, {short(self.params)} params")


def piece_of(graph: Graph, member: Member) -> Piece:
    """A member as a piece of its network."""
    nodes = [member] if isinstance(member, Node) else list(graph.inside(member))
    params = sum(trained_values(graph.weights_of(node).values()) for node in nodes if not node.shares)
    kind = str(member.op) if isinstance(member, Node) else graph.scopes[member].block
    return Piece(name_of(graph, member), kind, len(nodes), params)


def changes_of_nodes(
    left: Graph, right: Graph, pairs: list[tuple[Node, Node]], partner: dict[str, str], inside: set[int]
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes of paired nodes, those alike as one; and the nodes that only got other shapes."""
    groups: dict[Hashable, tuple[Change, list[str]]] = {}
    reshaped = []
    given = {i.name: j.name for i, j in zip(right.inputs, left.inputs, strict=False)}

    def origin(ref: Ref) -> str:
        """A value of the right network by its name on the left; what is new there keeps its own."""
        return str(
            Ref(partner.get(ref.producer) or given.get(ref.producer) or f"{ref.producer}{_NEW}", ref.output)
        )

    for a, b in pairs:
        arguments = _arguments(a, b)
        before, after = [str(ref) for ref in a.operands], [origin(ref) for ref in b.operands]
        rewired = _rewired(before, after, [str(ref) for ref in b.operands])
        if arguments or rewired:
            change = Change(type(b.op).__name__, arguments, rewired, (), b.scope in inside)
            key = (change.kind, tuple(arguments.items()), rewired, change.follows)
            groups.setdefault(key, (change, []))[1].append(b.name)
        elif a.types != b.types or left.input_types(a) != right.input_types(b):
            reshaped.append(b.name)
    changed = tuple(replace(change, names=tuple(names)) for change, names in groups.values())
    return changed, tuple(reshaped)


def _rewired(before: list[str], after: list[str], names: list[str]) -> Sides | None:
    """The inputs that come from elsewhere: what they were, and what they are, by their `names` on the right."""
    if before == after:
        return None
    if len(before) != len(after):
        return ", ".join(before), ", ".join(names)
    moved = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    return ", ".join(before[i] for i in moved), ", ".join(
        names[i] if names[i] != before[i] else _another(names[i], after[i]) for i in moved
    )


def _another(name: str, origin: str) -> str:
    """A value that has the name of what was read before, and is something else."""
    return origin if _NEW in origin else f"{name} (formerly {origin})"


def changes_of_blocks(left: Graph, right: Graph, pairs: list[tuple[int, int]]) -> list[Change]:
    """The blocks that got other arguments, those alike as one."""
    groups: dict[Hashable, tuple[Change, list[str]]] = {}
    inside: set[int | None] = set()
    for i, j in pairs:  # each scope behind the one around it
        block, follows = right.scopes[j].block, right.scopes[j].parent in inside
        arguments = differing(left.scopes[i].arguments, right.scopes[j].arguments)
        if arguments or follows:
            inside.add(j)
        if arguments:
            change = Change(block, arguments, None, (), follows)
            key = (block, tuple(arguments.items()), follows)
            groups.setdefault(key, (change, []))[1].append(right.scopes[j].name)
    return [replace(change, names=tuple(names)) for change, names in groups.values()]


def scopes_inside(graph: Graph, names: set[str]) -> set[int]:
    """The scopes of those names, and all scopes in them."""
    found: set[int] = set()
    for index, scope in enumerate(graph.scopes):  # a scope stands behind the one around it
        if scope.name in names or scope.parent in found:
            found.add(index)
    return found


def _arguments(a: Node, b: Node) -> dict[str, Sides]:
    if type(a.op) is not type(b.op):
        return {"op": (str(a.op), str(b.op))}
    if a.op == b.op:
        return {}
    names = type(b.op).model_fields
    values = ((name, getattr(a.op, name), getattr(b.op, name)) for name in names)
    return {name: (written(old), written(new)) for name, old, new in values if old != new}


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Sides]:
    """The arguments that differ, as written; `-` where one side has none of that name."""
    return {
        name: (_shown(ours, name), _shown(theirs, name))
        for name in dict.fromkeys([*ours, *theirs])
        if (name in ours) != (name in theirs) or ours[name] != theirs[name]
    }


def _shown(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name, "-")
    return value if isinstance(value, str) else written(value)  # layers are strings in the graph
