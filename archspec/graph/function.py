"""Functions: a block applied with given arguments to inputs of given types, and its steps.

A block that is applied twice in the same way is one function and two calls.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, TypeVar

from pydantic import Discriminator, Field, JsonValue, Tag
from pydantic_core import to_json

from archspec.graph.records import AnyOp, Record, Ref, Several, Value
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake
from archspec.ground.guarding import at_step
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Op, Weight
from archspec.ops.weights import Tied

Index = Annotated[int, Field(ge=0)]
Answer = TypeVar("Answer")


class Apply(Record):
    """A step that applies an op.

    `layer` is the shared layer that it uses, or whose weight it reads: an index into its function's `layers`. `defaults` says of
    arguments that were not given at the step where they are stated, `init` for the start of a block's own weight; and of an op, by its
    name, where it is stated that a layer stands for it which this step is of.
    """

    name: str
    op: AnyOp
    inputs: Several[Value]
    options: dict[str, Value] = Field(default={})
    types: Several[TensorType]
    location: Location
    layer: Index | None = None
    defaults: dict[str, Location] = Field(default={})

    @property
    def operands(self) -> tuple[Ref, ...]:
        """All values it takes: inputs in order, then options."""
        return (*self.inputs, *self.options.values()) if self.options else self.inputs

    @property
    def is_use(self) -> bool:
        """Whether it uses a shared layer, whose declaration names it."""
        return self.layer is not None and type(self.op) is not Tied

    @property
    def names(self) -> tuple[str, ...]:
        """Its name."""
        return (self.name,)

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {_listed(self.operands)} -> {self.op} -> {_listed(self.types)}")


class Call(Record):
    """A step that calls a function; or a row of `times` calls, each applied to the output of the one before.

    `function` is an index into the graph's functions; `layers` are the shared layers passed in, as indices into the `layers`
    of the calling function. The calls of a row are numbered, starting from its name.
    """

    name: str
    function: Index
    inputs: Several[Value]
    layers: Several[Index] = ()
    types: Several[TensorType]
    location: Location
    layer: Index | None = None
    times: Annotated[int, Field(ge=1)] = 1

    @property
    def operands(self) -> tuple[Ref, ...]:
        """All values it takes, in order."""
        return self.inputs

    @property
    def is_use(self) -> bool:
        """Whether it uses a shared layer, whose declaration names it."""
        return self.layer is not None

    def goes_on_as(self, step: "Step", callee: "Function") -> bool:
        """Whether a step continues this row: the same function (`callee`), the next number, applied to this output."""
        if not isinstance(step, Call) or (step.function, step.location) != (self.function, self.location):
            return False
        if not self.name.isdigit() or step.name != str(int(self.name) + self.times):
            return False
        if self.layers or step.layers or self.is_use or step.is_use or callee.given != len(self.inputs):
            return False
        passed_on = tuple(Ref(self.name, i) for i in range(len(self.types)))
        return step.inputs == passed_on and step.types == self.types == callee.inputs

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each call of the row."""
        if self.times == 1:
            return (self.name,)
        return tuple(map(str, range(int(self.name), int(self.name) + self.times)))

    def __repr__(self) -> str:
        times = f", {self.times} times" if self.times > 1 else ""
        called = f"function {self.function}{times}"
        return brief(self, f"{self.name}: {_listed(self.inputs)} -> {called} -> {_listed(self.types)}")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "()"


def _sort(value: object) -> str:
    if isinstance(value, Mapping):
        return "call" if "function" in value else "apply"
    return "call" if isinstance(value, Call) else "apply"


Step = Apply | Call
AnyStep = Annotated[Annotated[Apply, Tag("apply")] | Annotated[Call, Tag("call")], Discriminator(_sort)]


class Function(Record):
    """A block applied with given arguments to inputs of given types; or a list of layers, whose `block` is empty.

    The first `given` inputs are those that the block declares, the others tensors among its arguments; inside they are called
    `%0`, `%1` ... `layers` are its shared layers: those passed in, unnamed, then its own, by name.
    """

    block: str
    arguments: dict[str, JsonValue]
    inputs: Several[TensorType]
    given: Index
    layers: Several[str] = ()
    steps: Several[AnyStep]
    outputs: Several[Value]

    def __repr__(self) -> str:
        steps = f"{len(self.steps)} step" + "s" * (len(self.steps) != 1)
        return brief(
            self, f"{self.block or 'list'}: {_listed(self.inputs)} -> {_listed(self.outputs)}, {steps}"
        )

    @cached_property
    def types(self) -> dict[Ref, TensorType]:
        """The type of each value in it."""
        types = {Ref(f"%{i}"): type_ for i, type_ in enumerate(self.inputs)}
        for step in self.steps:
            for index, type_ in enumerate(step.types):
                types[Ref(step.name, index)] = type_
        return types

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """Its steps by name."""
        return {step.name: step for step in self.steps}

    @property
    def output_types(self) -> tuple[TensorType, ...]:
        """The types of its outputs."""
        return tuple(self.types[ref] for ref in self.outputs)

    @property
    def handed(self) -> int:
        """The number of shared layers passed in."""
        return sum(not name for name in self.layers)

    def ask(self, step: Apply, question: Callable[..., Answer], *, name: str = "") -> Answer:
        """Call a method of a step's op with the types of its inputs and options: `function.ask(step, Op.macs)`.

        `name` is what the step is called where that is told. Raises Mistake, with the name and the place of the step.
        """
        method: Callable[..., Answer] = getattr(step.op, question.__name__)
        try:
            return method(
                *(self.types[ref] for ref in step.inputs),
                **{option: self.types[ref] for option, ref in step.options.items()},
            )
        except Mistake as mistake:
            raise at_step(mistake, name or step.name, step.location) from mistake.__cause__

    @cached_property
    def held(self) -> dict[str, Mapping[str, Weight]]:
        """The weights of each step that has any, by the step's name and their key below it."""
        found = {}
        for step in self.steps:
            if isinstance(step, Apply) and (weights := self.ask(step, Op.weights)):
                found[step.name] = weights
        return found

    @property
    def key(self) -> Hashable:
        """A hashable key, the same for equal functions."""
        steps = tuple(
            (
                s.name,
                s.op,
                s.inputs,
                tuple(s.options.items()),
                s.types,
                s.location,
                s.layer,
                tuple(s.defaults.items()),
            )
            if isinstance(s, Apply)
            else (s.name, s.function, s.inputs, s.layers, s.types, s.location, s.layer, s.times)
            for s in self.steps
        )
        arguments = to_json(self.arguments, inf_nan_mode="constants")
        return self.block, arguments, self.inputs, self.given, self.layers, steps, self.outputs


FirstUses = dict[tuple[int, int], tuple[Function, Step] | None]


def first_use(
    functions: Sequence[Function], index: int, layer: int, known: FirstUses | None = None
) -> tuple[Function, Step] | None:
    """The first use of a shared layer of a function, and the function that contains it; None if unused.

    `known` keeps what was found, for as long as the functions are the same.
    """
    known = {} if known is None else known
    if (index, layer) not in known:
        found: tuple[Function, Step] | None = None
        for step in functions[index].steps:
            if step.is_use and step.layer == layer:
                found = functions[index], step
            elif isinstance(step, Call) and layer in step.layers:
                handed = [i for i, given in enumerate(step.layers) if given == layer]
                firsts = (first_use(functions, step.function, i, known) for i in handed)
                found = next((first for first in firsts if first), None)
            if found:
                break
        known[index, layer] = found
    return known[index, layer]
