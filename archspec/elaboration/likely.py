"""Edits that the help for an unknown name tells of, for a person to choose: what was meant is likely, but not sure."""

from __future__ import annotations

import re

from archspec.ground.errors import Edit, Fix, Near
from archspec.ground.source import Source, Span

_IMPORT = re.compile(r"write `(from [\w.]+ import (\w+))`")
_NAME = re.compile(r"write `(\w+)`(?:;.*)?", re.S)
_LAST_IMPORT = re.compile(r"^from[ \t].*\n(?![\s\S]*^from[ \t])", re.M)
_HEAD = re.compile(r'(?:[ \t]*(?:#.*)?\n)*(?:"""[\s\S]*?"""[ \t]*\n|"[^"\n]*"[ \t]*\n)?(?:[ \t]*\n)*')


def likely(span: Span, help: str) -> Fix | None:
    """The edit at an unknown name that its help tells of; None where it tells of none."""
    if isinstance(help, Near):
        return help.fix(span)
    if found := _IMPORT.fullmatch(help):
        line, name = found.groups()
        renamed = (Edit(span, name),) if span.text != name else ()
        return Fix(f"add `{line}`", (_imported(span.source, line), *renamed), sure=False)
    if found := _NAME.fullmatch(help):
        return Fix(f"write `{found[1]}`", (Edit(span, found[1]),), sure=False)
    return None


def _imported(source: Source, line: str) -> Edit:
    """The edit that adds an import below the last one, or above what a file says after its first words."""
    last = _LAST_IMPORT.search(source.text)
    if last is not None:
        return Edit(Span(source, last.end(), last.end()), f"{line}\n")
    head = _HEAD.match(source.text)
    place = head.end() if head else 0
    return Edit(Span(source, place, place), f"{line}\n\n")
