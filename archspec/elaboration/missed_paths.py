"""Paths in `defaults` that met no step: what is wrong about one, and which is near."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from archspec.elaboration.defaults import Edit, fits
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import Near, Problem, suggest
from archspec.ops.weights import Constant, Own, Tied

_MOST_STEPS = 100_000
_MOST_NAMES = 8


def missed_path(edit: Edit, prefix: str, graph: Graph, *, outdone: bool) -> Problem:
    """The problem of an edit that has no effect, stated for the block whose steps have names that begin so.

    It may be `outdone` by rules beside it, else it met no step.
    """
    where = f"{graph.name}, below `{prefix.rstrip('.')}`" if prefix else graph.name
    found = {name: layer for name, layer in _steps(graph, prefix) if name}
    forms = frozenset({edit.path})
    met = [name for name in found if fits(forms, name)]
    if outdone:
        message = f'a rule further down says what stands in the place of each "{edit.path}"'
        help_ = "of several in one place, the last one counts: put exceptions below"
    elif not met:
        message, help_ = f'no step "{edit.path}" in {where}', _near(edit.path, list(found))
    elif all(not found[name] for name in met):
        message = f'"{edit.path}" is no layer in {where}, but a weight of the block itself'
        help_ = "an edit can replace what applies a layer, or insert a layer beside it"
    else:
        message = f'"{edit.path}" leads into a layer that these `defaults` bring to {where}'
        help_ = "say it in that layer: a rule is not applied to what another one beside it brings"
    return Problem(codes.NO_STEP, message, edit.span, help=help_)


def _steps(graph: Graph, prefix: str) -> Iterator[tuple[str, bool]]:
    """The paths of the steps below a block, each with whether it applies a layer."""
    for scope in graph.scopes:
        if scope.name.startswith(prefix):
            yield scope.name.removeprefix(prefix), True
    for node in islice(graph.nodes, _MOST_STEPS):
        if node.name.startswith(prefix):
            yield node.name.removeprefix(prefix), not isinstance(node.op, Own | Constant | Tied)


def _near(path: str, known: list[str]) -> str:
    """The help for a path that is none: the same with its first wrong part mended, or else the names that there are."""
    deeper = f"*.{path}"
    if any(fits(frozenset({deeper}), name) for name in known):
        return Near(path, deeper)
    parts = path.split(".")
    for end, part in enumerate(parts):
        begun = followers(parts[:end], known)
        right = [name for name in begun if _matches(part, name)]
        if right and end + 1 < len(parts):
            continue
        near = _nearest(part, begun)
        if near:
            mended = ".".join([*parts[:end], near, *parts[end + 1 :]])
            if any(fits(frozenset({mended}), name) for name in known):
                return Near(path, mended)
        if not begun:
            return f"`{'.'.join(parts[:end])}` has no steps"
        listed = ", ".join(f"`{name}`" for name in begun[:_MOST_NAMES])
        more = ", ..." if len(begun) > _MOST_NAMES else ""
        inside = f" in `{'.'.join(parts[:end])}`" if end else ""
        return f"the steps{inside} are {listed}{more}"
    return ""


def followers(parts: list[str], known: Iterable[str]) -> list[str]:
    """The parts of paths that follow these, in which `*` stands for any letters, each once."""
    found: dict[str, None] = {}
    for name in known:
        own = name.split(".")
        if len(own) > len(parts) and all(map(_matches, parts, own)):
            found[own[len(parts)]] = None
    return list(found)


def _matches(form: str, part: str) -> bool:
    return re.fullmatch(form.replace("*", ".*"), part) is not None


def _nearest(part: str, known: list[str]) -> str:
    """The name that a part is near, with its `*` kept at the end."""
    near = suggest(part.strip("*") or part, [name for name in known if not _matches(part, name)])
    if not isinstance(near, Near):
        return ""
    return near.right + "*" * part.endswith("*")
