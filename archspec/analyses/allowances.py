"""Comments that allow warnings: `# allow unused-step: kept for old checkpoints`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from archspec.analyses.unused_steps import Steps
from archspec.elaboration.mending import without_comment
from archspec.ground import codes
from archspec.ground.errors import WARNINGS, Fix, Problem, suggest
from archspec.ground.source import Span
from archspec.syntax import tree as t

_KIND = r"[a-z]+(?:-[a-z]+)+"
# Those that the text alone shows, whether its blocks are applied or not.
_OF_TEXT = frozenset(
    {"unused-value", "unused-input", "unused-parameter", "unused-import", "hidden-name", "unused-allow"}
)
_ALLOW = re.compile(rf"#\s*allow\s+(?P<kinds>{_KIND}(?:\s*,\s*{_KIND})*)\s*(?P<reason>:.*)?")


class Allowance(NamedTuple):
    """A comment that allows a kind of warning on a line: `# allow unused-step: kept for old checkpoints`."""

    kind: str
    reason: str
    span: Span
    line: int
    alone: bool


def allowed(file: t.File, warnings: list[Problem], steps: Steps | None) -> Iterator[Problem]:
    """The warnings about a file that no comment allows, and those about comments that allow nothing.

    `steps` are given if all models of the file were read: only then is it known which steps are used for good.
    """
    idle: dict[tuple[str, int], list[Allowance]] = {}
    for allowance in _allowances(file):
        idle.setdefault((allowance.kind, allowance.line), []).append(allowance)
    by_place = {place: [a for a in allowances if a.reason] for place, allowances in idle.items()}
    for warning in warnings:
        place = warning.kind, warning.span.source.position(warning.span.start)[0] if warning.span else 0
        if by_place.get(place):
            idle[place] = [a for a in idle[place] if not a.reason]
        else:
            yield warning
    yield from _idle(file, (allowance for allowances in idle.values() for allowance in allowances), steps)


def _allowances(file: t.File) -> Iterator[Allowance]:
    """What the comments of a file allow, one for each kind. A comment on lines of its own is about the line below."""
    alone = {}
    for comment in file.comments:
        line, column = file.source.position(comment.span.start)
        alone[line] = not file.source.line(line)[: column - 1].strip()
    for comment in file.comments:
        match = _ALLOW.match(comment.text)
        if not match:
            continue
        kinds = re.findall(_KIND, match["kinds"])
        if match["reason"] is None and match.end() < len(comment.text) and not {*kinds} & {*WARNINGS}:
            continue  # other words, such as "allow odd-sized windows"
        line, _ = file.source.position(comment.span.start)
        while alone.get(line):
            line += 1
        reason = (match["reason"] or "").removeprefix(":").strip()
        for kind in kinds:
            yield Allowance(kind, reason, comment.span, line, len(kinds) == 1)


def _idle(file: t.File, allowances: Iterable[Allowance], steps: Steps | None) -> Iterator[Problem]:
    """Warnings about comments that allow nothing."""
    starts = [file.source.position(definition.span.start)[0] for definition in file.definitions]
    applied = {bisect_right(starts, line) for line in (steps.lines(file.source) if steps else ())}
    for allowance in allowances:
        message = help = ""
        fix: Fix | None = None
        if allowance.kind not in WARNINGS:
            message = f"there is no warning `{allowance.kind}`"
            help = suggest(allowance.kind, WARNINGS) or f"the kinds are {', '.join(WARNINGS)}"
        elif not allowance.reason:
            message = f"`{allowance.kind}` is allowed without a reason"
            help = f"say why: `# allow {allowance.kind}: ...`"
        elif allowance.kind in _OF_TEXT or bisect_right(starts, allowance.line) in applied:
            message, help = f"there is no `{allowance.kind}` to allow here", "remove the comment"
            fix = without_comment(allowance.span) if allowance.alone else None
        if message:
            yield Problem(codes.UNUSED_ALLOW, message, allowance.span, help=help, fix=fix)
