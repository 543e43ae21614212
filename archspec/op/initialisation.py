"""Initialisations: each is one class, which specs call by its name."""

from collections.abc import Sequence
from math import erf, exp, fsum, pi, prod, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    WithJsonSchema,
    model_serializer,
)

from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest
from archspec.ground.literals import written
from archspec.ground.tensor import DType, is_real, limits
from archspec.op.calling import Called, arguments

if TYPE_CHECKING:
    from torch import Generator, Tensor

FanMode = Literal["fan_in", "fan_out"]
_TAIL = 10  # standard deviations from the mean; no generator of normal numbers goes that far
_OFTEN = 0.6  # 2 * 0.3: where this much of the distribution is inside, PyTorch's redrawing ends soon
Values = tuple[bool | int | float, ...]
Word = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # a 64-bit integer


class Spread(NamedTuple):
    """The mean and the standard deviation of a weight's first values: of those listed, or in expectation."""

    mean: float
    std: float


class Initialiser(Called):
    """How a weight is initialised. Specs call a subclass by its name."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    known: ClassVar[dict[str, type["Initialiser"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        Initialiser.known[cls.__name__] = cls

    @classmethod
    def find(cls, name: str) -> "type[Initialiser]":
        """The class of that name; Mistake when there is none."""
        if name not in cls.known:
            raise Mistake(
                f"there is no initialisation `{name}`", codes.UNKNOWN_KIND, help=suggest(name, cls.known)
            )
        return cls.known[name]

    @model_serializer(mode="wrap")
    def _with_name(self, handler: Any) -> dict[str, Any]:
        return {"name": type(self).__name__, **handler(self)}

    def check(self, shape: tuple[int, ...], dtype: DType) -> None:
        """Mistake, whose subject is the weight, if this cannot initialise one of that shape and dtype."""
        self.fit(shape)
        least, most = limits(dtype)
        drawn = self.drawn(shape)
        if drawn is not None and not is_real(dtype):
            raise Mistake(
                f"is {dtype}, but `{type(self).__name__}` produces real numbers",
                codes.DTYPE,
                help="integers start as `zeros`, `ones`, an integer or a list of integers",
            )
        numbers = self.given() if drawn is None else (*self.given(), *drawn)
        if (
            not is_real(dtype)
            and (found := next((n for n in numbers if isinstance(n, float)), None)) is not None
        ):
            raise Mistake(f"is {dtype}, which cannot hold {found}", codes.CANNOT_HOLD)
        for number in (min(numbers), max(numbers)) if numbers else ():
            if not least <= number <= most:
                raise Mistake(
                    f"is {dtype}, which cannot hold {number}: its range is {least} to {most}",
                    codes.CANNOT_HOLD,
                    help="" if drawn is None else f"`{self}` can produce such a value",
                )

    def fit(self, shape: tuple[int, ...]) -> None:
        """Mistake, whose subject is the weight, if this cannot initialise one of that shape."""

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """The range of its values if they are drawn or computed; None if they are `given`."""
        return None

    def given(self) -> Sequence[bool | int | float]:
        """The numbers in the spec that the weight will hold, which its dtype must be able to; none if they are drawn."""
        return ()

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Mean and standard deviation of the values in a weight of that shape."""
        raise NotImplementedError

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Initialise a CPU tensor in place."""
        raise NotImplementedError

    def __str__(self) -> str:
        shown = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.is_required() or value != field.default:
                shown.append(f"{name}={written(value)}")
        return f"{type(self).__name__}({', '.join(shown)})" if shown else type(self).__name__


Initialiser.__annotations__.clear()  # as those of Op, of class variables


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        arguments = dict(value)
        name = arguments.pop("name", None)
        if not isinstance(name, str):
            raise ValueError("an initialisation needs a name")
        return Initialiser.find(name).model_validate(arguments, strict=False)
    return value


_SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

Init = Annotated[SerializeAsAny[Initialiser], BeforeValidator(_read), WithJsonSchema(_SCHEMA)]


class zeros(Initialiser):  # noqa: N801  (specs write it so, as PyTorch does)
    """All 0."""

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """No spread around 0."""
        return Spread(0.0, 0.0)

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Write 0 everywhere."""
        tensor.zero_()


class ones(Initialiser):  # noqa: N801
    """All 1."""

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """No spread around 1."""
        return Spread(1.0, 0.0)

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Write 1 everywhere."""
        tensor.fill_(1)


class constant(Initialiser):  # noqa: N801
    """All the same value."""

    value: bool | int | float

    def given(self) -> Sequence[bool | int | float]:
        """The value."""
        return (self.value,)

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """No spread around the value."""
        return Spread(float(self.value), 0.0)

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Write the value everywhere."""
        tensor.fill_(float(self.value) if tensor.is_floating_point() else self.value)


class values(Initialiser):  # noqa: N801
    """The listed values, in row-major order."""

    listed: Values

    def fit(self, shape: tuple[int, ...]) -> None:
        """Mistake unless there are as many values as the weight has."""
        if len(self.listed) != prod(shape):
            raise Mistake(f"takes {prod(shape)} values, not {len(self.listed)}", codes.WEIGHT_SHAPE)

    def given(self) -> Sequence[bool | int | float]:
        """The values."""
        return self.listed

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Those of the list."""
        return _spread_of(self.listed)

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Write the listed values."""
        listed = map(float, self.listed) if tensor.is_floating_point() else self.listed
        tensor.copy_(tensor.new_tensor(list(listed)).view(tensor.shape))


class outer_sum(Initialiser):  # noqa: N801
    """The sum of one number per axis: `parts[0][i] + parts[1][j]` at row i and column j."""

    parts: tuple[tuple[Word | float, ...], ...]

    def fit(self, shape: tuple[int, ...]) -> None:
        """Mistake unless there is one list per axis, as long as the axis."""
        lengths = [len(part) for part in self.parts]
        if lengths != list(shape):
            raise Mistake(
                f"of shape {list(shape)} cannot be the outer sum of lists of lengths {lengths}",
                codes.WEIGHT_SHAPE,
                help="give one list of numbers per axis",
            )

    def given(self) -> Sequence[bool | int | float]:
        """The smallest and the largest sum, and the decimal numbers in it."""
        decimal = [number for part in self.parts for number in part if isinstance(number, float)]
        return (*(sum(map(best, self.parts)) for best in (min, max) if all(self.parts)), *decimal)

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Means and variances of the parts add up."""
        parts = [_spread_of(part) for part in self.parts]
        return Spread(sum(part.mean for part in parts), sqrt(sum(part.std**2 for part in parts)))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Add up the numbers, then round to the weight's dtype."""
        import torch

        exact = all(isinstance(number, int) and -(2**63) <= number < 2**63 for number in self.given())
        total = torch.zeros((), dtype=torch.int64 if exact else torch.float64)
        for axis, part in enumerate(self.parts):
            total = total + total.new_tensor(part).view(-1, *[1] * (len(self.parts) - 1 - axis))
        tensor.copy_(total)


class uniform(Initialiser):  # noqa: N801
    """Uniform between `low` and `high`."""

    low: float = 0.0
    high: float = 1.0

    positional = ("low", "high")
    pytorch = arguments(a="low", b="high")

    def _require_possible(self) -> None:
        _require_order(self.low, self.high, self)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """From `low` to `high`."""
        return self.low, self.high

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """That of a uniform distribution: the width over sqrt(12)."""
        low, high = self.drawn(shape)
        return Spread((low + high) / 2, (high - low) / sqrt(12))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        _uniform(tensor, self.low, self.high, generator)


class normal(Initialiser):  # noqa: N801
    """Normal with the given standard deviation and mean."""

    std: NonNegativeFloat = 1.0
    mean: float = 0.0

    positional = ("std",)
    pytorch = arguments(mean="mean", std="std")

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """Up to `_TAIL` standard deviations from the mean."""
        return self.mean - _TAIL * self.std, self.mean + _TAIL * self.std

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """As given."""
        return Spread(self.mean, self.std)

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        tensor.normal_(self.mean, self.std, generator=generator)


class trunc_normal(Initialiser):  # noqa: N801
    """Normal, truncated to `low` to `high` (both absolute, as in PyTorch)."""

    std: PositiveFloat = 1.0
    mean: float = 0.0
    low: float = -2.0
    high: float = 2.0

    positional = ("std",)
    pytorch = arguments(mean="mean", std="std", a="low", b="high")

    def _require_possible(self) -> None:
        _require_order(self.low, self.high, self)
        if not self.low - 2 * self.std <= self.mean <= self.high + 2 * self.std:
            raise Mistake(
                f"{self} truncates almost everything: the mean is more than two standard deviations outside",
                codes.ARGUMENT,
                help="`low` and `high` are absolute, not relative to the mean",
            )

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """From `low` to `high`."""
        return self.low, self.high

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Those of the truncated distribution [Johnson et al., 1994, section 10.1]."""
        low, high = ((end - self.mean) / self.std for end in (self.low, self.high))
        inside = (erf(high / sqrt(2)) - erf(low / sqrt(2))) / 2
        densities = [exp(-end * end / 2) / sqrt(2 * pi) for end in (low, high)]
        if (
            inside < 1e-9
        ):  # the formula loses its digits; the values lie at the end that is nearer to the mean
            return Spread(min(max(self.mean, self.low), self.high), 0.0)
        shift = (densities[0] - densities[1]) / inside
        variance = 1 + (low * densities[0] - high * densities[1]) / inside - shift**2
        return Spread(self.mean + self.std * shift, self.std * sqrt(max(0.0, variance)))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        from torch.nn import init

        if self.low <= self.mean - _TAIL * self.std and self.mean + _TAIL * self.std <= self.high:
            tensor.normal_(self.mean, self.std, generator=generator)  # which is all that PyTorch's would do
            return
        least, most = (erf((end - self.mean) / self.std / sqrt(2)) for end in (self.low, self.high))
        if most - least > _OFTEN:
            init.trunc_normal_(tensor, self.mean, self.std, self.low, self.high, generator=generator)
            return
        # PyTorch redraws what lies outside, which could take forever: here each number is drawn once.
        drawn = tensor.double().uniform_(least, most, generator=generator).erfinv_()
        drawn.mul_(sqrt(2)).mul_(self.std).add_(self.mean).clamp_(self.low, self.high)
        tensor.copy_(drawn)


class kaiming_uniform(Initialiser):  # noqa: N801
    """Uniform, with the variance that preserves the scale of a signal through ReLUs [He et al., 2015]."""

    a: float = 0.0
    mode: FanMode = "fan_in"

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """That of a uniform distribution: the width over sqrt(12)."""
        low, high = self.drawn(shape)
        return Spread((low + high) / 2, (high - low) / sqrt(12))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        low, high = self.drawn(tuple(tensor.shape))
        _uniform(tensor, low, high, generator)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """Up to sqrt(6 / ((1 + a^2) fan))."""
        bound = sqrt(2 / (1 + self.a * self.a)) * sqrt(3 / _fan(shape, self.mode))
        return -bound, bound


class kaiming_normal(Initialiser):  # noqa: N801
    """Normal, with the variance that preserves the scale of a signal through ReLUs [He et al., 2015]."""

    a: float = 0.0
    mode: FanMode = "fan_in"

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Around 0, as the formula says."""
        return Spread(0.0, self._std(shape))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        tensor.normal_(0.0, self._std(tuple(tensor.shape)), generator=generator)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """Up to `_TAIL` standard deviations from 0."""
        return -_TAIL * self._std(shape), _TAIL * self._std(shape)

    def _std(self, shape: tuple[int, ...]) -> float:
        return sqrt(2 / (1 + self.a * self.a) / _fan(shape, self.mode))


class xavier_uniform(Initialiser):  # noqa: N801
    """Uniform, with a variance that balances forward and backward signals [Glorot & Bengio, 2010]."""

    gain: NonNegativeFloat = 1.0

    positional = ("gain",)

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """That of a uniform distribution: the width over sqrt(12)."""
        low, high = self.drawn(shape)
        return Spread((low + high) / 2, (high - low) / sqrt(12))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        low, high = self.drawn(tuple(tensor.shape))
        _uniform(tensor, low, high, generator)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """Up to gain sqrt(6 / (fan_in + fan_out))."""
        bound = self.gain * sqrt(6 / (_fan(shape, "fan_in") + _fan(shape, "fan_out")))
        return -bound, bound


class xavier_normal(Initialiser):  # noqa: N801
    """Normal, with a variance that balances forward and backward signals [Glorot & Bengio, 2010]."""

    gain: NonNegativeFloat = 1.0

    positional = ("gain",)

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Around 0, as the formula says."""
        return Spread(0.0, self._std(shape))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the values."""
        tensor.normal_(0.0, self._std(tuple(tensor.shape)), generator=generator)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """Up to `_TAIL` standard deviations from 0."""
        return -_TAIL * self._std(shape), _TAIL * self._std(shape)

    def _std(self, shape: tuple[int, ...]) -> float:
        return self.gain * sqrt(2 / (_fan(shape, "fan_in") + _fan(shape, "fan_out")))


class identity(Initialiser):  # noqa: N801
    """Each of `groups` of channels goes on as it is, shared among its outputs, with noise [Yu & Koltun, 2016, eq. 4 and 5]."""

    groups: PositiveInt
    std: NonNegativeFloat = 0.0

    def fit(self, shape: tuple[int, ...]) -> None:
        """A weight [out, in, *kernel], whose channels the groups divide."""
        if len(shape) < 2 or shape[0] % self.groups or shape[1] % self.groups:
            raise Mistake(
                f"of shape {list(shape)} cannot be the identity in {self.groups} groups of channels",
                codes.WEIGHT_SHAPE,
            )

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """The noise, and shares of up to 1."""
        return -_TAIL * self.std, max(1.0, _TAIL * self.std)

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Those of noise, in which one value in `groups` at the middle of the window is a share of the identity."""
        share, often = self.groups / shape[0], 1 / (self.groups * prod(shape[2:]))
        mean = share * often
        return Spread(mean, sqrt((1 - often) * self.std**2 + often * share**2 - mean**2))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Draw the noise; at the middle of the window, an output adds up its share of its group's inputs."""
        if self.std:
            tensor.normal_(0.0, self.std, generator=generator)
        else:
            tensor.zero_()
        out, channels = tensor.shape[:2]
        taps = tensor.view(out, channels, -1)
        for group in range(self.groups):
            outputs = slice(group * out // self.groups, (group + 1) * out // self.groups)
            inputs = slice(group * channels // self.groups, (group + 1) * channels // self.groups)
            taps[outputs, inputs, taps.shape[2] // 2] = self.groups / out


class zero_row(Initialiser):  # noqa: N801
    """As `init`, but 0 in one row."""

    init: Init
    row: Annotated[int, Field(ge=0)]

    def fit(self, shape: tuple[int, ...]) -> None:
        """Mistake if there is no such row, or `init` does not fit the weight."""
        if not shape or self.row >= shape[0]:
            raise Mistake(f"has no row {self.row}", codes.WEIGHT_SHAPE, help="rows are counted from 0")
        self.init.fit(shape)

    def drawn(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """Those of `init`."""
        return self.init.drawn(shape)

    def given(self) -> Sequence[bool | int | float]:
        """Those of `init`."""
        return self.init.given()

    def spread(self, shape: tuple[int, ...]) -> Spread:
        """Those of `init`, with a row of zeros."""
        mean, std = self.init.spread(shape)
        kept = 1 - 1 / shape[0]
        return Spread(kept * mean, sqrt(kept * (std**2 + mean**2) - (kept * mean) ** 2))

    def fill(self, tensor: "Tensor", generator: "Generator") -> None:
        """Write the values of `init`, then the row."""
        self.init.fill(tensor, generator)
        tensor[self.row] = 0


def torch_default(fan_in: int) -> uniform:
    """PyTorch's default for Linear and Conv, weights and biases alike: U(-1, 1) / sqrt(fan_in)."""
    bound = 1 / sqrt(fan_in) if fan_in else 0.0
    return uniform(low=-bound, high=bound)


def _spread_of(numbers: Sequence[bool | int | float]) -> Spread:
    mean = fsum(numbers) / max(1, len(numbers))
    return Spread(mean, sqrt(fsum((number - mean) ** 2 for number in numbers) / max(1, len(numbers))))


def _uniform(tensor: "Tensor", low: float, high: float, generator: "Generator") -> None:
    """Draw uniform values; PyTorch refuses a range wider than the dtype's largest number."""
    import torch

    halves = 1 if high - low <= torch.finfo(tensor.dtype).max else 2
    tensor.uniform_(low / halves, high / halves, generator=generator)
    if halves > 1:
        tensor.mul_(halves)


def _fan(shape: tuple[int, ...], mode: FanMode) -> int:
    """Inputs or outputs that one value of a weight [out, in, *window] is connected to, at least 1."""
    if not shape:
        return 1
    axis = 1 if mode == "fan_in" else 0
    return max(1, shape[min(axis, len(shape) - 1)] * prod(shape[2:]))


def _require_order(low: float, high: float, init: Initialiser) -> None:
    if low > high:
        raise Mistake(f"`low` is greater than `high` in {init}", codes.ARGUMENT)
