"""Other sizes of a network's inputs than those that it was read for: what its ops say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from archspec.graph import Graph, Node, Ref
from archspec.ground import codes
from archspec.ground.bounds import Assumption, wishes
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import TensorType, show
from archspec.op.inference import infer


class Misfit(NamedTuple):
    """The first step of a network that cannot be applied to what reaches it, and why."""

    node: Node
    given: tuple[TensorType, ...]
    mistake: Mistake


def misfit(graph: Graph, inputs: Sequence[TensorType]) -> Misfit | None:
    """What goes wrong where the inputs of a network are of these types instead of its own; None if nothing does.

    The sizes that differ must be such as nothing in the spec uses as a number, so that the ops' arguments are as they would be.
    """
    declared = graph.types
    found = {Ref(given.name): type_ for given, type_ in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        made = tuple(Ref(node.name, index) for index in range(len(node.types)))
        if all(found[ref] == declared[ref] for ref in node.operands):
            found.update(zip(made, node.types, strict=True))
            continue
        try:
            types, weights = infer(
                node.op,
                tuple([found[ref] for ref in node.inputs]),
                {name: found[ref] for name, ref in node.options.items()},
            )
            for key, weight in graph.weights_of(node).items():
                path = key.removeprefix(f"{node.shares or node.name}.") if key != node.name else ""
                _require_same(path, weight.shape, weights[path].shape if path in weights else weight.shape)
        except Mistake as mistake:
            return Misfit(node, tuple([found[ref] for ref in node.operands]), mistake)
        found.update(zip(made, types, strict=True))
    return None


def _require_same(key: str, have: Sequence[Size], needed: Sequence[Size]) -> None:
    if tuple(have) != tuple(needed):
        what = f"`{key}`" if key else "weight"
        raise Mistake(f"its {what} is {show(have)}, and would have to be {show(needed)}", codes.WEIGHT_SHAPE)


def accepted(graph: Graph) -> dict[tuple[int, int], Assumption] | None:
    """What the ops of a network need of the sizes that its spec does not fix, by input and axis, both counted from 0.

    Where an assumption is not `exact`, some sizes may do that are not what it says. None where nothing can be told of
    each size by itself.
    """
    names: dict[str, tuple[int, int]] = {}
    for index, given in enumerate(graph.inputs):
        if given.uses is None:
            continue
        fixed = {use.axis for use in given.uses}
        for axis, size in enumerate(given.type.shape):
            if isinstance(size, int) and axis not in fixed:
                names[f"free{'x' * len(names)}"] = index, axis
    assumed = {name: Assumption(name) for name in names}
    for _ in range(_MOST_ASSUMPTIONS):
        with wishes() as wished:
            wrong = misfit(graph, _with_sizes(graph, {names[n]: a.size for n, a in assumed.items()}))
        if wrong is None:
            return {place: assumed[name] for name, place in names.items()}
        if not wished or wished[0].most is not None or wished[0].name not in assumed:
            return None
        name, before = wished[0].name, assumed[wished[0].name]
        assumed[name] = replace(before.and_(wished[0]), exact=before.exact and wished[0].exact)
    return None


_MOST_ASSUMPTIONS = 100


def _with_sizes(graph: Graph, sizes: Mapping[tuple[int, int], Size]) -> list[TensorType]:
    """The types of the inputs with other sizes, by input and axis."""
    return [
        given.type.with_shape([sizes.get((index, axis), size) for axis, size in enumerate(given.type.shape)])
        for index, given in enumerate(graph.inputs)
    ]
