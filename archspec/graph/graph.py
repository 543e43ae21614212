"""Graph: a network with every shape known, the input of everything after elaboration."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import JsonValue

from archspec.graph.function import Apply, Call, Function, Step, first_use
from archspec.graph.name_maps import NameMap
from archspec.graph.records import Claim, Input, Record, Ref, Several
from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.guarding import at_step
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Weight, trained_values

if TYPE_CHECKING:
    from archspec.graph.flat import Flat, Node, Output, Scope
    from archspec.ground.bounds import Assumption

FORMAT: Literal[2] = 2

DEEPEST_SCOPE = 200  # nested calls, which are walked recursively
MOST_NODES = 1_000_000  # in the flat view

Answer = TypeVar("Answer")


_MOST_SHOWN = 4  # inputs and outputs in a line about a network


class Graph(Record):
    """A network as functions, callees first; the last one is the model.

    `returns` are the names of the outputs, empty where the spec names none. `settings` are the parameters that the caller set,
    `sources` the SHA-256 of each source file, `names` what other code calls the weights.

    `nodes`, `scopes`, `weights`, `outputs`, `types` and `members` are the flat view, derived on first use: every node with
    its full name, in execution order. They raise SpecError for a network of more than a million nodes, unless the spec has
    as many steps.
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
    names: Several[NameMap] = ()

    def __repr__(self) -> str:
        """The network in a line: its inputs, outputs and parameters; less of one that is not right."""
        try:
            inputs = ", ".join(f"{given.name}: {given.type}" for given in self.inputs[:_MOST_SHOWN])
            outputs = ", ".join(map(str, self.result_types[:_MOST_SHOWN]))
            more = [", ..." if len(all_) > _MOST_SHOWN else "" for all_ in (self.inputs, self.result_types)]
            said = f"{inputs}{more[0]} -> {outputs}{more[1]}, {self.parameters:,} parameters"
            return brief(self, f"{self.name}: {said}")
        except (AttributeError, LookupError, ValueError, SpecError):  # made by hand, or by an op that fails
            return brief(self, getattr(self, "name", "without a name"))

    def _repr_svg_(self) -> str | None:
        """The overview, for notebooks; imported here, since drawing is a layer above."""
        from archspec.backends.picture import overview_svg

        return overview_svg(self)

    # -------------------------------------------------------------- functions

    @property
    def model(self) -> Function:
        """The function of the model itself."""
        return self.functions[-1]

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The model's parameters, including defaults."""
        return self.model.arguments

    @property
    def result_types(self) -> tuple[TensorType, ...]:
        """The types of the outputs, in order."""
        return self.model.output_types

    @property
    def is_sized(self) -> bool:
        """Whether no size of an input is free."""
        return all(isinstance(size, int) for given in self.inputs for size in given.type.shape)

    @property
    def accepts(self) -> "tuple[Assumption, ...]":
        """What sizes of inputs can be that are free, and alone along an axis: `H is a multiple of 32 and at least 64`."""
        from archspec.ground.bounds import declared_by

        sizes = (size for given in self.inputs for size in given.type.shape if not isinstance(size, int))
        return tuple(dict.fromkeys(found for found in map(declared_by, sizes) if found))

    def totals(self, number: Callable[[Function, Apply], int]) -> tuple[int, ...]:
        """A number of each step, summed over each function and its callees; the last entry is the network's."""
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
        """The number of nodes of each function, callees included; the last entry is the network's."""
        return self.totals(lambda function, step: 1)

    def owned(self, number: Callable[[Weight], int]) -> tuple[int, ...]:
        """A number of each weight, summed over each function and its callees; the last entry is the network's.

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
        """The first use of a shared layer of a function, and the function that contains it; None if unused."""
        return first_use(self.functions, function, layer, self.first_uses)

    @cached_property
    def first_uses(self) -> dict[tuple[int, int], tuple[Function, Step] | None]:
        """The first uses found so far, by function and layer."""
        return {}

    @cached_property
    def trained(self) -> tuple[int, ...]:
        """The number of trained values of each function, callees included; the last entry is the network's."""
        return self.owned(lambda weight: trained_values((weight,)))

    @property
    def parameters(self) -> int:
        """The number of trained values of the network."""
        return self.trained[-1]

    def alike(self, by: Callable[[Function, Apply], Hashable]) -> tuple[int, ...]:
        """For each function, the first that is the same if ops are compared by `by`.

        The block's name and the names and connections of steps are compared too; arguments and locations are not.
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
        """For each function, the first that runs the same program on the same types."""
        inputs = [function.inputs for function in self.functions]
        programs = self.alike(lambda function, step: (step.op, step.types))
        first: dict[Hashable, int] = {}
        return tuple(first.setdefault((program, inputs[i]), i) for i, program in enumerate(programs))

    def find(self, path: str) -> tuple[Function, Step]:
        """The step with this full name, such as `stages.0.conv1`, and the function that contains it.

        All uses of a shared layer have the name of the first. Raises SpecError for an unknown name.
        """
        from archspec.graph.naming import find

        return find(self, path)

    # -------------------------------------------------------------- the flat view

    @cached_property
    def flat(self) -> "Flat":
        """The flat view. Raises SpecError when the network has too many nodes."""
        from archspec.graph.flat import flatten

        steps = sum(len(function.steps) for function in self.functions)
        if self.functions and self.sizes[-1] > max(MOST_NODES, steps):
            raise SpecError.of(
                codes.TOO_LARGE,
                f"{self.name} has {self.sizes[-1]:,} nodes, more than the {MOST_NODES:,} that can be listed",
                help="counts such as its parameters do not list nodes, and still work",
            )
        return flatten(self.functions, [given.name for given in self.inputs], self.location)

    @property
    def nodes(self) -> "tuple[Node, ...]":
        """Every node, in execution order."""
        return self.flat.nodes

    @property
    def scopes(self) -> "tuple[Scope, ...]":
        """Every call, the model first, parents before children."""
        return self.flat.scopes

    @property
    def weights(self) -> dict[str, Weight]:
        """Every tensor of the `state_dict` by full name, and constants, which are not saved."""
        return self.flat.weights

    @cached_property
    def outputs(self) -> "tuple[Output, ...]":
        """The outputs of the network."""
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
        """For each scope its nodes and the indices of its child scopes, in execution order."""
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
        """The nodes of a scope and its descendants, in order."""
        for member in self.members[scope]:
            if isinstance(member, int):
                yield from self.inside(member)
            else:
                yield member

    def sums(self, number: "Callable[[Node], int]") -> dict[str, int]:
        """A number of each node, summed over each scope and its descendants, by the scope's name."""
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
        """Call a method of a node's op with the types of its inputs and options: `graph.ask(node, Op.macs)`.

        Raises Mistake, with the step's name, when there is no answer, for example because a size is free.
        """
        method: Callable[..., Answer] = getattr(node.op, question.__name__)
        try:
            return method(*self.input_types(node), **self.option_types(node))
        except Mistake as mistake:
            raise at_step(mistake, node.name, node.location) from mistake.__cause__

    def weights_of(self, node: "Node") -> Mapping[str, Weight]:
        """The weights of a node, by their key below its name, or below that of the node whose weights it `shares`."""
        return self.functions[self.scopes[node.scope].function].held.get(node.step, {})

    def with_nodes(self, nodes: "Iterable[Node]") -> "Graph":
        """The network with other nodes, folded back into functions.

        Raises SpecError when the nodes are inconsistent.
        """
        from archspec.graph.folding import fold

        return fold(self, tuple(nodes), self.scopes, self.outputs)

    # -------------------------------------------------------------- validity, copies, JSON

    def validated(self) -> "Graph":
        """The graph itself, validated unless it already was. Raises SpecError when it is invalid."""
        from archspec.graph.validation import validate

        if not self.__dict__.get("_known_valid"):
            validate(self)
        return self.known_valid()

    def known_valid(self) -> "Graph":
        """The graph itself, marked as valid because elaboration made it; changed copies are not."""
        self.__dict__["_known_valid"] = True
        return self

    @property
    def _own(self) -> dict[str, Any]:
        """The fields, without cached properties and the mark of validity."""
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
        """A copy with some fields replaced. Raises TypeError for the flat view, which is derived from the functions."""
        for name in update or ():
            if name not in type(self).model_fields:
                raise TypeError(f"a graph has no field `{name}`: change its functions, or use `with_nodes`")
        return super().model_copy(update=update, deep=deep)

    def to_json(self, *, indent: int | None = None) -> str:
        """The graph as JSON, the inverse of `Graph.from_json`. Raises SpecError when it is invalid."""
        return self.validated().model_dump_json(indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Graph":
        """Read a graph from JSON, in this format or an older one, and validate it. Raises SpecError when it is invalid."""
        from archspec.graph.reading import from_json

        return from_json(text)


def graph_of(module: object) -> "Graph":
    """The graph of a loaded module. Raises TypeError for any other object."""
    meta = getattr(module, "meta", None)
    graph = meta.get("archspec") if isinstance(meta, dict) else None
    if not isinstance(graph, Graph):
        raise TypeError("the module was not loaded by archspec")
    return graph
