"""Parameters: the values that the parameters of a block or a function get, and whether those given fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import (
    ArgumentMistake,
    check_parameter,
    parameter_names,
    raise_all,
    settled,
    takes,
)
from archspec.elaboration.binding import names_in, names_of_inputs
from archspec.elaboration.mistakes import POISON, Poisoned
from archspec.elaboration.values import BlockLayer, DefinedFunction, Environment
from archspec.ground import codes
from archspec.ground.errors import Mistake, Problem, SpecError
from archspec.ground.source import Span
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Parameters:
    """Checks arguments, and binds them and defaults to the names of parameters."""

    def __init__(self, machine: Machine) -> None:
        self.origins = machine.origins
        self.evaluator = machine.evaluator

    def bind(
        self,
        taker: BlockLayer | DefinedFunction,
        env: Environment,
        declaring: Set[str] = frozenset(),
        keep: Callable[[SpecError], None] | None = None,
    ) -> list[t.Parameter]:
        """Give the parameters their values; those that declare sizes of a model's inputs know where they come from.

        Returns those whose defaults need sizes of inputs, which are not known yet. Raises SpecError for all defaults that are
        wrong, unless there is someone to `keep` it; their names are poisoned then.
        """
        late: list[t.Parameter] = []
        problems: list[Problem] = []
        unknown = {name for name in names_of_inputs(taker.definition) if not env.has(name)}
        unknown -= {parameter.name for parameter in taker.definition.parameters}
        for parameter in taker.definition.parameters:
            default = parameter.default if parameter.name not in taker.arguments else None
            if default and names_in(default) & unknown:
                unknown.add(parameter.name)
                late.append(parameter)
            else:
                try:
                    self._bind(parameter, taker, env, declaring)
                except SpecError as error:
                    problems += error.problems
                    env.names[parameter.name] = POISON
                except Poisoned:  # by one of those before
                    env.names[parameter.name] = POISON
        if problems:
            if keep is None:
                raise SpecError(problems)
            keep(SpecError(problems))
        return late

    def bind_late(
        self,
        late: list[t.Parameter],
        taker: BlockLayer,
        env: Environment,
        declaring: Set[str] = frozenset(),
    ) -> list[str]:
        """Give those of the parameters their defaults whose sizes are known by now; returns their names, and shortens the list."""
        waiting, bound = list(late), list[str]()
        unknown = {name for name in names_of_inputs(taker.definition) if not env.has(name)}
        unknown |= {parameter.name for parameter in waiting}
        for parameter in waiting:
            assert parameter.default is not None
            if not names_in(parameter.default) & (unknown - {parameter.name}):
                late.remove(parameter)
                unknown.discard(parameter.name)
                self._bind(parameter, taker, env, declaring)
                bound.append(parameter.name)
        return bound

    def _bind(
        self,
        parameter: t.Parameter,
        taker: BlockLayer | DefinedFunction,
        env: Environment,
        declaring: Set[str],
    ) -> None:
        """Give a parameter the value that it was given, or else its default, if it has either."""
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
            return
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
                codes.MISSING_ARGUMENT, message, span, help=takes(taker.name, names) if len(names) > 1 else ""
            )

    def check(self, taker: BlockLayer | DefinedFunction, given: Mapping[str, Any]) -> None:
        """ArgumentMistake when a value is not of its parameter's type or domain, with those of the others that are not."""
        raise_all(self.wrong(taker, given))

    def wrong(
        self, taker: BlockLayer | DefinedFunction, given: Mapping[str, Any]
    ) -> Iterator[ArgumentMistake]:
        """The mistakes in values that are not of their parameter's type or domain."""
        for parameter in taker.definition.parameters:
            if parameter.name in given:
                env = Environment(taker.home)
                env.names.update(taker.arguments)
                value = given[parameter.name]
                if parameter.domain:
                    value = self.origins.spent(value, parameter.span)
                try:
                    check_parameter(taker.name, parameter, value, partial(self.evaluator.evaluate, env=env))
                except ArgumentMistake as mistake:
                    yield mistake
                except Mistake as mistake:
                    raise mistake.at(parameter.span) from None
