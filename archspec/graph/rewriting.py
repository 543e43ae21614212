"""Passes over functions: replace, insert or remove steps everywhere, and infer types again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from archspec.graph.function import Apply, Call, Function, Step
from archspec.graph.graph import Graph
from archspec.graph.records import Ref
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.op.inference import infer

Moved = TypeVar("Moved", bound=Apply | Call)

Change = Callable[[Function, Apply], Sequence[Apply] | None]
"""What replaces a step: None keeps it; of a list of steps, the last returns its values; an empty list passes its first input
on. Their types are inferred."""


def rewritten(graph: Graph, change: Change) -> Graph:
    """Apply `change` to each step of each function, however often the function is called.

    `change` is called once for each step that applies an op and each combination of input types. A function called with new types
    becomes several. If anything changes, claims are dropped, since they describe the original network.

    Raises SpecError when a new step does not fit its inputs, or the result is invalid.
    """
    rewriting = _Rewriting(graph.validated(), change)
    rewriting.function(len(graph.functions) - 1, graph.model.inputs)
    if rewriting.functions == list(graph.functions):
        return graph
    changed = graph.model_copy(update={"functions": called(rewriting.functions), "claims": ()})
    return changed.validated()


class _Rewriting:
    def __init__(self, graph: Graph, change: Change) -> None:
        self.graph = graph
        self.change = change
        self.functions: list[Function] = []
        self.known: dict[Hashable, int] = {}
        self.made: dict[tuple[int, tuple[TensorType, ...]], int] = {}

    def function(self, index: int, inputs: tuple[TensorType, ...]) -> int:
        """The index of the rewritten function for inputs of these types."""
        if (index, inputs) not in self.made:
            function = self.graph.functions[index]
            types = {Ref(f"%{i}"): type_ for i, type_ in enumerate(inputs)}
            now: dict[Ref, Ref] = {}  # of what was cut or replaced, what stands for it
            steps: list[Step] = []
            for step in function.steps:
                if isinstance(step, Call):
                    self.call(moved(step, now), types, now, steps)
                else:
                    self.apply(function, moved(step, now), types, now, steps)
            made = function.with_changes(
                inputs=inputs,
                steps=tuple(steps),
                outputs=tuple(now.get(ref, ref) for ref in function.outputs),
            )
            key = made.key
            if key not in self.known:
                self.known[key] = len(self.functions)
                self.functions.append(made)
            self.made[index, inputs] = self.known[key]
        return self.made[index, inputs]

    def call(self, step: Call, types: dict[Ref, TensorType], now: dict[Ref, Ref], steps: list[Step]) -> None:
        """Add a call; the calls of a row one by one if types change along it."""
        inputs = tuple(types[ref] for ref in step.inputs)
        function = self.function(step.function, inputs)
        given = self.functions[function].output_types
        if step.times == 1 or given == inputs:
            steps.append(step.with_changes(function=function, types=given))
            types.update({Ref(step.name, i): type_ for i, type_ in enumerate(given)})
            return
        single = step.with_changes(times=1)
        for name in step.names:
            single = single.with_changes(name=name)
            self.call(single, types, now, steps)
            single = single.with_changes(inputs=tuple(Ref(name, i) for i in range(len(given))))
        now.update({Ref(step.name, i): ref for i, ref in enumerate(single.inputs)})

    def apply(
        self,
        function: Function,
        step: Apply,
        types: dict[Ref, TensorType],
        now: dict[Ref, Ref],
        steps: list[Step],
    ) -> None:
        """Add what replaces a step."""
        replaced = self.change(function, self.typed(step, types))
        if replaced is not None:
            _require_steps(replaced, step)
        for made in (step,) if replaced is None else replaced:
            made = self.typed(made, types)
            steps.append(made)
            types.update({Ref(made.name, i): type_ for i, type_ in enumerate(made.types)})
        if replaced is None:
            return
        if not replaced and len(step.operands) != 1:
            raise SpecError.of(
                codes.REWRITING,
                f"`{step.name}` ({step.location}) cannot be cut: it takes {len(step.operands)} values",
                help="only the input of a step that takes one can take its place; put another step there",
            )
        for i in range(len(step.types)):
            now[Ref(step.name, i)] = Ref(replaced[-1].name, i) if replaced else step.inputs[0]

    def typed(self, step: Apply, types: dict[Ref, TensorType]) -> Apply:
        """The step with its types inferred. Raises SpecError when the op rejects its inputs."""
        try:
            inputs = tuple(types[ref] for ref in step.inputs)
            options = {option: types[ref] for option, ref in step.options.items()}
            made, _ = infer(step.op, inputs, options)
        except KeyError as missing:
            raise SpecError.of(
                codes.REWRITING, f"`{step.name}` takes `{missing.args[0]}`, which is not defined before it"
            ) from None
        except Mistake as mistake:
            message = f"`{step.name}` ({step.location}): {mistake.message}"
            raise SpecError.of(mistake.code, message, help=mistake.help) from mistake.__cause__
        return step if made == step.types else step.with_changes(types=made)


def _require_steps(replaced: object, step: Apply) -> None:
    """SpecError unless they are steps that can stand in the place of one."""
    if not isinstance(replaced, list | tuple) or not all(type(made) is Apply for made in replaced):
        raise SpecError.of(
            codes.REWRITING,
            f"what stands in the place of `{step.name}` is None or a list of steps, not {replaced!r:.200}",
        )
    for made in replaced:
        if not isinstance(made.op, Op):
            raise SpecError.of(
                codes.REWRITING,
                f"`{made.name}` applies {made.op!r:.200}, which is not an op with its arguments",
            )


def moved(step: Moved, now: dict[Ref, Ref]) -> Moved:
    """The step with its operands renamed."""
    if not now or not any(ref in now for ref in step.operands):
        return step
    inputs = tuple(now.get(ref, ref) for ref in step.inputs)
    if isinstance(step, Call):
        return step.with_changes(inputs=inputs)
    options = {option: now.get(ref, ref) for option, ref in step.options.items()}
    return step.with_changes(inputs=inputs, options=options)


def called(functions: Sequence[Function]) -> tuple[Function, ...]:
    """The last function and all that it reaches through calls, in the same order."""
    needed = {len(functions) - 1}
    for index in reversed(range(len(functions))):
        if index in needed:
            needed.update(step.function for step in functions[index].steps if isinstance(step, Call))
    places = {old: new for new, old in enumerate(sorted(needed))}
    return tuple(
        function if len(places) == len(functions) else renumbered(function, places)
        for index, function in enumerate(functions)
        if index in places
    )


def renumbered(function: Function, places: Sequence[int] | dict[int, int]) -> Function:
    """The function with its callees renumbered."""
    return function.with_changes(
        steps=tuple(
            step.with_changes(function=places[step.function]) if isinstance(step, Call) else step
            for step in function.steps
        )
    )
