"""What is wrong in a definition whether it is applied or not: types, dtypes, names of steps and of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from archspec.elaboration.arguments import TYPES, ArgumentMistake, parameter_names, unknown
from archspec.elaboration.binding import bound_by
from archspec.elaboration.positions import unknown_to
from archspec.elaboration.values import BlockLayer, DefinedFunction, OpLayer
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, suggest
from archspec.ground.names import require_free
from archspec.ground.tensor import dtype
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

_MEANT = {
    "integer": "int", "long": "int", "size": "int", "Int": "int", "number": "float", "double": "float",
    "real": "float", "boolean": "bool", "Bool": "bool", "string": "str", "String": "str", "text": "str",
    "block": "layer", "module": "layer", "Module": "layer", "op": "layer", "Callable": "layer",
    "List": "list", "tuple": "list", "Tuple": "list", "Sequence": "list", "array": "list",
}  # fmt: skip
"""Types as they are called elsewhere, by those that they are here."""


def told_by_text(
    definition: t.Definition | t.FunctionDefinition, meaning: Callable[[str], Any]
) -> Iterator[Problem]:
    """The mistakes in a definition that need no shapes; `meaning` gives what a name of the file stands for, or None."""
    parameters = {parameter.name for parameter in definition.parameters}
    binding = [*bound_by(definition.nodes)]
    local = parameters | {name for name, _ in binding}
    bound = parameters | {name for name, node in binding if not isinstance(node, t.Augment)}
    for node in definition.nodes:
        match node:
            case t.Augment(target=t.Target(name=str(name), span=span)):
                if name not in bound and meaning(name) is None:
                    bound.add(name)
                    help_ = f"give it one above: `{name} = ...`"
                    yield Problem(codes.NO_VALUE, f"`{name}` has no value here", span, help=help_)
            case t.Parameter(type=t.TypeName(name="Optional", item=t.TypeName()) as type_):
                yield from _optional(node, type_)
            case t.TypeName(name=name) if name not in TYPES and name != "Optional":
                yield from _unknown_type(node)
            case t.Input(dtype=str(name)) | t.Own(dtype=str(name)):
                try:
                    dtype(name)
                except Mistake as mistake:
                    yield from mistake.at(node.dtype_span).problems
            case t.Step(label=t.Text() as label) | t.Item(label=t.Text() as label):
                try:
                    require_free(label.literal or "")
                except Mistake as mistake:
                    yield from mistake.at(label.span).problems
            case t.Call(callee=t.Name(name=name)) if name not in local:
                yield from misnamed(node, meaning(name))
            case t.Call():
                yield from misnamed(node, None)


def _unknown_type(type_: t.TypeName) -> Iterator[Problem]:
    name = type_.name
    sure = _MEANT.get(name)
    help_ = f"write `{sure}`" if sure else suggest(name, TYPES) or f"the types are {', '.join(TYPES)}"
    # With what it is a list of, if that is said.
    instead = type_.span.text.replace(name, sure, 1) if sure and (not type_.item or sure == "list") else None
    mistake = Mistake(f"there is no type `{name}`", codes.UNKNOWN_KIND, help=help_, instead=instead)
    yield from mistake.at(type_.span).problems


def _optional(parameter: t.Parameter, type_: t.TypeName) -> Iterator[Problem]:
    """The mistake of saying in its type that a parameter may be none, which its default says."""
    assert type_.item is not None
    inner = type_.item.span.text
    none = isinstance(parameter.default, t.Literal_) and parameter.default.value is None
    mistake = Mistake(
        "there is no type `Optional`",
        codes.UNKNOWN_KIND,
        help=f"a parameter whose default is none may be none: `{parameter.name}: {inner} = none`",
        instead=inner if none else None,
    )
    yield from mistake.at(type_.span).problems


# ------------------------------------------------------------------ calls


def misnamed(node: t.Call, callee: Any) -> Iterator[Problem]:
    """The mistakes in how the arguments of a call are given, in order, whatever their values are; `callee` is None if not known."""
    known = _takes(callee)
    seen: dict[str, t.Argument] = {}
    for argument in node.arguments:
        if argument.name is None:
            if seen:
                yield Problem(
                    codes.BY_POSITION,
                    "positional argument after a named one",
                    argument.span,
                    help="put it first",
                )
        elif argument.name in seen:
            first = seen[argument.name].span
            message = f"`{argument.name}` is given twice"
            yield Problem(codes.GIVEN_TWICE, message, argument.span, places=(("it is given here", first),))
        else:
            seen[argument.name] = argument
            if known is not None and argument.name not in known:
                yield from _unknown(callee, argument.name, known).at(argument.span).problems


def _takes(callee: Any) -> Mapping[str, None] | None:
    """The names of the arguments that can be given to what is called; None where they may be any."""
    match callee:
        case OpLayer(op=op) if op.rest is None:
            return dict.fromkeys((*op.model_fields, *op.signature().optional))
        case BlockLayer(definition=t.Definition(layer=None)):
            return dict.fromkeys(parameter_names(callee))
        case DefinedFunction():
            return dict.fromkeys(parameter_names(callee))
        case type() if issubclass(callee, Initialiser):
            return dict.fromkeys(callee.model_fields)
    return None


def _unknown(callee: Any, name: str, known: Mapping[str, None]) -> ArgumentMistake:
    match callee:
        case OpLayer(op=op):
            return unknown_to(op, name, known)
        case BlockLayer() | DefinedFunction():
            return unknown(callee.name, name, known)
    return unknown_to(callee, name, known)
