"""The names of a file: where each is bound and used, told from its tree alone."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from archspec.editing.places import Scope
from archspec.elaboration.binding import bound_by, targets
from archspec.ground.source import Span
from archspec.syntax import tree as t


@dataclass(frozen=True)
class Symbol:
    """What a name means in a file: a name of the file, or of the block, model or function that binds it.

    `owner` is that definition; None for a name of the file, and for one that the file does not bind. A comprehension's names
    are its own: `within` is its place.
    """

    name: str
    owner: Scope | None = None
    within: Span | None = None


@dataclass(frozen=True)
class Occurrence:
    """A place where a name stands; `binds` says that it gets its value there.

    `node` is what binds it or uses it. `of` is the name of a block whose parameter this is, as of `stride` in `Block(stride=2)`.
    """

    span: Span
    symbol: Symbol
    binds: bool
    node: t.Tree
    of: str = ""


@dataclass(frozen=True)
class ImportedName:
    """A name of another file, as an import statement writes it; `known_as` says that it is the alias."""

    span: Span
    statement: t.Import
    imported: t.Imported
    known_as: bool


class Names:
    """The occurrences of names in a file, in order of place."""

    def __init__(self, file: t.File) -> None:
        self.file = file
        self.top = _bound_at_top(file)
        found: dict[tuple[int, bool], Occurrence] = {}
        for occurrence in self._all():
            found.setdefault((occurrence.span.start, bool(occurrence.of)), occurrence)
        self.occurrences = sorted(found.values(), key=lambda found: found.span.start)
        self._starts = [occurrence.span.start for occurrence in self.occurrences]
        self.imported = list(_imported(file))

    def at(self, offset: int) -> Occurrence | None:
        """The name that an offset stands in, or behind."""
        place = bisect_right(self._starts, offset) - 1
        for occurrence in self.occurrences[max(0, place - 1) : place + 1][::-1]:
            if occurrence.span.start <= offset <= occurrence.span.end:
                return occurrence
        return None

    def imported_at(self, offset: int) -> ImportedName | None:
        """The imported name that an offset stands in, or behind."""
        return next((found for found in self.imported if found.span.start <= offset <= found.span.end), None)

    def of(self, symbol: Symbol) -> list[Occurrence]:
        """All places where a symbol stands."""
        return [occurrence for occurrence in self.occurrences if occurrence.symbol == symbol]

    def bindings(self, symbol: Symbol) -> list[Occurrence]:
        """Where a symbol gets its value."""
        return [occurrence for occurrence in self.of(symbol) if occurrence.binds]

    def definition(self, name: str) -> Scope | None:
        """The block, model or function of the file that has that name."""
        return next((d for d in self.file.statements if isinstance(d, Scope) and d.name == name), None)

    def import_of(self, name: str) -> tuple[t.Import, t.Imported] | None:
        """The import that brings a name into the file."""
        return import_in(self.file, name)

    # -------------------------------------------------------------- walking the tree

    def _all(self) -> Iterator[Occurrence]:
        for statement in self.file.statements:
            if isinstance(statement, Scope):
                span = statement.span
                head = Span(span.source, span.end - len(statement.name), span.end)
                yield Occurrence(head, Symbol(statement.name), True, statement)
                local = self._local(statement)
                for node in statement.children():
                    yield from self._below(node, statement, local)
            elif isinstance(statement, t.Claims):
                yield Occurrence(statement.span, Symbol(statement.model), False, statement)
                for setting in statement.settings:
                    yield from self._below(setting, None, frozenset(), statement.model)
                for claim in statement.claims:
                    yield from self._below(claim, None, frozenset())
            elif isinstance(statement, t.Names):  # whose holes are names of no value
                yield Occurrence(statement.span, Symbol(statement.model), False, statement)
            else:
                yield from self._below(statement, None, frozenset())

    def _local(self, definition: Scope) -> frozenset[str]:
        """The names that a definition binds; one in the shape of an input that the file binds is that of the file."""
        sizes = {
            id(part)
            for node in definition.nodes
            if isinstance(node, t.Input)
            for part in node.pattern or ()
            if isinstance(part, t.Name) and part.name in self.top
        }
        found = {parameter.name for parameter in definition.parameters}
        for name, node in bound_by(definition.nodes):
            if isinstance(node, t.Input) and name != node.name and name in self.top and sizes:
                continue
            if not isinstance(node, t.Clause):
                found.add(name)
        return frozenset(found)

    def _below(
        self, node: t.Tree, owner: Scope | None, local: frozenset[str], called: str = ""
    ) -> Iterator[Occurrence]:
        """The names in a node; `called` is what takes it as an argument."""
        # What is to be looked at, with the names of the comprehensions around it: a long sum is deeper than Python's stack.
        stack: list[tuple[t.Tree, dict[str, Span], str]] = [(node, {}, called)]
        while stack:
            node, inner, called = stack.pop()
            if isinstance(node, t.Comprehension):
                for clause in node.clauses:
                    stack.append((clause.iterable, inner, ""))
                    inner = inner | dict.fromkeys(targets(clause.target), node.span)
                    stack += [(part, inner, "") for part in (clause.target, *clause.conditions)]
                stack.append((node.item, inner, ""))
                continue
            for span, name, binds in _names_of(node):
                symbol = Symbol(name, owner if name in local or name in inner else None, inner.get(name))
                yield Occurrence(span, symbol, binds, node)
            if isinstance(node, t.Argument) and node.name is not None and called:
                span = Span(node.span.source, node.span.start, node.span.start + len(node.name))
                yield Occurrence(span, Symbol(node.name), False, node, called)
            callee = node.callee.name if isinstance(node, t.Call) and isinstance(node.callee, t.Name) else ""
            stack += [(child, inner, callee) for child in node.children()]


def import_in(file: t.File, name: str) -> tuple[t.Import, t.Imported] | None:
    """The import that brings a name into a file."""
    for statement in file.statements:
        if isinstance(statement, t.Import):
            for imported in statement.names:
                if imported.alias == name:
                    return statement, imported
    return None


def _names_of(node: t.Tree) -> Iterator[tuple[Span, str, bool]]:
    """The names that a node itself binds or uses, with their places, and whether it binds them."""
    source, start, end = node.span
    match node:
        case t.Name(name=name):
            if node.span.text != name:  # brackets around a name belong to it
                found = re.search(rf"\b{name}\b", node.span.text)
                start += found.start() if found else 0
            yield Span(source, start, start + len(name)), name, False
        case t.Target(name=str(name)):
            yield node.span, name, True
        case t.FreeSize(name=name) | t.RestSizes(name=name):
            yield place_of(node, name), name, True
        case t.Input(name=name) | t.Own(name=name) | t.Shared(name=name):
            yield place_of(node, name), name, True
        case t.Parameter(name=name):
            yield Span(source, start, start + len(name)), name, True
        case t.Imported(alias=alias):
            yield Span(source, end - len(alias), end), alias, True


def place_of(node: t.Tree, name: str) -> Span:
    """Where in a statement, or in a part of a shape, the name stands that it binds: behind its first word, and its key."""
    source, start, end = node.span
    if isinstance(node, t.Own | t.Shared) and node.label is not None:
        start = node.label.span.end
    elif isinstance(node, t.Statement | t.FreeSize):
        word = re.compile(r"\w+").match(source.text, start)
        start = word.end() if word else start
    found = re.compile(rf"\b{re.escape(name)}\b").search(source.text, start, end)
    return Span(source, found.start(), found.end()) if found else node.span


def _bound_at_top(file: t.File) -> frozenset[str]:
    found: set[str] = set()
    for statement in file.statements:
        if isinstance(statement, Scope):
            found.add(statement.name)
        else:
            found.update(
                name
                for name, node in bound_by((statement, *statement.nodes))
                if not isinstance(node, t.Clause)
            )
    return frozenset(found)


def _imported(file: t.File) -> Iterator[ImportedName]:
    for statement in file.statements:
        if isinstance(statement, t.Import):
            for imported in statement.names:
                source, start, end = imported.span
                yield ImportedName(
                    Span(source, start, start + len(imported.name)),
                    statement,
                    imported,
                    imported.alias == imported.name,
                )
                if imported.alias != imported.name:
                    alias = Span(source, end - len(imported.alias), end)
                    yield ImportedName(alias, statement, imported, True)
