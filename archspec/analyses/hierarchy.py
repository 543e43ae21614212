"""The tree of a network: blocks within blocks, with repeats folded."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from archspec.analyses.cost import Cost, Counts, total
from archspec.analyses.rows import Shortened, shortened, whole
from archspec.graph import Graph, Node, Ref
from archspec.ground.brief import brief
from archspec.ground.tensor import TensorType


@dataclass(frozen=True)
class Part:
    """A node, a block or a list of layers, or several equal ones in a row.

    `label` is the name within the enclosing part (`1-5` for five equal ones), `kind` the op or the block, `count` how
    many there are, `cost` that of all of them, `types` the outputs of the last. `alike` is equal for siblings that differ
    only in names, `members` how many of the network that is looked at it is made of. Where blocks alternate, `parts` are those of one period, `span` its length.
    """

    name: str
    label: str
    kind: str
    count: int
    cost: Cost
    inputs: tuple[TensorType, ...]
    types: tuple[TensorType, ...]
    node: Node | None
    alike: Hashable
    open: Callable[[], tuple[Part, ...]]
    members: int = 1
    span: int = 1

    def __repr__(self) -> str:
        count = f"{self.count} x " if self.count > 1 else ""
        return brief(self, f"{self.name}: {count}{self.kind}, {self.cost.brief}")

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The contents of one, found when they are first asked for, so that those of repeats are found once."""
        return self.open()


LONG_ROW = 4  # blocks of one kind with different arguments, which are folded where there is no room for each
MOST_IN_TURN = 4  # the longest period of alternating blocks, so that the search stays linear


@dataclass(frozen=True, slots=True)
class Folding:
    """What is folded: rows of equal parts; `turns` of alternating blocks, such as plain and shifted windows.

    With `chains`, a part joins a row only if it reads the one before it. Without `shapes`, parts are equal if they do the
    same to tensors of different shapes, as dense layers do. Where more than `most` parts of a list would remain, blocks
    of one kind are equal whatever their arguments, as in a net that widens with each block; a first one with other
    steps stays apart.
    """

    repeats: bool = True
    turns: bool = False
    chains: bool = False
    shapes: bool = True
    most: int | None = None


def hierarchy(counts: Counts, *, scope: int = 0, folding: Folding | None = None) -> tuple[Part, ...]:
    """The parts of the model, or of one of its scopes, in order, with repeats folded unless `folding` says otherwise."""
    folding = folding or Folding()
    return _Hierarchy(counts, folding, seen(counts.graph, scope, folding)).parts(scope)


def seen(graph: Graph, scope: int, folding: Folding) -> Shortened:
    """What is looked at of a network to fold it: long rows are cut short, unless a scope of the whole one is asked for."""
    return shortened(graph) if folding.repeats and not scope else whole(graph)


class _Hierarchy:
    def __init__(self, counts: Counts, folding: Folding, seen: Shortened) -> None:
        self.counts, self.folding = counts, folding
        self.graph, self.times = seen
        self.functions = (
            counts.graph.kinds if folding.shapes else counts.graph.alike(lambda function, step: step.op)
        )

    def parts(self, scope: int) -> tuple[Part, ...]:
        """What is in a scope."""
        record, folding = self.graph.scopes[scope], self.folding
        rows: list[list[Part]] = []
        before: Node | int | None = None
        for member in self.graph.members[scope]:
            part = (
                self.leaf(member, record.name)
                if isinstance(member, Node)
                else self.branch(member, record.name)
            )
            goes_on = folding.repeats and rows and _goes_on(rows[-1][-1], part)
            if goes_on and (not folding.chains or self.leads(before, member)):
                rows[-1].append(part)
            else:
                rows.append([part])
            before = member
        found = list(map(_row, rows))
        if folding.turns:
            found = _in_turns(found)
        if folding.most is not None and len(found) > folding.most and not record.block:
            found = _by_kind(found)
            if folding.turns:
                found = _in_turns(found)
        return tuple(found)

    def leaf(self, node: Node, base: str) -> Part:
        """A node within a scope of that name."""
        inputs = self.types(node.operands)
        return Part(
            name=node.name,
            label=below(node.name, base),
            kind=type(node.op).__name__,
            count=1,
            cost=self.cost(node),
            inputs=inputs,
            types=node.types,
            node=node,
            alike=(node.op, (inputs, node.types) if self.folding.shapes else len(inputs), bool(node.shares)),
            open=tuple,
        )

    def branch(self, scope: int, base: str) -> Part:
        """A scope within one of that name."""
        record = self.graph.scopes[scope]
        cost, shares = self.counts.functions[record.function], tuple[bool, ...]()
        if self.has_weights_of_others(scope):
            nodes = list(self.graph.inside(scope))
            costs = (self.cost(node) * (self.times[node.scope] // self.times[scope]) for node in nodes)
            cost, shares = total(costs), tuple(bool(node.shares) for node in nodes)
        label, count = below(record.name, base), self.times[scope] // self.times[record.parent or 0]
        return Part(
            name=record.name,
            label=label if count == 1 else f"{label}-{int(label) + count - 1}",
            kind=record.block,
            count=count,
            cost=cost * count,
            inputs=self.types(record.inputs),
            types=self.types(record.outputs),
            node=None,
            alike=(self.functions[record.function], shares),
            open=partial(self.parts, scope),
        )

    def cost(self, node: Node) -> Cost:
        """The cost of a node."""
        return self.counts.of(self.graph.scopes[node.scope].function, node)

    def has_weights_of_others(self, scope: int) -> bool:
        """Whether layers are handed to a call, or it is a later use of a shared layer, or in one."""
        record = self.graph.scopes[scope]
        return self.graph.functions[record.function].handed > 0 or "@" in record.name

    def types(self, refs: Sequence[Ref]) -> tuple[TensorType, ...]:
        """The types of values."""
        return tuple([self.graph.types[ref] for ref in refs])

    def leads(self, before: Node | int | None, member: Node | int) -> bool:
        """Whether a member reads an output of the one before it."""
        taken = member.operands if isinstance(member, Node) else self.graph.scopes[member].inputs
        if isinstance(before, Node):
            return any(ref.producer == before.name for ref in taken)
        return not set(taken).isdisjoint(self.graph.scopes[before or 0].outputs)


def below(name: str, base: str) -> str:
    """A full name within a scope of that name."""
    return name.removeprefix(f"{base}.") if base else name


def _goes_on(part: Part, following: Part) -> bool:
    """Whether two parts are equal and numbered in sequence: `3` and `4`, `cell_3` and `cell_4`."""
    return part.alike == following.alike and _next_in_number(part, following)


def _next_in_number(part: Part, following: Part) -> bool:
    here, there = _numbered(part.label), _numbered(following.label)
    return here is not None and there is not None and (there[0], there[1]) == (here[0], here[2] + 1)


def _numbered(label: str) -> tuple[str, int, int] | None:
    """A label without its trailing number, and the first and last of its numbers."""
    found = re.fullmatch(r"(.*?)(\d+)(?:-(\d+))?", label)
    return (found[1], int(found[2]), int(found[3] or found[2])) if found else None


def _row(parts: list[Part]) -> Part:
    """Parts numbered in sequence as one."""
    if len(parts) == 1:
        return parts[0]
    head, first, _ = _numbered(parts[0].label) or ("", 0, 0)
    _, _, last = _numbered(parts[-1].label) or ("", 0, 0)
    return replace(
        parts[0],
        label=f"{head}{first}-{last}",
        count=sum(part.count for part in parts),
        members=sum(part.members for part in parts),
        cost=total(part.cost for part in parts),
        types=parts[-1].types,
    )


def _by_kind(parts: list[Part]) -> list[Part]:
    """The same with long rows of blocks of one kind folded; those of equal shapes and steps are alike."""
    rows: list[list[Part]] = []
    for i, part in enumerate(parts):
        before = rows[-1][-1] if rows else None
        goes_on = before is not None and part.node is None and part.kind == before.kind != ""
        if goes_on and before and _next_in_number(before, part) and not _is_odd(parts, i - 1):
            rows[-1].append(part)
        else:
            rows.append([part])
    found: list[Part] = []
    for row in rows:
        if len(row) >= LONG_ROW:
            row = [_row(row)]
        found += [
            replace(part, alike=(part.kind, made_of(part), part.inputs, part.types))
            if part.node is None
            else part
            for part in row
        ]
    return found


def _is_odd(parts: list[Part], i: int) -> bool:
    """Whether a part is the first of its kind, and has other steps than the next."""
    first = i == 0 or parts[i - 1].kind != parts[i].kind
    return first and made_of(parts[i]) != made_of(parts[i + 1])


def made_of(part: Part) -> Hashable:
    """The kinds of a part's contents, in order; a row of equal ones counts once."""
    return tuple((inner.kind, made_of(inner)) for inner in part.parts)


def _in_turns(parts: list[Part]) -> list[Part]:
    """The same with alternating blocks folded: `0` to `5` of two kinds are one part with a count of three."""
    found: list[Part] = []
    start = 0
    while start < len(parts):
        turn, times = _turns(parts, start)
        taken = parts[start : start + turn * times]
        start += turn * times
        if times == 1:
            found += taken
            continue
        first, last = taken[0], _numbered(taken[-1].label)
        found.append(
            replace(
                first,
                label=f"{first.label}-{last[2] if last else ''}",
                kind="",
                count=times,
                cost=total(part.cost for part in taken),
                types=taken[-1].types,
                open=partial(tuple, taken[:turn]),
                alike=tuple(part.alike for part in taken[:turn]),
                members=len(taken),
                span=turn,
            )
        )
    return found


def _turns(parts: list[Part], start: int) -> tuple[int, int]:
    """The period of the blocks that alternate from here on, and the number of periods; 1 and 1 if they do not."""
    for turn in range(2, MOST_IN_TURN + 1):
        end = start + turn
        while end < len(parts) and _takes_turn(parts, end, turn):
            end += 1
        times = (end - start) // turn
        if times > 1 and all(_follows(parts, i) for i in range(start + 1, start + turn)):
            return turn, times
    return 1, 1


def _takes_turn(parts: list[Part], i: int, turn: int) -> bool:
    return _follows(parts, i) and parts[i].alike == parts[i - turn].alike


def _follows(parts: list[Part], i: int) -> bool:
    """Whether a part and the one before it are blocks numbered in sequence."""
    pair = parts[i - 1], parts[i]
    return all(part.kind and part.node is None and part.count == 1 for part in pair) and _next_in_number(
        *pair
    )
