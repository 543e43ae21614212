"""The values that expressions have while a spec is elaborated."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archspec.graph import Ref
from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import Declared, number
from archspec.ground.errors import Mistake
from archspec.ground.literals import written
from archspec.ground.size import Free
from archspec.ground.source import Span
from archspec.ground.tensor import TensorType
from archspec.op import Op, Weight
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
    path: str = field(
        default="", compare=False
    )  # of the step inside its producer that gives it, if it is looked into


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

    __slots__ = ("around", "defaults", "names")

    def __init__(self, around: Environment | None = None) -> None:
        self.around = around
        self.names: dict[str, Any] = {}
        self.defaults: Any = None  # `Defaults` of a file, in that of its names

    def find(self, name: str) -> Any:
        """The value of a name here or further out; raises KeyError when there is none."""
        environment: Environment | None = self
        while environment is not None:
            if name in environment.names:
                return environment.names[name]
            environment = environment.around
        raise KeyError(name)

    def has(self, name: str) -> bool:
        """Whether `find` would find the name."""
        return name in self.names or (self.around is not None and self.around.has(name))

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

    def __repr__(self) -> str:
        return describe(self)


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

    def __repr__(self) -> str:
        return describe(self)


class Held(NamedTuple):
    """An op with the weights that its step has."""

    op: Op
    weights: Mapping[str, Weight]


@dataclass(slots=True)
class SharedState:
    """What is known of a shared layer wherever it is handed: how many uses it has, and what the first one made.

    That is an op with its weights, or a function by its index. In a later use of a layer that declares this one, it is what
    the first use made before, though there is no use yet.
    """

    first: Held | int | None = None
    uses: int = 0

    @property
    def key(self) -> Hashable:
        """What the types of further uses, and of weights that are read, follow from."""
        if not isinstance(self.first, Held):
            return self.first, bool(self.uses)
        weights = tuple((key, weight.shape, weight.dtype) for key, weight in self.first.weights.items())
        return self.first.op, weights, bool(self.uses)


@dataclass(slots=True)
class SharedLayer:
    """One instance of a layer, whose weights every use shares.

    `slot` is its place among the layers of the function under construction, `prefix` stands before its full name where it is
    declared. `defaults` are those in force there for what is in it: it is one layer, wherever it is used.
    """

    name: str
    prefix: str
    layer: Any
    slot: int
    state: SharedState
    defaults: Any

    @property
    def shown(self) -> str:
        """The full name of its latest use."""
        uses = self.state.uses
        return f"{self.prefix}{self.name}" + (f"@{uses}" if uses > 1 else "")


@dataclass(frozen=True, slots=True)
class SharedPart:
    """A part of a shared layer by its path below it, on the way to a weight: `mlp.fc1` in `mlp.fc1.weight`."""

    layer: SharedLayer
    path: str

    @property
    def name(self) -> str:
        """The name of the layer and the path."""
        return f"{self.layer.name}.{self.path}"


@dataclass(frozen=True, slots=True)
class InnerPart:
    """A group of steps inside a block that was applied, on the way to one of them: `features` in `b.features.conv1`."""

    tensor: Tensor
    path: str


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


@dataclass(frozen=True, slots=True)
class DefinedFunction:
    """A function that a spec defines, with `def`; `arguments` are those of a call."""

    definition: t.FunctionDefinition
    home: Environment
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.definition.name


Layer = OpLayer | BlockLayer | SharedLayer


def is_layer(value: Any) -> bool:
    """Whether `->` can apply the value: an op, a block, a shared layer, or a list of these."""
    if isinstance(value, list):
        before: Any = None
        for item in value:
            if item is not before and not is_layer(item):  # most are one object
                return False
            before = item
        return True
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
            names = (
                value.op.by_position()
                if isinstance(value, OpLayer)
                else tuple(parameter.name for parameter in value.definition.parameters)
            )[: value.positional]
            shown = [describe(arguments.pop(name)) for name in names]
            shown += [f"{name}={describe(argument)}" for name, argument in arguments.items()]
            return f"{value.name}({', '.join(shown)})" if shown else value.name
        case SharedLayer():
            return f"shared {value.name}"
        case SharedPart():
            return value.name
        case Labelled():
            return f"{value.label}: {describe(value.layer)}"
        case Function() | DefinedFunction():
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


def noun(value: Any) -> str:
    """The value as a noun in a sentence: `the number 3`, `a tensor f32[3, 4]`."""
    match value:
        case None:
            return "none"
        case bool():
            return f"the boolean {describe(value)}"
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
        case SharedPart():
            return f"a part of a shared layer, {value.name}"
        case Function() | DefinedFunction():
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
        case Tensor() | Labelled() | SharedPart() | Function() | DefinedFunction() | Free():
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
        raise Mistake(f"{init.__name__} needs {' and '.join(needed)}", codes.MISSING_ARGUMENT)
    return init()


def same(left: Any, right: Any) -> bool:
    """Equality that keeps booleans apart from numbers. Mistake when it depends on the value of a free size."""
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if left is None or right is None:
            return False
        raise Mistake(
            "the values of a tensor are not known when a spec is read",
            codes.VALUES_OF_TENSOR,
            help="compare tensors one by one: `a == b` gives a tensor of truth values",
        )
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
