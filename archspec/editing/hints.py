"""Hints between the letters of a spec: the shape behind each step, the parameters of each block and model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from archspec.analyses.formatting import plural, short
from archspec.editing.analysis import Analysis
from archspec.editing.describing import cost, flow, types
from archspec.editing.places import end_of_head
from archspec.editing.seeing import Sighting
from archspec.elaboration.values import Tensor
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType
from archspec.syntax import tree as t

_WIDEST = 130  # columns of a line with its hints, but for those at its end
_MOST_LISTED = 8


@dataclass(frozen=True)
class Hint:
    """A text to show behind the letter before an offset, and what to say of it, as Markdown."""

    offset: int
    label: str
    tooltip: str


def hints(analysis: Analysis, start: int = 0, end: int | None = None) -> list[Hint]:
    """The hints between two offsets, in order."""
    end = len(analysis.text) if end is None else end
    found: dict[int, Hint] = {}
    for node in analysis.file.nodes:
        for hint in _of(analysis, node):
            if start <= hint.offset <= end:
                found.setdefault(hint.offset, hint)
    return [found[offset] for offset in sorted(found)]


def _of(analysis: Analysis, node: t.Tree) -> Iterator[Hint]:
    match node:
        case t.Chain():
            yield from _of_chain(analysis, node)
        case t.ListOf():
            spans = [item.value.span for item in node.items]
            if "\n" in node.span.text:
                yield from _of_steps(analysis, spans, None)
        case t.Definition():
            yield from _of_definition(analysis, node)
        case t.Assign() | t.Input() | t.Own():
            yield from _of_value(analysis, node)
        case t.Return() if not any(isinstance(output.value, t.Chain) for output in node.outputs):
            given = analysis.seen.returned.get(node.span)
            if given:
                yield Hint(node.span.end, types(given), "")


# ------------------------------------------------------------------ steps


def _of_chain(analysis: Analysis, chain: t.Chain) -> Iterator[Hint]:
    first = analysis.seen.first(chain.steps[0].layer.span)
    yield from _of_steps(analysis, [step.layer.span for step in chain.steps], first.inputs if first else None)


def _of_steps(
    analysis: Analysis, spans: Sequence[Span], before: tuple[TensorType, ...] | None
) -> Iterator[Hint]:
    """The shape behind the last step of each line, and as fits, behind those that change it."""
    lines: dict[int, list[Span]] = {}
    for span in spans:
        lines.setdefault(span.source.position(span.end)[0], []).append(span)
    for number, on_line in lines.items():
        room = _WIDEST - len(analysis.source.line(number))
        for span in on_line:
            sighting = analysis.seen.first(span)
            if sighting is None:
                before = None
                continue
            label, last = types(sighting.outputs), span is on_line[-1]
            if last or (sighting.outputs != before and len(label) < room):
                room -= len(label) + 1
                yield Hint(span.end, label, _tooltip(analysis, span, sighting))
            before = sighting.outputs


def _tooltip(analysis: Analysis, span: Span, sighting: Sighting) -> str:
    lines = [f"`{flow(sighting.inputs, sighting.outputs)}`", cost(sighting.parameters, sighting.macs)]
    if sighting.names:
        lines.append(" ".join(f"`{name}`" for name in sighting.names[:_MOST_LISTED]))
    others = analysis.seen.applied[span][1:]
    if others:
        lines += ["", "The first of several shapes; the others:"]
        lines += [f"- `{flow(other.inputs, other.outputs)}`" for other in others[:_MOST_LISTED]]
        left_out = len(others) - _MOST_LISTED
        lines += [f"- and {left_out} more"] if left_out > 0 else []
    return "\n\n".join(lines[:3]) + "\n" + "\n".join(lines[3:]) if len(lines) > 3 else "\n\n".join(lines)


# ------------------------------------------------------------------ statements


def _of_value(analysis: Analysis, statement: t.Assign | t.Input | t.Own) -> Iterator[Hint]:
    """The shapes of the tensors that a statement gives names to, unless it says them itself."""
    if isinstance(statement, t.Assign) and _ends_in_step(statement.value):
        return
    sizes: Iterable[t.Tree] = ()
    if isinstance(statement, t.Input):
        sizes = statement.pattern or ()
    elif isinstance(statement, t.Own):
        sizes = statement.shape
    if sizes and all(isinstance(size, t.Literal_) for size in sizes):
        return
    names = analysis.seen.names.get(statement.span, {})
    bound = [statement.target.name] if isinstance(statement, t.Assign) else [statement.name]
    if isinstance(statement, t.Assign) and statement.target.name is None:
        bound = [part.name for part in statement.target.targets]
    values = [names.get(name or "") for name in bound]
    given = [x for value in values for x in (value if isinstance(value, list | tuple) else [value])]
    tensors = [x.type for x in given if isinstance(x, Tensor)]
    if len(tensors) == len(given) and 1 <= len(tensors) <= _MOST_LISTED:
        yield Hint(statement.span.end, types(tensors), "")


def _ends_in_step(value: t.Expression) -> bool:
    return isinstance(value, t.Chain) and value.steps[-1].span.end == value.span.end


# ------------------------------------------------------------------ definitions


def _of_definition(analysis: Analysis, definition: t.Definition) -> Iterator[Hint]:
    graph = analysis.graphs.get(definition.name) if definition.kind == "model" else None
    place = end_of_head(definition)
    if graph is not None:
        inputs, outputs = [given.type for given in graph.inputs], graph.result_types
        steps = f"{graph.sizes[-1]:,} {plural(graph.sizes[-1], 'step')}"
        tooltip = f"`{flow(inputs, outputs)}`\n\n{cost(graph.parameters, None)} · {steps}"
        yield Hint(place, f"{flow(inputs, outputs)} · {_parameters(graph.parameters)}", tooltip)
        return
    span = definition.layer.span if definition.layer is not None else definition.span
    sighting = analysis.seen.first(span)
    if sighting is not None:
        label = f"{flow(sighting.inputs, sighting.outputs)} · {_parameters(sighting.parameters)}"
        yield Hint(place, label, _tooltip(analysis, span, sighting))


def _parameters(count: int) -> str:
    return f"{short(count)} {plural(count, 'parameter')}" if count else "no parameters"
