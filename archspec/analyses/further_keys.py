"""Further keys of weights: what a `state_dict` has under two names, as tied weights and modules that stand in two places are."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.graph import Graph, NameMap, Renaming
from archspec.graph.name_maps import FURTHER
from archspec.ground import codes
from archspec.ground.errors import SpecError


def further_keys(graph: Graph) -> dict[str, str]:
    """The weight that each further key of a network's `state_dict` is of. Raises SpecError where two weights would have one key."""
    found, clash = _read(graph)
    if clash is not None:
        message, rule = clash
        raise SpecError.of(codes.CLAIMED_TWICE, f"{message} (in the spec: {rule.location})")
    return found


def clash_of_further_keys(graph: Graph) -> tuple[str, Renaming] | None:
    """What is wrong with a further key that two weights would have, and the rule that says so."""
    return _read(graph)[1]


def _read(graph: Graph) -> tuple[dict[str, str], tuple[str, Renaming] | None]:
    found: dict[str, str] = {}
    for key, other, rule in _followed(graph, _saved(graph)):
        first = other if other in graph.weights else found.setdefault(other, key)
        if first != key:
            return found, (f"`{other}` would be both `{first}` and `{key}`", rule)
    return found, None


def _saved(graph: Graph) -> list[str]:
    return [key for key, weight in graph.weights.items() if weight.saved]


def unused_further_keys(graph: Graph) -> list[Renaming]:
    """The rules of further keys that are of no weight of a network."""
    used = {id(rule) for _, _, rule in _followed(graph, _saved(graph))}
    return [rule for one in _maps(graph) for rule in one.rules if id(rule) not in used]


def _followed(graph: Graph, saved: list[str]) -> Iterator[tuple[str, str, Renaming]]:
    for one in _maps(graph):
        for path in one.paths:
            below = [key for key in saved if key.startswith(path)]
            for rule in one.rules:
                for key in below:
                    values = rule.ours.values(key[len(path) :])
                    if values is not None:
                        yield key, path + rule.templates[0].filled(values), rule


def _maps(graph: Graph) -> Iterator[NameMap]:
    return (one for one in graph.names if one.title == FURTHER)
