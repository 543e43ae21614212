"""The values that expressions have while a spec is elaborated."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.graph import Ref
from archspec.ground.declared import Declared, number
from archspec.ground.errors import Mistake
from archspec.ground.literals import written
from archspec.ground.size import Free, always_equal
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.op.initialisation import Initialiser
from archspec.syntax import tree as t


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph being built, and its type, whose sizes may be `Declared`.

    `trace` numbers the ways in which sizes follow from declared ones: equal types of one trace follow in one way.
    """

    ref: Ref
    type: TensorType
    trace: int = 0


class Outputs(tuple[Tensor, ...]):
    """The tensors that a block returned, with the names it gave them (empty where it gave none)."""

    names: tuple[str, ...]

    def __new__(cls, tensors: Iterable[Tensor], names: Iterable[str]) -> Outputs:
        """Tensors and names, in the order of the `return`."""
        self = super().__new__(cls, tensors)
        self.names = tuple(names)
        return self


class Environment:
    """Names and what they stand for, and the environment around these."""

    __slots__ = ("around", "names")

    def __init__(self, around: Environment | None = None) -> None:
        self.around = around
        self.names: dict[str, Any] = {}

    def find(self, name: str) -> Any:
        """The value of a name here or further out; raises KeyError when there is none."""
        environment: Environment | None = self
        while environment is not None:
            if name in environment.names:
                return environment.names[name]
            environment = environment.around
        raise KeyError(name)

    def known(self) -> set[str]:
        """All names that `find` would find."""
        return set(self.names) | (self.around.known() if self.around else set())


@dataclass(frozen=True, slots=True)
class OpLayer:
    """An op with some or all of its arguments bound, not yet applied."""

    op: type[Op]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Tensor] = field(default_factory=dict)
    positional: int = 0

    @property
    def name(self) -> str:
        """The op's name."""
        return self.op.__name__


@dataclass(frozen=True, slots=True)
class BlockLayer:
    """A block with some or all of its arguments bound, not yet applied.

    `passed_on` are arguments for the layer that a block in the short form stands for.
    """

    definition: t.Definition
    home: Environment
    arguments: Mapping[str, Any] = field(default_factory=dict)
    passed_on: Mapping[str, Any] = field(default_factory=dict)
    positional: int = 0

    @property
    def name(self) -> str:
        """The block's name."""
        return self.definition.name


@dataclass(slots=True)
class SharedLayer:
    """One instance of a layer, whose weights every use shares. `prefix` is its name in the state_dict."""

    name: str
    prefix: str
    layer: Any
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """A layer in a list, with the name of the step that it will be."""

    label: str
    layer: Any
    span: Span


@dataclass(frozen=True, slots=True)
class Function:
    """A function that specs may call."""

    name: str
    call: Callable[..., Any]


Layer = OpLayer | BlockLayer | SharedLayer


def is_layer(value: Any) -> bool:
    """Whether `->` can apply the value: an op, a block, a shared layer, or a list of these."""
    if isinstance(value, list):
        return all(is_layer(item) for item in value)
    return isinstance(value, Layer | Labelled)


def describe(value: Any) -> str:
    """The value in the words of specs: `Conv(64, 3)`, `[256, 56, 56]`, `none`."""
    match value:
        case Tensor():
            return str(value.type)
        case OpLayer() | BlockLayer():
            arguments = {
                **value.arguments,
                **(value.passed_on if isinstance(value, BlockLayer) else value.options),
            }
            shown = [
                describe(argument) if i < value.positional else f"{name}={describe(argument)}"
                for i, (name, argument) in enumerate(arguments.items())
            ]
            return f"{value.name}({', '.join(shown)})" if shown else value.name
        case SharedLayer():
            return f"shared {value.name}"
        case Labelled():
            return f"{value.label}: {describe(value.layer)}"
        case Function():
            return f"function {value.name}"
        case list():
            shown = [describe(item) for item in value[:8]] + ["..."] * (len(value) > 8)
            return f"[{', '.join(shown)}]"
        case tuple():
            return f"({', '.join(describe(item) for item in value)}{',' * (len(value) == 1)})"
        case type() if issubclass(value, Initialiser):
            return value.__name__
        case _:
            return written(value)


def kind(value: Any) -> str:
    """What sort of value it is, with its article: `a number`, `a tensor f32[3, 4]`."""
    match value:
        case None:
            return "none"
        case bool():
            return f"the truth value {describe(value)}"
        case int() | float() | Free():
            return f"the number {value}"
        case str():
            return f"the string {describe(value)}"
        case Tensor():
            return f"a tensor {value.type}"
        case list() | tuple() if value and all(isinstance(item, Tensor) for item in value):
            sort = "list" if isinstance(value, list) else "tuple"
            return f"a {sort} of {len(value)} tensor{'s' * (len(value) != 1)}"
        case list():
            return f"the list {describe(value)}"
        case tuple():
            return f"the tuple {describe(value)}"
        case OpLayer() | BlockLayer() | SharedLayer() | Labelled():
            return f"the layer {describe(value)}"
        case Function():
            return f"the function {value.name}"
        case _:
            return f"the initialisation {describe(value)}"


def plain(value: Any) -> Any:
    """The value as JSON holds it: layers, tensors and initialisations as their text."""
    match value:
        case Declared():
            return number(value)
        case None | bool() | int() | float() | str():
            return value
        case Tensor() | Labelled() | Function() | Free():
            return describe(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return describe(value)


def frozen(value: Any) -> Any:
    """The value with lists as tuples, as ops keep them."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return by_default(value) if isinstance(value, type) and issubclass(value, Initialiser) else value


def by_default(init: type[Initialiser]) -> Initialiser:
    """The initialisation without arguments. Raises Mistake when it needs some."""
    needed = [f"`{name}`" for name, field in init.model_fields.items() if field.is_required()]
    if needed:
        raise Mistake(f"{init.__name__} needs {' and '.join(needed)}")
    return init()


def same(left: Any, right: Any) -> bool:
    """Equality that keeps booleans apart from numbers. Mistake when it depends on the value of a free size."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        if len(left) != len(right):
            return False
        undecided = None  # until an item differs for certain, wherever it stands
        for a, b in zip(left, right, strict=True):
            try:
                if not same(a, b):
                    return False
            except Mistake as mistake:
                undecided = undecided or mistake
        if undecided:
            raise undecided
        return True
    if isinstance(left, Free) or isinstance(right, Free):
        numbers = all(isinstance(v, int | Free) and not isinstance(v, bool) for v in (left, right))
        return numbers and always_equal(left, right)
    return bool(left == right)


def identity(value: Any, tensors: list[Tensor]) -> Hashable:
    """What tells values apart: equal for layers that do the same, but for the tensors that they hold.

    These are told apart by their type and trace only, and appended to `tensors`, in an order that is the same for
    values that are equal in this way.
    """
    match value:
        case list() | tuple():
            return (type(value), *(identity(item, tensors) for item in value))
        case Tensor():
            tensors.append(value)
            return (Tensor, value.type, value.trace)
        case Declared():
            return (Declared, value.key)
        case OpLayer():
            return (value.op, _identities(value.arguments, tensors), _identities(value.options, tensors))
        case BlockLayer():
            arguments, passed_on = (
                _identities(given, tensors) for given in (value.arguments, value.passed_on)
            )
            return (value.definition, arguments, passed_on)
        case Labelled():
            return (Labelled, value.label, value.span, identity(value.layer, tensors))
        case SharedLayer():
            return (SharedLayer, value.prefix, value.name)
        case Function():
            return (Function, value.name)
        case float():
            return (float, repr(value))  # 0.0 is not -0.0
        case _:
            return (type(value), value)


def _identities(values: Mapping[str, Any], tensors: list[Tensor]) -> Hashable:
    return tuple((name, identity(values[name], tensors)) for name in sorted(values))
