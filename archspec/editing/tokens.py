"""What the words of a file are, for colours that a grammar alone cannot tell: ops, blocks, parameters, steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archspec.editing.analysis import Analysis
from archspec.editing.looking_up import home_of
from archspec.editing.names import Occurrence
from archspec.elaboration.values import Function, OpLayer
from archspec.elaboration.vocabulary import builtin
from archspec.syntax import tree as t

TYPES = ("class", "struct", "function", "parameter", "variable", "property", "namespace", "type")
MODIFIERS = ("declaration", "defaultLibrary")


class Token(NamedTuple):
    """A word: where it stands, what it is, and how."""

    start: int
    end: int
    type: str
    modifiers: tuple[str, ...] = ()


def tokens(analysis: Analysis) -> list[Token]:
    """The words of a file, in order, none over another."""
    found: dict[int, Token] = {}
    for token in (*_names(analysis), *_others(analysis)):
        found.setdefault(token.start, token)
    ordered: list[Token] = []
    for start in sorted(found):
        if not ordered or start >= ordered[-1].end:
            ordered.append(found[start])
    return ordered


def _names(analysis: Analysis) -> Iterator[Token]:
    kinds: dict[str, tuple[str, tuple[str, ...]]] = {}
    for occurrence in analysis.names.occurrences:
        start, end = occurrence.span[1:]
        if occurrence.of:
            yield Token(start, end, "property")
            continue
        kind, modifiers = _kind(analysis, occurrence, kinds)
        if kind:
            yield Token(start, end, kind, (*modifiers, *(("declaration",) if occurrence.binds else ())))
    for imported in analysis.names.imported:
        home = home_of(analysis, imported.imported.alias)
        yield Token(*imported.span[1:], "struct" if home else "variable")


def _kind(
    analysis: Analysis, occurrence: Occurrence, known: dict[str, tuple[str, tuple[str, ...]]]
) -> tuple[str, tuple[str, ...]]:
    symbol = occurrence.symbol
    if symbol.owner is not None:
        parameter = symbol.within is None and any(p.name == symbol.name for p in symbol.owner.parameters)
        return "parameter" if parameter else "variable", ()
    if symbol.name not in known:
        known[symbol.name] = _kind_at_top(analysis, symbol.name)
    return known[symbol.name]


def _kind_at_top(analysis: Analysis, name: str) -> tuple[str, tuple[str, ...]]:
    home = home_of(analysis, name)
    if home is not None:
        return "function" if isinstance(home.definition, t.FunctionDefinition) else "struct", ()
    if name in analysis.names.top:
        return "variable", ()
    match builtin(name):
        case OpLayer():
            return "class", ("defaultLibrary",)
        case Function() | type():
            return "function", ("defaultLibrary",)
    return "", ()


def _others(analysis: Analysis) -> Iterator[Token]:
    """The names of steps, what stands behind dots, types."""
    for node in analysis.file.nodes:
        match node:
            case t.Step(label=t.Text(span=span)) | t.Item(label=t.Text(span=span)):
                yield Token(span.start, span.end, "property", ("declaration",))
            case t.Attribute(span=span, name=name):
                yield Token(span.end - len(name), span.end, "property")
            case t.TypeName(span=span, name=name):
                yield Token(span.start, span.start + len(name), "type")
