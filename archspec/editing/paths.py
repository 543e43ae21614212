"""Paths of steps in `defaults`, while one is written: `"layer4.` goes on with the names of the steps there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from archspec.editing.analysis import Analysis, analyse
from archspec.editing.candidates import FARTHEST, Completion
from archspec.editing.places import Scope
from archspec.elaboration.made import Made
from archspec.elaboration.missed_paths import followers
from archspec.graph import Graph
from archspec.syntax import tree as t

_RULE = re.compile(r"[ \t]+(?:\S.*->[ \t]*)?")
_HEADER = re.compile(r"[ \t]*defaults[ \t]*:[ \t]*(?:#.*)?")
_MOST_PATHS = 20_000


def in_rules(analysis: Analysis, text: str, opened: int, start: int) -> Iterator[Completion] | None:
    """The steps that a path can go on with whose string is opened at one offset, its last word at another; None where it is no path."""
    line_start = text.rfind("\n", 0, opened) + 1
    if not _RULE.fullmatch(text[max(line_start, opened - FARTHEST) : opened]):
        return None
    lines, number = text.split("\n"), text.count("\n", 0, opened)
    header = _header(lines, number)
    return None if header is None else _steps(analysis, lines, header, number, text[opened + 1 : start])


def _header(lines: list[str], number: int) -> int | None:
    """The line `defaults:` below which a line stands; None where it stands below none."""
    depth = _depth(lines[number])
    around = (i for i in range(number - 1, -1, -1) if _says(lines[i]) and _depth(lines[i]) < depth)
    first = next(around, None)
    return first if first is not None and _HEADER.fullmatch(lines[first]) else None


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _steps(
    analysis: Analysis, lines: list[str], header: int, number: int, written: str
) -> Iterator[Completion]:
    """The names that a path may go on with: those of the network as it is without the rule that is being written."""
    if written and not written.endswith("."):
        return
    depth = _depth(lines[header])
    below = range(header + 1, len(lines))
    end = next((i for i in below if _says(lines[i]) and _depth(lines[i]) <= depth), len(lines))
    others = [i for i in range(header + 1, end) if i != number and _says(lines[i])]
    # Lines are emptied, so that all others stay where they are.
    left_out = {number} if others else {header, number}
    without = "\n".join("" if i in left_out else line for i, line in enumerate(lines))
    known = analyse(without, analysis.path, texts=analysis.texts)
    parts = written.split(".")[:-1]
    offered: set[str] = set()
    for paths in _networks(
        known, sum(len(line) + 1 for line in without.split("\n")[:header]), at_top=not depth
    ):
        for name in followers(parts, paths):
            if name not in offered and "@" not in name:
                offered.add(name)
                yield Completion(name, "step", rank=3)


def _networks(known: Analysis, place: int, *, at_top: bool) -> Iterator[list[str]]:
    """The paths of steps of each network that a rule at a place is about: of the model or block around it, or of all models."""
    definitions = [d for d in known.file.statements if isinstance(d, Scope)]
    around = [d for d in definitions if d.span.start <= place]
    if at_top or not around:
        yield from map(_paths, known.graphs.values())
        return
    scope = around[-1]
    graph = known.graphs.get(scope.name)
    if isinstance(scope, t.Definition) and graph is not None:
        yield _paths(graph)
        return
    end = next((d.span.start for d in definitions if d.span.start > scope.span.start), len(known.text))
    frame = next((f for span, f in known.seen.frames.items() if scope.span.start <= span.start < end), None)
    if frame is not None:
        yield list(_below(frame.made, ""))


def _paths(graph: Graph) -> list[str]:
    names = [scope.name for scope in graph.scopes if scope.name]
    return [*names, *(node.name for node in graph.nodes)][:_MOST_PATHS]


def _below(made: Mapping[str, Made], prefix: str) -> Iterator[str]:
    for name, found in made.items():
        yield f"{prefix}{name}"
        yield from _below(found.inside, f"{prefix}{name}.")
