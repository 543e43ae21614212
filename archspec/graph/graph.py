"""Graph: a network with every shape known. What everything after elaboration reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from archspec.ground.errors import Mistake, SpecError
from archspec.ground.guarding import at_step
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Op, Weight

FORMAT: Literal[1] = 1

DEEPEST_SCOPE = 200  # scopes within scopes: whoever goes through them recurs


class Ref(NamedTuple):
    """A value in the graph: which input or node gives it, and which of its outputs it is."""

    producer: str
    output: int = 0

    def __str__(self) -> str:
        return f"{self.producer}:{self.output}" if self.output else self.producer

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read what `str` printed. Raises ValueError for anything else."""
        producer, colon, output = text.partition(":")
        if colon and not re.fullmatch(r"[1-9]\d{0,8}", output, re.ASCII):
            raise ValueError(f"`{output}` is no output of a step")
        return cls(producer, int(output or 0))


def _read_ref(value: object) -> object:
    return Ref.parse(value) if isinstance(value, str) else value


def _read_op(value: object) -> object:
    if isinstance(value, Op):
        return value
    if (
        not isinstance(value, dict)
        or set(value) != {"name", "arguments"}
        or not isinstance(value["name"], str)
    ):
        raise ValueError("an op is its name and its arguments")
    try:
        return Op.find(value["name"]).of(value["arguments"])
    except (ValueError, RecursionError):
        raise
    except (Exception, SystemExit) as error:  # a validator of an op of anyone's
        raise ValueError(f"{value['name']} fails: {type(error).__name__}: {error}") from error


def _write_op(op: Op) -> dict[str, JsonValue]:
    return {"name": type(op).__name__, "arguments": op.arguments}


_OP_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}

Value = Annotated[
    Ref,
    BeforeValidator(_read_ref),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "description": "an input or node, with `:k` for output k > 0"}),
]
Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], FailFast()]  # of millions of mistakes, the first is enough
AnyOp = Annotated[Op, BeforeValidator(_read_op), PlainSerializer(_write_op), WithJsonSchema(_OP_SCHEMA)]


class Record(BaseModel):
    """A part of the graph: immutable, and equal to another when all its fields are."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ignored_types=(cached_property,))


Made = TypeVar("Made", bound=Record)
Answer = TypeVar("Answer")


def made_like(record: Made, **changed: Any) -> Made:
    """The record with other values, which are known to be right: a third of the time of `model_copy`."""
    made = type(record).__new__(type(record))
    object.__setattr__(made, "__dict__", {**record.__dict__, **changed})
    object.__setattr__(made, "__pydantic_fields_set__", record.__pydantic_fields_set__)
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


class Use(Record):
    """An axis of an input whose size is used as a number, the batch not counted, and the first place where it is."""

    axis: Annotated[int, Field(ge=0)]
    location: Location


class Input(Record):
    """A tensor that the network is given.

    `uses` are the axes of known size that must have it at run time, since a weight has it or something else was computed
    of the number; along all others the network runs at any size. It is none in graphs made before this was noted.
    """

    name: str
    type: TensorType
    location: Location
    uses: tuple[Use, ...] | None = None


class Output(Record):
    """A tensor that the network gives; `name` is empty where the spec did not name it."""

    name: str
    value: Value
    type: TensorType


class Node(Record):
    """One application of an op.

    `name` is unique, and is where its weights stand in the `state_dict`, unless `shares` names the
    earlier node whose weights it uses. `scope` is an index into the graph's scopes.
    """

    name: str
    op: AnyOp
    inputs: Several[Value]
    options: dict[str, Value]
    types: Several[TensorType]
    scope: int
    location: Location
    shares: str = ""

    @property
    def operands(self) -> tuple[Ref, ...]:
        """All values it takes: the inputs in order, then the optional ones."""
        return (*self.inputs, *self.options.values())

    @property
    def values(self) -> int:
        """How many values it computes for a sample. Raises Mistake when a size is free."""
        return sum(type_.values for type_ in self.types)


class Scope(Record):
    """What made a group of nodes: a block with its arguments, or a list of layers (`block` is empty).

    The first scope is the model. `inputs` and `outputs` are the values that go in and come out.
    """

    name: str
    parent: int | None
    block: str
    arguments: dict[str, JsonValue]
    inputs: Several[Value]
    outputs: Several[Value]
    location: Location


class Claim(Record):
    """A published figure: what it is about, as printed, or the shape of an output; and its source.

    `known` is what a faithful network has where the published figure is known not to hold, and
    `reason` why.
    """

    quantity: str
    subject: str = ""
    figure: str = ""
    shape: tuple[int, ...] | None = None
    known: str = ""
    reason: str = ""
    source: str = ""
    settings: dict[str, JsonValue] = {}
    location: Location


class Graph(Record):
    """A network: its inputs, its nodes in an order in which they can run, and its outputs.

    `weights` holds every tensor of the `state_dict` by its full name (and constants, which are not
    saved), `scopes` the tree of blocks that made the nodes, `settings` what the reader of the spec
    set, `sources` the SHA-256 of each file that went in.
    """

    format: Literal[1] = FORMAT
    name: str
    doc: str
    settings: dict[str, JsonValue]
    inputs: Several[Input]
    outputs: Several[Output]
    nodes: Several[Node]
    scopes: Several[Scope]
    weights: dict[str, Weight]
    claims: Several[Claim]
    sources: dict[str, str]

    def _repr_svg_(self) -> str | None:
        """The overview, for notebooks; the drawing room stands above this one, so it is called in."""
        from archspec.backends.picture import overview_svg

        return overview_svg(self)

    @property
    def _fields(self) -> dict[str, Any]:
        """The fields without what is cached beside them, which is of these nodes, and known to be valid."""
        return {name: self.__dict__[name] for name in type(self).model_fields if name in self.__dict__}

    def __copy__(self) -> Graph:
        return type(self).model_construct(
            self.__pydantic_fields_set__, **self._fields
        )  # `model_copy` may change some

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": self._fields}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Graph:
        return self

    @property
    def is_sized(self) -> bool:
        """Whether no size of an input is free."""
        return all(isinstance(size, int) for given in self.inputs for size in given.type.shape)

    @cached_property
    def types(self) -> dict[Ref, TensorType]:
        """The type of every value."""
        types = {Ref(value.name): value.type for value in self.inputs}
        for node in self.nodes:
            for index, type_ in enumerate(node.types):
                types[Ref(node.name, index)] = type_
        return types

    @cached_property
    def members(self) -> dict[int, list[Node | int]]:
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

    def inside(self, scope: int) -> Iterator[Node]:
        """The nodes of a scope and of those in it, in order."""
        for member in self.members[scope]:
            if isinstance(member, Node):
                yield member
            else:
                yield from self.inside(member)

    def sums(self, number: Callable[[Node], int]) -> dict[str, int]:
        """A number of each node, summed over the nodes of each scope and of those in it, by the scope's name."""
        numbers = {node.name: number(node) for node in self.nodes}
        return {
            scope.name: sum(numbers[node.name] for node in self.inside(i))
            for i, scope in enumerate(self.scopes)
        }

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        """The types of a node's inputs, in order."""
        return tuple(self.types[value] for value in node.inputs)

    def option_types(self, node: Node) -> dict[str, TensorType]:
        """The types of a node's optional inputs, by name."""
        return {name: self.types[value] for name, value in node.options.items()}

    def ask(self, node: Node, question: Callable[..., Answer]) -> Answer:
        """What a node's op says of it: `graph.ask(node, Op.macs)`, given the types of its inputs and options.

        Raises Mistake, with the step's name, when it cannot be said, as of free sizes.
        """
        method: Callable[..., Answer] = getattr(node.op, question.__name__)
        try:
            return method(*self.input_types(node), **self.option_types(node))
        except Mistake as mistake:
            raise at_step(mistake, node.name, node.location) from mistake.__cause__

    def weights_of(self, node: Node) -> Mapping[str, Weight]:
        """The weights that a node computes with, by their key below its name; its own unless it `shares` them."""
        return self.ask(node, Op.weights)

    @property
    def parameters(self) -> int:
        """How many trainable numbers the network has."""
        return sum(prod(weight.shape) for weight in self.weights.values() if weight.trainable)

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """The same graph with other nodes."""
        return self.model_copy(update={"nodes": tuple(nodes)})

    def validated(self) -> Graph:
        """The graph itself, checked whole unless it was. Raises SpecError when it is not one that a spec could have."""
        from archspec.graph.validation import validate

        if not self.__dict__.get("_known_valid"):
            validate(self)
        return self.known_valid()

    def known_valid(self) -> Graph:
        """The graph itself, which need not be checked, since elaboration made it. A copy of it with changes must be."""
        self.__dict__["_known_valid"] = True
        return self

    def to_json(self, *, indent: int | None = None) -> str:
        """The graph as JSON; `Graph.from_json` reads it back equal. Raises SpecError when it is not one that a spec could have."""
        return self.validated().model_dump_json(indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Graph:
        """Read a graph from JSON, and check it whole. Raises SpecError when it is not one that a spec could have."""
        try:
            graph = cls.model_validate_json(text)
        except ValidationError as error:
            raise _not_a_graph(error) from None
        except RecursionError:
            raise SpecError.of(
                "graph", "this is not a graph that archspec wrote: it is nested too deeply"
            ) from None
        except (UnicodeError, TypeError) as error:
            raise SpecError.of("graph", f"this is not a graph that archspec wrote: {error}") from None
        return graph.validated()


def _not_a_graph(error: ValidationError) -> SpecError:
    """What pydantic found, in a line; of an op or an initialisation that is not there, what to do."""
    detail, cause = told(error)
    if isinstance(cause, Mistake):
        help_ = cause.help or "if it is an op of your own, import the file that defines it first"
        return SpecError.of("graph", f"the graph cannot be read: {cause.message}", help=help_)
    return SpecError.of("graph", f"this is not a graph that archspec wrote: {detail}")


def told(error: ValidationError) -> tuple[str, object]:
    """The first of what pydantic found in JSON, where it is and what it is, in a line; and the error that it comes from."""
    if error.error_count() > _MOST_TOLD:
        return f"{error.error_count():,} parts of it are not what they should be", None
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]]
    cause = problem.get("ctx", {}).get("error")
    while isinstance(cause, ValidationError):  # in an op's arguments
        problem = cause.errors(include_url=False)[0]
        where += [str(part) for part in problem["loc"]]
        cause = problem.get("ctx", {}).get("error")
    return f"{'.'.join(where)}: {problem['msg']}" if where else problem["msg"], cause


_MOST_TOLD = 1000  # mistakes of which pydantic is asked to tell, each at length


def graph_of(module: object) -> Graph:
    """The graph that a loaded module was lowered from. Raises TypeError for any other object."""
    meta = getattr(module, "meta", None)
    graph = meta.get("archspec") if isinstance(meta, dict) else None
    if not isinstance(graph, Graph):
        raise TypeError("the module was not loaded by archspec")
    return graph
