"""Models whose arguments are mostly right at a glance, so that pydantic need not build a validator to say so.

To build one takes as long as to check a hundred layers, and a spec uses each kind of layer a few times. What a glance does not
settle, pydantic checks: so what is accepted, and what is said of the rest, is the same.
"""

from collections.abc import Callable, Mapping
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

Glance = Callable[[Any], bool]
"""Whether a value is accepted as it is; False where only pydantic can tell."""

_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "ge": lambda value, bound: value >= bound,
    "gt": lambda value, bound: value > bound,
    "le": lambda value, bound: value <= bound,
    "lt": lambda value, bound: value < bound,
}


_INTEGERS = frozenset((int,))


class Settled(BaseModel):
    """A model that is immutable, and built without a validator where its arguments are right at a glance."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    if not TYPE_CHECKING:

        def __init__(self, /, **data: Any) -> None:
            if not _settle(self, data):
                super().__init__(**data)

        __init__.__pydantic_base_init__ = (
            True  # so that a validator does not call it, nor looks for its parameters
        )

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self._require_possible()
        return self

    def _require_possible(self) -> None:
        """Mistake when the arguments, each of which is right, are not so together."""


def shipped(model: type[BaseModel]) -> bool:
    """Whether the class comes with archspec, whose tests check its claims."""
    return model.__module__.startswith(("archspec.op.", "archspec.ops."))


def _settle(model: Settled, data: Mapping[str, Any]) -> bool:
    """Set the fields of a new model, if these arguments are right at a glance."""
    fields = _fields(type(model))
    if fields is None:
        return False
    values: dict[str, Any] = {}
    for name, glance, default, required in fields:
        if name in data:
            value = data[name]
            if not glance(value):
                return False
            values[name] = value
        elif required:
            return False
        else:
            values[name] = default
    if not data.keys() <= values.keys():
        return False
    object.__setattr__(model, "__dict__", values)
    object.__setattr__(model, "__pydantic_fields_set__", set(data))
    object.__setattr__(model, "__pydantic_extra__", None)
    object.__setattr__(model, "__pydantic_private__", None)
    try:
        model._require_possible()
    except ValueError:  # which pydantic will say with its place
        return False
    return True


class _Field(NamedTuple):
    name: str
    glance: Glance
    default: Any
    required: bool


@cache
def _fields(model: type[Settled]) -> tuple[_Field, ...] | None:
    """The fields of a class; None for one of anyone's own, which may have validators, or start in its own way."""
    if not shipped(model):
        return None
    fields = []
    for name, field in model.model_fields.items():
        default = None if field.is_required() else field.default
        if not _immutable(default):
            return None
        fields.append(_Field(name, _of_field(field.annotation, field.metadata), default, field.is_required()))
    return tuple(fields)


def _immutable(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_immutable, value))
    return value is None or type(value) in (bool, int, float, str)


def _of_field(annotation: Any, metadata: list[Any]) -> Glance:
    bounds: list[tuple[Callable[[Any, Any], bool], Any]] = []
    if isinstance(annotation, type) and issubclass(annotation, Settled):
        return lambda value: isinstance(value, annotation)  # what is read of it otherwise, pydantic reads
    for item in metadata:
        known = [(_BOUNDS[key], getattr(item, key)) for key in _BOUNDS if hasattr(item, key)]
        if not known:
            return _never
        bounds += known
    return _bounded(_of(annotation), bounds)


def _bounded(glance: Glance, bounds: list[tuple[Callable[[Any, Any], bool], Any]]) -> Glance:
    if not bounds:
        return glance
    if len(bounds) == 1:
        ((holds, bound),) = bounds
        return lambda value: glance(value) and holds(value, bound)
    return lambda value: glance(value) and all(holds(value, bound) for holds, bound in bounds)


def _of(annotation: Any) -> Glance:
    """The glance that an annotation asks for."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in (int, bool, str, NoneType):
        return lambda value: type(value) is annotation
    if annotation is float:
        return lambda value: type(value) is float and isfinite(value)
    if origin is Annotated:
        metadata: list[Any] = []
        for item in inner[1:]:
            metadata += item.metadata if isinstance(item, FieldInfo) else [item]
        return _of_field(inner[0], metadata)
    if origin in (Union, UnionType):
        ways = tuple(map(_of, inner))
        return lambda value: any(way(value) for way in ways)
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        if inner[0] is int:
            return lambda value: type(value) is tuple and _INTEGERS.issuperset(map(type, value))
        of_item = _of(inner[0])
        return lambda value: type(value) is tuple and all(map(of_item, value))
    if origin is tuple and inner and ... not in inner:
        each = tuple(map(_of, inner))
        return lambda value: (
            type(value) is tuple
            and len(value) == len(each)
            and all(glance(item) for glance, item in zip(each, value, strict=True))
        )
    if origin is Literal and all(type(word) is str for word in inner):
        words = frozenset(inner)
        return lambda value: type(value) is str and value in words
    if isinstance(annotation, type) and issubclass(annotation, Settled):
        return lambda value: isinstance(value, annotation)
    return _never


def _never(value: object) -> bool:
    return False
