"""Comments that allow warnings: `# allow unused-step: kept for old checkpoints`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from archspec.analyses.unused_steps import Steps
from archspec.elaboration.mending import without_comment
from archspec.ground import codes
from archspec.ground.errors import WARNINGS, Edit, Fix, Problem, replaced, suggest
from archspec.ground.source import Span
from archspec.syntax import tree as t

_KIND = r"(?:[a-z]+(?:[-_][a-z]+)+|[EW]\d{4}\b)"
# Those that the text alone shows, whether its blocks are applied or not.
_OF_TEXT = frozenset(
    {"unused-value", "unused-input", "unused-parameter", "unused-import", "hidden-name", "unused-allow"}
)
_ALLOW = re.compile(
    rf"#\s*allow\b\s*[:(\[]?\s*(?P<kinds>{_KIND}(?:\s*,\s*{_KIND})*)\s*[)\]]?\s*(?P<reason>:.*)?", re.I
)
_RIGHT = re.compile(r"#\s*allow\s+[a-z-]+(?:\s*,\s*[a-z-]+)*\s*\Z")


class Allowance(NamedTuple):
    """A comment that allows a kind of warning on a line: `# allow unused-step: kept for old checkpoints`.

    `meant` is how it should begin where it does not, up to the reason, and is of no effect therefore.
    """

    kind: str
    reason: str
    span: Span
    line: int
    alone: bool
    meant: Edit | None = None


def allowed(file: t.File, warnings: list[Problem], steps: Steps | None) -> Iterator[Problem]:
    """The warnings about a file that no comment allows, and those about comments that allow nothing.

    `steps` are given if all models of the file were read: only then is it known which steps are used for good.
    """
    idle: dict[tuple[str, int], list[Allowance]] = {}
    for allowance in _allowances(file):
        idle.setdefault((allowance.kind, allowance.line), []).append(allowance)
    effective = {place: [a for a in all_ if a.reason and not a.meant] for place, all_ in idle.items()}

    def is_allowed(kind: str, line: int) -> bool:
        if not effective.get((kind, line)):
            return False
        idle[kind, line] = [a for a in idle[kind, line] if a not in effective[kind, line]]
        return True

    for warning in warnings:
        line = warning.span.source.position(warning.span.start)[0] if warning.span else 0
        if not is_allowed(warning.kind, line):
            yield warning
    kind = codes.NAMES[codes.UNUSED_ALLOW]
    others = (a for place, allowances in list(idle.items()) if place[0] != kind for a in allowances)
    for line, problem in _idle(file, others, steps):
        if not is_allowed(kind, line):
            yield problem
    of_itself = (a for place, allowances in idle.items() if place[0] == kind for a in allowances)
    yield from (problem for _, problem in _idle(file, of_itself, steps))


def _allowances(file: t.File) -> Iterator[Allowance]:
    """What the comments of a file allow, one for each kind. A comment on lines of its own is about the line below."""
    below: dict[int, int] = {}  # of a line with nothing but a comment: the next that has more
    for comment in reversed(file.comments):
        line, column = file.source.position(comment.span.start)
        if not file.source.line(line)[: column - 1].strip():
            below[line] = below.get(line + 1, line + 1)
    for comment in file.comments:
        match = _ALLOW.match(comment.text)
        if not match:
            continue
        kinds = [_meant(kind) for kind in re.findall(_KIND, match["kinds"], re.I)]
        known = not {*WARNINGS}.isdisjoint(kinds)
        if match["reason"] is None and match.end() < len(comment.text) and not known:
            continue  # other words, such as "allow odd-sized windows"
        end = match.start("reason") if match["reason"] else match.end()
        head = comment.text[:end].rstrip()
        meant = None
        if not _RIGHT.match(head):
            if not known:
                continue
            start = comment.span.start
            meant = Edit(Span(file.source, start, start + len(head)), f"# allow {', '.join(kinds)}")
        line, _ = file.source.position(comment.span.start)
        line = below.get(line, line)
        reason = (match["reason"] or "").removeprefix(":").strip()
        for kind in kinds[: 1 if meant else None]:
            yield Allowance(kind, reason, comment.span, line, len(kinds) == 1, meant)


def _meant(kind: str) -> str:
    """The name of a kind of warning that is given by its code, or in other letters."""
    return codes.NAMES.get(kind.upper()) or kind.lower().replace("_", "-")


def _idle(
    file: t.File, allowances: Iterable[Allowance], steps: Steps | None
) -> Iterator[tuple[int, Problem]]:
    """Warnings about comments that allow nothing, with the line that each comment is about."""
    starts = [file.source.position(definition.span.start)[0] for definition in file.definitions]
    applied = {bisect_right(starts, line) for line in (steps.lines(file.source) if steps else ())}
    for allowance in allowances:
        message = help = ""
        fix: Fix | None = None
        span = allowance.span
        if allowance.meant is not None:
            span, right = allowance.meant
            message = f"`{span.text}` allows nothing: it is written `{right}`"
            help, fix = f"write `{right}: {allowance.reason or '...'}`", replaced(span, right)
        elif allowance.kind not in WARNINGS:
            message = f"there is no warning `{allowance.kind}`"
            help = suggest(allowance.kind, WARNINGS) or f"the kinds are {', '.join(WARNINGS)}"
        elif not allowance.reason:
            message = f"`{allowance.kind}` is allowed without a reason"
            help = f"say why: `# allow {allowance.kind}: ...`"
        elif allowance.kind in _OF_TEXT or bisect_right(starts, allowance.line) in applied:
            message, help = f"there is no `{allowance.kind}` to allow here", "remove the comment"
            fix = without_comment(allowance.span) if allowance.alone else None
        if message:
            yield allowance.line, Problem(codes.UNUSED_ALLOW, message, span, help=help, fix=fix)
