"""Where a name comes from, where it is used, and what it can be called instead: in its file and in those that import it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archspec.editing.analysis import Analysis
from archspec.editing.looking_up import Home, imported_file, parameter_of
from archspec.editing.names import Names, Occurrence, Symbol, import_in
from archspec.editing.places import Scope, path_to
from archspec.elaboration.values import OpLayer
from archspec.elaboration.vocabulary import WORDS, builtin
from archspec.ground.names import is_name
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t

_KEYWORDS = {
    "from", "import", "as", "block", "model", "def", "claims", "names", "at", "but", "budget", "input", "weight", "buffer", "constant",
    "shared", "defaults", "require", "if", "elif", "else", "for", "in", "return", "not", "and", "or", "free", *WORDS,
}  # fmt: skip


@dataclass(frozen=True)
class Link:
    """A place in a file."""

    path: Path
    span: Span


@dataclass(frozen=True)
class Target:
    """What a name is, in whatever file: a name of a file; the parameter of one of its definitions; or a name within one.

    `owner` is the definition's name; of a name of the file there is none. `symbol` is what only the file itself knows.
    """

    path: Path
    name: str
    owner: str = ""
    symbol: Symbol | None = None


# ------------------------------------------------------------------ definition


def definition(analysis: Analysis, offset: int) -> Link | None:
    """Where that stands which the name at an offset means: what binds it, in its own file, or in the class of an op."""
    occurrence = analysis.names.at(offset)
    if occurrence is None:
        return _import_at(analysis, offset)
    if occurrence.of:
        found = parameter_of(analysis, occurrence)
        if found is None:
            return None
        home, parameter = found
        span = Span(parameter.span.source, parameter.span.start, parameter.span.start + len(parameter.name))
        return Link(home.path, span)
    symbol = occurrence.symbol
    if symbol.owner is None:
        return _top(analysis, symbol.name)
    bindings = analysis.names.bindings(symbol)
    above = [b for b in bindings if b.span.start < offset and not b.span.start <= offset <= b.span.end]
    found_ = (above or bindings)[-1 if above else 0] if bindings else None
    return Link(analysis.path, found_.span) if found_ else None


def _top(analysis: Analysis, name: str) -> Link | None:
    """Where a name of the file is bound; an imported one, where its own file binds it."""
    imported = analysis.names.import_of(name)
    if imported is not None:
        return _of_import(analysis, *imported)
    bindings = analysis.names.bindings(Symbol(name))
    if bindings:
        return Link(analysis.path, bindings[0].span)
    return _of_op(name)


def _of_import(analysis: Analysis, statement: t.Import, part: t.Imported) -> Link | None:
    """Where that is bound which an import brings, in whatever file."""
    found = None
    for target, file in _links(analysis, statement, part):
        bindings = Names(file).bindings(Symbol(target.name))
        found = Link(target.path, bindings[0].span) if bindings else found
    return found


def _of_op(name: str) -> Link | None:
    """The class of an op, which says everything about it."""
    found = builtin(name)
    if not isinstance(found, OpLayer):
        return None
    path = inspect.getsourcefile(found.op)
    if path is None:
        return None
    text = Path(path).read_text(encoding="utf-8")
    start = text.find(f"\nclass {name}(") + len("\nclass ")
    source = Source(path, text)
    return Link(Path(path), Span(source, start, start + len(name)))


def _import_at(analysis: Analysis, offset: int) -> Link | None:
    imported = analysis.names.imported_at(offset)
    if imported is not None:
        return _of_import(analysis, imported.statement, imported.imported)
    for node in path_to(analysis.file, offset):
        if isinstance(node, t.Import):
            found = imported_file(analysis, node)
            return Link(found[0], Span(found[1].source, 0, 0)) if found else None
    return None


# ------------------------------------------------------------------ references


def target_at(analysis: Analysis, offset: int, *, alias: bool = False) -> Target | None:
    """What the name at an offset is, if a spec defines it; with `alias`, the name itself where an import gives it anew."""
    occurrence = analysis.names.at(offset)
    if occurrence is not None and occurrence.of:
        found = parameter_of(analysis, occurrence)
        return _of_parameter(*found) if found else None
    if occurrence is None:
        imported = analysis.names.imported_at(offset)
        return _origin(analysis, imported.statement, imported.imported, alias=alias) if imported else None
    symbol = occurrence.symbol
    if symbol.owner is not None:
        own = any(p.name == symbol.name for p in symbol.owner.parameters) and symbol.within is None
        owner = symbol.owner.name if own else ""
        return Target(analysis.path.resolve(), symbol.name, owner, None if own else symbol)
    here = Target(analysis.path.resolve(), symbol.name)
    imported_ = analysis.names.import_of(symbol.name)
    if imported_ is not None and not (alias and imported_[1].name != symbol.name):
        return _origin(analysis, *imported_, alias=alias)
    return here if symbol.name in analysis.names.top else None


def _of_parameter(home: Home, parameter: t.Parameter) -> Target:
    return Target(home.path.resolve(), parameter.name, home.definition.name)


def _origin(analysis: Analysis, statement: t.Import, part: t.Imported, *, alias: bool) -> Target | None:
    """What an import brings: in the file that defines it, or with `alias`, in that which gives it its name."""
    links = [link for link, _ in _links(analysis, statement, part)]
    named = [link for link in links if link.name == part.name] if alias else links
    return named[-1] if named else None


def _links(analysis: Analysis, statement: t.Import, part: t.Imported) -> Iterator[tuple[Target, t.File]]:
    """What an import brings, as each file calls it that hands it on, up to the one that defines it."""
    importer, seen = analysis.path, set[Path]()
    while True:
        found = imported_file(analysis, statement, importer)
        if found is None or found[0].resolve() in seen:
            return
        importer, file = found[0].resolve(), found[1]
        seen.add(importer)
        yield Target(importer, part.name), file
        further = import_in(file, part.name)
        if further is None:
            return
        statement, part = further


@dataclass(frozen=True)
class Use:
    """A place where a target stands; `aliased` says that it is called otherwise there."""

    span: Span
    aliased: bool = False
    binds: bool = False


def uses(analysis: Analysis, target: Target) -> list[Use]:
    """The places in a file where a target stands."""
    here = analysis.path.resolve() == target.path
    if target.symbol is not None:
        return [Use(o.span, binds=o.binds) for o in analysis.names.of(target.symbol)] if here else []
    if target.owner:
        return list(_uses_of_parameter(analysis, target, here))
    if here:
        return [Use(o.span, binds=o.binds) for o in analysis.names.of(Symbol(target.name))]
    return list(_uses_of_import(analysis, target))


def _uses_of_import(analysis: Analysis, target: Target) -> Iterator[Use]:
    for imported in analysis.names.imported:
        names = [imported.imported.name]  # as the files between call it
        for link, _ in _links(analysis, imported.statement, imported.imported):
            names.append(link.name)
            if link == target:
                break
        else:
            continue
        renamed = set(names) != {target.name}
        if imported.known_as:
            alias = imported.imported.alias
            for occurrence in analysis.names.of(Symbol(alias)):
                aliased = renamed or alias != target.name
                yield Use(occurrence.span, aliased=aliased, binds=occurrence.binds)
        else:
            yield Use(imported.span, aliased=renamed, binds=True)


def _uses_of_parameter(analysis: Analysis, target: Target, here: bool) -> Iterator[Use]:
    for occurrence in analysis.names.occurrences:
        if occurrence.symbol.name != target.name:
            continue
        owner = occurrence.symbol.owner
        if here and owner is not None and owner.name == target.owner and occurrence.symbol.within is None:
            yield Use(occurrence.span, binds=occurrence.binds)
        elif occurrence.of and _is(analysis, occurrence, target):
            yield Use(occurrence.span)


def _is(analysis: Analysis, occurrence: Occurrence, target: Target) -> bool:
    found = parameter_of(analysis, occurrence)
    return found is not None and _of_parameter(*found) == target


def file_imported_at(analysis: Analysis, offset: int) -> Path | None:
    """The file whose path in an import stands at an offset."""
    for statement in analysis.file.statements:
        if isinstance(statement, t.Import) and _path_of(statement).start <= offset <= _path_of(statement).end:
            found = imported_file(analysis, statement)
            return found[0].resolve() if found else None
    return None


def imports_of(analysis: Analysis, path: Path) -> Iterator[Span]:
    """Where a file is imported: its path in each statement that does."""
    for statement in analysis.file.statements:
        if isinstance(statement, t.Import):
            found = imported_file(analysis, statement)
            if found is not None and found[0].resolve() == path:
                yield _path_of(statement)


def _path_of(statement: t.Import) -> Span:
    """Where the path of an import stands."""
    found = re.match(r"from\s+([\w.]+)", statement.span.text)
    start = statement.span.start
    return (
        Span(statement.span.source, start + found.start(1), start + found.end(1)) if found else statement.span
    )


# ------------------------------------------------------------------ rename


class Refused(Exception):  # noqa: N818  (told to whoever asked)
    """Something cannot be called so, and why."""


def renameable(analysis: Analysis, offset: int) -> Span | None:
    """The name at an offset that can be called otherwise."""
    occurrence = analysis.names.at(offset)
    if target_at(analysis, offset, alias=True) is None:
        return None
    if occurrence is not None:
        return occurrence.span
    imported = analysis.names.imported_at(offset)
    return imported.span if imported else None


def require_possible(target: Target, files: Iterable[Analysis], new: str) -> None:
    """Refused where a target cannot be called so: no name, or one that means something else in one of the files."""
    if not is_name(new) or new in _KEYWORDS:
        raise Refused(f"`{new}` is not a name")
    found = builtin(new)
    if found is not None:
        raise Refused(f"`{new}` is a name that every spec knows")
    for analysis in files:
        for use in uses(analysis, target):
            if not use.aliased:
                _require_free(analysis, use.span, target, new)


def _require_free(analysis: Analysis, span: Span, target: Target, new: str) -> None:
    """Refused where the new name means something at a place where the old one stands."""
    names = analysis.names
    place = f"line {span.source.position(span.start)[0]} of {analysis.path.name}"
    occurrence = names.at(span.start)
    if occurrence is not None and occurrence.of:
        node = occurrence.node
        home = parameter_of(analysis, occurrence)
        taken = {p.name for p in home[0].definition.parameters} if home else set()
        if new in taken or (isinstance(node, t.Argument) and node.name == new):
            raise Refused(f"there is a parameter `{new}` already, in {place}")
        return
    if target.symbol is None and not target.owner and new in names.top:
        raise Refused(f"`{new}` is a name of {analysis.path.name} already")
    owner = next((s for s in names.file.statements if isinstance(s, Scope) and _holds(s, span)), None)
    others = (o for o in names.occurrences if o.symbol.name == new and not o.of)
    for other in others:
        if other.symbol.owner is owner or (owner is not None and _holds(owner, other.span)):
            raise Refused(f"`{new}` means something else already, near {place}")


def _holds(definition: Scope, span: Span) -> bool:
    end = max([definition.span.end, *(node.span.end for node in definition.nodes)])
    return definition.span.start <= span.start <= end
