"""Which step of one network is which of another."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property

from archspec.analyses.hierarchy import below
from archspec.graph import Call, Function, Graph, Node

_MOST_ALIGNED = 2_000  # siblings; to align longer rows takes too long, and their names say enough

Member = Node | int
"""A node, or a scope by its index."""


@dataclass
class Matching:
    """Pairs of nodes that are the same step of both networks, and what is left over."""

    left: Graph
    right: Graph
    nodes: list[tuple[Node, Node]] = field(default_factory=list)
    added: list[Member] = field(default_factory=list)
    removed: list[Member] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    scopes: list[tuple[int, int]] = field(default_factory=list)

    def align(self, left: int, right: int) -> None:
        """Pair the members of two scopes, and those in them."""
        ours, theirs = self.left.members[left], self.right.members[right]
        before, after = name_of(self.left, left), name_of(self.right, right)
        pairs = dict(self.paired(ours, theirs, before, after))
        taken = set(pairs.values())
        for i, member in enumerate(ours):
            if i not in pairs:
                self.removed.append(member)
                continue
            other = theirs[pairs[i]]
            names = name_of(self.left, member), name_of(self.right, other)
            if below(names[0], before) != below(names[1], after):
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
        left = [below(name_of(self.left, member), before) for member in ours]
        right = [below(name_of(self.right, member), after) for member in theirs]
        free_left, free_right = set(range(len(ours))), set(range(len(theirs)))
        found: list[tuple[int, int]] = []

        def pair(i: int, j: int) -> None:
            if i in free_left and j in free_right:
                free_left.remove(i)
                free_right.remove(j)
                found.append((i, j))

        contents = (
            [self.content(0, member) for member in ours],
            [self.content(1, member) for member in theirs],
        )
        where = {label: j for j, label in enumerate(right)}
        # A name that a person gave says which step it is; a number only where the step stands.
        for i, label in enumerate(left):
            j = where.get(label)
            numbered = label.rpartition(".")[2].isdigit()
            if (
                j is not None
                and not numbered
                and kind_of(self.left, ours[i]) == kind_of(self.right, theirs[j])
            ):
                pair(i, j)
        for i, j in _aligned([contents[0][i] for i in sorted(free_left)], [contents[1][j] for j in sorted(free_right)],
                             sorted(free_left), sorted(free_right)):  # fmt: skip
            pair(i, j)
        for i, label in enumerate(left):
            j = where.get(label)
            if j is not None and kind_of(self.left, ours[i]) == kind_of(self.right, theirs[j]):
                pair(i, j)
        return iter(found)

    @cached_property
    def _functions(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For each function of both networks which one it is, apart from the sizes of what comes in."""
        ours = self.left.functions
        theirs = tuple(_shifted(function, len(ours)) for function in self.right.functions)
        both = self.left.with_changes(functions=ours + theirs).alike(lambda function, step: step.op)
        return both[: len(ours)], both[len(ours) :]

    def content(self, side: int, member: Member) -> Hashable:
        """What a member is, apart from its name and from the sizes of what comes in."""
        if isinstance(member, Node):
            return member.op
        graph = (self.left, self.right)[side]
        return self._functions[side][graph.scopes[member].function]


def _shifted(function: Function, by: int) -> Function:
    """A function whose calls are of functions that stand so much later."""
    steps = (
        step.with_changes(function=step.function + by) if isinstance(step, Call) else step
        for step in function.steps
    )
    return function.with_changes(steps=tuple(steps))


def _aligned(
    left: list[Hashable], right: list[Hashable], ours: list[int], theirs: list[int]
) -> Iterator[tuple[int, int]]:
    """Positions of equal items in the longest common row that is found, ends first."""
    start, most = 0, min(len(left), len(right))
    while start < most and left[start] == right[start]:
        yield ours[start], theirs[start]
        start += 1
    end = 0
    while end < most - start and left[-1 - end] == right[-1 - end]:
        yield ours[-1 - end], theirs[-1 - end]
        end += 1
    middle = left[start : len(left) - end], right[start : len(right) - end]
    if max(map(len, middle)) <= _MOST_ALIGNED:
        for block in SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks():
            for k in range(block.size):
                yield ours[start + block.a + k], theirs[start + block.b + k]


def name_of(graph: Graph, member: Member) -> str:
    """The full name of a member."""
    return member.name if isinstance(member, Node) else graph.scopes[member].name


def kind_of(graph: Graph, member: Member) -> str:
    """Its op or its block."""
    return type(member.op).__name__ if isinstance(member, Node) else f"block {graph.scopes[member].block}"
