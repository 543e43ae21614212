"""Functions that specs define themselves, with `def`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import ArgumentMistake, by_position, given_once, parameter_names, unknown
from archspec.elaboration.budget import NEW_CALL
from archspec.elaboration.control import Control, Names
from archspec.elaboration.handing import Handing
from archspec.elaboration.mistakes import Poisoned
from archspec.elaboration.values import DefinedFunction, Environment, describe, noun
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.source import Span
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class OwnFunctions(Control[Names]):
    """Calls functions that are defined in specs."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.parameters = machine.parameters

    def call(
        self, function: DefinedFunction, positional: list[Any], named: dict[str, Any], span: Span
    ) -> Any:
        """What a function returns. Raises Mistake when the arguments do not fit, SpecError for a mistake in its lines."""
        names, name = parameter_names(function), function.name
        given = by_position(name, names, {}, 0, positional)
        for argument in given_once(name, given, named):
            if argument not in names:
                raise unknown(name, argument, names)
        given |= named
        for argument, value in given.items():
            self.machine.budget.weighed(value, span)
            if not Handing.of(value).empty:
                raise ArgumentMistake(
                    argument,
                    f"a function cannot take {noun(value)}",
                    codes.ARGUMENT_TYPE,
                    help=f"give it sizes: `{name}(x.channels)`; what takes tensors is a block",
                )
        self.parameters.check(function, given)
        bound = replace(function, arguments=given)
        self.parameters.require_all(bound, span)
        self.machine.budget.spend(NEW_CALL, span)
        shown = ", ".join(f"{argument}={describe(value)}" for argument, value in given.items())
        with self.machine.nesting.inside(f"{name}({shown})", span, function=True):
            scope = Names(Environment(function.home))
            self.parameters.bind(bound, scope.env)
            returned = self.run(function.definition.body, scope)
            if returned is None:
                if any(
                    isinstance(node, t.Broken) for node in function.definition.nodes
                ):  # it may have been one
                    raise Poisoned
                raise SpecError.of(
                    codes.NO_RETURN,
                    f"{name} returns nothing",
                    function.definition.span,
                    help="end it with `return`, in every branch that is taken",
                )
        return self.machine.budget.weighed(returned.value, span)
