"""Names of a spec file that nothing uses, and names that hide others, told from its text alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from archspec.elaboration.binding import bound_by, names_in
from archspec.elaboration.functions import FUNCTIONS, TABLES
from archspec.elaboration.vocabulary import CONSTANTS
from archspec.ground import codes
from archspec.ground.errors import Problem
from archspec.ground.source import Span
from archspec.op import Op, family
from archspec.syntax import tree as t

_MOST_NAMES = 4


class Finding(NamedTuple):
    """A warning, the statement that it is about, and the name that other files could import, if it is about one."""

    warning: Problem
    statement: t.Tree
    exported: str = ""


@lru_cache(maxsize=256)
def findings(file: t.File) -> tuple[Finding, ...]:
    """The warnings about a file, from top to bottom."""
    used: set[str] = set()
    found: list[Finding] = []
    top = {
        name: (kind, span)
        for statement in reversed(file.statements)
        for name, kind, span in _binds_at_top(statement)
    }
    for statement in file.statements:
        if isinstance(statement, t.Definition | t.FunctionDefinition):
            found += _in_definition(statement, used, top)
        else:
            used |= names_in(statement)
        found += (
            _hidden(name, span, meaning, statement)
            for name, _, span in _binds_at_top(statement)
            if (meaning := _built_in(name))
        )
    for statement in file.statements:
        match statement:
            case t.Import(names=names):
                found += (_unused_import(statement, name) for name in names if name.alias not in used)
    return tuple(sorted(found, key=lambda finding: finding.warning.span.start if finding.warning.span else 0))


def _in_definition(
    definition: t.Definition | t.FunctionDefinition, used: set[str], top: dict[str, tuple[str, Span]]
) -> Iterator[Finding]:
    """The warnings about a block, a model or a function; adds to `used` the names of the file that it uses."""
    # A name in the shape of an input is compared with what it stands for, if that is anything.
    named = {node.name for node in definition.nodes if isinstance(node, t.Name | t.FreeSize | t.RestSizes)}
    bound: dict[t.Tree, list[str]] = {parameter: [parameter.name] for parameter in definition.parameters}
    for name, node in bound_by(definition.nodes):
        if not isinstance(node, t.FreeSize | t.RestSizes) and not (
            isinstance(node, t.Input) and node in bound
        ):
            bound.setdefault(node, []).append(name)
    used |= named.difference(*bound.values())
    shapes = {part for node in definition.nodes if isinstance(node, t.Input) for part in node.nodes}
    sizes = {node.name for node in definition.nodes if isinstance(node, t.Name) and node not in shapes}
    seen: set[str] = set()
    for node, names in bound.items():
        for name in names:
            meaning = (
                "" if name in seen or _defaults_to_its_name(node) else _at_top(name, top) or _built_in(name)
            )
            if meaning:
                yield _hidden(name, _of_name(node, name), meaning, node)
            seen.add(name)
        if named.isdisjoint(names) and not (isinstance(node, t.Input) and _gives_sizes(node, sizes)):
            yield from _unused_in(node, names)


def _gives_sizes(node: t.Input, used: set[str]) -> bool:
    """Whether a size that the shape of an input binds is used."""
    return not used.isdisjoint(name for name, _ in bound_by((node, *node.nodes)))


def _unused_in(node: t.Tree, names: list[str]) -> Iterator[Finding]:
    """The warning about what binds names that nothing uses, unless it is a loop, whose variable need not be used."""
    listed = " or ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        listed = f"any of {len(names)} names"
    match node:
        case t.Parameter():
            yield _unused(
                codes.UNUSED_PARAMETER, f"nothing uses the parameter {listed}", _of_name(node, names[0]), node
            )
        case t.Input():
            yield _unused(
                codes.UNUSED_INPUT, f"nothing uses the input {listed}", _of_name(node, names[0]), node
            )
        case t.Own(kind=kind):
            yield _unused(
                codes.UNUSED_VALUE, f"nothing uses the {kind} {listed}", _of_name(node, names[0]), node
            )
        case t.Shared():
            yield _unused(
                codes.UNUSED_VALUE, f"nothing uses the shared layer {listed}", _of_name(node, names[0]), node
            )
        case t.Assign(target=target, value=value):
            makes_steps = any(isinstance(part, t.Chain) for part in (value, *value.below()))
            yield _unused(
                codes.UNUSED_STEP if makes_steps else codes.UNUSED_VALUE,
                f"nothing uses {listed}",
                target.span,
                node,
            )


def _defaults_to_its_name(node: t.Tree) -> bool:
    """Whether it is a parameter such as `conv: layer = conv`, which is the value of the file where nothing else is given."""
    return (
        isinstance(node, t.Parameter) and isinstance(node.default, t.Name) and node.default.name == node.name
    )


def _binds_at_top(statement: t.Statement) -> Iterator[tuple[str, str, Span]]:
    """The names that a statement gives to the file, what each stands for, and where."""
    match statement:
        case t.Import(names=names):
            yield from ((name.alias, "import", name.span) for name in names)
        case t.Definition(name=name, span=span):
            yield name, statement.kind, Span(span.source, span.end - len(name), span.end)
        case t.FunctionDefinition(name=name, span=span):
            yield name, "function", Span(span.source, span.end - len(name), span.end)
        case _:
            for name, node in bound_by((statement, *statement.nodes)):
                if isinstance(node, t.Assign):
                    yield name, "value", node.target.span


def _at_top(name: str, top: dict[str, tuple[str, Span]]) -> str:
    """The words for what a name of the file stands for; empty if there is none."""
    if name not in top:
        return ""
    kind, span = top[name]
    return f"the {kind} of line {span.location.line}"


def _built_in(name: str) -> str:
    """The words for what a name means in every spec; empty if it means nothing, or what fails where it was meant."""
    if name in CONSTANTS:
        return f"the number `{name}`"
    if name in FUNCTIONS and name not in TABLES:
        return f"the function `{name}`"
    written = Op.is_known(name) and family(Op.known[name]) != "weights"  # whose ops statements make
    return f"the op `{name}`" if written else ""


def _of_name(node: t.Tree, name: str) -> Span:
    """Where in a statement the name stands that it binds."""
    if isinstance(node, t.Assign | t.For | t.Clause):
        return node.target.span
    start = node.span.start
    if isinstance(node, t.Own | t.Shared) and node.label is not None:  # behind its key
        start = node.label.span.end
    elif isinstance(node, t.Statement):  # behind the word that it starts with
        start += len(node.span.text.split(maxsplit=1)[0])
    found = re.compile(rf"\b{name}\b").search(node.span.source.text, start, node.span.end)
    return Span(node.span.source, found.start(), found.end()) if found else node.span


def _hidden(name: str, span: Span, meaning: str, node: t.Tree) -> Finding:
    return Finding(
        warning(codes.HIDDEN_NAME, f"`{name}` hides {meaning}", span, "give it another name"), node
    )


def _unused(code: str, message: str, span: Span, node: t.Tree, exported: str = "") -> Finding:
    return Finding(warning(code, message, span), node, exported)


def _unused_import(statement: t.Import, name: t.Imported) -> Finding:
    from archspec.elaboration.mending import without_import  # which few specs need

    told = warning(codes.UNUSED_IMPORT, f"nothing uses the import `{name.alias}`", name.span)
    return Finding(replace(told, fix=without_import(statement, name)), name, name.alias)


def warning(code: str, message: str, span: Span, mend: str = "use it or remove it") -> Problem:
    """The warning of that code, which says how to mend it, and how to allow it."""
    help = f"{mend}, or say why it stays: `# allow {codes.NAMES[code]}: ...`"
    return Problem(code, message, span, help=help)
