"""Which models of a wrong file do not depend on what is wrong in it, told from the text alone."""

from __future__ import annotations

from copy import copy

from archspec.elaboration.binding import names_bound, names_in
from archspec.elaboration.mistakes import POISON
from archspec.elaboration.modules import Module
from archspec.ground.source import Span
from archspec.syntax import tree as t


def sound_for(module: Module, model: t.Definition) -> Module:
    """The module as a model sees it that depends on nothing wrong: without problems. For any other, the module itself."""
    if not module.problems or _wrong_for_all(module):
        return module
    uses: dict[str, set[str]] = {}
    wrong = {name for name, value in module.env.names.items() if value is POISON}
    for statement in module.file.statements:
        names = _names_of(statement)
        for name in names:
            uses.setdefault(name, set()).update(names_in(statement))
        if _is_wrong(module, statement):
            wrong |= names
    waiting, seen = [model.name], {model.name}
    while waiting:
        name = waiting.pop()
        if name in wrong:
            return module
        further = uses.get(name, set()) - seen
        seen |= further
        waiting += further
    sound = copy(module)
    sound.problems = ()
    return sound


def _wrong_for_all(module: Module) -> bool:
    """Whether something is wrong on which all models depend: defaults, a budget, a requirement of the file."""
    return any(
        _is_wrong(module, statement)
        and (
            isinstance(statement, t.Defaults | t.Budget | t.Require)
            or (isinstance(statement, t.Broken) and statement.span.text.startswith("defaults"))
        )
        for statement in module.file.statements
    )


def _is_wrong(module: Module, statement: t.Statement) -> bool:
    if any(isinstance(node, t.Broken) for node in (statement, *statement.nodes)):
        return True
    start = statement.span.start
    end = max([statement.span.end, *(node.span.end for node in statement.nodes)])
    return any(
        _in(module, span) and start <= span.start <= end
        for problem in module.problems
        for span in (
            problem.span,
            *(span for _, span in problem.trail),
            *(span for _, span in problem.places),
        )
        if span is not None
    )


def _in(module: Module, span: Span) -> bool:
    return span.source.path == module.file.source.path


def _names_of(statement: t.Statement) -> set[str]:
    """The names of the file that depend on a statement: those that it binds, and the model that it tells of."""
    if isinstance(statement, t.Definition | t.FunctionDefinition):
        return {statement.name}
    return {statement.model} if isinstance(statement, t.Claims | t.Names) else {*names_bound(statement)}
