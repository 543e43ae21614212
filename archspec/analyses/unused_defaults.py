"""Defaults that nothing takes: no op lacks that argument, no step is of an op that a layer stands for, or no weight has that name."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from archspec.analyses.unused_steps import Steps
from archspec.elaboration.rules import places
from archspec.elaboration.unused import warning
from archspec.ground import codes
from archspec.ground.errors import Problem
from archspec.syntax import tree as t


def unused_defaults(file: t.File, steps: Steps, *, whole: bool) -> Iterator[Problem]:
    """The warnings about rules that had no effect in the graphs of `steps`, where their blocks were applied at all.

    Those that a file states for all its blocks are asked for only if `whole`: when all its models can be read, and were.
    """
    starts = [definition.span.start for definition in file.definitions]
    lines = [file.source.position(start)[0] for start in starts]
    applied = {bisect_right(lines, line) for line in steps.lines(file.source)}
    for statement in file.statements:
        if isinstance(statement, t.Defaults):
            if whole:
                yield from _unused_in(statement, steps)
        elif isinstance(statement, t.Definition) and bisect_right(starts, statement.span.start) in applied:
            for node in statement.nodes:
                if isinstance(node, t.Defaults):
                    yield from _unused_in(node, steps)


def _unused_in(statement: t.Defaults, steps: Steps) -> Iterator[Problem]:
    # An edit that has no effect is an error.
    rules = [rule for rule in statement.rules if isinstance(rule, t.Rule)]
    chosen = {rule.op.name for rule in rules if rule.op and not _named(rule.value)}
    for rule in rules:
        # What stands for an op may be the op itself, or no layer at all: nothing is left then of what is said of either.
        if (rule.op.name if rule.op else _named(rule.value)) in chosen:
            continue
        for name, span in places(rule):
            if span.location not in steps.defaults:
                yield warning(codes.UNUSED_DEFAULT, _message(rule, name), span)


def _named(layer: t.Expression) -> str:
    """The name of the op or block that a layer is of, as far as the text tells: such names begin with a capital letter."""
    named = layer.callee if isinstance(layer, t.Call) else layer
    return named.name if isinstance(named, t.Name) and named.name[0].isupper() else ""


def _message(rule: t.Rule, name: str) -> str:
    if rule.op is not None:
        return f"no `{rule.op.name}` here for which `{rule.value.span.text}` could stand"
    if rule.names is not None:
        return f"no weight here takes its start from {rule.names.span.text}"
    op = rule.value.callee.span.text if isinstance(rule.value, t.Call) else rule.value.span.text
    return f"no `{op}` here takes `{name}` from these defaults" if name else f"no step here takes `{op}`"
