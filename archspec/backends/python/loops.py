"""Layers of a list that are applied one after the other with more than one tensor: as a loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archspec.backends.python import expressions as py
from archspec.backends.python.drafts import Statement

LAYER = py.Code("layer")
_CARRIED = py.Code("carried")
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Loop(py.Expression):
    """`for layer in over: x = item`, from a first value on; `item` is what each turn makes of it."""

    first: py.Expression
    item: py.Expression
    over: py.Expression

    def turn(self, name: str) -> py.Expression:
        """What a turn makes of the value of that name."""
        return py.replaced(self.item, lambda x: py.Code(name) if x == _CARRIED else None)


def looped(
    body: Sequence[Statement], reads: Mapping[int, int], reach: Mapping[str, py.Expression]
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


def _lists(reach: Mapping[str, py.Expression]) -> dict[str, int]:
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
    reach: Mapping[str, py.Expression],
    lists: Mapping[str, int],
) -> tuple[Statement, int] | None:
    """The loop that begins with a statement, and how many statements it stands for."""
    members = [x.path for x in py.within(body[place].what) if isinstance(x, py.Member)]
    members = [x for x in members if x.rpartition(".")[0] in lists]
    path, _, last = members[0].rpartition(".") if len(members) == 1 else ("", "", "")
    size = lists.get(path, 0)
    steps = body[place : place + size]
    if last != "0" or len(steps) < size or any(len(step.gives) != 1 or step.condition for step in steps):
        return None
    between = [step.gives[0] for step in steps[:-1]]
    if any(reads[number] != 1 for number in between):
        return None
    items = [
        py.replaced(step.what, lambda x, name=f"{path}.{i}": LAYER if x == py.Member(name) else None)  # type: ignore[misc]
        for i, step in enumerate(steps)
    ]
    turns = {py.key_of(py.renumbered(x, {n: _CARRIED})) for x, n in zip(items[1:], between, strict=True)}
    later = py.renumbered(items[1], {between[0]: _CARRIED})
    firsts = [x.number for x in py.within(items[0]) if isinstance(x, py.Value)]
    for number in firsts:
        if firsts.count(number) == 1 and {py.key_of(py.renumbered(items[0], {number: _CARRIED}))} == turns:
            over = reach[f"{path}.0"]
            assert isinstance(over, py.Item)
            return replace(steps[-1], what=Loop(py.Value(number), later, over.of)), size
    return None
