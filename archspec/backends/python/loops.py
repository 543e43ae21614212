"""Layers of a list that are applied one after the other with more than one tensor: as a loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archspec.backends.python.drafts import Statement
from archspec.backends.python.expressions import (
    Code,
    Expression,
    Item,
    Member,
    Value,
    key_of,
    renumbered,
    replaced,
    within,
)

LAYER = Code("layer")
_CARRIED = Code("carried")
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Loop(Expression):
    """`for layer in over: x = item`, from a first value on; `item` is what each turn makes of it."""

    first: Expression
    item: Expression
    over: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """In the order in which they are computed."""
        return self.first, self.item, self.over

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of others."""
        return Loop(*parts)

    @property
    def shape(self) -> tuple[object, ...]:
        """There is one way."""
        return ("loop",)

    def turn(self, name: str) -> Expression:
        """What a turn makes of the value of that name."""
        return replaced(self.item, lambda x: Code(name) if x == _CARRIED else None)


def looped(
    body: Sequence[Statement], reads: Mapping[int, int], reach: Mapping[str, Expression]
) -> list[Statement]:
    """The statements, those that apply all layers of a list in turn as one."""
    lists = _lists(reach)
    found: list[Statement] = []
    place = 0
    while place < len(body):
        made = _loop(body, place, reads, reach, lists)
        if made is None:
            found.append(body[place])
            place += 1
        else:
            found.append(made[0])
            place += made[1]
    return found


def _lists(reach: Mapping[str, Expression]) -> dict[str, int]:
    """The paths of members that are lists, and how long they are."""
    sizes = Counter(path.rpartition(".")[0] for path in reach if "." in path)
    return {
        path: size
        for path, size in sizes.items()
        if size >= _FEWEST and all(f"{path}.{i}" in reach for i in range(size))
    }


def _loop(
    body: Sequence[Statement],
    place: int,
    reads: Mapping[int, int],
    reach: Mapping[str, Expression],
    lists: Mapping[str, int],
) -> tuple[Statement, int] | None:
    """The loop that begins with a statement, and how many statements it stands for."""
    members = [x.path for x in within(body[place].what) if isinstance(x, Member)]
    members = [x for x in members if x.rpartition(".")[0] in lists]
    path, _, last = members[0].rpartition(".") if len(members) == 1 else ("", "", "")
    size = lists.get(path, 0)
    steps = body[place : place + size]
    if last != "0" or len(steps) < size or any(len(step.gives) != 1 for step in steps):
        return None
    between = [step.gives[0] for step in steps[:-1]]
    if any(reads[number] != 1 for number in between):
        return None
    items = [
        replaced(step.what, lambda x, name=f"{path}.{i}": LAYER if x == Member(name) else None)  # type: ignore[misc]
        for i, step in enumerate(steps)
    ]
    turns = {key_of(renumbered(x, {n: _CARRIED})) for x, n in zip(items[1:], between, strict=True)}
    later = renumbered(items[1], {between[0]: _CARRIED})
    firsts = [x.number for x in within(items[0]) if isinstance(x, Value)]
    for number in firsts:
        if firsts.count(number) == 1 and {key_of(renumbered(items[0], {number: _CARRIED}))} == turns:
            over = reach[f"{path}.0"]
            assert isinstance(over, Item)
            return replace(steps[-1], what=Loop(Value(number), later, over.of)), size
    return None
