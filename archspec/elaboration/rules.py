"""Rules: what a `defaults` statement says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from archspec.elaboration.arguments import takes
from archspec.elaboration.defaults import Argument, Defaults, Edit, Start, Substitute
from archspec.elaboration.handing import Handing
from archspec.elaboration.mistakes import at
from archspec.elaboration.values import BlockLayer, Environment, OpLayer, by_default, describe, is_layer, noun
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser, constant
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

_PATTERN = re.compile(r"[A-Za-z0-9_*]+(\.[A-Za-z0-9_*]+)*")
_LONGEST = 200  # letters of a rule's names


def read_rules(statement: t.Defaults, machine: Machine, env: Environment) -> Defaults:
    """What a `defaults` statement says. Raises SpecError for a rule that is none."""
    arguments: dict[type[Op], dict[str, Argument]] = {}
    starts: list[Start] = []
    substitutes: dict[type[Op], Substitute] = {}
    edits: list[Edit] = []
    for rule in statement.rules:
        if isinstance(rule, t.Replacement | t.Insertion):
            edits.append(_edit(rule, substitutes, machine, env))
            continue
        value = machine.origins.spent(machine.evaluator.evaluate(rule.value, env), rule.value.span)
        if rule.names is not None:
            starts.append(_start(rule, machine.evaluator.text(rule.names, env), value))
            continue
        if rule.op is not None:
            op = _replaced(rule.op, machine.evaluator.evaluate(rule.op, env))
            if op in substitutes:
                label = f"first given at {substitutes[op].span.place}"
                message = f"two layers stand for {op.__name__}"
                raise SpecError.of(codes.ARGUMENT, message, rule.span, label=label)
            substitutes[op] = _substitute(value, rule)
            continue
        if not isinstance(value, OpLayer):
            raise SpecError.of(
                codes.NOT_A_RULE, f"expected an op, not {noun(value)}", rule.span, help=_help(value)
            )
        own = arguments.setdefault(value.op, {})
        for name, given in _arguments(value, rule).items():
            if name in own:
                message = f"`{name}` of {value.name} is given twice"
                raise SpecError.of(
                    codes.ARGUMENT, message, given.span, label=f"first given at {own[name].span.place}"
                )
            own[name] = given
    starts.reverse()  # of two that fit, the one below wins
    levels = (substitutes,) if substitutes or edits else ()
    return Defaults(arguments, tuple(starts), substitutes=levels, edits=tuple(edits))


def _replaced(name: t.Name, value: Any) -> type[Op]:
    """The op that another layer is to stand for."""
    if isinstance(value, OpLayer) and not value.arguments and not value.options:
        return value.op
    help_ = (
        "a block is replaced by an argument of those that apply it" if isinstance(value, BlockLayer) else ""
    )
    raise SpecError.of(
        codes.NOT_A_RULE, f"layers can stand for an op, not for {describe(value)}", name.span, help=help_
    )


def _substitute(value: Any, rule: t.Rule) -> Substitute:
    """The layer that stands for an op. Raises SpecError where it is none, or holds a tensor or a shared layer."""
    _require_layer(value, rule.value.span, "a layer that stands for an op")
    return Substitute(value, rule.span)


def _edit(
    rule: t.Replacement | t.Insertion,
    level: dict[type[Op], Substitute],
    machine: Machine,
    env: Environment,
) -> Edit:
    """What a rule does to the steps at a path. Raises SpecError where that is no path, or where a layer is none."""
    path = machine.evaluator.text(rule.path, env)
    _require_names(path, rule.path.span, "steps", '`"fc"`, or `"layer4.*.relu"`')
    place: Literal["instead", "behind", "before"] = "instead"
    parts: tuple[t.Step, ...] = ()
    if isinstance(rule, t.Insertion):
        place, parts = ("behind", rule.behind) if rule.behind else ("before", rule.before)
    else:
        parts = (t.Step(rule.value.span, None, rule.value),)
    layers = []
    for part in parts:
        value = machine.origins.spent(machine.evaluator.evaluate(part.layer, env), part.layer.span)
        _require_layer(value, part.layer.span, "a layer that stands at a path")
        label = machine.evaluator.label(part.label, env) if part.label else None
        if label is None and place != "instead" and isinstance(value, list) and value:
            raise SpecError.of(
                codes.NOT_A_RULE,
                "a list that is inserted needs a name",
                part.layer.span,
                help='`"fc" -> tail: [...]`; or insert its layers one after the other: `"fc" -> a: ... -> b: ...`',
            )
        layers.append((label, value, part.layer.span))
    key = (place, tuple((label, Handing().key(value)) for label, value, _ in layers), rule.span)
    return Edit(frozenset({path}), place, tuple(layers), level, path, rule.path.span, key)


def _require_layer(value: Any, span: Span, what: str) -> None:
    """SpecError where something is no layer, or holds a tensor or a shared layer."""
    if not is_layer(value):
        message = f"expected a layer, not {noun(value)}"
        raise SpecError.of(codes.NOT_A_RULE, message, span, help="`[]` stands for no layer at all")
    if not Handing.of(value).empty:
        message = f"{what} can be neither shared nor hold tensors"
        raise SpecError.of(codes.NOT_A_RULE, message, span)


def _require_names(names: str, span: Span, what: str, example: str) -> None:
    """SpecError where a text cannot be the names of steps, or of weights."""
    if not _PATTERN.fullmatch(names) or len(names) > _LONGEST:
        raise SpecError.of(
            codes.NO_WEIGHT if what == "weights" else codes.NO_STEP,
            f"`{names}` names no {what}",
            span,
            help=f"write keys of the state_dict: {example}, where `*` stands for any letters",
        )


def _start(rule: t.Rule, names: str, value: Any) -> Start:
    _require_names(names, rule.span, "weights", '`"head.bias"`, or `"*.bn3.weight"`')
    if isinstance(value, type) and issubclass(value, Initialiser):
        with at(rule.value.span):
            value = by_default(value)
    elif isinstance(value, int | float):
        value = constant(value=value)
    if not isinstance(value, Initialiser):
        help_ = f'name the weight: `"{names}.weight"`' if isinstance(value, OpLayer) else ""
        message = f"weights start as an initialisation or a number, not {noun(value)}"
        raise SpecError.of(codes.NOT_A_RULE, message, rule.value.span, help=help_)
    return Start(frozenset({names}), value, rule.span)


def _arguments(layer: OpLayer, rule: t.Rule) -> dict[str, Argument]:
    """The arguments of a rule. Raises SpecError for those that cannot have a default."""
    if layer.options or not Handing.of(layer).empty:
        raise SpecError.of(codes.NOT_A_RULE, "a default cannot be a tensor", rule.span)
    if not layer.arguments:
        help_ = takes(layer.name, layer.op.model_fields)
        raise SpecError.of(codes.ARGUMENT, f"this gives no argument of {layer.name}", rule.span, help=help_)
    given = {}
    for name, value in layer.arguments.items():
        span = place(rule, name)
        if layer.op.model_fields[name].is_required():
            message = f"`{name}` of {layer.name} has no default that this could replace"
            raise SpecError.of(codes.ARGUMENT, message, span, help="give it where the op is applied")
        given[name] = Argument(value, span)
    return given


def place(rule: t.Rule, name: str) -> Span:
    """Where a rule states an argument."""
    if isinstance(rule.value, t.Call):
        found = [argument.span for argument in rule.value.arguments if argument.name == name]
        return found[0] if found else rule.span
    return rule.span


def places(rule: t.Rule) -> list[tuple[str, Span]]:
    """The arguments that a rule states, as far as the text tells, each with its place; none for one by name."""
    if rule.names is not None or rule.op is not None or not isinstance(rule.value, t.Call):
        return [("", rule.span)]
    return [(argument.name or "", place(rule, argument.name or "")) for argument in rule.value.arguments]


def _help(value: Any) -> str:
    if is_layer(value):
        return "give arguments of ops: `Conv(bias=false)`; arguments of a block are given where it is applied"
    return 'write `Conv(bias=false)` for an op, or `"head.bias": zeros` for the weights of a name'
