"""Graphs from JSON, in this format or format 1, which lists every node."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from archspec.graph.flat import Node, Output, Scope
from archspec.graph.folding import fold
from archspec.graph.graph import FORMAT, Graph
from archspec.graph.records import AnyOp, Claim, Input, Record, Several, Value
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Weight

_MOST_TOLD = 1000  # mistakes of which pydantic is asked to tell, each at length


def from_json(text: str | bytes) -> Graph:
    """Parse and validate a graph from JSON. Raises SpecError when it is invalid."""
    try:
        if _format(text) == 1:
            return _First.model_validate_json(text).graph().validated()
        graph = Graph.model_validate_json(text)
    except ValidationError as error:
        raise _not_a_graph(error) from None
    except RecursionError:
        raise SpecError.of(codes.NOT_A_GRAPH, "not a graph written by archspec: nested too deeply") from None
    except (UnicodeError, TypeError) as error:
        raise SpecError.of(codes.NOT_A_GRAPH, f"not a graph written by archspec: {error}") from None
    return graph.validated()


class _AnyFormat(BaseModel):
    """A graph in any supported format."""

    model_config = ConfigDict(defer_build=True)

    format: int


def _format(text: str | bytes) -> int:
    """The format it declares; the current one if none."""
    try:
        return _AnyFormat.model_validate_json(text).format
    except ValidationError:
        return FORMAT


def _not_a_graph(error: ValidationError) -> SpecError:
    """Pydantic's error in one line, with help for an unknown op or initialisation."""
    detail, cause = told(error)
    if isinstance(cause, Mistake):
        help_ = cause.help or "if it is an op of your own, import the file that defines it first"
        return SpecError.of(codes.NOT_A_GRAPH, f"cannot read the graph: {cause.message}", help=help_)
    return SpecError.of(codes.NOT_A_GRAPH, f"not a graph written by archspec: {detail}")


def told(error: ValidationError) -> tuple[str, object]:
    """The first of pydantic's errors in one line, with its path; and its cause."""
    if error.error_count() > _MOST_TOLD:
        return f"{error.error_count():,} fields are invalid", None
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]]
    cause = problem.get("ctx", {}).get("error")
    while isinstance(cause, ValidationError):  # in an op's arguments
        problem = cause.errors(include_url=False)[0]
        where += [str(part) for part in problem["loc"]]
        cause = problem.get("ctx", {}).get("error")
    return f"{'.'.join(where)}: {problem['msg']}" if where else problem["msg"], cause


# -------------------------------------------------------------- the first format


class _Node(Record):
    name: str
    op: AnyOp
    inputs: Several[Value]
    options: dict[str, Value]
    types: Several[TensorType]
    scope: int
    location: Location
    shares: str = ""


class _Scope(Record):
    name: str
    parent: int | None
    block: str
    arguments: dict[str, JsonValue]
    inputs: Several[Value]
    outputs: Several[Value]
    location: Location


class _Output(Record):
    name: str
    value: Value
    type: TensorType


class _First(Record):
    """A graph of format 1: the flat view, with its weights."""

    format: Literal[1]
    name: str
    doc: str
    settings: dict[str, JsonValue]
    inputs: Several[Input]
    outputs: Several[_Output]
    nodes: Several[_Node]
    scopes: Several[_Scope]
    weights: dict[str, Weight]
    claims: Several[Claim]
    sources: dict[str, str]

    def graph(self) -> Graph:
        """The same network as functions. Raises SpecError when the flat view is inconsistent."""
        if not self.scopes:
            raise SpecError.of(codes.GRAPH, "invalid graph: no scopes")
        around = Graph.unchecked(
            format=FORMAT,
            name=self.name,
            doc=self.doc,
            location=self.scopes[0].location,
            settings=self.settings,
            inputs=self.inputs,
            functions=(),
            returns=tuple(output.name for output in self.outputs),
            claims=self.claims,
            sources=self.sources,
            names=(),
        )
        nodes = tuple(Node(**_fields(node)) for node in self.nodes)
        scopes = tuple(Scope(**_fields(scope)) for scope in self.scopes)
        outputs = tuple(Output(output.name, output.value, output.type) for output in self.outputs)
        return fold(around, nodes, scopes, outputs, self.weights)


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in type(record).model_fields}
