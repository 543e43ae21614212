"""What differs between two networks: in structure, in cost, and in the weights that carry over."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.analyses.carried_weights import Weights, carried_weights
from archspec.analyses.changes import (
    Change,
    Piece,
    Sides,
    changes_of_blocks,
    changes_of_nodes,
    differing,
    piece_of,
    scopes_inside,
)
from archspec.analyses.matching import Matching
from archspec.analyses.quantities import shown_in
from archspec.analyses.summary import Summary
from archspec.graph import Graph
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake


@dataclass(frozen=True)
class Difference:
    """All that differs between a network on the left and one on the right."""

    left: Graph
    right: Graph
    settings: dict[str, Sides]
    inputs: tuple[Sides, ...]
    outputs: tuple[Sides, ...]
    added: tuple[Piece, ...]
    removed: tuple[Piece, ...]
    changed: tuple[Change, ...]
    renamed: tuple[tuple[str, str], ...]  # outermost blocks and nodes that are the same under another name
    reshaped: tuple[str, ...]  # nodes that are the same but for the shapes that come to them
    cost: dict[str, tuple[int, int] | None]  # None where it depends on a free size
    weights: Weights

    def __repr__(self) -> str:
        """The two networks, and how much differs between them."""
        found = f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
        names = f"{self.left.name} -> {self.right.name}"
        return brief(
            self, f"{names}: {'the same network' if self.same else f'{found}, {len(self.renamed)} renamed'}"
        )

    def _repr_html_(self) -> str:
        from archspec.analyses.notebook import difference_table

        return difference_table(self)

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
    matching = Matching(left, right)
    matching.align(0, 0)
    pairs = matching.nodes
    partner = {b.name: a.name for a, b in pairs}
    blocks = changes_of_blocks(left, right, matching.scopes)
    inside = scopes_inside(right, {name for change in blocks for name in change.names})
    changed, reshaped = changes_of_nodes(left, right, pairs, partner, inside)
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
        added=tuple(piece_of(right, member) for member in matching.added),
        removed=tuple(piece_of(left, member) for member in matching.removed),
        changed=(*blocks, *changed),
        renamed=tuple(matching.renamed),
        reshaped=reshaped,
        cost=_costs(left, right),
        weights=carried_weights(left, right, pairs),
    )


def _settings(left: Graph, right: Graph) -> dict[str, Sides]:
    """The arguments of the two models that differ."""
    model: dict[str, Sides] = {} if left.name == right.name else {"model": (left.name, right.name)}
    return model | differing(left.arguments, right.arguments)


def _ends(left: list[str], right: list[str]) -> tuple[Sides, ...]:
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
