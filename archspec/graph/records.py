"""The records of a graph: references to values, inputs, claims, and how ops are serialised."""

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

from archspec.ground.brief import brief
from archspec.ground.source import Location
from archspec.ground.tensor import TensorType, show
from archspec.op import Op


class Ref(NamedTuple):
    """A reference to a value: the input or node that produces it, and the index of the output."""

    producer: str
    output: int = 0

    def __str__(self) -> str:
        return f"{self.producer}:{self.output}" if self.output else self.producer

    @classmethod
    def parse(cls, text: str) -> "Ref":
        """The inverse of `str`. Raises ValueError for anything else."""
        producer, colon, output = text.partition(":")
        if colon and not re.fullmatch(r"[1-9]\d{0,8}", output, re.ASCII):
            raise ValueError(f"`{output}` is not the index of an output")
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
        raise ValueError("an op must have exactly `name` and `arguments`")
    try:
        return Op.find(value["name"]).of(value["arguments"])
    except (ValueError, RecursionError):
        raise
    except (Exception, SystemExit) as error:  # a validator of a user's op
        raise ValueError(f"{value['name']} failed: {type(error).__name__}: {error}") from error


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
Several = Annotated[tuple[Item, ...], FailFast()]  # one error is enough, not millions
AnyOp = Annotated[Op, BeforeValidator(_read_op), PlainSerializer(_write_op), WithJsonSchema(_OP_SCHEMA)]


class Record(BaseModel):
    """A part of the graph: immutable, compared by its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ignored_types=(cached_property,))

    def __str__(self) -> str:
        return repr(self)

    @classmethod
    def unchecked(cls, **fields: Any) -> Self:
        """A record from all its fields, without validation: five times as fast."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", _fields_of(cls))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made

    def with_changes(self, **changed: Any) -> Self:
        """A copy with some fields replaced, without validation. Raises TypeError for a field that it does not have."""
        for name in changed:
            if name not in type(self).model_fields:
                raise TypeError(f"{type(self).__name__} has no field `{name}`")
        return self.unchecked(
            **{**{name: self.__dict__[name] for name in type(self).model_fields}, **changed}
        )


@cache
def _fields_of(record: type[Record]) -> set[str]:
    """The names of a class's fields: one set shared by its records, since pydantic stores one in each."""
    return set(record.model_fields)


class Use(Record):
    """An axis of an input (without the batch) whose size is used as a number, and where it is first used."""

    axis: Annotated[int, Field(ge=0)]
    location: Location


class Input(Record):
    """An input tensor of the network.

    `uses` lists the axes whose size is fixed at run time, because a weight or another number depends on it; the network runs
    at any size along the others. It is None in graphs of older versions.
    """

    name: str
    type: TensorType
    location: Location
    uses: tuple[Use, ...] | None = None

    def __repr__(self) -> str:
        return brief(self, f"{self.name}: {self.type}")


class Claim(Record):
    """A published figure, as printed, or the shape of an output; and its source.

    Where the published figure is known to be wrong, `known` is the right one and `reason` says why.
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

    def __repr__(self) -> str:
        claimed = self.figure if self.shape is None else show(self.shape)
        words = [self.quantity, self.subject, claimed, f"but {self.known}" if self.known else ""]
        words += [f"({self.source})" if self.source else "", f"at {self.location}"]
        return brief(self, " ".join(filter(None, words)))
