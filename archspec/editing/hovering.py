"""What is said of the word under the pointer: a step's shape, parameters and keys, an op's documentation, a name's value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.analyses.formatting import short
from archspec.editing.analysis import Analysis
from archspec.editing.describing import (
    about_argument,
    about_builtin,
    code,
    cost,
    flow,
    head,
    said_of,
    sort_of,
    value,
)
from archspec.editing.looking_up import (
    NOTHING,
    Home,
    called_by,
    home_of,
    home_of_value,
    imported_file,
    parameter_of,
    value_of,
)
from archspec.editing.names import Occurrence, Symbol
from archspec.editing.places import Scope, end_of, path_to, word_at
from archspec.editing.seeing import Sighting
from archspec.elaboration.binding import names_bound
from archspec.elaboration.parts import attributes
from archspec.elaboration.values import BlockLayer, DefinedFunction, Function, Labelled, OpLayer, SharedLayer
from archspec.ground.source import Span
from archspec.syntax import tree as t

_MOST = 8  # weights and further shapes that are listed


@dataclass(frozen=True)
class Hover:
    """What to say of a place, as Markdown."""

    span: Span
    text: str


def hover(analysis: Analysis, offset: int) -> Hover | None:
    """What to say of the word at an offset; None where there is nothing."""
    start, end = word_at(analysis.text, offset)
    span = Span(analysis.source, start, end)
    step = _of_step(analysis, offset)
    parts = [*step, *_of_word(analysis, offset, sized=not step)]
    if not parts:
        parts = _of_claim(analysis, offset)
    return Hover(span, "\n\n---\n\n".join(parts)) if parts and start < end else None


# ------------------------------------------------------------------ steps


def _of_step(analysis: Analysis, offset: int) -> list[str]:
    """What is said of the step whose name or layer stands there."""
    for node in reversed(path_to(analysis.file, offset)):
        layer: t.Expression | None = None
        label: t.Text | None = None
        if isinstance(node, t.Step):
            label, layer = node.label, node.layer
        elif isinstance(node, t.Item):
            label, layer = node.label, node.value
        if layer is None:
            if isinstance(node, t.Argument | t.ListOf | t.Chain):
                return []
            continue
        sighting = analysis.seen.first(layer.span)
        on_label = label is not None and label.span.start <= offset <= label.span.end
        if sighting is not None and (on_label or _on_callee(layer, offset)):
            return [of_sighting(analysis, layer.span, sighting)]
        return []
    return []


def _on_callee(layer: t.Expression, offset: int) -> bool:
    while isinstance(layer, t.Call):
        layer = layer.callee
    return layer.span.start <= offset <= layer.span.end


def of_sighting(analysis: Analysis, span: Span, sighting: Sighting) -> str:
    """What is said of a layer that was applied, and of the steps that this made."""
    name = _common(sighting.names)
    label = f"{name}: " if name else ""
    lines = [code(f"{label}{value(sighting.layer)}"), flow(sighting.inputs, sighting.outputs)]
    lines.append(cost(sighting.parameters, sighting.macs))
    weights = sighting.weights
    if weights:
        shown = [f"`{key}` {list(weight.shape)}" for key, weight in list(weights.items())[:_MOST]]
        shown += ["…"] * (len(weights) > _MOST)
        lines.append(f"In the `state_dict`: {', '.join(shown)}")
    elif sighting.parameters and name:
        lines.append(f"In the `state_dict`: `{name}.…`")
    others = analysis.seen.applied[span][1:]
    if others:
        shown = [f"- {flow(other.inputs, other.outputs)}" for other in others[:_MOST]]
        shown += [f"- and {len(others) - _MOST} more"] * (len(others) > _MOST)
        lines.append("The first of several shapes; the others:\n" + "\n".join(shown))
    return "\n\n".join(lines)


def _common(names: Sequence[str]) -> str:
    """The name of the step, or the part of a path that the names of several have in common."""
    paths = [name.split(".") for name in names]
    length = 0
    while paths and all(len(path) > length and path[length] == paths[0][length] for path in paths):
        length += 1
    return ".".join(paths[0][:length]) if paths else ""


# ------------------------------------------------------------------ names


def _of_word(analysis: Analysis, offset: int, *, sized: bool) -> list[str]:
    """What is said of the name that stands there; with its sizes, unless a step has said these already."""
    occurrence = analysis.names.at(offset)
    if occurrence is not None:
        said = _of_argument(analysis, occurrence) if occurrence.of else _of_name(analysis, occurrence, sized)
        return [said] if said else []
    imported = analysis.names.imported_at(offset)
    if imported is not None:
        found = imported_file(analysis, imported.statement)
        wanted = imported.imported.name
        for statement in found[1].statements if found else ():
            if found and isinstance(statement, Scope) and statement.name == wanted:
                return [_of_definition(found[1], statement)]
            if isinstance(statement, t.Assign) and statement.target.name == wanted:
                return [code(statement.span.text)]
        return []
    for node in reversed(path_to(analysis.file, offset)):
        if isinstance(node, t.Import):
            found = imported_file(analysis, node)
            return [found[1].doc] if found is not None and found[1].doc else []
        if isinstance(node, t.Attribute):
            return _of_attribute(analysis, node, offset)
    return []


def _of_attribute(analysis: Analysis, node: t.Attribute, offset: int) -> list[str]:
    """What stands behind the dot of a name, if that is a fact about a tensor or an output."""
    base = analysis.names.at(node.value.span.start) if isinstance(node.value, t.Name) else None
    if base is None or offset < node.span.end - len(node.name):
        return []
    given = value_of(analysis, base.symbol, base.span.start)
    facts = attributes(given) if given is not NOTHING else {}
    return [code(f"{node.span.text} = {value(facts[node.name])}")] if node.name in facts else []


def _of_name(analysis: Analysis, occurrence: Occurrence, sized: bool) -> str:
    symbol = occurrence.symbol
    if symbol.owner is None:
        home = home_of(analysis, symbol.name)
        if home is not None and home.definition.name != symbol.name and symbol.name in analysis.names.top:
            given = value_of(analysis, symbol, occurrence.span.start)
            return (
                f"{code(f'{symbol.name} = {value(given)}')}\n\n{_of_definition(home.file, home.definition)}"
            )
        if home is not None:
            sizes = _sizes(analysis, home.definition) if sized else ""
            return _of_definition(home.file, home.definition) + sizes
    given = value_of(analysis, symbol, occurrence.span.start)
    if given is NOTHING:
        return ""
    if symbol.owner is None and symbol.name not in analysis.names.top:
        return about_builtin(given) or code(f"{symbol.name} = {value(given)}")
    if isinstance(given, SharedLayer):
        return code(f"shared {symbol.name} = {value(given.layer)}") + _of_shared(analysis, given.layer)
    sort = sort_of(given)
    said = code(
        f"{symbol.name}: {value(given)}"
        if sort in ("tensor", "tensors")
        else f"{symbol.name} = {value(given)}"
    )
    if isinstance(given, BlockLayer | DefinedFunction):
        found = home_of_value(analysis, given)
        return f"{said}\n\n{_of_definition(found.file, found.definition)}" if found else said
    if isinstance(given, OpLayer | Function):
        return f"{said}\n\n{about_builtin(given)}" if not isinstance(given, Labelled) else said
    if _in_turn(analysis, symbol, occurrence.span.start):
        return f"{said}\n\nin the first turn of the loop"
    return said


def _of_shared(analysis: Analysis, layer: Any) -> str:
    """What the layer is that is shared."""
    if isinstance(layer, BlockLayer):
        found = home_of_value(analysis, layer)
        return f"\n\n{_of_definition(found.file, found.definition)}" if found else ""
    return f"\n\n{about_builtin(layer)}" if isinstance(layer, OpLayer) else ""


def _in_turn(analysis: Analysis, symbol: Symbol, offset: int) -> bool:
    """Whether a loop around a place gives a name another value in each turn."""
    return any(
        isinstance(node, t.For)
        and node.span.start <= offset <= end_of(node)
        and symbol.name in names_bound(node)
        for node in (symbol.owner.nodes if symbol.owner is not None else ())
    )


def _of_definition(file: t.File, definition: Scope) -> str:
    said = said_of(file, definition)
    return f"{code(head(definition))}\n{said}" if said else code(head(definition))


def _sizes(analysis: Analysis, definition: Scope) -> str:
    """What a definition of this file was applied to, and how many parameters it had."""
    if definition.span.source is not analysis.source or not isinstance(definition, t.Definition):
        return ""
    graph = analysis.graphs.get(definition.name)
    if graph is not None:
        inputs = [given.type for given in graph.inputs]
        return f"\n\n{flow(inputs, graph.result_types)}\n\n{graph.parameters:,} parameters"
    span = definition.layer.span if definition.layer is not None else definition.span
    sighting = analysis.seen.first(span)
    return f"\n\n{of_sighting(analysis, span, sighting)}" if sighting else ""


def _of_argument(analysis: Analysis, occurrence: Occurrence) -> str:
    """What an argument by name is."""
    name = occurrence.symbol.name
    found = parameter_of(analysis, occurrence)
    if found is not None:
        return _of_parameter(*found)
    called = called_by(analysis, occurrence.of)
    return about_argument(called, name) if called is not None and name in called.model_fields else ""


def _of_parameter(home: Home, parameter: t.Parameter) -> str:
    """What a parameter of a block or a function is, and what its definition says of it."""
    said = [code(f"{home.definition.name}({parameter.span.text})")]
    text = " ".join(said_of(home.file, home.definition).split())
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z`])", text)
    return "\n\n".join(said + [each for each in sentences if f"`{parameter.name}`" in each])


# ------------------------------------------------------------------ claims


def _of_claim(analysis: Analysis, offset: int) -> list[str]:
    """What was measured of a claim."""
    for node in path_to(analysis.file, offset):
        verdict = analysis.verdicts.get(node.span.location) if isinstance(node, t.Claim) else None
        if verdict is not None and isinstance(node, t.Claim):
            measured = verdict.measured
            number = measured.replace(",", "")
            shortened = short(int(number)) if number.isdigit() else number
            about = f" (`{shortened}`)" if shortened not in (number, measured) else ""
            return [f"`{node.span.text}`\n\nmeasured: {measured}{about}, {_FOUND[verdict.finding]}"]
    return []


_FOUND = {
    "printed": "as claimed",
    "differs": "a known difference",
    "wrong": "not as claimed",
    "unmeasured": "not measured at these settings",
}
