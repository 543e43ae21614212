"""A `state_dict` of someone else under a network's own names, as `load_state_dict` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from archspec.backends.weights.files import from_mapping
from archspec.backends.weights.names import batch_counts, match_names
from archspec.backends.weights.plan import Line, carried_out, shapes_of
from archspec.graph import Graph
from archspec.ground.errors import SpecError


def own_state(network: nn.Module, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was given, under the names that the network has now; as it is where no more of it would be the network's.

    Raises SpecError when the weights are there twice, or two maps of names explain them.
    """
    graph: Graph = network.meta["archspec"]  # type: ignore[assignment, index]
    if (
        not isinstance(given, Mapping)
        or {n for n, weight in graph.weights.items() if weight.saved} == given.keys()
    ):
        return given  # hooks of `state_dict` need not run
    own = dict(network.state_dict())
    counters = batch_counts(graph) & own.keys()
    if own.keys() <= given.keys():
        return given
    if own.keys() - counters <= given.keys():
        return dict(given)  # without the version of the norms, PyTorch takes what has no counts
    try:
        held = from_mapping(given).tensors
    except SpecError:  # PyTorch says what is wrong
        return given
    found = match_names(graph, own.keys() - counters, own.keys(), shapes_of(held))
    if len(found.origins.keys() & own.keys()) <= len(own.keys() & given.keys()):
        return given
    made: dict[str, Tensor] = {
        name: carried_out(Line("adapted", name, origin.keys, origin.changes), held)
        for name, origin in found.origins.items()
    }
    left = (key for key in found.left if key not in found.dropped and key not in made)
    return {**made, **{key: held[key] for key in left}}
