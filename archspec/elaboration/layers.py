"""Layers applied to tensors: an op is a step, a block or a list of layers a call of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archspec.elaboration.arguments import ArgumentMistake, complete, parameter_names, takes
from archspec.elaboration.binding import declaring, names_in
from archspec.elaboration.builder import snake
from archspec.elaboration.defaults import Defaults, Substitute, require_possible
from archspec.elaboration.frames import check_length
from archspec.elaboration.handing import Handing, runs
from archspec.elaboration.mistakes import at
from archspec.elaboration.reuse import Body, Label, StepName, Tensors
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Labelled,
    OpLayer,
    Outputs,
    SharedLayer,
    Tensor,
    describe,
    is_layer,
    noun,
)
from archspec.graph import Call, Ref
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.source import Span
from archspec.op import Op
from archspec.op.inference import require_count
from archspec.op.run_time import SIZES_OF

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine


class Layers:
    """Applies layers."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.builder = machine.builder
        self.reuse = machine.reuse
        self.observer = machine.observer

    def apply(self, layer: Any, inputs: Tensors, label: Label, span: Span) -> Tensors:
        """Apply an op, a block, a shared layer or a list of layers. Raises SpecError when it does not fit."""
        match layer:
            case OpLayer():
                found = self.builder.frame.defaults.substitute(layer.op)
                if found is None:
                    return self.emit(layer, inputs, label, span)
                return self._apply_standing(layer, found, inputs, label, span)
            case BlockLayer():
                return self.block(layer, inputs, label, span, layer.name)
            case SharedLayer():
                if label is not None:
                    raise SpecError.of(
                        codes.NAME_TAKEN,
                        f"the shared layer is already named `{layer.name}`",
                        span,
                        help="apply it without a name",
                    )
                frame = self.builder.frame
                outer, frame.defaults = frame.defaults, layer.defaults
                try:
                    return self.apply(layer.layer, inputs, layer, span)
                finally:
                    frame.defaults = outer
            case list() if is_layer(layer):
                if label is None:
                    return self.row(layer, inputs, span, joins=True)
                return self._named_list(layer, inputs, label, "", span)
            case Labelled():
                return self.apply(layer.layer, inputs, label or layer.label, span)
            case Tensor():
                raise SpecError.of(
                    codes.NOT_A_LAYER,
                    "a tensor is not a layer",
                    span,
                    help="combine tensors with `+`, `*` or concat; no layer at all is `[]`: `x -> (layer if c else [])`",
                )
            case list():
                wrong = next(item for item in layer if not is_layer(item))
                raise SpecError.of(codes.NOT_A_LAYER, f"a list of layers contains {noun(wrong)}", span)
        help_ = ""
        if isinstance(layer, tuple) and layer and all(map(is_layer, layer)):
            help_ = f"layers one after the other are a list: `{describe(list(layer))}`"
        elif isinstance(layer, str) and layer in Op.names():
            help_ = f"write it without quotes: `{layer}`"
        raise SpecError.of(codes.NOT_A_LAYER, f"{noun(layer)} is not a layer", span, help=help_)

    def stream(self, value: Any, span: Span) -> Tensors:
        """The tensors that a layer is applied to. Raises SpecError when the value has none, or something else besides."""
        if isinstance(value, Tensor):
            return (value,)
        # No tensors are `()`, which a block without inputs is applied to.
        listed = isinstance(value, tuple) or (isinstance(value, list) and value)
        if listed and all(isinstance(item, Tensor) for item in value):
            return tuple(value)
        help_ = (
            "start a chain of layers with a tensor, or write a list: `[Conv(8), ReLU]`"
            if is_layer(value)
            else ""
        )
        raise SpecError.of(codes.NOT_A_TENSOR, f"`->` takes tensors, not {noun(value)}", span, help=help_)

    def emit(self, layer: OpLayer, inputs: Tensors, label: Label, span: Span) -> Tensors:
        """Apply an op: check its arguments, name the step and add it."""
        with at(span):
            filled, places = self.builder.frame.defaults.filled(layer)
            try:
                op = self.machine.calls.built(filled)
                if op.idle and len(inputs) == 1:
                    op.infer(inputs[0].type)  # which may find that it does not fit
                    return inputs

                def make(step: StepName, inputs: Tensors) -> Tensors:
                    made = self._started(op, filled, inputs, step, places) if step.defaults.starts else op
                    said = {**places, **step.defaults.stands_for}
                    stated = {name: place.location for name, place in said.items()}
                    options = self._sized(made, inputs, layer.options)
                    return self.builder.emit(made, inputs, options, step.name, span, step.shared, stated)

                return self._step(label, snake(layer.name), inputs, span, make)
            except Mistake as mistake:
                if places:
                    raise self._of_defaults(mistake, layer, places) from None
                raise

    def _step(
        self,
        label: Label,
        fallback: str,
        inputs: Tensors,
        span: Span,
        make: Callable[[StepName, Tensors], Tensors],
    ) -> Tensors:
        """What a step gives that is called so, as `make` makes it, or as the edits in force would have it."""
        step = self.name(label, fallback, span)
        if not self.builder.frame.defaults.edits or isinstance(label, StepName):
            return make(step, inputs)
        return self.machine.surgery.made(step, inputs, span, make)

    def _named_list(
        self, layers: list[Any], inputs: Tensors, label: Label, fallback: str, span: Span
    ) -> Tensors:
        def make(step: StepName, inputs: Tensors) -> Tensors:
            return self.reuse.call(layers, inputs, step, self._list(span, "", {}), span)

        return self._step(label, fallback, inputs, span, make)

    def _apply_standing(
        self, layer: OpLayer, found: Substitute, inputs: Tensors, label: Label, span: Span
    ) -> Tensors:
        """Apply the layer that stands for an op: one step, as the op would be."""
        frame = self.builder.frame
        outer = frame.defaults
        meant, frame.defaults = self._standing(layer, found, span), outer.outside(layer.op, found)
        try:
            if meant == []:
                return inputs
            if isinstance(meant, list) and label is None:
                return self._named_list(meant, inputs, None, snake(layer.name), span)
            return self.apply(meant, inputs, label, span)
        except SpecError as error:
            raise error.inside(f"{layer.name} = {describe(found.layer)}", found.span) from None
        finally:
            frame.defaults = outer

    def standing(self, layer: Any, defaults: Defaults, span: Span) -> tuple[Any, Defaults]:
        """The layer that is meant by one under some defaults: what stands for an op; and the defaults in force in it."""
        while isinstance(layer, OpLayer) and (found := defaults.substitute(layer.op)):
            layer, defaults = self._standing(layer, found, span), defaults.outside(layer.op, found)
        return layer, defaults

    def _standing(self, layer: OpLayer, substitute: Substitute, span: Span) -> Any:
        """The layer that stands for an op, with those of its arguments that it was not given itself."""
        meant = substitute.layer
        given = {**layer.arguments, **layer.options}
        if isinstance(meant, OpLayer | BlockLayer):
            own = {*meant.arguments, *(meant.options if isinstance(meant, OpLayer) else meant.passed_on)}
            given = {name: value for name, value in given.items() if name not in own}
        if not given or meant == []:
            return meant
        try:
            return self.machine.calls.call(meant, [], given, span)
        except Mistake as mistake:
            mistake.label = f"stands for {layer.name} at {span.place}"
            if isinstance(mistake, ArgumentMistake):
                mistake.help = (
                    f"give what it does to the layer; or state it in `defaults`, if it is one for all: "
                    f"`{layer.name}({mistake.argument}=...)`"
                )
            raise mistake.at(substitute.span) from None

    def _of_defaults(self, mistake: Mistake, layer: OpLayer, places: Mapping[str, Span]) -> Exception:
        """The mistake of an op some of whose arguments are stated elsewhere: it may be one of these that is wrong."""
        if isinstance(mistake, ArgumentMistake) and mistake.argument in places:
            return mistake.at(places[mistake.argument])
        if complete(layer):
            self.machine.calls.built(layer)  # whose own mistakes come first
        if not mistake.label:
            listed = " and ".join(f"`{name}` from {place.place}" for name, place in places.items())
            mistake.label = f"with {listed}"
        return mistake

    def _started(
        self, op: Op, layer: OpLayer, inputs: Tensors, step: StepName, places: dict[str, Span]
    ) -> Op:
        """The op with the starts of those of its weights that are named; adds to `places` where these are stated."""
        added = {}
        for key in self.builder.trained(op, inputs, layer.options):
            start = step.defaults.start(key)
            if start is not None:
                argument = require_possible(op, key, start)
                added[argument] = start.init
                places[argument] = start.span
        if not added:
            return op
        return self.machine.calls.built(replace(layer, arguments={**layer.arguments, **added}))

    def emit_op(self, op: str, inputs: Tensors, arguments: Mapping[str, Any], span: Span) -> Tensor:
        """Apply an op of archspec's that has one output, by its name."""
        with at(span):  # an operator means the same everywhere, so no defaults
            made = self.machine.calls.built(OpLayer(Op.find(op), arguments))

            def make(step: StepName, inputs: Tensors) -> Tensors:
                return self.builder.emit(made, inputs, self._sized(made, inputs, {}), step.name, span)

            outputs = self._step(None, snake(op), inputs, span, make)
            if len(outputs) != 1:
                raise Mistake(
                    f"what stands in the place of an operator must give one tensor, not {len(outputs)}",
                    codes.TENSORS,
                )
            return outputs[0]

    def _sized(self, op: Op, inputs: Tensors, options: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The optional tensors of an op, and one from which free sizes in its arguments are read that its inputs do not show."""
        if SIZES_OF not in op.sized_by or SIZES_OF in options:
            return options
        require_count(op, inputs)
        types = [tensor.type for tensor in inputs]
        sizes = op.sizes_read(*types)
        found = self.builder.showing(sizes, [type_.shape for type_ in types]) if sizes else None
        return {**options, SIZES_OF: found} if found else options

    def name(self, label: Label, fallback: str, span: Span) -> StepName:
        """What a step is called: by its label, or else by a name made from `fallback`."""
        frame = self.builder.frame
        pending, frame.pending = frame.pending, ()
        if isinstance(label, StepName):
            name, full, shared, _ = label
        elif isinstance(label, SharedLayer):
            label.state.uses += 1
            name, full, shared = frame.claim_use(label), label.shown, label
        else:
            name = frame.claim_name(label, fallback, span)
            full, shared = frame.path + name, None
        inside = frame.defaults.below(shared.name if shared else name)
        if pending or frame.defaults.named:
            self.machine.budget.spend(frame.defaults.named + sum(stated.named for stated in pending), span)
            for stated in pending:
                inside = inside.naming(stated)
                self.machine.surgery.state(stated, f"{full}.")
        return StepName(name, full, shared, inside)

    # -------------------------------------------------------------- lists

    def row(self, layers: list[Any], inputs: Tensors, span: Span, *, joins: bool = False) -> Tensors:
        """Apply layers one after the other; a block that comes again and again in the same way is a row of calls.

        A list without a name `joins` the steps around it: a number that one of these has is left to them, unless it would be in a key.
        """
        stream, number, first = inputs, 0, len(self.builder.frame.steps)
        for item, count in runs(layers):
            label, layer, place = "", item, span
            if isinstance(item, Labelled):
                label, layer, place = item.label, item.layer, item.span
            end = number + count
            while number < end:
                before, made = stream, len(self.builder.frame.steps)
                name = None if isinstance(layer, SharedLayer) else label or str(number)
                if (
                    joins
                    and not label
                    and self.builder.frame.has(str(number))
                    and str(number) not in self.builder.frame.inserted
                    and self._weightless(layer, place)
                ):
                    name = None
                stream = self.apply(layer, stream, name, place)
                if self.observer is not None:
                    self.observer.applied_item(layer, before, stream, made)
                number += 1
                if number < end and self._lengthen(before, stream, number, end, span):
                    number = end
                stream = self._merged(first, stream, span)
        return stream

    def _weightless(self, layer: Any, span: Span) -> bool:
        """Whether no layer is meant, or an op of a kind that has no weights."""
        meant, _ = self.standing(layer, self.builder.frame.defaults, span)
        return meant == [] or (isinstance(meant, OpLayer) and meant.op.weights is Op.weights)

    def _lengthen(self, before: Tensors, stream: Tensors, number: int, end: int, span: Span) -> bool:
        """Make the call of the last step, the one before a number, a row up to another, where each would be the same; whether it was done."""
        if [(t.type, t.trace) for t in before] != [(t.type, t.trace) for t in stream]:
            return False
        frame = self.builder.frame
        step = frame.steps[-1] if frame.steps else None
        if not isinstance(step, Call) or step.layers or step.layer is not None or step.times > 1:
            return False
        if step.name != str(number - 1) or step.inputs != tuple(tensor.ref for tensor in before):
            return False
        if self.builder.functions[step.function].given != len(step.inputs):
            return False
        first = number - 1
        if frame.defaults.named and not self._alike(frame.defaults, first, end, span):
            return False
        if not frame.claim_row(first, end - 1, span):
            return False
        frame.steps.pop()
        frame.add(step.with_changes(times=end - first), self.builder.longest[step.function])
        check_length(frame.longest + len(str(end)) - len(step.name) - 1, span)
        frame.longest += len(str(end)) - len(step.name)
        return True

    def _alike(self, defaults: Defaults, first: int, end: int, span: Span) -> bool:
        """Whether names single out none of the calls that are numbered so."""
        self.machine.budget.spend((end - first) * defaults.named, span)
        named = defaults.at(str(first))
        return all(defaults.at(str(i)) == named for i in range(first + 1, end))

    def _merged(self, first: int, stream: Tensors, span: Span) -> Tensors:
        """What the last step gives, which became one row with the step before where both are calls of one function."""
        steps = self.builder.frame.steps
        if len(steps) < first + 2:
            return stream
        row, step = steps[-2], steps[-1]
        if not isinstance(row, Call) or not row.goes_on_as(step, self.builder.functions[row.function]):
            return stream
        assert isinstance(step, Call)
        steps[-2:] = [row.with_changes(times=row.times + step.times)]
        return tuple(Tensor(Ref(row.name, i), t.type, t.trace) for i, t in enumerate(stream))

    # -------------------------------------------------------------- blocks

    def block(self, layer: BlockLayer, inputs: Tensors, label: Label, span: Span, shown: str) -> Tensors:
        """Apply a block; `shown` is the name it is known by, which a short form around it may have given."""
        frame = self.builder.frame
        outer, frame.defaults = frame.defaults, frame.defaults.entering(layer.home)
        if layer.home.defaults and layer.definition.kind == "model":
            frame.pending += (layer.home.defaults,)  # names of the model's steps and weights
        try:
            return self._block(layer, inputs, label, span, shown)
        finally:
            frame.defaults, frame.pending = outer, ()

    def _block(self, layer: BlockLayer, inputs: Tensors, label: Label, span: Span, shown: str) -> Tensors:
        statements = self.machine.statements
        if layer.definition.layer is None:

            def make(step: StepName, inputs: Tensors) -> Tensors:
                trail = f"{step.full}: {describe(layer)}"
                bound = self._with_defaults(layer, inputs, trail, span)
                body = Body(
                    partial(statements.run_block, span=span),  # no frame of Python's, of which there are few
                    shown,
                    trail=trail,
                    check=lambda: statements.require_fit(bound, inputs, span),
                )
                first = len(self.builder.frame.steps)
                outputs = self.reuse.call(bound, inputs, step, body, span)
                if self.observer is not None:
                    self.observer.applied(layer.definition.span, bound, inputs, outputs, first)
                return outputs

            if self.builder.frame.defaults.edits:
                return self._step(label, snake(shown), inputs, span, make)
            return make(self.name(label, snake(shown), span), inputs)
        env = Environment(layer.home)
        called = (
            label.full
            if isinstance(label, StepName)
            else label.shown
            if isinstance(label, SharedLayer)
            else label or snake(shown)
        )
        with self.machine.nesting.inside(f"{called}: {describe(layer)}", span):
            frame = self.builder.frame
            pending, frame.pending = (
                frame.pending,
                (),
            )  # for the step of what it stands for, not of its arguments
            meant = self.short_form(layer, env, span)
            frame.pending = pending
            first = len(frame.steps)
            if isinstance(meant, BlockLayer):
                outputs = self.block(meant, inputs, label, span, shown)
            elif isinstance(meant, list):
                body = self._list(layer.definition.layer.span, shown, statements.arguments(env.names, span))
                outputs = self._step(
                    label,
                    snake(shown),
                    inputs,
                    span,
                    lambda step, inputs: self.reuse.call(meant, inputs, step, body, span),
                )
            else:
                outputs = self.apply(meant, inputs, label, span)
            if self.observer is not None:
                self.observer.applied(layer.definition.layer.span, meant, inputs, outputs, first)
            return outputs

    def _with_defaults(self, layer: BlockLayer, inputs: Tensors, trail: str, span: Span) -> BlockLayer:
        """The layer with those defaults bound that are computed from tensors: they are steps of whoever applies the block."""
        parameters = layer.definition.parameters
        names = {parameter.name for parameter in parameters}
        open_ = [p.name for p in parameters if p.default and p.name not in layer.arguments]
        computed = [
            p.name for p in parameters if p.name in open_ and p.default and names_in(p.default) & names
        ]
        if not computed or not Handing.of(layer).tensors:
            return layer
        env = Environment(layer.home)
        with self.machine.nesting.inside(trail, span):
            self.machine.statements.require_fit(layer, inputs, span)
            self.machine.parameters.bind(layer, env)
        bound = {name: env.names[name] for name in computed if Handing.of(env.names.get(name)).tensors}
        return replace(layer, arguments={**layer.arguments, **bound})

    def _list(self, span: Span, block: str, arguments: dict[str, Any]) -> Body:
        """How a list of layers is run that stands at a place."""

        def run(layers: list[Any], tensors: Tensors) -> tuple[Outputs, dict[str, Any]]:
            made = self.row(layers, tensors, span)
            return Outputs(made, getattr(made, "names", [""] * len(made))), {}

        return Body(run, block, arguments)

    def short_form(self, layer: BlockLayer, env: Environment, span: Span, *, declares: bool = False) -> Any:
        """The layer that a block in the short form, applied at `span`, stands for."""
        definition = layer.definition
        assert definition.layer is not None
        parameters = self.machine.parameters
        parameters.require_all(layer, span)
        parameters.bind(layer, env, declaring(definition) if declares else frozenset())
        meant = self.machine.evaluator.evaluate(definition.layer, env)
        if not is_layer(meant):
            raise SpecError.of(
                codes.NOT_A_LAYER, f"`{layer.name}` must be a layer, not {noun(meant)}", definition.layer.span
            )
        if layer.passed_on:
            if isinstance(meant, list | SharedLayer):
                raise SpecError.of(
                    codes.UNKNOWN_ARGUMENT,
                    f"{layer.name} has no argument `{next(iter(layer.passed_on))}`",
                    span,
                    help=takes(layer.name, parameter_names(layer)),
                )
            with at(span):
                meant = self.machine.calls.call(meant, [], dict(layer.passed_on), span)
        return meant
