"""Control: assignments, conditions, loops and requirements, which mean the same in a block, in a function and at the top of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from archspec.elaboration.mistakes import Poisoned
from archspec.elaboration.values import Environment
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Scope(Protocol):
    """Where statements are run: they bind names there."""

    env: Environment


@dataclass(slots=True)
class Names:
    """A scope that is nothing but names."""

    env: Environment


In = TypeVar("In", bound=Scope)


class Returned(NamedTuple):
    """What a `return` gave."""

    value: Any


class Control(Generic[In]):
    """Runs statements, the first mistake in which is raised."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.evaluator = machine.evaluator
        self.observer = machine.observer

    def run(self, body: Iterable[t.Statement], scope: In) -> Returned | None:
        """Run statements up to a `return`. Raises SpecError at the first that is wrong."""
        for statement in body:
            returned = self.statement(statement, scope)
            if self.observer is not None:
                self.observer.ran(statement, scope.env.names, returned and returned.value)
            if returned is not None:
                return returned
        return None

    def statement(self, statement: t.Statement, scope: In) -> Returned | None:
        """Run one statement. Raises SpecError when it is wrong."""
        env = scope.env
        match statement:
            case t.Assign(target=target, value=value):
                self.evaluator.bind(target, self.evaluator.evaluate(value, env), env)
            case t.Return():
                return self.returned(statement, env)
            case t.Require():
                self._require(statement, env)
            case t.Broken():
                raise Poisoned
            case t.If(branches=branches, other=other):
                for branch in branches:
                    if self.evaluator.truth(branch.test, env):
                        return self.run(branch.body, scope)
                return self.run(other, scope)
            case t.For(target=target, iterable=iterable, body=body):
                for value in self.evaluator.iterate(iterable, env):
                    self.evaluator.bind(target, value, env)
                    returned = self.run(body, scope)
                    if returned is not None:
                        return returned
        return None

    def returned(self, statement: t.Return, env: Environment) -> Returned:
        """What a `return` gives: a value, or a tuple of several."""
        expressions = [output.value for output in statement.outputs]
        values = self.evaluator.spread_out(expressions, env)
        alone = len(expressions) == 1 and not isinstance(expressions[0], t.Spread)
        return Returned(values[0] if alone else tuple(values))

    def _require(self, statement: t.Require, env: Environment) -> None:
        if not self.evaluator.truth(statement.test, env):
            said = (
                self.evaluator.text(statement.message, env, shown=True)
                if statement.message
                else "the requirement is not met"
            )
            raise SpecError.of(codes.REQUIRED, said, statement.test.span)
