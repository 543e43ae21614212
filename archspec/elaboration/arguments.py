"""Binding arguments to the parameters of ops and blocks, and checking them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archspec.elaboration.checks import SIZE_NEEDED, number
from archspec.elaboration.values import (
    BlockLayer,
    DefinedFunction,
    OpLayer,
    Tensor,
    describe,
    frozen,
    is_layer,
    noun,
    same,
)
from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest
from archspec.ground.size import Free
from archspec.op import Op, shipped
from archspec.syntax import tree as t

Evaluate = Callable[[t.Expression], Any]
Built = TypeVar("Built", bound=BaseModel)


class ArgumentMistake(Mistake):
    """A mistake in one argument, so that the place can be that argument and not the whole call."""

    def __init__(self, name: str, message: str, code: str, *, help: str = "") -> None:
        super().__init__(message, code, help=help)
        self.argument = name


def raise_all(mistakes: Iterable[Mistake]) -> None:
    """Raise the first of the mistakes, if there are any, with the others."""
    for first, *others in filter(None, [[*mistakes]]):
        first.others = (*first.others, *(each for other in others for each in (other, *other.others)))
        raise first


def by_position(
    what: str,
    parameters: Iterable[str],
    bound: Mapping[str, Any],
    already: int,
    positional: Iterable[Any],
) -> dict[str, Any]:
    """Arguments given by position, by the names of the parameters that they fall on.

    They fill the parameters in order, after those that earlier positions filled. Mistake when there
    are too many, or when one falls on a parameter that was bound by name.
    """
    names = list(parameters)
    placed: dict[str, Any] = {}
    for i, value in enumerate(positional, already):
        if i >= len(names):
            most = f"at most {len(names)} argument{'s' * (len(names) != 1)}" if names else "no arguments"
            raise Mistake(f"{what} takes {most}", codes.BY_POSITION, help=takes(what, names) if names else "")
        if names[i] in bound:
            raise Mistake(
                f"`{names[i]}` of {what} is already bound to {describe(bound[names[i]])}",
                codes.GIVEN_TWICE,
                help=f"to override it, pass it by name: `{names[i]}={describe(value)}`",
            )
        placed[names[i]] = value
    return placed


def given_once(what: str, placed: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments given by name; ArgumentMistake when one of them was given by position too."""
    for name in named:
        if name in placed:
            raise ArgumentMistake(
                name, f"`{name}` of {what} is given twice, by position and by name", codes.GIVEN_TWICE
            )
    return named


def unknown(what: str, name: str, known: Iterable[str]) -> ArgumentMistake:
    """The mistake of naming a parameter that is not there."""
    names = list(known)
    return ArgumentMistake(
        name,
        f"{what} has no argument `{name}`",
        codes.UNKNOWN_ARGUMENT,
        help=suggest(name, names) or takes(what, names),
    )


def takes(what: str, names: Iterable[str]) -> str:
    """What arguments there are, for a help line."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"{what} takes {listed}" if listed else f"{what} takes no arguments"


# ------------------------------------------------------------------ ops


def build_op(layer: OpLayer) -> Op:
    """The op with its arguments, checked. Raises Mistake when one is missing or wrong."""
    mistakes: list[Mistake] = []
    for name, value in layer.arguments.items():
        if isinstance(value, Tensor) or (is_layer(value) and value != []):  # the empty list is of anything
            message = f"`{name}` of {layer.name} cannot be {noun(value)}"
            mistakes.append(ArgumentMistake(name, message, codes.ARGUMENT_TYPE))
        elif name in takes_sizes(layer.op) - {layer.op.rest} and (text := _text_in(value)) is not None:
            # In JSON, a free size is written so.
            message = f"`{name}` of {layer.name} takes sizes, not {noun(text)}"
            help_ = f"write it without quotes: {text}"
            mistakes.append(ArgumentMistake(name, message, codes.ARGUMENT_TYPE, help=help_))
    raise_all(mistakes)
    return build(layer.op, layer.arguments)


@cache
def takes_sizes(op: type[Op]) -> frozenset[str]:
    """The arguments of an op that may be free sizes."""
    return frozenset(name for name, field in op.model_fields.items() if "Free" in repr(field.annotation))


def _text_in(value: Any) -> str | None:
    """A string within a value, if there is one."""
    if isinstance(value, list | tuple):
        return next((text for item in value if (text := _text_in(item)) is not None), None)
    return value if isinstance(value, str) else None


def build(model: type[Built], arguments: Mapping[str, Any]) -> Built:
    """An op or an initialisation with its arguments, checked. Raises Mistake when one is missing or wrong."""
    try:
        return model(**{name: frozen(value) for name, value in arguments.items()})
    except ValidationError as error:
        raise _in_words(model, error, arguments) from None
    except (Exception, SystemExit) as error:  # of a validator that an op of the user's own has
        if issubclass(model, Op) and not shipped(model) and not isinstance(error, Mistake):
            message = f"checking the arguments of {model.__name__} fails with {type(error).__name__}: {error}"
            raise Mistake(message, codes.OWN_OP) from error
        raise


def complete(layer: OpLayer) -> bool:
    """Whether every argument without a default is bound."""
    return all(
        name in layer.arguments or not field.is_required() for name, field in layer.op.model_fields.items()
    )


def _in_words(model: type[BaseModel], error: ValidationError, arguments: Mapping[str, Any]) -> Mistake:
    """A validation error of pydantic in the words of specs."""
    what, problems = model.__name__, error.errors(include_url=False)
    if problems[0]["type"] == "missing":
        missing = [f"`{p['loc'][0]}`" for p in problems if p["type"] == "missing"]
        return Mistake(
            f"{what} needs {' and '.join(missing)}",
            codes.MISSING_ARGUMENT,
            help=takes(what, model.model_fields),
        )
    fields: dict[str, list[ErrorDetails]] = {}
    for problem in problems:
        if problem["type"] != "missing":
            fields.setdefault(str(problem["loc"][0]) if problem["loc"] else "", []).append(problem)
    first, *others = (_of_field(model, name, found, arguments) for name, found in fields.items())
    first.others = tuple(others)
    return first


def _of_field(
    model: type[BaseModel], name: str, problems: list[ErrorDetails], arguments: Mapping[str, Any]
) -> Mistake:
    """The errors about one argument in the words of specs."""
    what = model.__name__
    if problems[0]["type"] in ("value_error", "assertion_error"):
        cause = problems[0].get("ctx", {}).get("error")
        if isinstance(cause, Mistake):
            return cause
        return ArgumentMistake(name, str(cause) if cause else problems[0]["msg"], codes.ARGUMENT)
    value, subject = arguments.get(name), f"`{name}` of {what}"
    if isinstance(value, list | tuple):  # of what the list could have been, only a list is of interest
        deepest = max(map(_place, problems), key=len)
        if deepest:
            value, subject = _item(value, deepest), f"each number of {subject}"
            problems = [p for p in problems if _place(p) == deepest]
    wanted = list(dict.fromkeys(words for p in problems for words in _wanted(p)))
    if len(wanted) > 1:
        wanted = [words for words in wanted if words != "none"]
    if isinstance(value, Free):
        return ArgumentMistake(
            name,
            f"{subject} must be known, but {value} is free",
            codes.FREE_NUMBER,
            help=_size_needed(model),
        )
    return ArgumentMistake(
        name,
        f"{subject} must be {_either(wanted)}, not {describe(value)}",
        codes.OUT_OF_DOMAIN if any(p["type"] in _BOUNDS for p in problems) else codes.ARGUMENT_TYPE,
        help=whole_help(value) if "a whole number" in wanted else _list_help(wanted, value),
    )


def _list_help(wanted: list[str], value: Any) -> str:
    """The fix for one number where a list of numbers is needed."""
    return f"write `[{describe(value)}]`" if wanted == ["a list"] and isinstance(value, int | float) else ""


def _size_needed(model: type[BaseModel]) -> str:
    """What to do about a free size where a number is needed: an op may take the sizes of a tensor, known at run time."""
    if "like" not in getattr(model, "sized_by", ()):
        return SIZE_NEEDED
    return (
        f"`{model.__name__}(like=y)` takes the sizes of the tensor `y`, whatever they are; or {SIZE_NEEDED}"
    )


def size_of_axis(what: str, name: str, value: Any) -> int:
    """The size of an axis that is given by its name. Raises ArgumentMistake for anything else."""
    if isinstance(value, Free):
        raise ArgumentMistake(
            name,
            f"`{name}` of {what} must be known, but {value} is free",
            codes.FREE_NUMBER,
            help=SIZE_NEEDED,
        )
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"`{name}` of {what} must be a whole number, the size of an axis, not {describe(value)}"
        raise ArgumentMistake(name, message, codes.ARGUMENT_TYPE, help=whole_help(value))
    if value < 1:
        raise ArgumentMistake(
            name, f"`{name}` of {what} must be at least 1, not {value}", codes.OUT_OF_DOMAIN
        )
    return value


def whole_help(value: Any) -> str:
    """The fix for a float where a whole number is needed, if that is the mistake."""
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}; `//` divides whole numbers, round, floor and ceil make them"
    return ""


def _place(problem: ErrorDetails) -> tuple[int, ...]:
    """Where in lists within lists a problem is; pydantic's names of types may stand between and behind."""
    return tuple(step for step in problem["loc"][1:] if isinstance(step, int))


def _item(value: Any, place: tuple[int, ...]) -> Any:
    """The item of a list in lists that an error is about."""
    for step in place:
        if isinstance(value, list | tuple) and step < len(value):
            value = value[step]
    return value


def _either(wanted: list[str]) -> str:
    *others, last = wanted or ["something else"]
    return f"{', '.join(others)} or {last}" if others else last


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_WANTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
    "bool_type": "true or false", "string_type": "a string", "none_required": "none", "tuple_type": "a list",
    "list_type": "a list", "model_type": "an initialisation", "is_instance_of": "a size",
    "finite_number": "a finite number", "model_attributes_type": "an initialisation",
}  # fmt: skip


def _wanted(problem: ErrorDetails) -> list[str]:
    """What was expected, one phrase for each alternative."""
    context = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        return str(context["expected"]).replace("'", '"').replace(" or ", ", ").split(", ")
    if problem["type"] in _BOUNDS:
        words, key = _BOUNDS[problem["type"]]
        return [f"{words} {context[key]}"]
    if problem["type"] == "string_type" and "parse" in str(problem["loc"][-1]):
        return []  # as which a free size is written in JSON
    return [_WANTED[problem["type"]]] if problem["type"] in _WANTED else []


# ------------------------------------------------------------------ blocks


def check_parameter(block: str, parameter: t.Parameter, value: Any, evaluate: Evaluate) -> None:
    """ArgumentMistake when the value is not of the parameter's type, or not in its domain."""
    optional = isinstance(parameter.default, t.Literal_) and parameter.default.value is None
    if value is None and optional:
        return
    if parameter.type is not None and _is_type(parameter.type) and not _is(value, parameter.type):
        raise ArgumentMistake(
            parameter.name,
            f"`{parameter.name}` of {block} must be {_type_words(parameter.type)}, not {noun(value)}",
            codes.ARGUMENT_TYPE,
            help=_help(value, parameter.type),
        )
    match parameter.domain:
        case t.Choices(values=values):
            choices = [evaluate(choice) for choice in values]
            if isinstance(value, Free) or not any(same(value, choice) for choice in choices):
                wanted = ", ".join(map(describe, choices))
                raise ArgumentMistake(
                    parameter.name,
                    f"`{parameter.name}` of {block} must be one of {wanted}, not {describe(value)}",
                    codes.OUT_OF_DOMAIN,
                )
        case t.Range(low=low, high=high):
            least, most = (_bound(bound, evaluate) for bound in (low, high))
            if (
                isinstance(value, bool | str)
                or not isinstance(value, int | float)
                or not least <= value <= most
            ):
                wanted = f"{describe(least)}..{describe(most)}"
                raise ArgumentMistake(
                    parameter.name,
                    f"`{parameter.name}` of {block} must be in {wanted}, not {describe(value)}",
                    codes.OUT_OF_DOMAIN,
                )


def _help(value: Any, type_: t.TypeName) -> str:
    if type_.name == "layer" and isinstance(value, str):
        return f"write it without quotes; from Python, `archspec.parse_value({describe(value)})` is a layer"
    return whole_help(value) if type_.name == "int" else ""


def _bound(expression: t.Expression, evaluate: Evaluate) -> Any:
    """An end of a range. SpecError when it is no number."""
    try:
        return number(evaluate(expression), "a range")
    except Mistake as mistake:
        raise mistake.at(expression.span) from None


def _is(value: Any, type_: t.TypeName) -> bool:
    match type_.name:
        case "int":
            return _is_whole(value)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "str":
            return isinstance(value, str)
        case "layer":
            return is_layer(value)
        case "pair":
            of_two = isinstance(value, list | tuple) and len(value) == 2
            return all(map(_is_whole, value if of_two else [value]))
        case "list":
            return isinstance(value, list | tuple) and (
                type_.item is None or all(_is(item, type_.item) for item in value)
            )
    raise AssertionError(f"no type: {type_.name}")


def _is_type(type_: t.TypeName) -> bool:
    """Whether there is such a type; of one that there is not is told where it stands, and any value will do."""
    return type_.name in TYPES and (type_.item is None or _is_type(type_.item))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | Free) and not isinstance(value, bool)


def settled(parameter: t.Parameter, value: Any) -> Any:
    """What a parameter is to its block, given that value: of a `pair`, a number stands for both."""
    if parameter.type is None or parameter.type.name != "pair" or value is None:
        return value
    return list(value) if isinstance(value, list | tuple) else [value, value]


TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "layer": "a layer",
    "list": "a list",
    "pair": "a whole number, or a list of two",
}


def _type_words(type_: t.TypeName) -> str:
    if type_.name == "list" and type_.item is not None:
        return f"a list, each item {_type_words(type_.item)}"
    return TYPES[type_.name]


def parameter_names(taker: BlockLayer | DefinedFunction) -> list[str]:
    """The names of the parameters of a block or a function, in order."""
    return [parameter.name for parameter in taker.definition.parameters]
