"""Warnings about a spec: what nothing uses, and what hides something, but for those that a comment allows with its reason."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

from archspec.analyses.unused_steps import Steps, Unused
from archspec.elaboration import Module
from archspec.elaboration.unused import Finding, findings, warning
from archspec.ground import codes
from archspec.ground.errors import Problem
from archspec.syntax import tree as t

_MOST_NAMES = 4


def warnings_about(module: Module, steps: Steps, *, whole: bool) -> list[Problem]:
    """The warnings about a file and those that it imports, file by file from top to bottom.

    The files that come with archspec are left out where they are imported. `steps` are those of the graphs that were read.
    `whole` says that all models were, so that a step that is allowed to be unused, and is used, is used for good.
    """
    modules = [m for m in module.with_imports() if m is module or module.shipped or not m.shipped]
    imported = {(id(source), name) for each in modules for source, name in each.imported()}
    unused_in: dict[str, list[Unused]] = {}
    for step in steps.unused():
        unused_in.setdefault(step.location.file, []).append(step)
    found: list[Problem] = []
    for each in modules:
        file = each.file
        own = [f for f in findings(file) if (id(each), f.exported) not in imported]
        warnings = _with_steps(file, own, unused_in.get(file.source.name or file.source.path, []))
        if "defaults" in file.source.text:
            from archspec.analyses.unused_defaults import unused_defaults  # which few specs need

            models = [definition for definition in file.definitions if definition.kind == "model"]
            read = each is module and (whole or len(models) == 1) and bool(steps.used)
            all_read = read and all(p.default is not None for d in models for p in d.parameters)
            warnings += unused_defaults(file, steps, whole=all_read)
            warnings.sort(key=_place)
        if "allow" in file.source.text:
            from archspec.analyses.allowances import allowed  # which few specs need

            warnings = list(allowed(file, warnings, steps if whole else None))
        found += warnings
    return found


# ------------------------------------------------------------------ steps


def _with_steps(file: t.File, own: list[Finding], steps: list[Unused]) -> list[Problem]:
    """The warnings about a file's names, and about its steps: one for each statement."""
    found = {
        finding.statement: finding.warning for finding in own if finding.warning.code != codes.HIDDEN_NAME
    }
    others = [finding.warning for finding in own if finding.warning.code == codes.HIDDEN_NAME]
    statements = _statements(file) if steps else []
    for step in steps:
        start = file.source.line_starts[step.location.line - 1] + step.location.column - 1
        at = bisect_right(statements, start, key=lambda statement: statement.span.start) - 1
        statement = statements[at] if at >= 0 else file
        label = _label(step)
        if statement in found:
            if not found[statement].label:
                found[statement] = replace(found[statement], label=label)
        else:
            found[statement] = replace(_unused_step(statement, start, step), label=label)
    return sorted([*found.values(), *others], key=_place)


def _place(warning: Problem) -> int:
    return warning.span.start if warning.span else 0


def _unused_step(statement: t.Tree, start: int, step: Unused) -> Problem:
    """The warning about a step whose name, if its result has one, is used for other values."""
    match statement:
        case t.Assign(target=t.Target(name=str(name), span=span), value=value) if start == _start(value):
            return warning(codes.UNUSED_STEP, f"nothing uses this `{name}`", span)
    spans = [node.span for node in statement.below() if node.span.start == start]
    span = max(spans, key=lambda span: span.end, default=statement.span)
    return warning(codes.UNUSED_STEP, f"nothing uses the result of `{step.name}`", span)


def _start(value: t.Expression) -> int:
    """Where the last step of a value is written."""
    return (value.steps[-1].layer if isinstance(value, t.Chain) else value).span.start


def _label(step: Unused) -> str:
    """What stands beside the place: which steps the network has in vain."""
    names = [f"`{name}`" for name in (*step.leading, step.name) if name]
    left_out = len(names) - _MOST_NAMES
    if left_out > 1:
        names[_MOST_NAMES - 1 : -1] = [f"{left_out} more"]
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "its step")))
    return f"{listed} {'are' if len(names) > 1 else 'is'} in the network all the same"


def _statements(file: t.File) -> list[t.Tree]:
    """What stands on lines of its own: statements, and the conditions of an `if` and the list of a `for` with the lines below."""
    return [node for node in file.nodes if isinstance(node, t.Statement | t.Branch)]
