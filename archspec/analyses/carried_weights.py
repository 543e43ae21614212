"""Which weights of one network another can take."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.analyses.formatting import short
from archspec.analyses.positions import tables
from archspec.graph import Graph, Node
from archspec.ground.brief import brief
from archspec.ground.tensor import show
from archspec.op import trained_values


@dataclass(frozen=True)
class Weights:
    """What becomes of the `state_dict`: each entry is (key on the left, key on the right).

    `kept` carry over under their key, `renamed` under another, `reshaped` have another shape or dtype, or are tables of
    positions of another grid, 2 x 8 and not 4 x 4.
    """

    kept: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    reshaped: tuple[tuple[str, str, str], ...]
    left_only: tuple[str, ...]
    right_only: tuple[str, ...]
    filled: int  # trained values of the right network that come from the left one
    params: int  # trained values of the right network

    def __repr__(self) -> str:
        lists = ("kept", "renamed", "reshaped", "left_only", "right_only")
        counted = ", ".join(f"{len(getattr(self, name))} {name}" for name in lists)
        return brief(
            self, f"{counted}: {short(self.filled)} of {short(self.params)} trained values carry over"
        )


def carried_weights(left: Graph, right: Graph, pairs: list[tuple[Node, Node]]) -> Weights:
    """The weights that carry over: by the node that they belong to where that has a partner, else by their key."""
    ours = {name: weight for name, weight in left.weights.items() if weight.saved}
    theirs = {name: weight for name, weight in right.weights.items() if weight.saved}
    source: dict[str, str] = {}
    for a, b in pairs:
        for key in right.weights_of(b):
            new, old = (f"{node.name}.{key}" if key else node.name for node in (b, a))
            if new in theirs and old in ours:
                source[new] = old
    old_tables, new_tables = tables(left), tables(right)
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
        if old in old_tables and new in new_tables and old_tables[old] != new_tables[new]:
            reshaped.append((old, new, f"{old_tables[old]} -> {new_tables[new]}"))
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
