"""The records that a graph is made of: values, ops, inputs and outputs, nodes and scopes, claims."""

import re
from functools import cache, cached_property
from typing import Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

from archspec.ground.source import Location
from archspec.ground.tensor import TensorType
from archspec.op import Op


class Ref(NamedTuple):
    """A value in the graph: which input or node gives it, and which of its outputs it is."""

    producer: str
    output: int = 0

    def __str__(self) -> str:
        return f"{self.producer}:{self.output}" if self.output else self.producer

    @classmethod
    def parse(cls, text: str) -> "Ref":
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

    @classmethod
    def unchecked(cls, **fields: Any) -> Self:
        """The record of all these fields, whose values are known to be right: a fifth of the time of checking them."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", _fields_of(cls))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made

    def with_changes(self, **changed: Any) -> Self:
        """The record with other values, which are known to be right. Raises TypeError for a field that it does not have."""
        for name in changed:
            if name not in type(self).model_fields:
                raise TypeError(f"{type(self).__name__} has no field `{name}`")
        return self.unchecked(
            **{**{name: self.__dict__[name] for name in type(self).model_fields}, **changed}
        )


@cache
def _fields_of(record: type[Record]) -> set[str]:
    """The names of a record's fields: one set for all records of a class, since pydantic keeps one with each."""
    return set(record.model_fields)


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
