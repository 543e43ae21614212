"""Functions found again: a block applied in the same way as before is a call of the function that it made then.

Nothing of it is run anew. What is the same is told by the layer with its arguments, and by the types of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from archspec.elaboration.budget import NEW_FUNCTION
from archspec.elaboration.builder import NOTHING
from archspec.elaboration.defaults import Defaults
from archspec.elaboration.handing import Handing
from archspec.elaboration.made import Made
from archspec.elaboration.nesting import DEEPEST
from archspec.elaboration.origins import plain_type
from archspec.elaboration.values import Held, Outputs, SharedLayer, Tensor
from archspec.graph import Call
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType

if TYPE_CHECKING:
    from archspec.elaboration.machine import Machine

Tensors = tuple[Tensor, ...]


class StepName(NamedTuple):
    """What a step is called in its function, its full name here, and the shared layer that it is a use of.

    `defaults` are those in force inside of it.
    """

    name: str
    full: str
    shared: SharedLayer | None
    defaults: Defaults

    @property
    def own(self) -> str:
        """The last part of the full name, but for the number of the use of a shared layer."""
        return self.shared.name if self.shared else self.name


Label = str | SharedLayer | StepName | None
"""What a step is called: by a name, as a use of a shared layer, as one whose place it takes, or after what it applies."""


@dataclass(frozen=True, slots=True)
class Body:
    """How a block or a list of layers is run when it is first applied in some way.

    `run` takes the layer and its inputs, and gives outputs and arguments; `arguments` are those of a list, which are known
    before. `block` is the name that the function has, `trail` what errors say they are in; `check` is called before.
    """

    run: Callable[[Any, Tensors], tuple[Outputs, dict[str, Any]]]
    block: str = ""
    arguments: dict[str, Any] | None = None
    trail: str | None = None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a block or a list of layers made when it was applied: a function, and the types and names of its outputs.

    `height` is how deep blocks are nested in it, `inside` what its steps give, `after` what became of the shared layers handed to it: what their first use
    made, and how many uses it added.
    """

    function: int
    types: list[tuple[TensorType, int]]
    names: tuple[str, ...]
    height: int
    inside: Mapping[str, Made]
    after: list[tuple[Held | int | None, int]]


class Reuse:
    """Calls functions of blocks and lists of layers, and makes those that are new."""

    def __init__(self, machine: Machine) -> None:
        self.problems = machine.problems
        self.budget = machine.budget
        self.builder = machine.builder
        self.nesting = machine.nesting
        self._applied: dict[Hashable, Applied] = {}

    def release(self) -> None:
        """Let go of what was applied."""
        self._applied.clear()

    def known(self, key: Hashable) -> Applied | None:
        """What was made when a layer was applied in the same way before; None when it was not."""
        return self._applied.get(key)

    def call(self, layer: Any, inputs: Tensors, step: StepName, body: Body, span: Span) -> Outputs:
        """Call the function of a block or a list, which is run where it is first applied in this way."""
        handing = Handing()
        key = self._key(handing.key(layer), inputs, body, span), step.defaults.key
        like = self._like(step)
        applied = self.known(key)
        depth = self.nesting.depth
        fits = applied is not None and like in (None, applied.function)
        if applied is None or not fits or depth + applied.height > DEEPEST:
            body.check()
            mistakes = len(self.problems)
            applied = self._made(layer, inputs, handing, step, like, body, span)
            if len(self.problems) == mistakes:
                self._applied[key] = applied
        else:
            self.nesting.deepest = max(self.nesting.deepest, depth + applied.height)
            for handed, (first, uses) in zip(handing.layers, applied.after, strict=True):
                handed.state.first = first if handed.state.first is None else handed.state.first
                handed.state.uses += uses
        given = (*inputs, *handing.tensors)
        tensors = self.builder.call(
            applied.function,
            step.name,
            given,
            handing.layers,
            applied.types,
            span,
            step.shared,
            applied.inside,
        )
        return Outputs(tensors, applied.names)

    def _key(self, layer: Hashable, inputs: Tensors, body: Body, span: Span) -> Hashable:
        """What tells applications apart: equal ones make the same function."""
        types = tuple([(tensor.type, tensor.trace) for tensor in inputs])
        if body.arguments is None:
            return body.block, layer, types
        # The steps of a list stand where it is applied.
        return body.block, layer, types, to_json(body.arguments, inf_nan_mode="constants"), span

    def _like(self, step: StepName) -> int | None:
        """The function that the first use of a shared layer made, where this one is a part of a later use."""
        if step.shared:
            first = step.shared.state.first
            return NOTHING if isinstance(first, Held) else first
        like = self.builder.frame.like
        if like is None or like < 0:
            return like
        part = self.builder.functions[like].by_name.get(step.name)
        return part.function if isinstance(part, Call) else NOTHING

    def _made(
        self,
        layer: Any,
        inputs: Tensors,
        handing: Handing,
        step: StepName,
        like: int | None,
        body: Body,
        span: Span,
    ) -> Applied:
        """Make a function of what is applied, by running it."""
        nesting, depth = self.nesting, self.nesting.depth
        outer, nesting.deepest = nesting.deepest, depth
        uses = [handed.state.uses for handed in handing.layers]
        self.budget.spend(NEW_FUNCTION, span)
        with (
            nesting.inside(body.trail, span),
            self.builder.function(f"{step.full}.", span, like, step.defaults) as frame,
        ):
            frame.layers += [""] * len(handing.layers)
            tensors = [
                Tensor(frame.take_input(plain_type(tensor.type)), tensor.type, tensor.trace)
                for tensor in (*inputs, *handing.tensors)
            ]
            bound = handing.rebound(layer, iter(tensors[len(inputs) :]))
            outputs, arguments = body.run(bound, tuple(tensors[: len(inputs)]))
        function = self.builder.finished(frame, body.block, body.arguments or arguments, len(inputs), outputs)
        height, nesting.deepest = nesting.deepest - depth, max(outer, nesting.deepest)
        return Applied(
            function,
            [(tensor.type, tensor.trace) for tensor in outputs],
            outputs.names,
            height,
            frame.made,
            [
                (handed.state.first, handed.state.uses - before)
                for handed, before in zip(handing.layers, uses, strict=True)
            ],
        )
