"""Parameters: the values that the parameters of a block or a function get, and whether those given fit."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import ArgumentMistake, check_parameter, parameter_names, settled, takes
from archspec.elaboration.values import BlockLayer, DefinedFunction, Environment
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.source import Span

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Parameters:
    """Checks arguments, and binds them and defaults to the names of parameters."""

    def __init__(self, machine: Machine) -> None:
        self.origins = machine.origins
        self.evaluator = machine.evaluator

    def bind(
        self, taker: BlockLayer | DefinedFunction, env: Environment, declaring: Set[str] = frozenset()
    ) -> None:
        """Give the parameters their values; those that declare sizes of a model's inputs know where they come from."""
        for parameter in taker.definition.parameters:
            if parameter.name in taker.arguments:
                value = taker.arguments[parameter.name]
            elif parameter.default is not None:
                value = self.evaluator.evaluate(parameter.default, env)
                known = self.origins.spent(value, parameter.span) if parameter.domain else value
                try:
                    check_parameter(taker.name, parameter, known, partial(self.evaluator.evaluate, env=env))
                except Mistake as mistake:
                    raise mistake.at(parameter.default.span) from None
            else:
                continue
            value = settled(parameter, value)
            if parameter.name in declaring:
                value = self._declared(value, (taker.definition.name, parameter.name))
            env.names[parameter.name] = value

    def _declared(self, value: Any, origin: tuple[str | int, ...]) -> Any:
        """A value whose whole numbers know that they come from this parameter, or from that of another model."""
        if type(value) is int:
            return self.origins.declared(value, origin)
        if type(value) in (list, tuple):
            return type(value)(self._declared(item, (*origin, i)) for i, item in enumerate(value))
        return value

    def require_all(self, taker: BlockLayer | DefinedFunction, span: Span) -> None:
        """SpecError when a parameter without a default has no value."""
        needed = (p.name for p in taker.definition.parameters if p.default is None)
        missing = [f"`{name}`" for name in needed if name not in taker.arguments]
        if missing:
            names = parameter_names(taker)
            message = f"{taker.name} needs {' and '.join(missing)}"
            raise SpecError.of(
                "argument", message, span, help=takes(taker.name, names) if len(names) > 1 else ""
            )

    def check(self, taker: BlockLayer | DefinedFunction, given: Mapping[str, Any]) -> None:
        """ArgumentMistake when a value is not of its parameter's type or domain."""
        for parameter in taker.definition.parameters:
            if parameter.name in given:
                env = Environment(taker.home)
                env.names.update(taker.arguments)
                value = given[parameter.name]
                if parameter.domain:
                    value = self.origins.spent(value, parameter.span)
                try:
                    check_parameter(taker.name, parameter, value, partial(self.evaluator.evaluate, env=env))
                except ArgumentMistake:
                    raise
                except Mistake as mistake:
                    raise mistake.at(parameter.span) from None
