"""Layers applied to tensors: an op is a step, a block or a list of layers a call of a function.

A block applied in the same way again is a call of the function that it made before: nothing of it is run anew.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from archspec.elaboration.arguments import parameter_names, takes
from archspec.elaboration.builder import NEW_FUNCTION, NOTHING, Label, plain_type, snake
from archspec.elaboration.frames import check_length
from archspec.elaboration.handing import Handing, runs
from archspec.elaboration.places import at
from archspec.elaboration.values import (
    BlockLayer,
    Environment,
    Held,
    Labelled,
    OpLayer,
    Outputs,
    SharedLayer,
    Tensor,
    describe,
    is_layer,
    kind,
)
from archspec.graph import Call, Ref
from archspec.ground.errors import SpecError
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

DEEPEST = 50  # blocks within blocks, and files that import files
NO_RECURSION = "blocks cannot recur; repeat with a list: `n * [Block]`"

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a block or a list of layers made when it was applied: a function, and the types and names of what it gives.

    `height` is how deep blocks are nested in it, `after` what became of the shared layers handed to it: what their first use
    made, and how many uses it added.
    """

    function: int
    types: list[tuple[TensorType, int]]
    names: tuple[str, ...]
    height: int
    after: list[tuple[Held | int | None, int]]


class Layers:
    """Applies layers; `around` are the blocks being applied, outermost first."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.builder = machine.builder
        self.around: list[tuple[str, Span]] = []
        self._deepest = 0  # the most blocks around a step, since this was last set
        self._applied: dict[Hashable, Applied] = {}

    def release(self) -> None:
        """Let go of what was applied."""
        self._applied.clear()

    def apply(self, layer: Any, inputs: Tensors, label: Label, span: Span) -> Tensors:
        """Apply an op, a block, a shared layer or a list of layers. Raises SpecError when it does not fit."""
        match layer:
            case OpLayer():
                return self.emit(layer, inputs, label, span)
            case BlockLayer():
                return self.block(layer, inputs, label, span, layer.name)
            case SharedLayer():
                if label is not None:
                    raise SpecError.of(
                        "name",
                        f"the shared layer has the name `{layer.name}` already",
                        span,
                        help="apply it without another",
                    )
                return self.apply(layer.layer, inputs, layer, span)
            case list() if is_layer(layer):
                if label is None:
                    return self.row(layer, inputs, span)
                name, shown = self.name(label, "", span)
                return self.call(layer, "", {}, inputs, (name, shown, label), span, self._run_list(span))
            case Labelled():
                return self.apply(layer.layer, inputs, label or layer.label, span)
            case Tensor():
                raise SpecError.of(
                    "type", "a tensor is not a layer", span, help="combine tensors with `+`, `*` or concat"
                )
            case list():
                wrong = next(item for item in layer if not is_layer(item))
                raise SpecError.of("type", f"a list of layers holds {kind(wrong)}", span)
        raise SpecError.of("type", f"{kind(layer)} is not a layer", span)

    def emit(self, layer: OpLayer, inputs: Tensors, label: Label, span: Span) -> Tensors:
        """Apply an op: check its arguments, name the step and add it."""
        with at(span):
            op = self.machine.evaluator.built(layer)
            name, _ = self.name(label, snake(layer.name), span)
            shared = label if isinstance(label, SharedLayer) else None
            return self.builder.emit(op, inputs, layer.options, name, span, shared)

    def name(self, label: Label, fallback: str, span: Span) -> tuple[str, str]:
        """What a step is called in its function, and its full name here."""
        frame = self.builder.frame
        if isinstance(label, SharedLayer):
            label.state.uses += 1
            return frame.claim_use(label), label.shown
        name = frame.claim_name(label, fallback, span)
        return name, frame.path + name

    # -------------------------------------------------------------- lists

    def row(self, layers: list[Any], inputs: Tensors, span: Span) -> Tensors:
        """Apply layers one after the other; a block that comes again and again in the same way is a row of calls."""
        stream, number, first = inputs, 0, len(self.builder.frame.steps)
        for item, count in runs(layers):
            label, layer, place = "", item, span
            if isinstance(item, Labelled):
                label, layer, place = item.label, item.layer, item.span
            end = number + count
            while number < end:
                before = stream
                name = None if isinstance(layer, SharedLayer) else label or str(number)
                stream = self.apply(layer, stream, name, place)
                number += 1
                if number < end and self._lengthen(before, stream, end, span):
                    number = end
                stream = self._merged(first, stream, span)
        return stream

    def _lengthen(self, before: Tensors, stream: Tensors, end: int, span: Span) -> bool:
        """Make the call of the last step a row of calls up to a number, where each would be the same; whether it was done."""
        if [(t.type, t.trace) for t in before] != [(t.type, t.trace) for t in stream]:
            return False
        frame = self.builder.frame
        step = frame.steps[-1] if frame.steps else None
        if not isinstance(step, Call) or step.layers or step.layer is not None or step.times > 1:
            return False
        if not step.name.isdigit() or step.inputs != tuple(tensor.ref for tensor in before):
            return False
        if self.builder.functions[step.function].given != len(step.inputs):
            return False
        first = int(step.name)
        if not frame.claim_row(first, end - 1, span):
            return False
        frame.steps.pop()
        frame.add(step.with_changes(times=end - first), self.builder.longest[step.function])
        check_length(frame.longest + len(str(end)) - len(step.name) - 1, span)
        frame.longest += len(str(end)) - len(step.name)
        return True

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
        statements = self.machine.statements
        if layer.definition.layer is None:
            name, full = self.name(label, snake(shown), span)
            call = (name, full, label)

            def run(bound: BlockLayer, tensors: Tensors) -> tuple[Outputs, dict[str, Any]]:
                return statements.run_block(bound, tensors, span)

            def check() -> None:
                statements.require_fit(layer, inputs, span)

            return self.call(layer, shown, None, inputs, call, span, run, f"{full}: {describe(layer)}", check)
        env = Environment(layer.home)
        called = label.shown if isinstance(label, SharedLayer) else label or snake(shown)
        with self.inside(f"{called}: {describe(layer)}", span):
            meant = self.short_form(layer, env, span)
            if isinstance(meant, BlockLayer):
                return self.block(meant, inputs, label, span, shown)
            if not isinstance(meant, list):
                return self.apply(meant, inputs, label, span)
            name, full = self.name(label, snake(shown), span)
            arguments = statements.arguments(env, span)
            within = self._run_list(layer.definition.layer.span)
            return self.call(meant, shown, arguments, inputs, (name, full, label), span, within)

    def _run_list(self, span: Span) -> Callable[[list[Any], Tensors], tuple[Outputs, dict[str, Any]]]:
        def run(layers: list[Any], tensors: Tensors) -> tuple[Outputs, dict[str, Any]]:
            made = self.row(layers, tensors, span)
            return Outputs(made, getattr(made, "names", [""] * len(made))), {}

        return run

    def call(
        self,
        layer: Any,
        block: str,
        arguments: dict[str, Any] | None,
        inputs: Tensors,
        called: tuple[str, str, Label],
        span: Span,
        run: Callable[[Any, Tensors], tuple[Outputs, dict[str, Any]]],
        trail: str | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Outputs:
        """Call the function of a block or a list, which is `run` when it is first applied in this way.

        `arguments` are those of the function where they do not come from running it. `called` is the name of the step, its
        full name, and the label from which it has these.
        """
        name, full, label = called
        shared = label if isinstance(label, SharedLayer) else None
        handing = Handing()
        does = handing.key(layer)
        given = None if arguments is None else to_json(arguments, inf_nan_mode="constants")
        place = None if arguments is None else span  # at which the steps of a list stand
        key = (block, given, does, tuple([(tensor.type, tensor.trace) for tensor in inputs]), place)
        like = self._like(name, shared)
        applied = self.known(key)
        depth = len(self.around)
        fits = applied is not None and like in (None, applied.function)
        if applied is None or not fits or depth + applied.height > DEEPEST:
            check()
            applied = self._first(layer, block, arguments, inputs, handing, full, like, span, run, trail, key)
        else:
            self._deepest = max(self._deepest, depth + applied.height)
            for handed, (first, uses) in zip(handing.layers, applied.after, strict=True):
                handed.state.first = first if handed.state.first is None else handed.state.first
                handed.state.uses += uses
        tensors = self.builder.call(
            applied.function, name, (*inputs, *handing.tensors), handing.layers, applied.types, span, shared
        )
        return Outputs(tensors, applied.names)

    def known(self, key: Hashable) -> Applied | None:
        """What was made when a layer was applied in the same way before; None when it was not."""
        return self._applied.get(key)

    def _like(self, name: str, shared: SharedLayer | None) -> int | None:
        """The function that the first use of a shared layer made, where this one is a part of a later use."""
        if shared:
            first = shared.state.first
            return NOTHING if isinstance(first, Held) else first
        like = self.builder.frame.like
        if like is None or like < 0:
            return like
        step = self.builder.functions[like].by_name.get(name)
        return step.function if isinstance(step, Call) else NOTHING

    def _first(
        self,
        layer: Any,
        block: str,
        arguments: dict[str, Any] | None,
        inputs: Tensors,
        handing: Handing,
        full: str,
        like: int | None,
        span: Span,
        run: Callable[[Any, Tensors], tuple[Outputs, dict[str, Any]]],
        trail: str | None,
        key: Hashable,
    ) -> Applied:
        """Make a function of what is applied; remember it, unless there is a mistake in it."""
        builder, mistakes, depth = self.builder, len(self.machine.problems), len(self.around)
        outer, self._deepest = self._deepest, depth
        uses = [handed.state.uses for handed in handing.layers]
        builder.spend(NEW_FUNCTION, span)
        with self.inside(trail, span), builder.function(f"{full}.", span, like) as frame:
            frame.layers += [""] * len(handing.layers)
            tensors = [
                Tensor(frame.take_input(plain_type(tensor.type)), tensor.type, tensor.trace)
                for tensor in (*inputs, *handing.tensors)
            ]
            bound = handing.rebound(layer, iter(tensors[len(inputs) :]))
            outputs, made_with = run(bound, tuple(tensors[: len(inputs)]))
        function = builder.finished(frame, block, arguments or made_with, len(inputs), outputs)
        height, self._deepest = self._deepest - depth, max(outer, self._deepest)
        applied = Applied(
            function,
            [(tensor.type, tensor.trace) for tensor in outputs],
            outputs.names,
            height,
            [
                (handed.state.first, handed.state.uses - before)
                for handed, before in zip(handing.layers, uses, strict=True)
            ],
        )
        if len(self.machine.problems) == mistakes:
            self._applied[key] = applied
        return applied

    def short_form(self, layer: BlockLayer, env: Environment, span: Span, *, declares: bool = False) -> Any:
        """The layer that a block in the short form, applied at `span`, stands for."""
        definition = layer.definition
        assert definition.layer is not None
        statements = self.machine.statements
        statements.require_arguments(layer, span)
        statements.bind_parameters(layer, env, declares=declares)
        meant = self.machine.evaluator.evaluate(definition.layer, env)
        if not is_layer(meant):
            raise SpecError.of(
                "type", f"`{layer.name}` must be a layer, not {kind(meant)}", definition.layer.span
            )
        if layer.passed_on:
            if isinstance(meant, list | SharedLayer):
                raise SpecError.of(
                    "argument",
                    f"{layer.name} has no argument `{next(iter(layer.passed_on))}`",
                    span,
                    help=takes(layer.name, parameter_names(layer)),
                )
            with at(span):
                meant = self.machine.evaluator.call(meant, [], dict(layer.passed_on), span)
        return meant

    @contextmanager
    def inside(self, what: str | None, span: Span) -> Iterator[None]:
        """Adds to errors the block in which they come up, and lets no block apply itself without end."""
        if what is None:
            yield
            return
        if len(self.around) >= DEEPEST:
            blocks = [name.partition(": ")[2] for name, _ in self.around]
            again = blocks.count(what.partition(": ")[2]) > 1
            message = (
                f"`{blocks[-1]}` applies itself, without end"
                if again
                else f"blocks are nested more than {DEEPEST} deep"
            )
            raise SpecError.of("recursion", message, span, help=NO_RECURSION)
        self.around.append((what, span))
        self._deepest = max(self._deepest, len(self.around))
        try:
            yield
        except SpecError as error:
            raise error.inside(what, span) from None
        finally:
            self.around.pop()
