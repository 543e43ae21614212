"""Places in a file: what stands at an offset, and where a definition ends."""

from __future__ import annotations

import re

from archspec.elaboration.shelf import end_of_header
from archspec.syntax import tree as t

Scope = t.Definition | t.FunctionDefinition

_WORD = re.compile(r"\w+")


def path_to(file: t.File, offset: int) -> list[t.Tree]:
    """The nodes whose text holds an offset, or ends there, the outermost first."""
    found = [node for node in file.nodes if node.span.start <= offset <= node.span.end]
    return sorted(found, key=lambda node: node.span.start - node.span.end)


def scope_at(file: t.File, offset: int) -> Scope | None:
    """The block, model or function in which an offset stands: in its head, or in the indented lines below."""
    found: t.Statement | None = None
    for statement in file.statements:
        if statement.span.start <= offset:
            found = statement
    if not isinstance(found, Scope):
        return None
    if offset <= end_of(found):
        return found
    text = file.source.text
    between = text[end_of(found) : text.find("\n", offset) if "\n" in text[offset:] else len(text)]
    lines = between.splitlines()[1:]
    return (
        found
        if all(not line.strip() or line[0] in " \t" for line in lines) and _indented(text, offset)
        else None
    )


def _indented(text: str, offset: int) -> bool:
    start = text.rfind("\n", 0, offset) + 1
    return start < offset and text[start] in " \t"


def end_of(statement: t.Statement) -> int:
    """The offset behind the last letter of a statement and of the lines below it; the span of a block is only its head."""
    return max([statement.span.end, *(node.span.end for node in statement.nodes)])


def end_of_head(definition: Scope) -> int:
    """The offset behind the colon that opens the lines of a block, or behind the layer that it stands for."""
    if isinstance(definition, t.Definition) and definition.layer is not None:
        return definition.layer.span.end
    source, start, _ = definition.span
    return start + end_of_header(source.text[start:])


def word_at(text: str, offset: int) -> tuple[int, int]:
    """The start and end of the word that an offset stands in, or behind; both the offset where there is none."""
    line = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    for match in _WORD.finditer(text, line, end if end >= 0 else len(text)):
        if match.start() <= offset <= match.end():
            return match.span()
    return offset, offset
