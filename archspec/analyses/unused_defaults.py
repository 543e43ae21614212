"""Defaults that nothing takes: no op lacks that argument, or no weight has that name."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.analyses.unused_steps import Steps
from archspec.elaboration.defaults import places
from archspec.elaboration.unused import unused
from archspec.ground.errors import Problem
from archspec.syntax import tree as t


def unused_defaults(file: t.File, steps: Steps, *, whole: bool) -> Iterator[Problem]:
    """The warnings about rules that had no effect in the graphs of `steps`, where their blocks were applied at all.

    Those that a file states for all its blocks are asked for only if `whole`: when all its models were read.
    """
    starts = [definition.span.start for definition in file.definitions]
    for statement in _stated(file):
        around = [start for start in starts if start < statement.span.start]
        if statement in file.statements:
            if not whole:
                continue
        elif not steps.applied(file.source.name or file.source.path, *_lines(file, around[-1])):
            continue
        for rule in statement.rules:
            for name, span in places(rule):
                if span.location not in steps.defaults:
                    yield unused("default", _message(rule, name), span)


def _stated(file: t.File) -> Iterator[t.Defaults]:
    """The `defaults` statements of a file."""
    for statement in file.statements:
        nodes = statement.nodes if isinstance(statement, t.Definition) else [statement]
        yield from (node for node in nodes if isinstance(node, t.Defaults))


def _lines(file: t.File, start: int) -> tuple[int, int]:
    """The first and the last line of the definition that starts there."""
    behind = [definition.span.start for definition in file.definitions if definition.span.start > start]
    last = file.source.position(behind[0])[0] - 1 if behind else len(file.source.line_starts)
    return file.source.position(start)[0], last


def _message(rule: t.Rule, name: str) -> str:
    if rule.names is not None:
        return f"no weight here takes its start from {rule.names.span.text}"
    op = rule.value.callee.span.text if isinstance(rule.value, t.Call) else rule.value.span.text
    return f"no `{op}` here takes `{name}` from these defaults" if name else f"no step here takes `{op}`"
