"""Weights of someone else under a network's own names, as `load_state_dict` takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from archspec.analyses.renaming import all_names
from archspec.backends.weights.files import WeightFile, from_mapping, open_weights
from archspec.backends.weights.further import first_keys_alone
from archspec.backends.weights.holding import REAL, masks, unusable
from archspec.backends.weights.names import batch_counts, match, match_names
from archspec.backends.weights.plan import Line, WeightPlan, carried_out, shapes_of
from archspec.backends.weights.planning import plan_of
from archspec.graph import Graph
from archspec.ground.errors import SpecError
from archspec.ground.warned import warn_all


def own_state(
    network: nn.Module,
    given: Any,
    *,
    names: str | None = None,
    strict: bool = True,
    nonfinite: bool = False,
) -> Any:
    """What was given, a mapping or the path of a file, under the names that the network has now; a mapping as it is where no more
    of it would be the network's.

    A file, and keys that `names` are for, are read by the plan that `archspec.load` follows, unless the network was changed.

    Raises SpecError when that plan refuses them, when the weights are there twice or two maps of names explain them, and when
    numbers are infinite or none, unless `nonfinite` lets these in.
    """
    graph: Graph = network.meta["archspec"]  # type: ignore[assignment, index]
    file = None
    if isinstance(given, str | os.PathLike | list | tuple) or names is not None:
        file = open_weights(given)
        file = replace(file, tensors=first_keys_alone(graph, file.tensors))
        if _is_as_read(network, graph):
            return _by_plan(network, graph, file, names, strict=strict, nonfinite=nonfinite)
        given = file.tensors
    made = _under_own_names(network, graph, given, names)
    if not nonfinite and isinstance(made, Mapping):
        _require_finite(graph, made, file.name if file else "the mapping")
    return made


def _is_as_read(network: nn.Module, graph: Graph) -> bool:
    """Whether a network has the weights of its graph, and no others."""
    own = shapes_of(_own(network))
    return own == {name: weight.shape for name, weight in graph.weights.items() if weight.saved}


def _own(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network, each under its first key."""
    further = getattr(network, "further_keys", ())
    return {name: tensor for name, tensor in network.state_dict().items() if name not in further}


def _by_plan(
    network: nn.Module, graph: Graph, file: WeightFile, names: str | None, *, strict: bool, nonfinite: bool
) -> dict[str, Tensor]:
    """The weights that a plan makes of a file. Unless it has to fit, what nothing needs is among them, for PyTorch to name."""
    real = {tensor.dtype for tensor in network.state_dict().values()} & set(REAL)
    dtype = real.pop() if len(real) == 1 else None  # as the network may have been cast
    plan = plan_of(graph, file, dtype=dtype, nonfinite=nonfinite, names=names)
    if strict:
        plan.require_fit()
    plan.require_finite()
    if not plan.fits:
        warn_all([plan.problem()])
    unused = [line.sources[0] for line in plan.wrong if line.fate == "unused"]
    return {**plan.tensors(file.tensors, {}), **{key: file.tensors[key] for key in unused}}


def _require_finite(graph: Graph, state: Mapping[Any, Any], name: str) -> None:
    """SpecError when one of the network's weights holds numbers that are infinite or none; tensors that are not plain are PyTorch's."""
    infinite = masks(graph)
    lines = [
        Line("as it is", key, (key,), holds=unusable(tensor, infinite=key in infinite))
        for key, tensor in state.items()
        if type(tensor) in (Tensor, nn.Parameter)
        if tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    ]
    WeightPlan(graph.name, name, tuple(lines)).require_finite()


def _under_own_names(
    network: nn.Module, graph: Graph, given: Mapping[str, Any], names: str | None
) -> Mapping[str, Any]:
    """A mapping under the names that a network has now, whatever was done to it."""
    if (
        not isinstance(given, Mapping)
        or {n for n, weight in graph.weights.items() if weight.saved} == given.keys()
    ):
        return given  # hooks of `state_dict` need not run
    given = first_keys_alone(graph, given)
    own = _own(network)
    counters = batch_counts(graph) & own.keys()
    if own.keys() <= given.keys():
        ignored = any(
            all(names.ignored(key) is not None for key in given.keys() - own.keys())
            for names in all_names(graph)
        )
        return {key: given[key] for key in own} if ignored else given
    if own.keys() - counters <= given.keys():
        return dict(given)  # without the version of the norms, PyTorch takes what has no counts
    try:
        held = from_mapping(given).tensors
    except SpecError:  # PyTorch says what is wrong
        return given
    if names is not None:
        found = match(graph, shapes_of(held), title=names)
    else:
        found = match_names(graph, own.keys() - counters, own.keys(), shapes_of(held))
    if len(found.origins.keys() & own.keys()) <= len(own.keys() & given.keys()):
        return given
    made: dict[str, Tensor] = {
        name: carried_out(Line("adapted", name, origin.keys, origin.changes), held)
        for name, origin in found.origins.items()
    }
    left = (key for key in found.left if key not in found.dropped and key not in made)
    return {**made, **{key: held[key] for key in left}}
