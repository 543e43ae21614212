"""Steps as names: where the step stands that `u.conv` or `u["layer1.0"]` means, and where it is spoken of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archspec.editing.analysis import Analysis
from archspec.editing.looking_up import path_of, value_of
from archspec.editing.names import Symbol
from archspec.editing.places import scope_at, word_at
from archspec.editing.seeing import Sighting
from archspec.elaboration.values import Outputs, Tensor
from archspec.graph import Call
from archspec.ground.source import Location, Span
from archspec.syntax import tree as t

_FARTHEST = 1000  # letters before a place that are looked at
_USE = re.compile(
    r"""(?<![\w.])([A-Za-z_]\w*)((?:\.\w+|\[(?:"[^"\n]*"|'[^'\n]*'|\d+)\])*(?:\.\w+|\[["'][\w.]+))$"""
)
_MENTION = r"(?<=[.\[\"']){}(?!\w)"


@dataclass(frozen=True)
class StepPlace:
    """Where a step stands: the file, and its name, or its layer where it has none."""

    path: Path
    span: Span


def step_meant(analysis: Analysis, offset: int) -> StepPlace | None:
    """Where the step stands that the word at an offset means behind a dot or in brackets; None where it means none."""
    text = analysis.text
    end = word_at(text, offset)[1]
    found = _USE.search(text[max(0, end - _FARTHEST) : end])
    return _down(analysis, found[1], re.findall(r"\w+", found[2]), offset) if found else None


def step_named(analysis: Analysis, offset: int) -> StepPlace | None:
    """The step whose name stands at an offset."""
    for node in analysis.file.nodes:
        label = node.label if isinstance(node, t.Step | t.Item) else None
        if label is not None and label.span.start <= offset <= label.span.end:
            return StepPlace(analysis.path.resolve(), label.span)
    return None


def mentions(analysis: Analysis, place: StepPlace) -> Iterator[Span]:
    """Where a file speaks of a step: its name, and behind what its block gave."""
    if analysis.path.resolve() == place.path:
        yield place.span
    word = place.span.text.strip("\"'")
    for found in re.finditer(_MENTION.format(re.escape(word)), analysis.text):
        if step_meant(analysis, found.end()) == place:
            yield Span(analysis.source, found.start(), found.end())


def _down(analysis: Analysis, name: str, path: list[str], offset: int) -> StepPlace | None:
    """The step that a path leads to below what a name means."""
    scope = scope_at(analysis.file, offset)
    given = value_of(analysis, Symbol(name, scope), offset)
    if isinstance(given, Outputs) and given:
        given = given[0]
    if not isinstance(given, Tensor) or scope is None:
        return None
    for sighting in _within(analysis, scope.span.start):
        step = next((s for s in sighting.frame.steps if s.name == given.ref.producer), None)
        if step is None:
            continue
        inner, prefix = step, ""
        for part in path:
            if not isinstance(step, Call):
                return None
            prefix = f"{prefix}.{part}" if prefix else part
            steps = sighting.network.functions[step.function].steps
            # Of a list with a name, its steps alone are steps.
            here = (s for s in steps if s.name == prefix or s.name.startswith(f"{prefix}."))
            found = next(here, None)
            if found is None:
                return None
            inner = found
            if inner.name == prefix:
                step, prefix = inner, ""
        return _written(analysis, inner.location, path[-1])
    return None


def _within(analysis: Analysis, start: int) -> Iterator[Sighting]:
    for span, sightings in analysis.seen.applied.items():
        if span.start >= start:
            yield from sightings


def _written(analysis: Analysis, location: Location, name: str) -> StepPlace | None:
    """The name of a step that is applied at a location; its layer where that has none."""
    for module in analysis.module.with_imports() if analysis.module is not None else ():
        source = module.file.source
        if source.name != location.file:
            continue
        lines = source.text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: location.line - 1]) + location.column - 1
        path = analysis.path if source is analysis.source else path_of(analysis, source.path)
        around = [
            node
            for node in module.file.nodes
            if isinstance(node, t.Step | t.Item) and node.span.start <= offset <= node.span.end
        ]
        for node in sorted(around, key=lambda node: node.span.end - node.span.start):
            if node.label is not None and node.label.span.text.strip("\"'") == name:
                return StepPlace(path.resolve(), node.label.span)
            layer = node.layer if isinstance(node, t.Step) else node.value
            if name.isdigit() and isinstance(layer, t.ListOf) and int(name) < len(layer.items):
                offset = layer.items[int(name)].value.span.start
                break
        start, end = word_at(source.text, offset)
        return StepPlace(path.resolve(), Span(source, start, end))
    return None
