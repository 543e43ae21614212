"""Op: what one class says about one kind of layer."""

# Annotations here are evaluated, not kept as strings: pydantic evaluates those of a base again for each op.

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from archspec.ground.errors import Mistake, suggest
from archspec.ground.guarding import guard
from archspec.ground.literals import written
from archspec.ground.tensor import DType, TensorType, limits
from archspec.op.dependence import Reach, everything
from archspec.op.initialisation import Init

if TYPE_CHECKING:
    from torch import Tensor

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]

Lowered = Callable[..., "Tensor"] | Callable[..., "tuple[Tensor, ...]"]


class Weight(BaseModel):
    """A tensor that a layer owns: the exact shape it has in the `state_dict`, and its first values.

    Trained unless `trainable` is False (a buffer); in the `state_dict` unless `saved` is False.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, ...]
    init: Init
    dtype: DType = "f32"
    trainable: bool = True
    saved: bool = True

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def trained_values(weights: Iterable[Weight]) -> int:
    """How many trained numbers there are in weights: what is counted as parameters."""
    return sum(weight.size for weight in weights if weight.trainable)


class Signature(NamedTuple):
    """The tensors that an op takes: required ones in order, or any number, and optional ones by name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    variadic: bool


class Op(BaseModel):
    """One kind of layer; a subclass states all there is to know about it, in one place.

    The fields are its arguments, in the order in which specs may give them by position. `infer`'s
    positional parameters are the tensors it takes, its keyword-only ones the tensors it may take.
    `lower` is the meaning; `infer`, `weights` and `macs` are claims about it, and `examples` the
    cases on which they are tested: `"f32[3, 32, 32] -> Conv(8, 3) -> f32[8, 32, 32]"`.

    A subclass whose name starts with an underscore is a common base, not an op.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, strict=True, allow_inf_nan=False)

    examples: ClassVar[tuple[str, ...]] = ()
    without_batch: ClassVar[bool] = False  # whether it can run on weights alone, which have no batch
    overwritable: ClassVar[bool] = (
        False  # whether it makes a new tensor, which its backward pass does not read
    )
    overwrites: ClassVar[bool] = False  # whether it can write its result over its input
    view: ClassVar[bool] = (
        False  # whether what it gives at inference is its input's memory, seen in another way
    )
    only_trains: ClassVar[bool] = False  # whether at inference it hands on its input
    needs_order: ClassVar[bool] = False  # whether, where it merges axes, it is a view only of values in order
    autocasts: ClassVar[bool] = False  # whether it has no weights, and autocast computes it in half precision
    saves: ClassVar[tuple[str, ...]] = ("inputs",)  # what its backward pass needs, as `saved` has it
    known: ClassVar[dict[str, type["Op"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if not shipped(cls):
            guard(cls, Weight)
        if not cls.__name__.startswith("_"):
            if cls.flops is Op.flops:
                raise TypeError(
                    f"the op {cls.__name__} does not say what it computes: define `flops`, with the parameters of"
                    " its `infer`, for its floating-point operations a sample; 0 if it only moves values"
                )
            cls._register()

    @classmethod
    def _register(cls) -> None:
        """Make the op known by its name. TypeError when another has it: the order of imports would choose between them."""
        name, known = cls.__name__, Op.known  # a subclass may have a field of that name
        if not name[0].isupper():
            raise TypeError(
                f"the name of the op {name} must begin with a capital letter; functions have the others"
            )
        if not shipped(cls) and name in _homes() and name not in known:
            import_module(_homes()[name])
        origin = _origin(cls)
        if name in known and _origins[name] != origin:
            where = (
                "comes with archspec"
                if shipped(known[name])
                else f"is defined in {_origins[name][0]} already"
            )
            raise TypeError(f"an op named {name} {where}: give this one another name")
        _origins[name] = origin
        known[name] = cls

    def __eq__(self, other: object) -> bool:
        """Equal when of one class, with equal arguments of equal types: Scale(1) keeps integers, Scale(1.0) does not."""
        if type(self) is not type(other):
            return False
        mine, theirs = self.__dict__.values(), other.__dict__.values()
        return all(
            type(a) is type(b) and a == b and (type(a) is not float or repr(a) == repr(b))  # 0.0 is not -0.0
            for a, b in zip(mine, theirs, strict=True)
        )

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        """Mistake when an argument is beyond the numbers that PyTorch's functions take: words of 64 bits, and f32."""
        for name, value in self.__dict__.items():
            for number in _numbers(value):
                least, most = limits("f32" if isinstance(number, float) else "i64")
                if not least <= number <= most:
                    raise Mistake(
                        f"`{name}` of {type(self).__name__} is too large for PyTorch: {number}",
                        kind="value",
                        help=""
                        if isinstance(number, float)
                        else "whole numbers have 64 bits there; decimal ones reach further",
                    )
        return self

    def infer(self, *inputs: Any, **optional: Any) -> TensorType | tuple[TensorType, ...]:
        """The type of what comes out. Raises Mistake when the inputs do not fit."""
        raise NotImplementedError

    def weights(self, *inputs: Any, **optional: Any) -> Mapping[str, Weight]:
        """The tensors that the layer owns, by their key below the layer's name."""
        return {}

    def macs(self, *inputs: Any, **optional: Any) -> int:
        """Multiply-adds a sample, of convolutions and matrix products; 0 for everything else."""
        return 0

    def flops(self, *inputs: Any, **optional: Any) -> int:
        """Floating-point operations a sample at inference: twice `macs`, and all other arithmetic (docs/cost.md).

        A sum, difference, product, quotient, comparison, sign, exp, log, root, tanh, erf and power are one
        each, whatever the dtype; moving and indexing values is none. Raises Mistake when it depends on a
        free size.
        """
        raise NotImplementedError

    def saved(self, *inputs: Any, **optional: Any) -> tuple[str | TensorType, ...]:
        """What its forward pass in training keeps for the backward pass, besides weights: `saves`.

        A string is one of its own tensors, by the name that `infer` gives it; "inputs" are all of them,
        "outputs" what comes out. A type is a tensor made besides: a mask, indices, statistics; one that
        is not `batched` is made once for the batch. Where the kernels differ, it is what those of the
        CPU keep. It is for results that come of some weight: what does not is kept by nothing.
        """
        return self.saves

    def reach(self, *inputs: Any, **optional: Any) -> tuple[Reach, ...]:
        """What each value of an output sees of each input, in order, optional ones last; all of it unless told.

        For an op with several outputs, what a value of any of them sees.
        """
        return tuple(everything(x) for x in (*inputs, *optional.values()))

    def lower(self, *inputs: Any, **optional: Any) -> Lowered:
        """What runs: an `nn.Module` on the meta device, a function, or a `functools.partial` of one.

        It is called with the input tensors by position, then optional ones by name. A module's
        parameters are replaced by those of `weights`, which have the same names.
        """
        raise NotImplementedError

    def epilogue(self) -> tuple[str, list[float], str] | None:
        """What oneDNN calls it where it follows a convolution in one kernel: its name, numbers and algorithm."""
        return None

    @classmethod
    def find(cls, name: str) -> "type[Op]":
        """The op of that name; Mistake when there is none."""
        if name not in cls.known and name in _homes():
            import_module(_homes()[name])
        if name not in cls.known:
            raise Mistake(f"there is no op `{name}`", kind="name", help=suggest(name, cls.names()))
        return cls.known[name]

    @classmethod
    def names(cls) -> set[str]:
        """The names of all ops."""
        load_ops()
        return set(cls.known)

    @classmethod
    def signature(cls) -> Signature:
        """Which tensors the op takes, read off `infer`."""
        return _signature(cls)

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """All arguments, defaults too, as JSON values."""
        dumped: dict[str, JsonValue] = self.model_dump(mode="json")
        return dumped

    def __str__(self) -> str:
        """As a spec would write it, arguments at their defaults left out: `Conv(64, 3, stride=2)`."""
        shown = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.is_required():
                shown.append(written(value))
            elif value != field.default:
                shown.append(f"{name}={written(value)}")
        return f"{type(self).__name__}({', '.join(shown)})" if shown else type(self).__name__

    @classmethod
    def of(cls, arguments: Mapping[str, JsonValue]) -> "Op":
        """The op that `arguments` described; raises pydantic's ValidationError on anything else."""
        return cls.model_validate(arguments, strict=False)


def _numbers(value: object) -> Iterator[int | float]:
    """The numbers in an argument, those in lists within lists too."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)


@cache
def _signature(cls: type[Op]) -> Signature:
    kinds = inspect.Parameter
    parameters = list(inspect.signature(cls.infer).parameters.values())[1:]
    return Signature(
        tuple(p.name for p in parameters if p.kind is kinds.POSITIONAL_OR_KEYWORD),
        tuple(p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY),
        any(p.kind is kinds.VAR_POSITIONAL for p in parameters),
    )


@cache
def _homes() -> dict[str, str]:
    """Where each class of `archspec.ops` is defined, found without importing what no spec asks for."""
    package = import_module("archspec.ops")
    homes = {}
    for path in sorted(Path(package.__path__[0]).glob("*.py")):
        for name in re.findall(r"^class ([A-Za-z]\w*)\(", path.read_text(encoding="utf-8"), re.M):
            homes[name] = f"archspec.ops.{path.stem}"
    return homes


@cache
def load_ops() -> None:
    """Import every file of `archspec.ops`, so that each op there is known."""
    for module in sorted(set(_homes().values())):
        import_module(module)


def shipped(op: type[Op]) -> bool:
    """Whether the op comes with archspec, so that its tests hold it to what it says."""
    return op.__module__.startswith("archspec.ops.")


_origins: dict[str, tuple[str, str]] = {}  # of the ops that are known


def _origin(op: type[Op]) -> tuple[str, str]:
    """Where a class is written: its file, or its module where there is none, as in notebooks; and its name there.

    What is imported again, or run again in a notebook, is written where it was before.
    """
    file = getattr(sys.modules.get(op.__module__), "__file__", None)
    return str(Path(file).resolve()) if file else op.__module__, op.__qualname__


def family(op: type[Op]) -> str:
    """The file that an op stands in, which is its family: `conv`, `norm`, `activation` ..."""
    return op.__module__.rpartition(".")[2]
