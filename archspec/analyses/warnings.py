"""Warnings about a spec: what nothing uses, and what hides something, but for those that a comment allows with its reason."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from archspec.analyses.doubtful_steps import Doubt, held
from archspec.analyses.unused_steps import Steps, Unused
from archspec.elaboration import Module
from archspec.elaboration.unused import Finding, findings, warning
from archspec.ground import codes
from archspec.ground.errors import Problem
from archspec.ground.source import Location
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.mending import Written

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
    names = {each.file.source.name or each.file.source.path for each in modules}
    doubts_in: dict[str, list[tuple[Location, Doubt]]] = {}
    for place, doubt in steps.doubts.found(lambda place: place.file in names):
        doubts_in.setdefault(place.file, []).append((place, doubt))
    found: list[Problem] = []
    for each in modules:
        file = each.file
        own = [f for f in findings(file) if (id(each), f.exported) not in imported]
        name = file.source.name or file.source.path
        warnings = _with_steps(file, own, unused_in.get(name, []))
        if name in doubts_in:
            warnings += _doubts(file, doubts_in[name])
            warnings.sort(key=_place)
        if "defaults" in file.source.text:
            from archspec.analyses.unused_defaults import unused_defaults  # which few specs need

            models = [definition for definition in file.definitions if definition.kind == "model"]
            read = each is module and (whole or len(models) == 1) and bool(steps.used)
            all_read = read and all(p.default is not None for d in models for p in d.parameters)
            warnings += unused_defaults(file, steps, whole=all_read)
            warnings.sort(key=_place)
        if "allow" in file.source.text.lower():
            from archspec.analyses.allowances import allowed  # which few specs need

            warnings = list(allowed(file, warnings, steps if whole and each is module else None))
            warnings.sort(key=_place)
        found += warnings
    return found


# ------------------------------------------------------------------ steps


def _with_steps(file: t.File, own: list[Finding], steps: list[Unused]) -> list[Problem]:
    """The warnings about a file's names, and about its steps: one for each statement."""
    found = {
        finding.statement: finding.warning for finding in own if finding.warning.code != codes.HIDDEN_NAME
    }
    others = [finding.warning for finding in own if finding.warning.code == codes.HIDDEN_NAME]
    written = _Statements(file) if steps else None
    for step in steps:
        assert written is not None
        statement, start = written.at(step.location)
        label = _label(step)
        if statement in found:
            if not found[statement].label:
                found[statement] = replace(found[statement], label=label)
        else:
            found[statement] = replace(_unused_step(written.parts(statement), start, step), label=label)
    return sorted([*found.values(), *others], key=_place)


def _doubts(file: t.File, doubts: list[tuple[Location, Doubt]]) -> Iterator[Problem]:
    """The warnings about steps that are hardly meant so."""
    statements = _Statements(file)
    for place, doubt in doubts:
        statement, start = statements.at(place)
        written = statements.parts(statement)
        problem = warning(doubt.code, doubt.message, written.span(start), doubt.mend)
        yield replace(problem, label=doubt.label, fix=written.mending(doubt.code, doubt.op, start))


class _Statements:
    """What stands on lines of its own in a file: statements, and the conditions of an `if` and the list of a `for` with the lines below."""

    def __init__(self, file: t.File) -> None:
        self._file = file
        self._found = [node for node in file.nodes if isinstance(node, t.Statement | t.Branch)]
        self._parts: dict[t.Tree, Written] = {}

    def at(self, place: Location) -> tuple[t.Tree, int]:
        """The statement in which a place is, and its offset in the text."""
        start = self._file.source.line_starts[place.line - 1] + place.column - 1
        at = bisect_right(self._found, start, key=lambda statement: statement.span.start) - 1
        return self._found[at] if at >= 0 else self._file, start

    def parts(self, statement: t.Tree) -> Written:
        """The parts of a statement, by where they start."""
        from archspec.elaboration.mending import Written  # which few specs need

        if statement not in self._parts:
            self._parts[statement] = Written(statement)
        return self._parts[statement]


def _place(warning: Problem) -> int:
    return warning.span.start if warning.span else 0


def _unused_step(written: Written, start: int, step: Unused) -> Problem:
    """The warning about a step whose name, if its result has one, is used for other values."""
    match written.statement:
        case t.Assign(target=t.Target(name=str(name), span=span), value=value) if start == _start(value):
            return warning(codes.UNUSED_STEP, f"nothing uses this `{name}`", span)
    return warning(codes.UNUSED_STEP, f"nothing uses the result of `{step.name}`", written.span(start))


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
    several = len(names) > 1
    holding = f", and {'hold' if several else 'holds'} {held(step.parameters)}" if step.parameters else ""
    return f"{listed} {'are' if several else 'is'} in the network all the same{holding}"
