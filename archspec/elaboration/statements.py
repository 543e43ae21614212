"""Statements: the body of a block, run over the tensors that it is given; mistakes are kept, and poison what depends on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.elaboration.binding import declaring, inputs_within, names_bound
from archspec.elaboration.control import Control, Returned
from archspec.elaboration.inputs import Application, Inputs, parted
from archspec.elaboration.mistakes import HOPELESS, POISON, Poisoned, Stopped, at
from archspec.elaboration.opened import USUAL_NAMES, Assumed
from archspec.elaboration.rules import read_rules
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Outputs,
    Tensor,
    is_layer,
    noun,
    plain,
)
from archspec.elaboration.weights import Weights
from archspec.ground import codes
from archspec.ground.bounds import require_name_of_size, wished
from archspec.ground.errors import MOST_PROBLEMS, Mistake, SpecError
from archspec.ground.names import require_free
from archspec.ground.source import Span
from archspec.op.inference import tensors
from archspec.syntax import tree as t

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Statements(Control[Application]):
    """Runs the statements of blocks; mistakes are kept, so that one run shows them all."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.builder = machine.builder
        self.parameters = machine.parameters
        self.inputs = Inputs(machine)
        self.weights = Weights(machine)

    # -------------------------------------------------------------- blocks

    def require_fit(self, layer: BlockLayer, inputs: tuple[Tensor, ...], span: Span) -> None:
        """SpecError when a block takes another number of tensors, or lacks an argument."""
        declared = [s for s in layer.definition.body if isinstance(s, t.Input)]
        open_ = any(statement.remaining for statement in declared)
        counted = any(statement.count is not None for statement in declared)
        fits = len(inputs) >= len(declared) - 1 if open_ else len(inputs) == len(declared)
        if not fits and not counted and not inputs_within(layer.definition):
            names = ", ".join("..." if statement.remaining else statement.name for statement in declared)
            help_ = f"give it several as a tuple: `({names}) -> {layer.name}`" if len(declared) > 1 else ""
            if not declared:
                help_ = f"apply it to none: `() -> {layer.name}`"
            least = f"at least {tensors(len(declared) - 1)}" if open_ else tensors(len(declared))
            message = f"{layer.name} takes {least}, not {len(inputs)}"
            raise SpecError.of(codes.TENSORS, message, span, help=help_)
        self.parameters.require_all(layer, span)

    def run_block(
        self, layer: BlockLayer, inputs: tuple[Tensor, ...], span: Span
    ) -> tuple[Outputs, dict[str, Any]]:
        """Run the body of a block on tensors: what it returns, and its arguments."""
        if layer.definition.kind == "model":
            layer = self._sized(layer, inputs)
        application = Application(layer, Environment(layer.home), deque(inputs), root=False)
        application.late = self.parameters.bind(layer, application.env)
        application.arguments = self.arguments(application.env.names, span)
        returned = self._run_body(application)
        if application.waiting:
            taken = len(application.inputs)
            raise SpecError.of(codes.TENSORS, f"{layer.name} takes {tensors(taken)}, not {len(inputs)}", span)
        return returned, application.ordered_arguments

    def _sized(self, layer: BlockLayer, inputs: tuple[Tensor, ...]) -> BlockLayer:
        """A model with those parameters bound that say what size an input has: used as a block, it takes that from the tensor."""
        open_ = {
            p.name: p for p in layer.definition.parameters if p.default and p.name not in layer.arguments
        }
        declared = [s for s in layer.definition.body if isinstance(s, t.Input)]
        sizes: dict[str, Any] = {}
        for statement, tensor in zip(declared, inputs, strict=False):
            for part, size in parted(statement.pattern or (), list(tensor.type.shape)):
                if isinstance(part, t.Name | t.RestSizes) and part.name in open_:
                    sizes.setdefault(part.name, size)
        fitting = {}
        for name, size in sizes.items():
            try:
                self.parameters.check(layer, {name: size})
            except (
                Mistake,
                SpecError,
            ):  # what does not fit the parameter does not fit the pattern, which says so
                continue
            fitting[name] = size
        sizes = fitting
        return replace(layer, arguments={**layer.arguments, **sizes}) if sizes else layer

    def run_model(self, layer: BlockLayer) -> tuple[Outputs, dict[str, Any]]:
        """Run the body of a model, whose inputs become those of the graph: what it returns, and its arguments."""
        span = layer.definition.span
        layer = self._opened(layer)
        self.parameters.require_all(layer, span)
        application = Application(layer, Environment(layer.home), deque(), root=True)
        names = declaring(layer.definition)
        application.late = self.parameters.bind(layer, application.env, names, self._keep)
        application.arguments = self.arguments(application.env.names, span)
        returned = self._run_body(application)
        if not application.inputs:
            raise SpecError.of(
                codes.NO_INPUT,
                f"the model {layer.name} has no input",
                span,
                help="declare one, as in `input x: [3, 224, 224]`",
            )
        return returned, application.ordered_arguments

    def _run_body(self, application: Application) -> Outputs:
        definition = application.layer.definition
        returned = self.run(definition.body, application)
        if returned is None:
            if any(isinstance(node, t.Broken) for node in definition.nodes):  # it may have been one
                raise Poisoned
            raise SpecError.of(
                codes.NO_RETURN,
                f"{application.layer.name} returns nothing",
                definition.span,
                help="end it with `return`, in every branch that is taken",
            )
        outputs: Outputs = returned.value
        return outputs

    def arguments(self, bound: Mapping[str, Any], span: Span) -> dict[str, Any]:
        """The arguments of a block as JSON holds them."""
        for value in bound.values():
            self.machine.budget.weighed(value, span)
        return {name: plain(value) for name, value in bound.items() if value is not POISON}

    def _bind_late(self, statement: t.Input, application: Application) -> None:
        """Bind the parameters whose defaults needed sizes of an input that has come."""
        layer, env = application.layer, application.env
        names = declaring(layer.definition) if application.root else frozenset[str]()
        for name in self.parameters.bind_late(application.late, layer, env, names):
            application.arguments |= self.arguments({name: env.names[name]}, statement.span)

    # -------------------------------------------------------------- statements

    def run(self, body: Iterable[t.Statement], scope: Application) -> Returned | None:
        """Run statements up to a `return`; a mistake is kept and poisons what depends on it."""
        for statement in body:
            try:
                returned = self.statement(statement, scope)
            except Poisoned:
                self._poison(statement, scope)
            except SpecError as error:
                self._keep(error)
                self._poison(statement, scope)
            except RecursionError:
                self._keep(SpecError.of(codes.TOO_DEEP, "this is nested too deeply", statement.span))
            else:
                if self.observer is not None:
                    self.observer.ran(statement, scope.env.names, returned and returned.value)
                if returned is not None:
                    return returned
        return None

    def _keep(self, error: SpecError) -> None:
        """Keep a mistake to report it with the others; Stopped when it is no use to go on."""
        around = tuple(reversed(self.machine.nesting.around))
        self.machine.problems += (
            replace(self.machine.surgery.noted(problem), trail=(*problem.trail, *around))
            for problem in error.problems
        )
        hopeless = any(problem.code in HOPELESS for problem in error.problems)
        if hopeless or len(self.machine.problems) > MOST_PROBLEMS:
            raise Stopped

    def _poison(self, statement: t.Statement, application: Application) -> None:
        for name in names_bound(statement):
            application.env.names[name] = POISON
        ends = isinstance(statement, t.Return | t.Input | t.Require)
        if ends or (isinstance(statement, t.Broken) and statement.ends) or not self.machine.problems:
            raise Poisoned

    def statement(self, statement: t.Statement, scope: Application) -> Returned | None:
        """Run one statement. Raises SpecError when it is wrong."""
        match statement:
            case t.Input():
                self.inputs.take(statement, scope)
                if scope.late:
                    self._bind_late(statement, scope)
            case t.Own():
                self.weights.declare(statement, scope.env)
            case t.Shared():
                self._shared(statement, scope.env)
            case t.Require() if scope.root:
                self._assume(statement, scope)
            case t.Defaults():
                self._defaults(statement, scope.env)
            case _:
                return super().statement(statement, scope)
        return None

    def returned(self, statement: t.Return, env: Environment) -> Returned:
        """The tensors that a `return` gives, with their names."""
        tensors: list[Tensor] = []
        names: list[str] = []
        for output in statement.outputs:
            value = (
                self.evaluator.spread(output.value, env)
                if isinstance(output.value, t.Spread)
                else self.evaluator.evaluate(output.value, env)
            )
            several = list(value) if isinstance(value, list | tuple) else [value]
            for tensor in several:
                if not isinstance(tensor, Tensor):
                    tensor = tensor if len(several) == 1 else value
                    help_ = "apply it: `x -> layer`" if is_layer(tensor) else ""
                    raise SpecError.of(
                        codes.NOT_A_TENSOR,
                        f"a block must return tensors, not {noun(tensor)}",
                        output.span,
                        help=help_,
                    )
            if output.name and len(several) != 1:
                raise SpecError.of(
                    codes.OUTPUT_NAMES, f"`{output.name}` names one tensor, not {len(several)}", output.span
                )
            tensors += several
            given = (
                value.names
                if isinstance(value, Outputs) and output.name is None
                else [output.name or ""] * len(several)
            )
            names += given
        if not tensors:
            raise SpecError.of(codes.NOT_A_TENSOR, "a block must return at least one tensor", statement.span)
        if any(names) and (not all(names) or len(set(names)) < len(names)):
            raise SpecError.of(
                codes.OUTPUT_NAMES, "name all outputs, with distinct names, or none", statement.span
            )
        return Returned(Outputs(tensors, names))

    # -------------------------------------------------------------- defaults

    def _defaults(self, statement: t.Defaults, env: Environment) -> None:
        frame = self.builder.frame
        if frame.stated or frame.steps or frame.layers != [""] * len(frame.layers):
            first = (("they are stated here", frame.stated),) if frame.stated else ()
            message = "a block states its defaults once" if first else "defaults stand above the first step"
            help_ = "put all rules in one" if first else "they hold for all steps and weights of the block"
            raise SpecError.of(codes.STATED_TWICE, message, statement.span, places=first, help=help_)
        frame.stated = statement.span
        stated = read_rules(statement, self.machine, env)
        frame.defaults = frame.defaults.within(stated)
        self.machine.surgery.state(stated, frame.path)

    def _assume(self, statement: t.Require, scope: Application) -> None:
        """Require something of a model's sizes: what depends on a free one is assumed of it from the beginning."""
        before = len(wished())
        try:
            super().statement(statement, scope)
        except SpecError as error:
            found = wished()[before:]
            if found and found[0].exact and all(problem.kind == "free" for problem in error.problems):
                raise Assumed(found[0]) from None
            raise

    def _opened(self, layer: BlockLayer) -> BlockLayer:
        """A model whose first input has free sizes at the caller's wish: the parameters that say these are free."""
        names = self.machine.opened.names
        first = next((s for s in layer.definition.body if isinstance(s, t.Input) and s.pattern), None)
        if names is None or first is None or first.pattern is None:
            return layer
        parameters = {parameter.name: parameter for parameter in layer.definition.parameters}
        places: list[tuple[t.PatternSize, int | None]] = []
        for part in first.pattern:
            pair = isinstance(part, t.RestSizes) and part.name in parameters
            places += [(part, 0), (part, 1)] if pair else [(part, None)]
        spatial = len(places) - 1
        names = names or USUAL_NAMES.get(spatial, ())
        if not 1 <= len(names) <= spatial:
            raise SpecError.of(
                codes.FREE_INPUT,
                f"`{first.name}` of {layer.name} has {spatial} sizes behind the first that could be free"
                + (f", not {len(names)}" if names else ""),
                first.span,
            )
        given: dict[str, Any] = {}
        for name in names:
            with at(first.span):
                require_name_of_size(name)
        for (part, index), name in zip(places[-len(names) :], names, strict=True):
            if not isinstance(part, t.Name | t.RestSizes) or part.name not in parameters:
                raise SpecError.of(
                    codes.FREE_INPUT,
                    f"no parameter of {layer.name} says this size of `{first.name}`, so it cannot be freed",
                    part.span,
                    help="write `free H` there, or make it a parameter",
                )
            size = self.machine.opened.size(name)
            if index is None:
                given.setdefault(part.name, size)
            else:
                given.setdefault(part.name, [None, None])[index] = size
        return replace(layer, arguments={**layer.arguments, **given})

    # -------------------------------------------------------------- shared layers

    def _shared(self, statement: t.Shared, env: Environment) -> None:
        layer = self.evaluator.evaluate(statement.value, env)
        if not is_layer(layer):
            raise SpecError.of(
                codes.NOT_A_LAYER, f"only a layer can be shared, not {noun(layer)}", statement.value.span
            )
        name = self.evaluator.label(statement.label, env) if statement.label else statement.name
        with at(statement.span):
            require_free(name)
        meant = self.machine.layers.standing(layer, self.builder.frame.defaults, statement.span)
        env.names[statement.name] = self.builder.declare(name, *meant, statement.span)
