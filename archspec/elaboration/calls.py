"""Calls: functions called, and arguments bound to ops, blocks and initialisations, with `(...)`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import (
    ArgumentMistake,
    build,
    build_op,
    by_position,
    complete,
    given_once,
    parameter_names,
    raise_all,
    size_of_axis,
    takes_sizes,
    unknown,
)
from archspec.elaboration.budget import NEW_CALL
from archspec.elaboration.checks import within_reason
from archspec.elaboration.functions import FUNCTIONS, usage
from archspec.elaboration.mistakes import HOPELESS, Poisoned, in_order
from archspec.elaboration.operators import COMBINED
from archspec.elaboration.positions import placed, unknown_to
from archspec.elaboration.static import misnamed
from archspec.elaboration.values import (
    BlockLayer,
    DefinedFunction,
    Environment,
    Function,
    OpLayer,
    SharedLayer,
    Tensor,
    describe,
    is_layer,
    noun,
)
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, SpecError
from archspec.ground.size import Free, Size
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

# Functions that keep where numbers come from, and in how many arguments.
_KEEP_ORIGINS = {
    "concat": sys.maxsize,
    "enumerate": 1,
    "len": 1,
    "prod": 1,
    "reversed": 1,
    "sum": 1,
    "zip": sys.maxsize,
}

FUNCTIONS["concat"] = Function("concat", lambda *tensors, axis=0: None)


class Calls:
    """Calls functions, and binds arguments of layers and initialisations."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.evaluator = machine.evaluator
        self._built: dict[Any, Op] = {}

    def evaluate(self, node: t.Call, env: Environment) -> Any:
        """The value of a call. Raises SpecError where it has none."""
        self.machine.budget.steps += NEW_CALL
        callee = self.evaluator.evaluate(node.callee, env)
        positional: list[Any] = []
        named: dict[str, Any] = {}
        found: list[Problem] = []
        sure = placed = True  # whether all values are known, and those by position
        for argument in node.arguments:
            try:
                if argument.name is None:
                    positional += self.evaluator.spread_out((argument.value,), env)
                    sure = sure and not named
                else:
                    sure = sure and argument.name not in named
                    named[argument.name] = self.evaluator.evaluate(argument.value, env)
            except SpecError as error:
                if any(problem.code in HOPELESS for problem in error.problems):
                    raise
                found += error.problems
                sure, placed = False, placed and argument.name is not None
            except Poisoned:
                sure, placed = False, placed and argument.name is not None
        if sure:
            try:
                return self.call(callee, positional, named, node.span)
            except Mistake as mistake:
                if not mistake.others:
                    raise self._at(mistake, node, callee) from None
                for each in (mistake, *mistake.others):
                    found += self._at(each, node, callee).problems
        else:
            found += misnamed(node, callee)
            if placed and isinstance(callee, OpLayer | BlockLayer):  # of which the others can be checked
                try:
                    self.call(callee, positional, named, node.span)
                except Mistake as mistake:
                    mistakes = (mistake, *mistake.others)
                    for each in mistakes:
                        if isinstance(each, ArgumentMistake) and each.argument in named:
                            found += self._at(each, node, callee).problems
        if not found:
            raise Poisoned
        raise SpecError(in_order(found, node.span.source))

    def _at(self, mistake: Mistake, node: t.Call, callee: Any) -> SpecError:
        """A mistake in a call at the argument that it is about, or at the call."""
        if isinstance(mistake, ArgumentMistake):
            return mistake.at(_argument_span(node, mistake.argument, callee))
        return mistake.at(node.span)

    def call(self, callee: Any, positional: list[Any], named: dict[str, Any], span: Span) -> Any:
        """Call a function, or bind arguments of a layer. Raises Mistake when they do not fit."""
        spent, weighed = self.machine.origins.spent, self.machine.budget.weighed
        match callee:
            case Function():
                keep = _KEEP_ORIGINS.get(callee.name, 0)
                positional = [value if i < keep else spent(value, span) for i, value in enumerate(positional)]
                named = {name: spent(value, span) for name, value in named.items()}
                if callee.name == "concat":
                    return self._concat(positional, named, span)
                if callee.name in COMBINED and (parts := _tensors(callee.name, positional)):
                    return self._combined(callee.name, parts, named, span)
                weighed((*positional, *named.values()), span, twice=True)
                return weighed(_result(callee, positional, named), span)
            case DefinedFunction():
                return self.machine.functions.call(callee, positional, named, span)
            case OpLayer():
                positional = [spent(value, span) for value in positional]
                named = {name: spent(value, span) for name, value in named.items()}
                return weighed(self._bind_op(callee, positional, named), span)
            case BlockLayer():
                return weighed(self._bind_block(callee, positional, named), span)
            case type() if issubclass(callee, Initialiser):
                what, fields = callee.__name__, callee.model_fields
                given = placed(callee, {}, 0, positional)
                mistakes = [unknown_to(callee, name, fields) for name in named if name not in fields]
                raise_all(mistakes)
                given |= given_once(what, given, named)
                return build(callee, {name: spent(value, span) for name, value in given.items()})
            case SharedLayer(layer=OpLayer(op) as layer) if (
                named and not positional and op.signature().optional
            ):
                optional = op.signature().optional
                names = ", ".join(f"`{name}`" for name in optional)
                if set(named) <= set(optional) - set(layer.options):
                    return weighed(replace(callee, layer=self._bind_op(layer, [], named)), span)
                raise Mistake(
                    f"a use of {noun(callee)} can add tensors only: {names}",
                    codes.NOT_CALLABLE,
                    help="give other arguments where it is declared",
                )
            case SharedLayer() | list() if is_layer(callee):
                name = callee.name if isinstance(callee, SharedLayer) else "layer"
                raise Mistake(
                    f"{noun(callee)} has its arguments already",
                    codes.NOT_CALLABLE,
                    help=f"apply it with `x -> {name}`",
                )
            case Tensor():
                raise Mistake(
                    "a tensor cannot be called", codes.NOT_CALLABLE, help="apply a layer with `x -> layer`"
                )
        help_ = "an item of a list is `row[0]`" if isinstance(callee, list | tuple) and callee else ""
        raise Mistake(f"{noun(callee)} cannot be called", codes.NOT_CALLABLE, help=help_)

    def built(self, layer: OpLayer) -> Op:
        """The op that a layer applies, its arguments checked. Raises Mistake when they are wrong."""
        try:
            # Names of types keep 1, 1.0 and true apart, which are equal as keys.
            key = (layer.op, tuple((n, _key(v)) for n, v in layer.arguments.items()))
            if key not in self._built:
                self._built[key] = build_op(layer)
            return self._built[key]
        except TypeError:
            return build_op(layer)

    def _bind_op(self, layer: OpLayer, positional: list[Any], named: dict[str, Any]) -> OpLayer:
        if any(isinstance(value, Tensor) for value in positional):
            raise _applied_by_call(layer, positional, named)
        if _are_tensors(positional):
            raise _applied_by_call(layer, positional[0], named)
        mistakes: list[Mistake] = []
        given: dict[str, Any] = {}
        try:
            given = placed(layer.op, layer.arguments, layer.positional, positional)
            given_once(layer.name, given, named)
        except Mistake as mistake:
            mistakes.append(mistake)
        arguments = {**layer.arguments, **given}
        options, optional = dict(layer.options), layer.op.signature().optional
        rest: dict[str, Size] = {}
        for name, value in named.items():
            if name in optional:
                if isinstance(value, Tensor):
                    options[name] = value
                elif value is not None:
                    message = f"`{name}` of {layer.name} must be a tensor, not {noun(value)}"
                    mistakes.append(ArgumentMistake(name, message, codes.ARGUMENT_TYPE))
            elif name in layer.op.model_fields and name != layer.op.rest:
                arguments[name] = value
            elif layer.op.rest is not None:
                free = layer.op.rest in takes_sizes(layer.op)
                try:
                    rest[name] = (
                        value if free and isinstance(value, Free) else size_of_axis(layer.name, name, value)
                    )
                except Mistake as mistake:
                    mistakes.append(mistake)
            else:
                mistakes.append(unknown_to(layer.op, name, (*layer.op.model_fields, *optional)))
        if rest and layer.op.rest is not None:
            gathered = dict(arguments.get(layer.op.rest, ())) | rest
            arguments[layer.op.rest] = tuple(sorted(gathered.items()))
        bound = OpLayer(layer.op, arguments, options, layer.positional + len(positional))
        if complete(bound):
            try:
                self.built(bound)
            except Mistake as mistake:
                if not mistakes:
                    raise
                # What is said of the op as a whole may follow from those before.
                wrong = (each for each in (mistake, *mistake.others) if isinstance(each, ArgumentMistake))
                mistakes += (each for each in wrong if each.argument in given or each.argument in named)
        raise_all(mistakes)
        return bound

    def _bind_block(self, layer: BlockLayer, positional: list[Any], named: dict[str, Any]) -> BlockLayer:
        open_ = layer.definition.parameters[layer.positional :]
        takes_any = [parameter.type is None for parameter in open_] + [False] * len(positional)
        if any(
            isinstance(value, Tensor) and not any_ for value, any_ in zip(positional, takes_any, strict=False)
        ):
            raise _applied_by_call(layer, positional, named)
        names = parameter_names(layer)
        given = by_position(layer.name, names, layer.arguments, layer.positional, positional)
        mistakes: list[Mistake] = []
        try:
            given_once(layer.name, given, named)
        except Mistake as mistake:
            mistakes.append(mistake)
        passed_on = dict(layer.passed_on)
        for name, value in named.items():
            if name in names:
                given[name] = value
            elif layer.definition.layer is not None:
                passed_on[name] = value  # a short form takes the arguments of the layer that it stands for
            else:
                mistakes.append(unknown(layer.name, name, names))
        mistakes += self.machine.parameters.wrong(layer, given)
        raise_all(mistakes)
        return replace(
            layer,
            arguments={**layer.arguments, **given},
            passed_on=passed_on,
            positional=layer.positional + len(positional),
        )

    def _combined(self, name: str, parts: tuple[Tensor, ...], named: dict[str, Any], span: Span) -> Tensor:
        if named:
            raise Mistake(f"{name} of tensors has no argument `{next(iter(named))}`", codes.UNKNOWN_ARGUMENT)
        return parts[0] if len(parts) == 1 else self.machine.layers.emit_op(COMBINED[name], parts, {}, span)

    def _concat(self, positional: list[Any], named: dict[str, Any], span: Span) -> Tensor:
        listed = len(positional) == 1 and isinstance(positional[0], list | tuple)
        parts = tuple(positional[0] if listed else positional)
        if named.keys() - {"axis"} == {"dim"}:
            raise ArgumentMistake(
                "dim",
                "concat has no argument `dim`",
                codes.UNKNOWN_ARGUMENT,
                help="PyTorch's `dim` is `axis` here; axes are counted without the batch",
            )
        if set(named) - {"axis"} or not parts or not all(isinstance(part, Tensor) for part in parts):
            raise Mistake(
                "concat takes tensors, or a list of them, and an axis",
                codes.NOT_A_LIST,
                help="write `concat(x, y, axis=0)`",
            )
        if len(parts) == 1:
            return parts[0]  # type: ignore[no-any-return]
        return self.machine.layers.emit_op("Concat", parts, named, span)


def _argument_span(node: t.Call, name: str, callee: Any) -> Span:
    """Where an argument of that name stands in a call."""
    positional = [a for a in node.arguments if a.name is None]
    for argument in node.arguments:
        if argument.name == name:
            return argument.span
    if isinstance(callee, OpLayer | BlockLayer | DefinedFunction):
        names = list(callee.op.by_position()) if isinstance(callee, OpLayer) else parameter_names(callee)
        filled = 0 if isinstance(callee, DefinedFunction) else callee.positional
        place = names.index(name) - filled if name in names else -1
        for i, argument in enumerate(positional):
            if i == place or (isinstance(argument.value, t.Spread) and i < place):
                return argument.span
    return node.span


def _result(function: Function, positional: list[Any], named: dict[str, Any]) -> Any:
    """What a function gives. Raises Mistake when it takes other arguments, or has no value for these."""
    try:
        return within_reason(function.call(*positional, **named))
    except Mistake:
        raise
    except TypeError:
        raise Mistake(
            f"wrong arguments for `{function.name}`",
            codes.ARGUMENT,
            help=_reduced(function, positional) or usage(function),
        ) from None
    except (OverflowError, ValueError):
        raise Mistake(f"`{function.name}` has no value here", codes.UNDEFINED) from None


def _are_tensors(positional: list[Any]) -> bool:
    """Whether one list of tensors is all that is given, as to `torch.stack`."""
    listed = len(positional) == 1 and isinstance(positional[0], list | tuple) and positional[0]
    return bool(listed) and all(isinstance(value, Tensor) for value in positional[0])


def _reduced(function: Function, positional: list[Any]) -> str:
    """The help where a function of numbers is called as of a tensor, along an axis."""
    if function.name not in ("sum", "max", "min") or not any(
        isinstance(value, Tensor) for value in positional
    ):
        return ""
    return f'write `x -> Reduce("{function.name}", 0)`; axes are counted without the batch'


def _applied_by_call(layer: OpLayer | BlockLayer, given: Sequence[Any], named: Mapping[str, Any]) -> Mistake:
    """The mistake of calling a layer with the tensors that it is to be applied to."""
    tensors = [value for value in given if isinstance(value, Tensor)]
    others = [describe(value) for value in given if not isinstance(value, Tensor)]
    others += [f"{key}={describe(value)}" for key, value in named.items()]
    names = ["x", "y", "z"][: len(tensors)] if len(tensors) <= 3 else ["x", "..."]
    source = names[0] if len(tensors) == 1 else f"({', '.join(names)})"
    call = f"{layer.name}({', '.join(others)})" if others else describe(layer)
    return Mistake(
        f"calling {layer.name} binds arguments; it does not apply it to a tensor",
        codes.NOT_CALLABLE,
        label=f"a tensor {tensors[0].type}",
        help=f"write `{source} -> {call}`",
    )


def _tensors(name: str, positional: list[Any]) -> tuple[Tensor, ...]:
    """The tensors that a function is to combine; none where it is given numbers. Mistake where it is given both."""
    values = positional
    if len(positional) == 1 and isinstance(positional[0], list | tuple):
        values = list(positional[0])
    elif name not in ("max", "min"):
        return ()
    tensors = tuple(value for value in values if isinstance(value, Tensor))
    if tensors and len(tensors) < len(values):
        other = next(value for value in values if not isinstance(value, Tensor))
        help_ = (
            f"`x -> {COMBINED[name]}(0)` compares a tensor with a number" if name in ("max", "min") else ""
        )
        raise Mistake(
            f"{name} takes numbers or tensors, not both: {noun(other)} is no tensor", codes.MIXED, help=help_
        )
    return tensors


def _key(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (type(value).__name__, *(_key(item) for item in value))
    hash(value)
    return (type(value).__name__, value)
