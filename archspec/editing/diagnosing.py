"""Problems as an editor shows them: underlined, with the places that they speak of, and the edits that fix them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from lsprotocol import types

import archspec
from archspec.editing.analysis import Analysis
from archspec.editing.changes import changes
from archspec.editing.mending import mended
from archspec.editing.positions import Positions
from archspec.ground.errors import Edit, Problem
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t

SOURCE = "archspec"
_WORD = re.compile(r"[\w.,]*\w")

Locate = Callable[[Source], tuple[str, Positions]]
"""The URI of the file that a source is of, and its positions."""


def diagnostics(analysis: Analysis, positions: Positions, locate: Locate) -> list[types.Diagnostic]:
    """The problems of a text. Those in files that it imports stand where that is imported, and lead there."""
    return [diagnostic(analysis, positions, locate, problem) for problem in analysis.problems]


def diagnostic(
    analysis: Analysis, positions: Positions, locate: Locate, problem: Problem
) -> types.Diagnostic:
    """A problem of a text."""
    place = _place(analysis, problem)
    message = problem.message
    if problem.label and not {*_WORD.findall(problem.label)} <= {*_WORD.findall(message)}:
        message += f" ({problem.label})"
    if problem.help:
        message += f"\nhelp: {problem.help}"
    return types.Diagnostic(
        range=positions.range(place) if place else types.Range(positions.position(0), positions.position(1)),
        message=message,
        severity=types.DiagnosticSeverity.Error
        if problem.level == "error"
        else types.DiagnosticSeverity.Warning,
        code=problem.code,
        code_description=_description(problem.code),
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if problem.kind.startswith("unused-") else None,
        related_information=list(_related(analysis, locate, problem, place)) or None,
    )


def fixes(
    analysis: Analysis, positions: Positions, locate: Locate, start: int, end: int
) -> list[types.CodeAction]:
    """The edits that fix problems between two offsets."""
    found = []
    for problem in analysis.problems:
        place = _place(analysis, problem)
        if problem.fix is None or place is None or place.end < start or end < place.start:
            continue
        title, changes = problem.fix.title, _changes(locate, problem.fix.edits)
        found.append(
            types.CodeAction(
                title[:1].upper() + title[1:],
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[diagnostic(analysis, positions, locate, problem)],
                edit=types.WorkspaceEdit(changes=changes),
                is_preferred=problem.fix.sure,
            )
        )
    return found


def fix_of_all(analysis: Analysis, locate: Locate) -> types.CodeAction | None:
    """The edits that fix all that can be fixed, as `archspec check --fix` does. None where there are none."""
    changes_: dict[str, list[types.TextEdit]] = {}
    for source, text in mended(analysis):
        uri, positions = locate(source)
        changes_[uri] = [
            positions.edit(Span(source, change.start, change.end), change.text)
            for change in changes(source.text, text)
        ]
    if not changes_:
        return None
    edit = types.WorkspaceEdit(changes=changes_)
    return types.CodeAction("Fix all problems that can be", kind=types.CodeActionKind.SourceFixAll, edit=edit)


def _changes(locate: Locate, edits: Iterable[Edit]) -> dict[str, list[types.TextEdit]]:
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in edits:
        uri, positions = locate(edit.span.source)
        changes.setdefault(uri, []).append(positions.edit(edit.span, edit.text))
    return changes


def _description(code: str) -> types.CodeDescription | None:
    """Where a code is explained, in a checkout, which has the docs."""
    page = Path(archspec.__file__).parent.parent / "docs" / "errors.md"
    return types.CodeDescription(f"{page.as_uri()}#{code.lower()}") if page.is_file() else None


def _ours(analysis: Analysis, span: Span | None) -> bool:
    """Whether a span is of the text itself, as it is or with what cannot be parsed left blank."""
    return span is not None and span.source.path == analysis.source.path


def _place(analysis: Analysis, problem: Problem) -> Span | None:
    """Where in the text a problem is underlined: where it is, where the block that has it is applied, or imported."""
    spans = [problem.span, *(span for _, span in problem.trail)]
    for span in spans:
        if span is not None and _ours(analysis, span):
            return span
    imports = [s for s in analysis.file.statements if isinstance(s, t.Import)]
    if problem.span is None or not imports:
        return None
    name = problem.span.source.name
    return next((s.span for s in imports if "/".join(s.path) + ".arch" == name), imports[0].span)


def _related(
    analysis: Analysis, locate: Locate, problem: Problem, place: Span | None
) -> list[types.DiagnosticRelatedInformation]:
    said: list[tuple[str, Span]] = []
    if problem.span is not None and problem.span is not place:
        said.append((problem.message, problem.span))
    said += problem.places
    said += [(f"in {text}, called here", span) for text, span in problem.trail if span is not place]
    found = []
    for text, span in said:
        uri, positions = locate(span.source)
        found.append(types.DiagnosticRelatedInformation(types.Location(uri, positions.range(span)), text))
    return found
