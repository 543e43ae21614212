"""What differs between two networks: in structure, in cost, and in the weights that carry over."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

from archspec.analyses.quantities import shown_in
from archspec.analyses.summary import Summary
from archspec.graph import Graph, Node, Ref
from archspec.ground.errors import Mistake
from archspec.ground.literals import written
from archspec.ground.tensor import show
from archspec.op import trained_values

_MOST_ALIGNED = 2_000  # siblings; to align longer rows takes too long, and their names say enough

Member = Node | int
Values = tuple[str, str]  # as written, on the left and on the right


@dataclass(frozen=True)
class Change:
    """Nodes or blocks of the right network that changed in the same way: in arguments, or in their inputs.

    `arguments` has for each argument what it was and what it is; `rewired` the inputs, likewise. `follows`
    says that they stand in a block whose own arguments changed, and may have changed with it.
    """

    kind: str
    arguments: dict[str, Values]
    rewired: Values | None
    names: tuple[str, ...]
    follows: bool


@dataclass(frozen=True)
class Piece:
    """A node or a whole block that only one of the networks has."""

    name: str
    kind: str
    nodes: int
    params: int


@dataclass(frozen=True)
class Weights:
    """What becomes of the `state_dict`: each entry is (key on the left, key on the right).

    `kept` carry over under their key, `renamed` under another, `reshaped` have another shape or dtype.
    """

    kept: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    reshaped: tuple[tuple[str, str, str], ...]
    left_only: tuple[str, ...]
    right_only: tuple[str, ...]
    filled: int  # trained values of the right network that come from the left one
    params: int  # trained values of the right network


@dataclass(frozen=True)
class Difference:
    """All that differs between a network on the left and one on the right."""

    left: Graph
    right: Graph
    settings: dict[str, Values]
    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]
    added: tuple[Piece, ...]
    removed: tuple[Piece, ...]
    changed: tuple[Change, ...]
    renamed: tuple[tuple[str, str], ...]  # outermost blocks and nodes that are the same under another name
    reshaped: tuple[str, ...]  # nodes that are the same but for the shapes that come to them
    cost: dict[str, tuple[int, int] | None]  # None where it depends on a free size
    weights: Weights

    @property
    def same(self) -> bool:
        """Whether the two are one network, names and all."""
        differing = (
            self.inputs,
            self.outputs,
            self.added,
            self.removed,
            self.changed,
            self.renamed,
            self.reshaped,
        )
        return not any(differing) and not (
            self.weights.renamed or self.weights.reshaped or self.weights.left_only or self.weights.right_only
        )


def diff(left: Graph, right: Graph) -> Difference:
    """Compare two networks. Blocks match by name, and numbered ones by what they are; so do nodes in them."""
    matching = _Matching(left, right)
    matching.align(0, 0)
    pairs = matching.nodes
    partner = {b.name: a.name for a, b in pairs}
    blocks = _block_changes(left, right, matching.scopes)
    inside = _inside(right, {name for change in blocks for name in change.names})
    changed, reshaped = _changes(left, right, pairs, partner, inside)
    return Difference(
        left=left,
        right=right,
        settings=_settings(left, right),
        inputs=_ends(
            [f"{i.name} {i.type}" for i in left.inputs], [f"{i.name} {i.type}" for i in right.inputs]
        ),
        outputs=_ends(
            [f"{o.name} {o.type}".strip() for o in left.outputs],
            [f"{o.name} {o.type}".strip() for o in right.outputs],
        ),
        added=tuple(_piece(right, member) for member in matching.added),
        removed=tuple(_piece(left, member) for member in matching.removed),
        changed=(*blocks, *changed),
        renamed=tuple(matching.renamed),
        reshaped=reshaped,
        cost=_costs(left, right),
        weights=_weights(left, right, pairs),
    )


# ------------------------------------------------------------------ which node is which


@dataclass
class _Matching:
    """Pairs of nodes that are the same step of both networks, and what is left over."""

    left: Graph
    right: Graph
    nodes: list[tuple[Node, Node]] = field(default_factory=list)
    added: list[Member] = field(default_factory=list)
    removed: list[Member] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    scopes: list[tuple[int, int]] = field(default_factory=list)
    _shapes: dict[tuple[int, int], Hashable] = field(default_factory=dict)

    def align(self, left: int, right: int) -> None:
        """Pair the members of two scopes, and those in them."""
        ours, theirs = self.left.members[left], self.right.members[right]
        before, after = _name(self.left, left), _name(self.right, right)
        pairs = dict(self.paired(ours, theirs, before, after))
        taken = set(pairs.values())
        for i, member in enumerate(ours):
            if i not in pairs:
                self.removed.append(member)
                continue
            other = theirs[pairs[i]]
            names = _name(self.left, member), _name(self.right, other)
            if _below(names[0], before) != _below(names[1], after):
                self.renamed.append(names)
            if isinstance(member, Node) and isinstance(other, Node):
                self.nodes.append((member, other))
            elif isinstance(member, int) and isinstance(other, int):
                self.scopes.append((member, other))
                self.align(member, other)
        self.added += (member for i, member in enumerate(theirs) if i not in taken)

    def paired(
        self, ours: Sequence[Member], theirs: Sequence[Member], before: str, after: str
    ) -> Iterator[tuple[int, int]]:
        """Positions of members that are the same, in the two rows of siblings."""
        left = [_below(_name(self.left, member), before) for member in ours]
        right = [_below(_name(self.right, member), after) for member in theirs]
        free_left, free_right = set(range(len(ours))), set(range(len(theirs)))
        found: list[tuple[int, int]] = []

        def pair(i: int, j: int) -> None:
            if i in free_left and j in free_right:
                free_left.remove(i)
                free_right.remove(j)
                found.append((i, j))

        shapes = [self.shape(0, self.left, m) for m in ours], [self.shape(1, self.right, m) for m in theirs]
        where = {label: j for j, label in enumerate(right)}
        # A name that a person gave says which step it is; a number only where the step stands.
        for i, label in enumerate(left):
            j = where.get(label)
            numbered = label.rpartition(".")[2].isdigit()
            if j is not None and not numbered and _kind(self.left, ours[i]) == _kind(self.right, theirs[j]):
                pair(i, j)
        for i, j in _aligned([shapes[0][i] for i in sorted(free_left)], [shapes[1][j] for j in sorted(free_right)],
                             sorted(free_left), sorted(free_right)):  # fmt: skip
            pair(i, j)
        for i, label in enumerate(left):
            j = where.get(label)
            if j is not None and _kind(self.left, ours[i]) == _kind(self.right, theirs[j]):
                pair(i, j)
        return iter(found)

    def shape(self, side: int, graph: Graph, member: Member) -> Hashable:
        """What a member is, apart from its name and from the sizes of what comes in."""
        if isinstance(member, Node):
            return member.op
        if (side, member) not in self._shapes:
            base = _name(graph, member)
            self._shapes[side, member] = hash(
                (
                    graph.scopes[member].block,
                    tuple(
                        (_below(_name(graph, inner), base), self.shape(side, graph, inner))
                        for inner in graph.members[member]
                    ),
                )
            )
        return self._shapes[side, member]


def _aligned(
    left: list[Hashable], right: list[Hashable], at_left: list[int], at_right: list[int]
) -> Iterator[tuple[int, int]]:
    """Positions of equal items in the longest common row that is found, ends first."""
    start, most = 0, min(len(left), len(right))
    while start < most and left[start] == right[start]:
        yield at_left[start], at_right[start]
        start += 1
    end = 0
    while end < most - start and left[-1 - end] == right[-1 - end]:
        yield at_left[-1 - end], at_right[-1 - end]
        end += 1
    middle = left[start : len(left) - end], right[start : len(right) - end]
    if max(map(len, middle)) <= _MOST_ALIGNED:
        for block in SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks():
            for k in range(block.size):
                yield at_left[start + block.a + k], at_right[start + block.b + k]


def _name(graph: Graph, member: Member) -> str:
    return member.name if isinstance(member, Node) else graph.scopes[member].name


def _kind(graph: Graph, member: Member) -> str:
    return type(member.op).__name__ if isinstance(member, Node) else f"block {graph.scopes[member].block}"


def _below(name: str, base: str) -> str:
    return name.removeprefix(f"{base}.") if base else name


def _piece(graph: Graph, member: Member) -> Piece:
    nodes = [member] if isinstance(member, Node) else list(graph.inside(member))
    params = sum(trained_values(graph.weights_of(node).values()) for node in nodes if not node.shares)
    kind = str(member.op) if isinstance(member, Node) else graph.scopes[member].block
    return Piece(_name(graph, member), kind, len(nodes), params)


# ------------------------------------------------------------------ what changed


def _changes(
    left: Graph, right: Graph, pairs: list[tuple[Node, Node]], partner: dict[str, str], inside: set[int]
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes of paired nodes, those alike as one; and the nodes that only got other shapes."""
    groups: dict[Hashable, tuple[Change, list[str]]] = {}
    reshaped = []
    given = {i.name: j.name for i, j in zip(right.inputs, left.inputs, strict=False)}

    def origin(ref: Ref) -> str:
        """A value of the right network by its name on the left; what is new there keeps its own."""
        return str(
            Ref(partner.get(ref.producer) or given.get(ref.producer) or f"{ref.producer} (new)", ref.output)
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


def _rewired(before: list[str], after: list[str], names: list[str]) -> Values | None:
    """The inputs that come from elsewhere: what they were, and what they are, by their `names` on the right."""
    if before == after:
        return None
    if len(before) != len(after):
        return ", ".join(before), ", ".join(names)
    moved = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    return ", ".join(before[i] for i in moved), ", ".join(names[i] for i in moved)


def _block_changes(left: Graph, right: Graph, pairs: list[tuple[int, int]]) -> list[Change]:
    """The blocks that got other arguments, those alike as one."""
    groups: dict[Hashable, tuple[Change, list[str]]] = {}
    inside: set[int | None] = set()
    for i, j in pairs:  # each scope behind the one around it
        block, follows = right.scopes[j].block, right.scopes[j].parent in inside
        arguments = _differing(left.scopes[i].arguments, right.scopes[j].arguments)
        if arguments or follows:
            inside.add(j)
        if arguments:
            change = Change(block, arguments, None, (), follows)
            key = (block, tuple(arguments.items()), follows)
            groups.setdefault(key, (change, []))[1].append(right.scopes[j].name)
    return [replace(change, names=tuple(names)) for change, names in groups.values()]


def _inside(graph: Graph, names: set[str]) -> set[int]:
    """The scopes of those names, and all scopes in them."""
    found: set[int] = set()
    for index, scope in enumerate(graph.scopes):  # a scope stands behind the one around it
        if scope.name in names or scope.parent in found:
            found.add(index)
    return found


def _arguments(a: Node, b: Node) -> dict[str, Values]:
    if type(a.op) is not type(b.op):
        return {"op": (str(a.op), str(b.op))}
    if a.op == b.op:
        return {}
    names = type(b.op).model_fields
    values = ((name, getattr(a.op, name), getattr(b.op, name)) for name in names)
    return {name: (written(old), written(new)) for name, old, new in values if old != new}


def _settings(left: Graph, right: Graph) -> dict[str, Values]:
    """The arguments of the two models that differ."""
    model: dict[str, Values] = {} if left.name == right.name else {"model": (left.name, right.name)}
    return model | _differing(left.arguments, right.arguments)


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Values]:
    """The arguments that differ, as written; `-` where one side has none of that name."""
    return {
        name: (_shown(ours, name), _shown(theirs, name))
        for name in dict.fromkeys([*ours, *theirs])
        if (name in ours) != (name in theirs) or ours[name] != theirs[name]
    }


def _shown(arguments: Mapping[str, Any], name: str) -> str:
    value = arguments.get(name, "-")
    return value if isinstance(value, str) else written(value)  # layers are strings in the graph


def _ends(left: list[str], right: list[str]) -> tuple[Values, ...]:
    longest = max(len(left), len(right))
    rows = zip(left + ["-"] * (longest - len(left)), right + ["-"] * (longest - len(right)), strict=True)
    return tuple((a, b) for a, b in rows if a != b)


def _costs(left: Graph, right: Graph) -> dict[str, tuple[int, int] | None]:
    ours, theirs = Summary(left), Summary(right)
    found: dict[str, tuple[int, int] | None] = {}
    for quantity in shown_in("diff"):
        try:
            found[quantity.key] = quantity.of_network(ours), quantity.of_network(theirs)
        except Mistake:
            found[quantity.key] = None
    return found


# ------------------------------------------------------------------ weights


def _weights(left: Graph, right: Graph, pairs: list[tuple[Node, Node]]) -> Weights:
    """By the node that a weight belongs to where that has a partner, else by its key."""
    ours = {name: weight for name, weight in left.weights.items() if weight.saved}
    theirs = {name: weight for name, weight in right.weights.items() if weight.saved}
    source: dict[str, str] = {}
    for a, b in pairs:
        for key in right.weights_of(b):
            new, old = (f"{node.name}.{key}" if key else node.name for node in (b, a))
            if new in theirs and old in ours:
                source[new] = old
    used = set(source.values())
    for name in theirs:
        if name not in source and name in ours and name not in used:
            source[name] = name
    kept, renamed, reshaped, filled = [], [], [], 0
    for new, old in source.items():
        before, after = ours[old], theirs[new]
        if (before.shape, before.dtype) != (after.shape, after.dtype):
            reshaped.append((old, new, f"{show(before.shape)} -> {show(after.shape)}"))
            continue
        filled += trained_values([after])
        if old == new:
            kept.append(new)
        else:
            renamed.append((old, new))
    used = set(source.values())
    return Weights(
        kept=tuple(kept),
        renamed=tuple(renamed),
        reshaped=tuple(reshaped),
        left_only=tuple(name for name in ours if name not in used),
        right_only=tuple(name for name in theirs if name not in source),
        filled=filled,
        params=right.parameters,
    )
