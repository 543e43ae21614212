"""What a name of a file means: its value where it stands, and the definition that it leads to, in whatever file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archspec.editing.analysis import Analysis
from archspec.editing.names import Occurrence, Symbol
from archspec.editing.places import Scope, end_of
from archspec.elaboration.files import open_edited, read_file, resolve_import, resolved
from archspec.elaboration.values import BlockLayer, DefinedFunction, OpLayer
from archspec.elaboration.vocabulary import builtin
from archspec.ground.errors import SpecError
from archspec.ground.shipped import shipped_specs
from archspec.ground.source import Span
from archspec.op.calling import Called
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

NOTHING = object()  # the value of a name that has none


@dataclass(frozen=True)
class Home:
    """The definition of a block, a model or a function, and the file that it stands in."""

    file: t.File
    path: Path
    definition: Scope


def value_of(analysis: Analysis, symbol: Symbol, offset: int) -> Any:
    """The value of a name where it stands, as elaboration saw it first; `NOTHING` where it saw none."""
    if symbol.owner is not None and symbol.within is None:
        return _local_value(analysis, symbol, symbol.owner, offset)
    if symbol.within is not None:
        return NOTHING
    if analysis.module is not None and symbol.name in analysis.module.env.names:
        value = analysis.module.env.names[symbol.name]
        return NOTHING if type(value) is object else value
    found = builtin(symbol.name)
    return NOTHING if found is None else found


def _local_value(analysis: Analysis, symbol: Symbol, owner: Scope, offset: int) -> Any:
    """The value after the last statement above; of a name that is bound where it stands, after the statement itself."""
    since = owner.span.start
    end = next((s.span.start for s in analysis.file.statements if s.span.start > since), len(analysis.text))
    # A loop or a branch says what its names were when it had ended, and what stands in it what they were within.
    around, within = set[Span](), list[tuple[int, int]]()
    for node in owner.nodes:
        if isinstance(node, t.For | t.If):
            if node.span.start <= offset <= end_of(node):
                around.add(node.span)
            else:
                within.append((node.span.start, end_of(node)))
    spans = [
        span
        for span in analysis.seen.statements
        if since <= span.start < end
        and span not in around
        and not any(first < span.start <= last for first, last in within)
    ]
    binding = any(o.binds and o.span.start <= offset <= o.span.end for o in analysis.names.of(symbol))
    above = [span for span in spans if (span.start <= offset if binding else span.end < offset)]
    for span in reversed(above):
        if symbol.name in analysis.seen.names[span]:
            return analysis.seen.names[span][symbol.name]
    for span in spans:  # a parameter, or a name of a loop
        if symbol.name in analysis.seen.names[span]:
            return analysis.seen.names[span][symbol.name]
    return NOTHING


def home_of(analysis: Analysis, name: str) -> Home | None:
    """The definition that a name of the file leads to, through imports and through layers that are given names."""
    own = analysis.names.definition(name)
    if own is not None:
        return Home(analysis.file, analysis.path, own)
    value = analysis.module.env.names.get(name) if analysis.module is not None else None
    if isinstance(value, BlockLayer | DefinedFunction):
        return home_of_value(analysis, value)
    return None


def home_of_value(analysis: Analysis, value: BlockLayer | DefinedFunction) -> Home | None:
    """The definition of a block or a function that is a value."""
    source = value.definition.span.source
    if source is analysis.source:
        return Home(analysis.file, analysis.path, value.definition)
    modules = analysis.module.with_imports() if analysis.module is not None else []
    for module in modules:
        if module.file.source is source:
            path = path_of(analysis, source.path)
            return Home(module.file, path, value.definition)
    return None


def path_of(analysis: Analysis, shown: str) -> Path:
    """The path of a file by how it is shown: as seen from the present folder, or whole."""
    path = Path(shown)
    return path if path.is_absolute() else Path.cwd() / path


def imported_file(
    analysis: Analysis, statement: t.Import, importer: Path | None = None
) -> tuple[Path, t.File] | None:
    """The file that an import statement names, and its tree; None where there is none, or none that can be parsed.

    The statement is one of the analysed file, or of `importer`, which that one imports.
    """
    try:
        roots = (analysis.path.parent, shipped_specs())
        path, root = resolve_import(statement, importer or analysis.path, roots, analysis.texts)
        if analysis.module is not None:
            known = {module.file.source.path: module.file for module in analysis.module.with_imports()}
            for shown, file in known.items():
                if path_of(analysis, shown).resolve() == path.resolve():
                    return path, file
        text = analysis.texts.get(resolved(path))
        return path, read_file(path, root) if text is None else open_edited(text, path, root)
    except SpecError:
        return None


def called_by(analysis: Analysis, name: str) -> type[Called] | None:
    """The op or initialisation that a name leads to, through layers that are given names and blocks that stand for one."""
    given = analysis.module.env.names.get(name) if analysis.module is not None else None
    if given is None and name not in analysis.names.top:
        given = builtin(name)
    seen: set[Span] = set()
    while isinstance(given, BlockLayer) and given.definition.layer is not None:
        layer = given.definition.layer
        while isinstance(layer, t.Call):
            layer = layer.callee
        if not isinstance(layer, t.Name) or given.definition.span in seen:
            return None
        seen.add(given.definition.span)
        given = given.home.names.get(layer.name) or builtin(layer.name)
    if isinstance(given, OpLayer):
        return given.op
    return given if isinstance(given, type) and issubclass(given, Initialiser) else None


def positional_of(analysis: Analysis, name: str) -> list[str]:
    """The arguments that go by position to what a name leads to, in order."""
    home = home_of(analysis, name)
    if home is not None and (home.definition.parameters or not _stands_for_another(home.definition)):
        return [parameter.name for parameter in home.definition.parameters]
    called = called_by(analysis, name)
    return [*called.by_position()] if called is not None else []


def _stands_for_another(definition: Scope) -> bool:
    return isinstance(definition, t.Definition) and definition.layer is not None


def parameter_of(analysis: Analysis, occurrence: Occurrence) -> tuple[Home, t.Parameter] | None:
    """The parameter that an argument by name is for, of a block or a function; behind short forms, of what these stand for."""
    name, called, seen = occurrence.symbol.name, occurrence.of, set[Span]()
    home = home_of(analysis, called)
    while home is not None and home.definition.span not in seen:
        seen.add(home.definition.span)
        for parameter in home.definition.parameters:
            if parameter.name == name:
                return home, parameter
        layer = home.definition.layer if isinstance(home.definition, t.Definition) else None
        while isinstance(layer, t.Call):
            layer = layer.callee
        if not isinstance(layer, t.Name) or analysis.module is None:
            return None
        home = _named_in(analysis, home, layer.name)
    return None


def _named_in(analysis: Analysis, home: Home, name: str) -> Home | None:
    """The definition that a name leads to in another file."""
    assert analysis.module is not None
    for module in analysis.module.with_imports():
        if module.file is home.file:
            value = module.env.names.get(name)
            if isinstance(value, BlockLayer | DefinedFunction):
                return home_of_value(analysis, value)
    return None
