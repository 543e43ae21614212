"""The signature of what is being called, and which of its arguments is being written."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from archspec.editing.analysis import Analysis
from archspec.editing.calls import OpenCall, open_call
from archspec.editing.describing import about_builtin, argument, said_of, signature
from archspec.editing.looking_up import home_of
from archspec.elaboration.values import Function, OpLayer, describe
from archspec.elaboration.vocabulary import builtin
from archspec.op.calling import Called
from archspec.op.initialisation import Initialiser


@dataclass(frozen=True)
class SignatureHelp:
    """A signature, its arguments as they stand in it, the one being written (None where it is none), and what is said of it."""

    label: str
    arguments: tuple[str, ...]
    active: int | None
    documentation: str


def signature_help(analysis: Analysis, offset: int) -> SignatureHelp | None:
    """The signature of the call that is open at an offset."""
    call = open_call(analysis.text, offset)
    if call is None or call.head:
        return None
    home = home_of(analysis, call.callee)
    if home is not None:
        parameters = home.definition.parameters
        shown = tuple(" ".join(parameter.span.text.split()) for parameter in parameters)
        names = [parameter.name for parameter in parameters]
        said = said_of(home.file, home.definition)
        return _help(f"{home.definition.name}({', '.join(shown)})", shown, names, names, call, said)
    given = analysis.module.env.names.get(call.callee) if analysis.module is not None else None
    given = builtin(call.callee) if given is None else given
    if isinstance(given, OpLayer):
        return _of_called(given.op, call, about_builtin(given))
    if isinstance(given, type) and issubclass(given, Initialiser):
        return _of_called(given, call, about_builtin(given))
    if isinstance(given, Function):
        return _of_function(given, call)
    return None


def _of_called(called: type[Called], call: OpenCall, said: str) -> SignatureHelp:
    first = [*called.by_position()]
    names = [*first, *(n for n in called.model_fields if n not in (*first, getattr(called, "rest", None)))]
    shown = [argument(called, name) for name in names]
    return _help(signature(called), tuple(shown), names, first, call, said.partition("```\n")[2])


def _of_function(function: Function, call: OpenCall) -> SignatureHelp:
    parameters = inspect.signature(function.call).parameters.values()
    names = [p.name for p in parameters]
    shown = [
        f"{'*' * (p.kind is p.VAR_POSITIONAL)}{p.name}"
        + ("" if p.default is p.empty else f"={describe(p.default)}")
        for p in parameters
    ]
    first = [p.name for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        first += first[-1:] * call.position
    said = inspect.getdoc(function.call) or ""
    label = f"{function.name}({', '.join(shown)})"
    return _help(label, tuple(shown), names, first, call, said)


def _help(
    label: str, shown: tuple[str, ...], names: list[str], by_position: list[str], call: OpenCall, said: str
) -> SignatureHelp:
    """The help for a call: by position go `by_position` in order, and all others by name."""
    wanted = call.argument
    if not wanted and not call.named and call.position < len(by_position):
        wanted = by_position[call.position]
    active = names.index(wanted) if wanted in names else None
    return SignatureHelp(label, shown, active, said)


def places(label: str, arguments: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where in a signature each argument stands, which is in their order."""
    found, end = [], label.find("(") + 1
    for shown in arguments:
        start = label.find(shown, end)
        end = start + len(shown)
        found.append((start, end))
    return found
