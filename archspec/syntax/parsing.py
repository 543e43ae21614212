"""Parsing: text to tree."""

from __future__ import annotations

import re

from archspec.ground.errors import SpecError
from archspec.ground.source import Source, Span
from archspec.syntax import tree as t
from archspec.syntax.building import read, read_file

_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*', re.S
)


def parse_file(source: Source) -> t.File:
    """The tree of a whole spec file. Raises SpecError, with every statement that is none, where the text is not a spec."""
    file = parse_what_can_be(source)
    if file.problems:
        raise SpecError(file.problems)
    return file


def parse_what_can_be(source: Source) -> t.File:
    """The tree of a whole spec file, with its problems: a statement that is none is `Broken`."""
    text = source.text if source.text.endswith("\n") else source.text + "\n"
    built, problems = read_file(source, text)
    if problems:
        return t.File(Span(source, 0, len(source.text)), source, built, (), problems)
    # Only now is it sure that every quote is closed: else the search could take quadratic time.
    comments = tuple(
        t.Comment(Span(source, match.start(), match.end()), match.group().rstrip())
        for match in _STRING_OR_COMMENT.finditer(text)
        if match.group().startswith("#")
    )
    return t.File(Span(source, 0, len(source.text)), source, built, comments, ())


def parse_expression(source: Source, start: int, end: int) -> t.Expression:
    """The tree of the expression between two offsets. Raises SpecError where it is none."""
    expression: t.Expression = read(source, start, source.text[start:end], "cond")
    return expression
