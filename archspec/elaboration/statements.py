"""Statements: the body of a block, run over the tensors that it is given; mistakes are kept, and poison what depends on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import ArgumentMistake, check_parameter, parameter_names, takes
from archspec.elaboration.binding import declaring, inputs_within, names_bound
from archspec.elaboration.evaluator import POISON, Poisoned
from archspec.elaboration.inputs import KNOWN, Call, Inputs
from archspec.elaboration.places import at
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Outputs,
    Tensor,
    by_default,
    describe,
    frozen,
    is_layer,
    kind,
    plain,
)
from archspec.ground.errors import MOST_PROBLEMS, Mistake, SpecError
from archspec.ground.names import require_free
from archspec.ground.size import Free
from archspec.ground.source import Span
from archspec.ground.tensor import dtype, is_real
from archspec.op import Weight
from archspec.op.inference import require_start, tensors
from archspec.op.initialisation import Init, Initialiser, constant, values
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Stopped(Exception):  # noqa: N818  (the mistakes are kept already)
    """A mistake after which it is no use to go on."""


class Statements:
    """Runs the statements of blocks; mistakes are kept, so that one run shows them all."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.builder = machine.builder
        self.evaluator = machine.evaluator
        self.inputs = Inputs(machine)

    # -------------------------------------------------------------- blocks

    def require_fit(self, layer: BlockLayer, inputs: tuple[Tensor, ...], span: Span) -> None:
        """SpecError when a block takes another number of tensors, or lacks an argument."""
        declared = [s for s in layer.definition.body if isinstance(s, t.Input)]
        if len(declared) != len(inputs) and not inputs_within(layer.definition):
            names = ", ".join(statement.name for statement in declared)
            help_ = f"give it several as a tuple: `({names}) -> {layer.name}`" if len(declared) > 1 else ""
            message = f"{layer.name} takes {tensors(len(declared))}, not {len(inputs)}"
            raise SpecError.of("shape", message, span, help=help_)
        self.require_arguments(layer, span)

    def run_block(
        self, layer: BlockLayer, inputs: tuple[Tensor, ...], span: Span
    ) -> tuple[Outputs, dict[str, Any]]:
        """Run the body of a block on tensors: what it returns, and its arguments."""
        call = Call(layer, Environment(layer.home), list(inputs), root=False)
        self.bind_parameters(layer, call.env, declares=False)
        arguments = self.arguments(call.env, span)
        returned = self._run_body(call)
        if call.waiting:
            taken = len(call.inputs)
            raise SpecError.of("shape", f"{layer.name} takes {tensors(taken)}, not {len(inputs)}", span)
        return returned, arguments

    def run_model(self, layer: BlockLayer) -> tuple[Outputs, dict[str, Any]]:
        """Run the body of a model, whose inputs become those of the graph: what it returns, and its arguments."""
        span = layer.definition.span
        self.require_arguments(layer, span)
        call = Call(layer, Environment(layer.home), [], root=True)
        self.bind_parameters(layer, call.env, declares=True)
        arguments = self.arguments(call.env, span)
        returned = self._run_body(call)
        if not call.inputs:
            raise SpecError.of(
                "shape",
                f"the model {layer.name} has no input",
                span,
                help="declare what it is given, as in `input x: [3, 224, 224]`",
            )
        return returned, arguments

    def _run_body(self, call: Call) -> Outputs:
        definition = call.layer.definition
        returned = self._run(definition.body, call)
        if returned is None:
            raise SpecError.of(
                "syntax",
                f"{call.layer.name} returns nothing",
                definition.span,
                help="end it with `return`, in every branch that is taken",
            )
        return returned

    def arguments(self, env: Environment, span: Span) -> dict[str, Any]:
        """The arguments of a block as JSON holds them."""
        for value in env.names.values():
            self.evaluator.weighed(value, span)
        return {name: plain(value) for name, value in env.names.items()}

    # -------------------------------------------------------------- parameters

    def bind_parameters(self, layer: BlockLayer, env: Environment, *, declares: bool) -> None:
        """Give the parameters their values; those of a model that `declares` sizes by them know where they come from."""
        sizes = declaring(layer.definition) if declares else set()
        for parameter in layer.definition.parameters:
            if parameter.name in layer.arguments:
                value = layer.arguments[parameter.name]
            elif parameter.default is not None:
                value = self.evaluator.evaluate(parameter.default, env)
                known = self.evaluator.spent(value, parameter.span) if parameter.domain else value
                try:
                    check_parameter(layer.name, parameter, known, partial(self.evaluator.evaluate, env=env))
                except Mistake as mistake:
                    raise mistake.at(parameter.default.span) from None
            else:
                continue
            if parameter.name in sizes:
                value = self._declared(value, (layer.definition.name, parameter.name))
            env.names[parameter.name] = value

    def _declared(self, value: Any, origin: tuple[str | int, ...]) -> Any:
        """A value whose whole numbers know that they come from this parameter, or from that of another model."""
        if type(value) is int:
            return self.builder.declared(value, origin)
        if type(value) in (list, tuple):
            return type(value)(self._declared(item, (*origin, i)) for i, item in enumerate(value))
        return value

    def require_arguments(self, layer: BlockLayer, span: Span) -> None:
        """SpecError when a parameter without a default has no value."""
        needed = (p.name for p in layer.definition.parameters if p.default is None)
        missing = [f"`{name}`" for name in needed if name not in layer.arguments]
        if missing:
            names = parameter_names(layer)
            message = f"{layer.name} needs {' and '.join(missing)}"
            raise SpecError.of(
                "argument", message, span, help=takes(layer.name, names) if len(names) > 1 else ""
            )

    def check_arguments(self, layer: BlockLayer, given: Mapping[str, Any]) -> None:
        """ArgumentMistake when a value is not of its parameter's type or domain."""
        for parameter in layer.definition.parameters:
            if parameter.name in given:
                env = Environment(layer.home)
                env.names.update(layer.arguments)
                value = given[parameter.name]
                if parameter.domain:
                    value = self.evaluator.spent(value, parameter.span)
                try:
                    check_parameter(layer.name, parameter, value, partial(self.evaluator.evaluate, env=env))
                except ArgumentMistake:
                    raise
                except Mistake as mistake:
                    raise mistake.at(parameter.span) from None

    # -------------------------------------------------------------- statements

    def _run(self, body: Iterable[t.Statement], call: Call) -> Outputs | None:
        """Run statements up to a `return`; a mistake is kept and poisons what depends on it."""
        for statement in body:
            try:
                returned = self._statement(statement, call)
            except Poisoned:
                self._poison(statement, call)
            except SpecError as error:
                self._keep(error)
                self._poison(statement, call)
            except RecursionError:
                self._keep(SpecError.of("recursion", "this is nested too deeply", statement.span))
            else:
                if returned is not None:
                    return returned
        return None

    def _keep(self, error: SpecError) -> None:
        """Keep a mistake to report it with the others; Stopped when it is no use to go on."""
        around = tuple(reversed(self.machine.layers.around))
        self.machine.problems += (
            replace(problem, trail=(*problem.trail, *around)) for problem in error.problems
        )
        hopeless = any(problem.kind in ("budget", "recursion") for problem in error.problems)
        if hopeless or len(self.machine.problems) > MOST_PROBLEMS:
            raise Stopped

    def _poison(self, statement: t.Statement, call: Call) -> None:
        for name in names_bound(statement):
            call.env.names[name] = POISON
        if isinstance(statement, t.Return | t.Input) or not self.machine.problems:
            raise Poisoned

    def _statement(self, statement: t.Statement, call: Call) -> Outputs | None:
        env = call.env
        match statement:
            case t.Assign(target=target, value=value):
                self.evaluator.bind(target, self.evaluator.evaluate(value, env), env)
            case t.Return():
                return self._return(statement, env)
            case t.Input():
                self.inputs.take(statement, call)
            case t.Own():
                self._own(statement, env)
            case t.Shared():
                self._shared(statement, env)
            case t.Require():
                self._require(statement, env)
            case t.If(branches=branches, other=other):
                for branch in branches:
                    if self.evaluator.truth(branch.test, env):
                        return self._run(branch.body, call)
                return self._run(other, call)
            case t.For(target=target, iterable=iterable, body=body):
                for value in self.evaluator.iterate(iterable, env):
                    self.evaluator.bind(target, value, env)
                    returned = self._run(body, call)
                    if returned is not None:
                        return returned
            case t.Docstring():
                pass
        return None

    def _return(self, statement: t.Return, env: Environment) -> Outputs:
        tensors: list[Tensor] = []
        names: list[str] = []
        for output in statement.outputs:
            value = self.evaluator.evaluate(output.value, env)
            several = list(value) if isinstance(value, list | tuple) else [value]
            for tensor in several:
                if not isinstance(tensor, Tensor):
                    tensor = tensor if len(several) == 1 else value
                    help_ = "apply it: `x -> layer`" if is_layer(tensor) else ""
                    raise SpecError.of(
                        "type", f"a block returns tensors, not {kind(tensor)}", output.span, help=help_
                    )
            if output.name and len(several) != 1:
                raise SpecError.of(
                    "type", f"`{output.name}` names one tensor, not {len(several)}", output.span
                )
            tensors += several
            given = (
                value.names
                if isinstance(value, Outputs) and output.name is None
                else [output.name or ""] * len(several)
            )
            names += given
        if not tensors:
            raise SpecError.of("type", "a block returns at least one tensor", statement.span)
        if any(names) and (not all(names) or len(set(names)) < len(names)):
            raise SpecError.of("name", "name all outputs, each differently, or none", statement.span)
        return Outputs(tensors, names)

    # -------------------------------------------------------------- weights, shared layers, checks

    def _own(self, statement: t.Own, env: Environment) -> None:
        with at(statement.span):
            dtype_ = dtype(statement.dtype or "f32")
        shape = []
        for part in statement.shape:
            size = self.evaluator.spent(self.evaluator.evaluate(part, env), part.span)
            if isinstance(size, Free):
                raise SpecError.of(
                    "free", f"a weight's size must be known, but {size} is free", part.span, help=KNOWN
                )
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise SpecError.of(
                    "shape", f"a weight's size is a positive whole number, not {describe(size)}", part.span
                )
            shape.append(size)
        value = self.evaluator.spent(self.evaluator.evaluate(statement.value, env), statement.value.span)
        trainable = statement.kind == "weight"
        if trainable and not is_real(dtype_):
            raise SpecError.of(
                "dtype",
                f"{dtype_} cannot be trained",
                statement.span,
                help="declare a `buffer` or a `constant`",
            )
        with at(statement.value.span):
            weight = Weight(
                shape=tuple(shape),
                init=_first_values(value, tuple(shape)),
                dtype=dtype_,
                trainable=trainable,
                saved=statement.kind != "constant",
            )
            require_start(weight, f"`{statement.name}`")
        with at(statement.span):
            name = self.builder.frame.claim_name(statement.name, statement.name, statement.span)
            env.names[statement.name] = self.builder.own_weight(name, weight, statement.span)

    def _shared(self, statement: t.Shared, env: Environment) -> None:
        layer = self.evaluator.evaluate(statement.value, env)
        if not is_layer(layer):
            raise SpecError.of("type", f"only a layer can be shared, not {kind(layer)}", statement.value.span)
        with at(statement.span):
            require_free(statement.name)
        env.names[statement.name] = self.builder.declare(statement.name, layer, statement.span)

    def _require(self, statement: t.Require, env: Environment) -> None:
        if not self.evaluator.truth(statement.test, env):
            said = (
                self.evaluator.text(statement.message, env)
                if statement.message
                else "what is required does not hold"
            )
            raise SpecError.of("require", said, statement.test.span)


def _first_values(value: Any, shape: tuple[int, ...]) -> Init:
    """What `= value` means for a weight of that shape. Raises Mistake when it means nothing."""
    if isinstance(value, type) and issubclass(value, Initialiser):
        return by_default(value)
    if isinstance(value, Initialiser):
        return value
    if isinstance(value, int | float):
        return constant(value=value)
    if isinstance(value, list | tuple):
        flat = _flatten(frozen(value), shape)
        return values(listed=flat)
    raise Mistake(
        f"a weight starts as an initialisation, a number or a list, not {kind(value)}",
        kind="type",
        help="`zeros`, `ones`, `normal(0.02)`, `trunc_normal(0.02)`, `kaiming_normal`, `xavier_uniform` ...",
    )


def _flatten(value: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    if not shape:
        if isinstance(value, tuple):
            raise Mistake("the list of values is nested deeper than the shape", kind="shape")
        if not isinstance(value, int | float):
            raise Mistake(f"a weight holds numbers, not {kind(value)}", kind="type")
        return (value,)
    if not isinstance(value, tuple) or len(value) != shape[0]:
        found = f"{len(value)} are" if isinstance(value, tuple) else f"{kind(value)} is"
        raise Mistake(f"the shape wants a list of {shape[0]} where {found} given", kind="shape")
    return tuple(leaf for item in value for leaf in _flatten(item, shape[1:]))
