"""Edits that mend what a warning tells of, where a network is sure to compute the same after them."""

from __future__ import annotations

import re
from itertools import pairwise

from archspec.ground import codes
from archspec.ground.errors import Edit, Fix
from archspec.ground.source import Span
from archspec.op import Op
from archspec.syntax import tree as t

_ARROW = re.compile(r"\s*->\s*")


class Written:
    """The parts of a statement by where they start: a statement of thousands of steps is searched once."""

    def __init__(self, statement: t.Tree) -> None:
        self.statement = statement
        self.parts: dict[int, list[t.Tree]] = {}
        self._steps: dict[int, tuple[t.Tree, t.Step]] = {}
        for node in statement.below():
            self.parts.setdefault(node.span.start, []).append(node)
            if isinstance(node, t.Chain):
                for before, step in pairwise((node.source, *node.steps)):
                    assert isinstance(step, t.Step)
                    self._steps.setdefault(step.layer.span.start, (before, step))

    def span(self, start: int) -> Span:
        """What is written at an offset, without what the next arrows lead to."""
        spans = [node.span for node in self.parts.get(start, ()) if not isinstance(node, t.Chain)]
        return max(spans, key=lambda span: span.end, default=self.statement.span)

    def mending(self, code: str, op: Op, start: int) -> Fix | None:
        """The edit for a doubt about a step that applies an op and is written at an offset."""
        if code == codes.BIAS_BEFORE_NORM:
            return self._without_bias(op, start)
        if code == codes.REPEATED_ACTIVATION and op.idempotent:
            return self._without_step(op, start)
        return None

    def _without_bias(self, op: Op, start: int) -> Fix | None:
        for node in self.parts.get(start, ()):
            if isinstance(node, t.Call) and _names(node.callee, op):
                names = {argument.name for argument in node.arguments}
                if not names or "bias" in names:
                    return None
                source, end = node.span.source, node.arguments[-1].span.end
                return Fix("add `bias=false`", (Edit(Span(source, end, end), ", bias=false"),))
        return None

    def _without_step(self, op: Op, start: int) -> Fix | None:
        before, step = self._steps.get(start, (None, None))
        if before is None or step is None or step.label is not None or not _names(step.layer, op):
            return None
        layer = step.layer.span
        span = Span(layer.source, before.span.end, layer.end)
        arrow = Span(span.source, span.start, layer.start).text
        # Between them may be brackets, which would lose one, or a comment.
        return Fix(f"remove `{layer.text}`", (Edit(span, ""),)) if _ARROW.fullmatch(arrow) else None


def without_import(statement: t.Import, name: t.Imported) -> Fix:
    """The edit that removes a name from an import, and its line with the last one."""
    at = statement.names.index(name)
    span = name.span
    if len(statement.names) == 1:
        span = _line(statement.span)
    elif at:
        span = Span(span.source, statement.names[at - 1].span.end, span.end)
    else:
        span = Span(span.source, span.start, statement.names[1].span.start)
    return Fix(f"remove `{name.span.text}`", (Edit(span, ""),))


def without_comment(comment: Span) -> Fix:
    """The edit that removes a comment, and its line if nothing else stands there."""
    line = _line(comment)
    before = line.source.text[line.start : comment.start]
    start = line.start + len(before.rstrip())
    span = Span(comment.source, start, comment.end) if before.strip() else line
    return Fix("remove the comment", (Edit(span, ""),))


def _line(span: Span) -> Span:
    """The lines of a span, whole, with the line feed at the end."""
    source = span.source
    start = source.text.rfind("\n", 0, span.start) + 1
    end = source.text.find("\n", span.end)
    return Span(source, start, end + 1 if end >= 0 else len(source.text))


def _names(expression: t.Expression, op: Op) -> bool:
    return isinstance(expression, t.Name) and expression.name == type(op).__name__
