"""Op: the contract of one kind of layer, as one class."""

# Annotations here are evaluated, not kept as strings: pydantic evaluates those of a base again for each op.

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict, Field, JsonValue

from archspec.ground import codes
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake, suggest
from archspec.ground.guarding import guard
from archspec.ground.literals import written
from archspec.ground.size import Free
from archspec.ground.tensor import DType, TensorType, limits, show
from archspec.op.calling import Called
from archspec.op.dependence import Reach, everything
from archspec.op.initialisation import Init
from archspec.op.settling import Settled, shipped

if TYPE_CHECKING:
    from torch import Tensor

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Epsilon = Annotated[float, Field(gt=0, lt=1)]

Lowered = Callable[..., "Tensor"] | Callable[..., "tuple[Tensor, ...]"]


class Weight(Settled):
    """A tensor that a layer owns: its shape in the `state_dict`, and how it is initialised.

    It is trained unless `trainable` is False (a buffer), and in the `state_dict` unless `saved` is False.
    """

    shape: tuple[int, ...]
    init: Init
    dtype: DType = "f32"
    trainable: bool = True
    saved: bool = True

    def __repr__(self) -> str:
        said = ("" if self.trainable else ", not trained") + ("" if self.saved else ", not saved")
        return brief(self, f"{self.dtype}{show(self.shape)}{said} = {self.init}")

    def __str__(self) -> str:
        return repr(self)

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def trained_values(weights: Iterable[Weight]) -> int:
    """How many trained numbers there are in weights: what is counted as parameters."""
    return sum(weight.size for weight in weights if weight.trainable)


class Signature(NamedTuple):
    """The tensors that an op takes: the required ones in order, or any number, and the optional ones by name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    variadic: bool


class Op(Called):
    """One kind of layer; a subclass says everything about it in one place.

    The fields are its arguments; `positional` says which of them a spec may give by position. The positional parameters of
    `infer` are the tensors it requires, the keyword-only ones those it accepts.
    `lower` defines what the op means; `infer`, `weights` and `macs` are claims about it, and `examples`
    the cases that test them: `"f32[3, 32, 32] -> Conv(8, 3) -> f32[8, 32, 32]"`.

    A subclass whose name starts with an underscore is a base of ops, not an op.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    examples: ClassVar[tuple[str, ...]] = ()
    without_batch: ClassVar[bool] = False
    """Whether it accepts weights as its only inputs, which have no batch."""
    one_sample: ClassVar[bool] = False
    """Whether weights as its only input, which have no batch, are one sample to it, and so is what it returns.

    It may have `sized_by` beside it.
    """
    overwritable: ClassVar[bool] = False
    """Whether it returns a new tensor that its backward pass does not read."""
    overwrites: ClassVar[bool] = False
    """Whether it can compute in place: its module or function has an `inplace` argument."""
    view: ClassVar[bool] = False
    """Whether its output at inference is a view of its input."""
    only_trains: ClassVar[bool] = False
    """Whether it returns its input unchanged at inference."""
    stops_gradients: ClassVar[bool] = False
    """Whether no gradient flows back through it."""
    activates: ClassVar[bool] = False
    """Whether it is a nonlinearity as networks put one behind a layer, where a second would hardly be meant."""
    idempotent: ClassVar[bool] = False
    """Whether it changes nothing a second time."""
    bias_axis: ClassVar[int | None] = None
    """The axis of its output along which its argument `bias` adds a number for each place."""
    image: ClassVar[Literal["made", "kept"] | None] = None
    """Whether its output is an image, [C, *space]: always, or where an input is one of as many axes."""
    sized_by: ClassVar[tuple[str, ...]] = ()
    """The optional tensors of which it takes the sizes alone: neither their values nor their dtype."""
    takes_truths: ClassVar[bool] = False
    """Whether its first input holds truth values, which are not made real where it gives real numbers."""
    needs_order: ClassVar[bool] = False
    """Whether it merges axes, so that whether its output is a view depends on how its input lies in memory."""
    autocasts: ClassVar[bool] = False
    """Whether it has no weights and autocast runs it in half precision."""
    saves: ClassVar[tuple[str, ...]] = ("inputs",)
    """What the backward pass needs, in the terms of `saved`."""
    rest: ClassVar[str | None] = None
    """The argument that gathers what is given by any other name, as pairs of the name and a size."""
    starts: ClassVar[Mapping[str, str]] = MappingProxyType({"weight": "init", "bias": "bias_init"})
    """The argument that says how a trained weight starts, by the weight's key, if the op has it."""
    known: ClassVar[dict[str, type["Op"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if not shipped(cls):
            guard(cls, Weight)
        for name in cls.by_position():
            if name not in cls.model_fields:
                raise TypeError(
                    f"`positional` of the op {cls.__name__} names `{name}`, which is no field of it"
                )
        if not (cls.__name__.startswith("_") or cls.__module__.startswith("archspec.op.")):
            if cls.flops is Op.flops:
                raise TypeError(
                    f"the op {cls.__name__} does not define `flops`: return its floating-point operations per sample,"
                    " given the parameters of `infer`; derive from `Movement` if it only moves values"
                )
            cls._register()

    @classmethod
    def _register(cls) -> None:
        """Make the op known by its name. TypeError if the name is taken: the order of imports would decide which op it means."""
        name, known = cls.__name__, Op.known  # a subclass may have a field of that name
        if not name[0].isupper():
            raise TypeError(
                f"the name of the op {name} must start with a capital letter: lower-case names are functions"
            )
        if not shipped(cls) and name in _homes() and name not in known:
            import_module(_homes()[name])
        origin = _origin(cls)
        if name in known and _origins[name] != origin:
            where = (
                "comes with archspec"
                if shipped(known[name])
                else f"is already defined in {_origins[name][0]}"
            )
            raise TypeError(f"an op named {name} {where}: rename this one")
        _origins[name] = origin
        known[name] = cls

    def __eq__(self, other: object) -> bool:
        """Equal if of the same class, with equal arguments of equal types: Scale(1) keeps integers, Scale(1.0) does not."""
        if type(self) is not type(other):
            return False
        mine, theirs = self.__dict__.values(), other.__dict__.values()
        return all(
            type(a) is type(b) and a == b and (type(a) is not float or repr(a) == repr(b))  # 0.0 is not -0.0
            for a, b in zip(mine, theirs, strict=True)
        )

    def _require_possible(self) -> None:
        """Mistake if an argument is out of range for PyTorch: integers have 64 bits, real numbers are f32."""
        for name, value in self.__dict__.items():
            if value is None or type(value) is str or type(value) is bool:
                continue
            for number in _numbers(value):
                least, most = limits("f32" if isinstance(number, float) else "i64")
                if not least <= number <= most:
                    raise Mistake(
                        f"`{name}` of {type(self).__name__} is too large for PyTorch: {number}",
                        codes.OUT_OF_DOMAIN,
                        help=""
                        if isinstance(number, float)
                        else "integers have 64 bits; a decimal number can be larger",
                    )

    @property
    def idle(self) -> bool:
        """Whether it returns its input in training, too, as `Dropout(0)` does: specs leave such steps out."""
        return False

    def sizes_read(self, *inputs: Any) -> tuple[Free, ...]:
        """The free sizes in its arguments, which it reads at run time, from axes of its inputs or of `sizes_of`.

        It is then `sized_by` that. `op/run_time.py` has what computes them.
        """
        return ()

    def infer(self, *inputs: Any, **optional: Any) -> TensorType | tuple[TensorType, ...]:
        """The type of the output, or a tuple of types. Raises Mistake if the inputs do not fit."""
        raise NotImplementedError

    def weights(self, *inputs: Any, **optional: Any) -> Mapping[str, Weight]:
        """The tensors that the layer owns, by their key below the layer's name."""
        return {}

    def macs(self, *inputs: Any, **optional: Any) -> int:
        """Multiply-adds per sample of convolutions and matrix products; 0 for everything else."""
        return 0

    def flops(self, *inputs: Any, **optional: Any) -> int:
        """Floating-point operations per sample at inference: twice `macs`, plus all other arithmetic (docs/cost.md).

        A sum, difference, product, quotient, comparison, sign, exp, log, root, tanh, erf or power counts as
        one, whatever the dtype; moving and indexing values is free. Raises Mistake if the count depends on
        a free size.
        """
        raise NotImplementedError

    def saved(self, *inputs: Any, **optional: Any) -> tuple[str | TensorType, ...]:
        """What the forward pass in training keeps for the backward pass, besides weights: `saves` by default.

        A string names a tensor of the op: a parameter of `infer`, "inputs" for all of them, "outputs" for
        the results. A type is a tensor made on the way, such as a mask, indices or statistics; one that is
        not `batched` is made once per batch. Where kernels differ, the CPU's count. Nothing is kept for a
        result that no weight contributes to, whatever this says.
        """
        return self.saves

    def reach(self, *inputs: Any, **optional: Any) -> tuple[Reach, ...]:
        """Which part of each input an output value depends on, optional inputs last; by default all of it.

        For an op with several outputs, what a value of any of them depends on.
        """
        return tuple(everything(x) for x in (*inputs, *optional.values()))

    def lower(self, *inputs: Any, **optional: Any) -> Lowered:
        """What runs: an `nn.Module` on the meta device, a function, or a `functools.partial` of one.

        It is called with the input tensors by position, then the optional ones by name. The parameters of a
        module are replaced by those of `weights`, which have the same names.
        """
        raise NotImplementedError

    def centres(self, *inputs: Any) -> bool:
        """Whether it subtracts the mean of each channel in training, so that a number added to a whole channel has no effect."""
        return False

    def feature_axis(self, *inputs: Any) -> int | None:
        """The axis along which it takes rows of features, as Linear takes the last; None where it takes none, or several."""
        return None

    @classmethod
    def find(cls, name: str) -> "type[Op]":
        """The op of that name. Raises Mistake if there is none."""
        if not cls.is_known(name):
            raise Mistake(f"there is no op `{name}`", codes.UNKNOWN_KIND, help=suggest(name, cls.names()))
        return cls.known[name]

    @classmethod
    def is_known(cls, name: str) -> bool:
        """Whether there is an op of that name."""
        if name not in cls.known and name in _homes():
            import_module(_homes()[name])
        return name in cls.known

    @classmethod
    def names(cls) -> set[str]:
        """The names of all ops."""
        load_ops()
        return set(cls.known)

    @classmethod
    def signature(cls) -> Signature:
        """Which tensors the op takes, read off `infer`'s parameters."""
        return _signature(cls)

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """All arguments, defaults included, as JSON values."""
        dumped: dict[str, JsonValue] = self.model_dump(mode="json")
        return dumped

    def __str__(self) -> str:
        """As a spec would write it, without arguments at their defaults: `Conv(64, 3, stride=2)`."""
        shown = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name == self.rest:
                shown += [f"{key}={written(size)}" for key, size in value]
            elif field.is_required() and name in self.by_position():
                shown.append(written(value))
            elif field.is_required() or value != field.default:
                shown.append(f"{name}={written(value)}")
        return f"{type(self).__name__}({', '.join(shown)})" if shown else type(self).__name__

    @classmethod
    def of(cls, arguments: Mapping[str, JsonValue]) -> "Op":
        """The op with these arguments, as `arguments` gave them; raises pydantic's ValidationError."""
        return cls.model_validate(arguments, strict=False)


# Pydantic evaluates the annotations of each base again for each op; those of class variables it has taken note of.
Op.__annotations__.clear()


def _numbers(value: object) -> Iterator[int | float]:
    """The numbers in an argument, those in nested lists included."""
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
    """The module of each class in `archspec.ops`, found without importing families that no spec uses."""
    package = import_module("archspec.ops")
    homes = {}
    for path in sorted(Path(package.__path__[0]).glob("*.py")):
        for name in re.findall(rb"\nclass ([A-Za-z]\w*)\(", path.read_bytes()):
            homes[name.decode()] = f"archspec.ops.{path.stem}"
    return homes


@cache
def load_ops() -> None:
    """Import every module of `archspec.ops`, so that all its ops are known."""
    for module in sorted(set(_homes().values())):
        import_module(module)


_origins: dict[str, tuple[str, str]] = {}  # of the known ops


def _origin(op: type[Op]) -> tuple[str, str]:
    """Where a class is written: its file, or its module in a notebook, and its qualified name.

    A class that is imported or run again has the origin it had before.
    """
    file = getattr(sys.modules.get(op.__module__), "__file__", None)
    return _resolved(file) if file else op.__module__, op.__qualname__


@cache
def _resolved(file: str) -> str:
    return str(Path(file).resolve())


def family(op: type[Op]) -> str:
    """The family of an op, which is the name of its file: `conv`, `norm`, `activation` ..."""
    return op.__module__.rpartition(".")[2]
