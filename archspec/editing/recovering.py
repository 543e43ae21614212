"""Parsing what can be parsed of a wrong text."""

from __future__ import annotations

from archspec.ground.errors import Problem, SpecError
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t
from archspec.syntax.parsing import parse_file

_MOST_LINES = 40


def parse_what_can_be(source: Source) -> tuple[t.File, list[Problem]]:
    """The tree of the lines that can be parsed, as if the others were blank, and what is wrong with those."""
    problems: list[Problem] = []
    for _ in range(_MOST_LINES):
        text = source.text
        if not text.strip():
            break
        try:
            return parse_file(source), problems
        except SpecError as error:
            problems = problems or [*error.problems]
            span = error.problems[0].span
            if span is None:
                break
            start = text.rfind("\n", 0, min(span.start, len(text.rstrip()))) + 1
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            source = Source(source.path, text[:start] + " " * (end - start) + text[end:], source.name)
    return t.File(Span(source, 0, len(source.text)), source, (), ()), problems
