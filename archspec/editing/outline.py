"""The outline of a file: its definitions with what they declare, and what can be folded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from archspec.editing.describing import head
from archspec.editing.names import place_of
from archspec.editing.places import end_of
from archspec.ground.source import Span
from archspec.syntax import tree as t

Kind = Literal["model", "block", "function", "value", "input", "weight", "step", "claims", "names"]

_MOST_LETTERS = 100


@dataclass(frozen=True)
class Entry:
    """Something that a file defines: its name, where that stands, all that belongs to it, and what it declares."""

    name: str
    kind: Kind
    detail: str
    place: Span
    whole: Span
    inner: tuple[Entry, ...] = ()


def outline(file: t.File) -> list[Entry]:
    """What a file defines, in order."""
    return [entry for statement in file.statements for entry in _entries(statement)]


def _entries(statement: t.Statement) -> Iterator[Entry]:
    source, start, end = statement.span
    whole = Span(source, start, end_of(statement))
    match statement:
        case t.Definition(name=name):
            place = Span(source, end - len(name), end)
            yield Entry(
                name, statement.kind, _short(head(statement)), place, whole, tuple(_inside(statement))
            )
        case t.FunctionDefinition(name=name):
            place = Span(source, end - len(name), end)
            yield Entry(name, "function", _short(head(statement)), place, whole)
        case t.Claims(model=model):
            yield Entry(f"claims {model}", "claims", statement.source, statement.span, whole)
        case t.Names(model=model):
            yield Entry(f"names {model}", "names", statement.title, statement.span, whole)
        case t.Assign(target=t.Target(name=str(name), span=span), value=value):
            yield Entry(name, "value", _short(value.span.text), span, whole)


def _inside(definition: t.Definition) -> Iterator[Entry]:
    """The inputs, weights and named steps of a block."""
    for node in definition.nodes:
        match node:
            case t.Input(name=name):
                yield Entry(name, "input", _short(node.span.text), place_of(node, name), node.span)
            case t.Own(name=name) | t.Shared(name=name):
                yield Entry(name, "weight", _short(node.span.text), place_of(node, name), node.span)
            case t.Step(label=t.Text(span=span) as label, layer=layer):
                yield Entry(
                    label.literal or span.text.strip("\"'"), "step", _short(layer.span.text), span, node.span
                )
            case t.Item(label=t.Text(span=span) as label, value=value):
                yield Entry(
                    label.literal or span.text.strip("\"'"), "step", _short(value.span.text), span, node.span
                )


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


@dataclass(frozen=True)
class Fold:
    """Lines that can be folded away, counted from 1; the first of them stays."""

    first: int
    last: int
    kind: Literal["comment", "imports", "region"]


def folds(file: t.File) -> list[Fold]:
    """What can be folded: blocks, branches and loops, what brackets hold over several lines, comments and imports in a row."""
    found: dict[int, Fold] = {}
    position = file.source.position
    for statement in (file, *file.nodes):
        for start, end, kind in _foldable(statement):
            first, last = position(start)[0], position(end)[0]
            if last > first and (first not in found or found[first].last < last):
                found[first] = Fold(first, last, kind)
    for lines, kind in (
        ([position(c.span.start)[0] for c in file.comments if _alone(c)], "comment"),
        ([position(s.span.start)[0] for s in file.statements if isinstance(s, t.Import)], "imports"),
    ):
        for first, last in _rows(lines):
            if last > first:
                found.setdefault(first, Fold(first, last, "comment" if kind == "comment" else "imports"))
    return [found[first] for first in sorted(found)]


def _foldable(node: t.Tree) -> Iterator[tuple[int, int, Literal["comment", "region"]]]:
    match node:
        case t.Definition() | t.FunctionDefinition() | t.For() | t.Branch():
            yield node.span.start, max([node.span.end, *(part.span.end for part in node.nodes)]), "region"
        case t.Claims(claims=claims) if claims:
            yield node.span.start, claims[-1].span.end, "region"
        case t.Defaults(rules=rules) | t.Names(rules=rules) if rules:
            yield node.span.start, rules[-1].span.end, "region"
        case t.ListOf() | t.Call() | t.TupleOf() | t.Comprehension() | t.Chain():
            yield node.span.start, node.span.end, "region"
        case t.Docstring():
            yield node.span.start, node.span.end, "comment"


def _alone(comment: t.Comment) -> bool:
    """Whether nothing stands before a comment in its line."""
    source, start, _ = comment.span
    return not source.text[source.text.rfind("\n", 0, start) + 1 : start].strip()


def _rows(lines: list[int]) -> Iterator[tuple[int, int]]:
    """The first and last of the numbers that follow each other."""
    start = 0
    for i, line in enumerate(lines):
        if i + 1 == len(lines) or lines[i + 1] != line + 1:
            yield lines[start], line
            start = i + 1
