"""Defaults in force: the arguments that ops get unless they are given others, and how weights start that are named.

Arguments fill what is not said at the op, those stated further in before those further out. A name is given by whoever knows the
block from outside, so it wins over what is said at the weight, and one stated further out over one further in.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from archspec.elaboration.arguments import takes
from archspec.elaboration.handing import Handing
from archspec.elaboration.mistakes import at
from archspec.elaboration.values import Environment, OpLayer, by_default, is_layer, noun
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.initialisation import Initialiser, constant
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

_PATTERN = re.compile(r"[A-Za-z0-9_*]+(\.[A-Za-z0-9_*]+)*")

_LONGEST = 200  # letters of a rule's names


class Argument(NamedTuple):
    """An argument that an op gets by default, and where it is stated."""

    value: Any
    span: Span


class Start(NamedTuple):
    """How weights start whose key has one of these forms (`*` stands for any letters, dots too), and where it is stated."""

    forms: frozenset[str]
    init: Initialiser
    span: Span

    def below(self, name: str) -> Start:
        """The same for keys below a step of that name."""
        return Start(rest(self.forms, f"{name}."), self.init, self.span)

    def fits(self, key: str) -> bool:
        """Whether a weight of that key is meant."""
        return any(not form.strip("*") for form in rest(self.forms, key))


@dataclass(frozen=True, eq=False)
class Defaults:
    """The defaults in force at a place: arguments of ops, and starts by name, those stated furthest out first.

    `home` is the file (its names) of the block around that place, whose own defaults are among these.
    """

    arguments: Mapping[type[Op], Mapping[str, Argument]] = field(default_factory=dict)
    starts: tuple[Start, ...] = ()
    home: Environment | None = None
    _entered: dict[Environment, Defaults] = field(default_factory=dict)

    def within(self, inner: Defaults) -> Defaults:
        """These, with those stated at a place further in."""
        arguments = dict(self.arguments)
        for op, own in inner.arguments.items():
            arguments[op] = {**arguments.get(op, {}), **own}
        return Defaults(arguments, (*self.starts, *inner.starts), self.home)

    def entering(self, home: Environment) -> Defaults:
        """Those in force in a block of that file: the file's own arguments of ops come in if the block around is of another."""
        if home is self.home:
            return self
        if home not in self._entered:
            made = self.within(Defaults(home.defaults.arguments)) if home.defaults else self
            self._entered[home] = Defaults(made.arguments, made.starts, home)
        return self._entered[home]

    def below(self, name: str) -> Defaults:
        """Those in force inside of a step of that name."""
        if not self.starts:
            return self
        return self.with_starts(s for start in self.starts if (s := start.below(name)).forms)

    def with_starts(self, starts: Iterable[Start]) -> Defaults:
        """The same with other starts by name."""
        return Defaults(self.arguments, tuple(starts), self.home)

    def filled(self, layer: OpLayer) -> tuple[OpLayer, dict[str, Span]]:
        """A layer with the arguments that it was not given, and where these are stated."""
        own = self.arguments.get(layer.op)
        added = {name: given for name, given in own.items() if name not in layer.arguments} if own else {}
        if not added:
            return layer, {}
        values = {name: given.value for name, given in added.items()}
        arguments = {**layer.arguments, **values}
        places = {name: given.span for name, given in added.items()}
        return OpLayer(layer.op, arguments, layer.options, layer.positional), places

    def start(self, key: str) -> Start | None:
        """How the weight of that key starts, if a name says so."""
        return next((start for start in self.starts if start.fits(key)), None)

    @cached_property
    def key(self) -> Hashable:
        """What tells defaults apart: equal where layers become the same steps."""
        handing = Handing()
        arguments = tuple(
            (op, tuple((name, handing.key(given.value), given.span) for name, given in own.items()))
            for op, own in self.arguments.items()
        )
        return arguments, self.starts, self.home


@lru_cache(maxsize=10_000)
def rest(forms: frozenset[str], text: str) -> frozenset[str]:
    """What may follow a text in the forms that it may begin: the rests of `*.bias` behind `fc.` are `*.bias` and `bias`."""
    for letter in text:
        found = set()
        for form in forms:
            behind = form.lstrip("*")
            if behind != form:
                found.add("*" + behind)
            if behind.startswith(letter):
                found.add(behind[1:])
        forms = frozenset(found)
    return forms


def read(statement: t.Defaults, machine: Machine, env: Environment) -> Defaults:
    """What a `defaults` statement says. Raises SpecError for a rule that is none."""
    arguments: dict[type[Op], dict[str, Argument]] = {}
    starts: list[Start] = []
    for rule in statement.rules:
        value = machine.origins.spent(machine.evaluator.evaluate(rule.value, env), rule.value.span)
        if rule.names is not None:
            starts.append(_start(rule, machine.evaluator.text(rule.names, env), value))
            continue
        if not isinstance(value, OpLayer):
            raise SpecError.of("type", f"expected an op, not {noun(value)}", rule.span, help=_help(value))
        own = arguments.setdefault(value.op, {})
        for name, given in _arguments(value, rule).items():
            if name in own:
                message = f"`{name}` of {value.name} is given twice"
                raise SpecError.of(
                    "argument", message, given.span, label=f"first given at {own[name].span.place}"
                )
            own[name] = given
    return Defaults(arguments, tuple(reversed(starts)))  # of two that fit, the one below wins


def _start(rule: t.Rule, names: str, value: Any) -> Start:
    if not _PATTERN.fullmatch(names) or len(names) > _LONGEST:
        raise SpecError.of(
            "name",
            f"`{names}` names no weights",
            rule.span,
            help='write keys of the state_dict: `"head.bias"`, or `"*.bn3.weight"`, where `*` stands for any letters',
        )
    if isinstance(value, type) and issubclass(value, Initialiser):
        with at(rule.value.span):
            value = by_default(value)
    elif isinstance(value, int | float):
        value = constant(value=value)
    if not isinstance(value, Initialiser):
        help_ = f'name the weight: `"{names}.weight"`' if isinstance(value, OpLayer) else ""
        message = f"weights start as an initialisation or a number, not {noun(value)}"
        raise SpecError.of("type", message, rule.value.span, help=help_)
    return Start(frozenset({names}), value, rule.span)


def _arguments(layer: OpLayer, rule: t.Rule) -> dict[str, Argument]:
    """The arguments of a rule. Raises SpecError for those that cannot have a default."""
    if layer.options or not Handing.of(layer).empty:
        raise SpecError.of("type", "a default cannot be a tensor", rule.span)
    if not layer.arguments:
        help_ = takes(layer.name, layer.op.model_fields)
        raise SpecError.of("argument", f"this gives no argument of {layer.name}", rule.span, help=help_)
    given = {}
    for name, value in layer.arguments.items():
        span = place(rule, name)
        if layer.op.model_fields[name].is_required():
            message = f"`{name}` of {layer.name} has no default that this could replace"
            raise SpecError.of("argument", message, span, help="give it where the op is applied")
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
    if rule.names is not None or not isinstance(rule.value, t.Call):
        return [("", rule.span)]
    return [(argument.name or "", place(rule, argument.name or "")) for argument in rule.value.arguments]


def require_possible(op: Op, key: str, start: Start) -> str:
    """The argument of an op that says how its weight of that key starts. Mistake when there is none."""
    argument = op.starts.get(key, "")
    if argument not in type(op).model_fields:
        raise Mistake(
            f"no argument of {type(op).__name__} says how its `{key}` starts, as {start.span.place} does",
            help="make the name narrower, so that it does not fit this weight",
        )
    return argument


def _help(value: Any) -> str:
    if is_layer(value):
        return "give arguments of ops: `Conv(bias=false)`; arguments of a block are given where it is applied"
    return 'write `Conv(bias=false)` for an op, or `"head.bias": zeros` for the weights of a name'
