"""Graph: a network with every shape known. What everything after elaboration reads."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import JsonValue

from archspec.graph.function import Apply, Call, Function, Step, first_use
from archspec.graph.records import Claim, Input, Record, Ref, Several
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.guarding import at_step
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Weight, trained_values

if TYPE_CHECKING:
    from archspec.graph.flat import Flat, Node, Output, Scope

FORMAT: Literal[2] = 2

DEEPEST_SCOPE = 200  # calls within calls: whoever goes through them recurs
MOST_NODES = 1_000_000  # that are listed one by one, however often the functions that make them are called

Answer = TypeVar("Answer")


class Graph(Record):
    """A network: functions, each behind those that it calls, of which the last is the model itself.

    `returns` are the names of its outputs, empty where the spec names none. `settings` is what the reader of the spec set,
    `sources` the SHA-256 of each file that went in.

    `nodes`, `scopes`, `weights`, `outputs`, `types` and `members` are the flat view of it, which is derived when it is first
    asked for: every node with its full name, in an order in which they can run. They raise SpecError for a network of more
    than a million nodes, unless so many steps were written.
    """

    format: Literal[2] = FORMAT
    name: str
    doc: str
    location: Location
    settings: dict[str, JsonValue]
    inputs: Several[Input]
    functions: Several[Function]
    returns: Several[str]
    claims: Several[Claim]
    sources: dict[str, str]

    def _repr_svg_(self) -> str | None:
        """The overview, for notebooks; the drawing room stands above this one, so it is called in."""
        from archspec.backends.picture import overview_svg

        return overview_svg(self)

    # -------------------------------------------------------------- functions

    @property
    def model(self) -> Function:
        """The function of the model itself."""
        return self.functions[-1]

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The model's parameters, defaults too."""
        return self.model.arguments

    @property
    def result_types(self) -> tuple[TensorType, ...]:
        """The types of the outputs, in order."""
        return self.model.output_types

    @property
    def is_sized(self) -> bool:
        """Whether no size of an input is free."""
        return all(isinstance(size, int) for given in self.inputs for size in given.type.shape)

    def totals(self, number: Callable[[Function, Apply], int]) -> tuple[int, ...]:
        """A number of each step, summed over each function and over all that it calls: the last is that of the network."""
        found: list[int] = []
        for function in self.functions:
            total = 0
            for step in function.steps:
                total += (
                    number(function, step) if isinstance(step, Apply) else step.times * found[step.function]
                )
            found.append(total)
        return tuple(found)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many nodes each function makes, with all that it calls: the last is how many the network has."""
        return self.totals(lambda function, step: 1)

    def owned(self, number: Callable[[Weight], int]) -> tuple[int, ...]:
        """A number of each weight, summed over each function and over all that it calls: the last is that of the network.

        A weight of a shared layer counts once, where the layer is declared.
        """
        found: list[int] = []

        def of(function: Function, step: Step) -> int:
            if isinstance(step, Call):
                return step.times * found[step.function]
            return sum(map(number, function.held.get(step.name, {}).values()))

        for index, function in enumerate(self.functions):
            total = sum(of(function, step) for step in function.steps if not step.is_use)
            for layer in range(function.handed, len(function.layers)):
                if first := self.first_use(index, layer):
                    total += of(*first)
            found.append(total)
        return tuple(found)

    def first_use(self, function: int, layer: int) -> tuple[Function, Step] | None:
        """The step that uses a shared layer of a function first, and the function that it stands in; None when none does."""
        return first_use(self.functions, function, layer, self._first_uses)

    @cached_property
    def _first_uses(self) -> dict[tuple[int, int], tuple[Function, Step] | None]:
        return {}

    @cached_property
    def trained(self) -> tuple[int, ...]:
        """How many trained numbers each function has, with all that it calls: the last is how many the network has."""
        return self.owned(lambda weight: trained_values((weight,)))

    @property
    def parameters(self) -> int:
        """How many trained numbers the network has."""
        return self.trained[-1]

    def alike(self, by: Callable[[Function, Apply], Hashable]) -> tuple[int, ...]:
        """For each function the first one that does the same as it, as far as `by` tells its steps apart.

        What a block is given as arguments, and where its steps are written, tells no functions apart; its name, and how its
        steps are named and connected, does.
        """
        first: dict[Hashable, int] = {}
        found: list[int] = []
        for index, function in enumerate(self.functions):
            steps = tuple(
                (step.name, step.layer, step.inputs, tuple(step.options.items()), by(function, step))
                if isinstance(step, Apply)
                else (step.name, step.layer, step.inputs, step.layers, found[step.function], step.times)
                for step in function.steps
            )
            key = (function.block, function.layers, function.outputs, steps)
            found.append(first.setdefault(key, index))
        return tuple(found)

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """For each function the first one that runs the same program on tensors of the same types."""
        inputs = [function.inputs for function in self.functions]
        programs = self.alike(lambda function, step: (step.op, step.types))
        first: dict[Hashable, int] = {}
        return tuple(first.setdefault((program, inputs[i]), i) for i, program in enumerate(programs))

    def find(self, path: str) -> tuple[Function, Step]:
        """The step of that full name, as `stages.0.conv1`, and the function that it stands in.

        Later uses of a shared layer are under the name of the first. Raises SpecError when there is none of that name.
        """
        from archspec.graph.naming import find

        return find(self, path)

    # -------------------------------------------------------------- the flat view

    @cached_property
    def flat(self) -> "Flat":
        """The flat view. Raises SpecError for a network that has too many nodes to list them."""
        from archspec.graph.flat import flatten

        steps = sum(len(function.steps) for function in self.functions)
        if self.functions and self.sizes[-1] > max(MOST_NODES, steps):
            raise SpecError.of(
                "budget",
                f"{self.name} has {self.sizes[-1]:,} nodes, and at most {MOST_NODES:,} are listed one by one",
                help="totals such as its parameters are still available: `archspec.cost`",
            )
        return flatten(self.functions, [given.name for given in self.inputs], self.location)

    @property
    def nodes(self) -> "tuple[Node, ...]":
        """Every node, in an order in which they can run."""
        return self.flat.nodes

    @property
    def scopes(self) -> "tuple[Scope, ...]":
        """Every call, the model first, each behind the one around it."""
        return self.flat.scopes

    @property
    def weights(self) -> dict[str, Weight]:
        """Every tensor of the `state_dict` by its full name; and constants, which are not saved."""
        return self.flat.weights

    @cached_property
    def outputs(self) -> "tuple[Output, ...]":
        """What the network gives."""
        from archspec.graph.flat import Output

        return tuple(
            Output(name, value, type_)
            for name, value, type_ in zip(
                self.returns, self.scopes[0].outputs, self.result_types, strict=True
            )
        )

    @cached_property
    def types(self) -> dict[Ref, TensorType]:
        """The type of every value."""
        types = {Ref(value.name): value.type for value in self.inputs}
        for node in self.nodes:
            for index, type_ in enumerate(node.types):
                types[Ref(node.name, index)] = type_
        return types

    @cached_property
    def members(self) -> "dict[int, list[Node | int]]":
        """For each scope its nodes, and the indices of the scopes in it, in the order in which they run."""
        members: dict[int, list[Node | int]] = {index: [] for index in range(len(self.scopes))}
        seen = {0}
        for node in self.nodes:
            scope = node.scope
            inner: list[int] = []
            while scope not in seen:
                seen.add(scope)
                inner.append(scope)
                scope = self.scopes[scope].parent or 0
            for child in reversed(inner):
                members[self.scopes[child].parent or 0].append(child)
            members[node.scope].append(node)
        return members

    def inside(self, scope: int) -> "Iterator[Node]":
        """The nodes of a scope and of those in it, in order."""
        for member in self.members[scope]:
            if isinstance(member, int):
                yield from self.inside(member)
            else:
                yield member

    def sums(self, number: "Callable[[Node], int]") -> dict[str, int]:
        """A number of each node, summed over the nodes of each scope and of those in it, by the scope's name."""
        numbers = {node.name: number(node) for node in self.nodes}
        return {
            scope.name: sum(numbers[node.name] for node in self.inside(i))
            for i, scope in enumerate(self.scopes)
        }

    def input_types(self, node: "Node") -> tuple[TensorType, ...]:
        """The types of a node's inputs, in order."""
        return tuple(self.types[value] for value in node.inputs)

    def option_types(self, node: "Node") -> dict[str, TensorType]:
        """The types of a node's optional inputs, by name."""
        return {name: self.types[value] for name, value in node.options.items()}

    def ask(self, node: "Node", question: Callable[..., Answer]) -> Answer:
        """What a node's op says of it: `graph.ask(node, Op.macs)`, given the types of its inputs and options.

        Raises Mistake, with the step's name, when it cannot be said, as of free sizes.
        """
        method: Callable[..., Answer] = getattr(node.op, question.__name__)
        try:
            return method(*self.input_types(node), **self.option_types(node))
        except Mistake as mistake:
            raise at_step(mistake, node.name, node.location) from mistake.__cause__

    def weights_of(self, node: "Node") -> Mapping[str, Weight]:
        """The weights that a node computes with, by their key below its name; its own unless it `shares` them."""
        return self.functions[self.scopes[node.scope].function].held.get(node.step, {})

    def with_nodes(self, nodes: "Iterable[Node]") -> "Graph":
        """The same network with other nodes in the flat view, folded into functions again.

        Raises SpecError when these are not nodes that a spec could have.
        """
        from archspec.graph.folding import fold

        return fold(self, tuple(nodes), self.scopes, self.outputs)

    # -------------------------------------------------------------- validity, copies, JSON

    def validated(self) -> "Graph":
        """The graph itself, checked whole unless it was. Raises SpecError when it is not one that a spec could have."""
        from archspec.graph.validation import validate

        if not self.__dict__.get("_known_valid"):
            validate(self)
        return self.known_valid()

    def known_valid(self) -> "Graph":
        """The graph itself, which need not be checked, since elaboration made it. A copy of it with changes must be."""
        self.__dict__["_known_valid"] = True
        return self

    @property
    def _own(self) -> dict[str, Any]:
        """The fields without what is cached beside them, which is of these functions, and known to be valid."""
        return {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}

    def __iter__(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]
        yield from self._own.items()

    def __copy__(self) -> "Graph":
        return type(self).model_construct(
            self.__pydantic_fields_set__, **self._own
        )  # `model_copy` may change some

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": self._own}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "Graph":
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> "Graph":
        """A copy with other values of some fields. Raises TypeError for the flat view, which follows from the functions."""
        for name in update or ():
            if name not in type(self).model_fields:
                raise TypeError(f"a graph has no field `{name}`: change its functions, or use `with_nodes`")
        return super().model_copy(update=update, deep=deep)

    def to_json(self, *, indent: int | None = None) -> str:
        """The graph as JSON; `Graph.from_json` reads it back equal. Raises SpecError when it is not one that a spec could have."""
        return self.validated().model_dump_json(indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Graph":
        """Read a graph from JSON, and check it whole; older formats too. Raises SpecError when no spec could have it."""
        from archspec.graph.reading import from_json

        return from_json(text)


def graph_of(module: object) -> "Graph":
    """The graph that a loaded module was lowered from. Raises TypeError for any other object."""
    meta = getattr(module, "meta", None)
    graph = meta.get("archspec") if isinstance(meta, dict) else None
    if not isinstance(graph, Graph):
        raise TypeError("the module was not loaded by archspec")
    return graph
