"""A block's own tensors, and the tables of numbers in them, as expressions that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.backends.python.expressions import (
    Call,
    Code,
    Expression,
    Item,
    Keyword,
    Listed,
    Literal,
    Operation,
    Slice,
    call,
    method,
    number,
    replaced,
)
from archspec.ground.tensor import torch_name
from archspec.op import Weight
from archspec.op import initialisation as first

RUN = "run"
"""The role of how often a number stands in a list, one after the other."""


@dataclass(frozen=True, slots=True)
class Buffer(Expression):
    """A tensor that is not trained: `self.register_buffer(name, value, persistent=False)`."""

    value: Expression
    saved: bool

    @property
    def parts(self) -> tuple[Expression, ...]:
        """Its value."""
        return (self.value,)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """Another value."""
        return Buffer(parts[0], self.saved)

    @property
    def shape(self) -> tuple[object, ...]:
        """Whether it is saved."""
        return "buffer", self.saved


@dataclass(frozen=True, slots=True)
class Local(Expression):
    """An expression in which a value has a name, given in a line before."""

    name: str
    value: Expression
    then: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The value, and what is made of it."""
        return self.value, self.then

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of others."""
        return Local(self.name, *parts)

    @property
    def inlined(self) -> Expression:
        """The same without the name, where no line can come before."""
        return replaced(self.then, lambda x: self.value if x == Code(self.name) else None)

    @property
    def shape(self) -> tuple[object, ...]:
        """The name."""
        return "local", self.name


def own_weight(weight: Weight) -> Expression:
    """What makes a weight, buffer or constant, with its first values where these are not drawn."""
    made = _tensor(weight)
    return call("nn.Parameter", made) if weight.trainable else Buffer(made, weight.saved)


def is_written(weight: Weight) -> bool:
    """Whether the first values of a block's own tensor are part of the expression that makes it."""
    known = first.zeros | first.ones | first.constant | first.values | first.outer_sum
    return isinstance(weight.init, known)


def _tensor(weight: Weight) -> Expression:
    init, shape = weight.init, tuple(Literal(size, "size") for size in weight.shape)
    dtype = _dtype(weight.dtype)
    if not shape and isinstance(init, first.zeros | first.ones):
        return Call(Code("torch.tensor"), (number(float(isinstance(init, first.ones))),), dtype)
    if isinstance(init, first.zeros | first.ones):
        return Call(Code(f"torch.{type(init).__name__}"), shape, dtype)
    if isinstance(init, first.constant):
        value = float(init.value) if weight.dtype in _REAL else init.value
        sizes = Listed(shape)
        return Call(Code("torch.full"), (sizes, Literal(value, "value")), dtype)
    if isinstance(init, first.values):
        listed = [float(x) for x in init.listed] if weight.dtype in _REAL else list(init.listed)
        if len(shape) == 1:
            return table(listed, dtype)
        return Call(Code("torch.tensor"), (_nested(listed, weight.shape),), dtype)
    if isinstance(init, first.outer_sum) and init.parts:
        return _outer_sum(init, weight)
    return Call(Code("torch.empty"), shape or (Listed(()),), dtype)


_REAL = ("f16", "bf16", "f32", "f64")


def _dtype(dtype: str) -> tuple[Keyword, ...]:
    return () if dtype == "f32" else (Keyword("dtype", Code(f"torch.{torch_name(dtype)}")),)  # type: ignore[arg-type]


def _nested(numbers: Sequence[Any], shape: Sequence[int]) -> Expression:
    """Numbers as lists in lists."""
    if len(shape) < 2:
        return Listed(tuple(map(number, numbers)), "[") if shape else number(numbers[0])
    size = len(numbers) // shape[0]
    return Listed(tuple(_nested(numbers[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])), "[")


def _outer_sum(init: first.outer_sum, weight: Weight) -> Expression:
    """Numbers along each axis, added up."""
    real = weight.dtype in _REAL
    relative = _relative(init.parts) if weight.dtype == "i64" else None
    if relative is not None:
        return relative
    inner = (Keyword("dtype", Code("torch.float64")),) if real else ()
    made: Expression | None = None
    for axis, part in enumerate(init.parts):
        along: Expression = table([float(x) for x in part] if real else list(part), inner)
        behind = len(init.parts) - 1 - axis
        if behind:
            along = Item(along, (Slice((None, None, None)), *[Code("None")] * behind))
        made = along if made is None else Operation("+", (made, along))
    assert made is not None
    if weight.dtype != "i64":
        made = method(made, "to", Code(f"torch.{torch_name(weight.dtype)}"))
    return made


def _relative(parts: Sequence[Sequence[Any]]) -> Expression | None:
    """The differences of places, two by two, and a number: `places[:, None] - places + 24`."""
    if len(parts) != 2 or len(parts[0]) != len(parts[1]) or len(parts[0]) < 3:
        return None
    first, second = parts
    shift = first[0] + second[0]
    if not all(type(x) is int for part in parts for x in part) or any(
        a + b != shift for a, b in zip(first, second, strict=True)
    ):
        return None
    places = _counted([x - first[0] for x in first])
    if places is None:
        return None
    local = Code("places")
    column = Item(local, (Slice((None, None, None)), Code("None")))
    return Local("places", places, _shifted(Operation("-", (column, local)), shift))


def table(numbers: Sequence[Any], dtype: tuple[Keyword, ...]) -> Expression:
    """A vector of numbers: counted where they are in steps, repeated where they repeat, else listed."""
    whole = all(type(x) is int for x in numbers)
    computed = _computed(numbers) if len(numbers) > 4 and dtype == () and not whole else None
    if computed is not None:
        return computed
    named = tuple(k for k in dtype if not (whole and k.value == Code("torch.int64")))
    counted = _counted(numbers) if whole and len(numbers) > 2 else None
    if counted is not None:
        return counted if not named else method(counted, "to", named[0].value)
    return Call(Code("torch.tensor"), (_listed(numbers),), named)


def _computed(numbers: Sequence[Any]) -> Expression | None:
    """Real numbers that repeat, or are powers."""
    count = len(numbers)
    each = next((i for i, x in enumerate(numbers) if x != numbers[0]), 0)
    if each > 1 and count % each == 0 and all(numbers[i] == numbers[i - i % each] for i in range(count)):
        return method(table(numbers[::each], ()), "repeat_interleave", number(each))
    for period in range(1, min(9, count // 2 + 1)):
        if count % period == 0 and all(numbers[i] == numbers[i % period] for i in range(count)):
            few = Listed(tuple(map(number, numbers[:period])), "[")
            return method(call("torch.tensor", few), "repeat", Literal(count // period, RUN))
    return _powers(numbers)


def _powers(numbers: Sequence[Any]) -> Expression | None:
    """Numbers that are powers with even exponents, as the frequencies of positions are: `10000 ** (-torch.arange(n) / n)`."""
    import torch

    count, scale = len(numbers), numbers[0]
    if not all(type(x) is float and x > 0 for x in numbers) or numbers[1] >= scale:
        return None
    base = round((scale / numbers[1]) ** count)
    found = scale * base ** (-torch.arange(count, dtype=torch.float64) / count)
    if not torch.equal(found.float(), torch.tensor(numbers)):
        return None
    counted = call("torch.arange", Literal(count, "count"), dtype=Code("torch.float64"))
    exponents = Operation("/", (Operation("-", (counted,)), Literal(count, "count")))
    powers: Expression = Operation("**", (number(base), exponents))
    return method(powers if scale == 1 else Operation("*", (number(scale), powers)), "float")


def _counted(numbers: Sequence[int]) -> Expression | None:
    """Numbers in steps, or in steps within steps: `start + a * i + b * j`."""
    step = numbers[1] - numbers[0]
    run = next((i for i in range(1, len(numbers)) if numbers[i] - numbers[i - 1] != step), len(numbers))
    if step == 0 or len(numbers) % run:
        return None
    inner = _multiple(run, step)
    if run == len(numbers):
        return _shifted(inner, numbers[0])
    starts = numbers[::run]
    again = starts[1] - starts[0]
    expected = [start + step * i for start in range(starts[0], starts[0] + again * len(starts), again or 1)
                for i in range(run)] if again else []  # fmt: skip
    if not again or list(numbers) != expected:
        return None
    outer = Item(_multiple(len(starts), again), (Slice((None, None, None)), Code("None")))
    return _shifted(method(Operation("+", (outer, inner)), "flatten"), numbers[0])


def _multiple(count: int, step: int) -> Expression:
    numbers = call("torch.arange", Literal(count, "count"))
    if step == 1:
        return numbers
    return Operation("-", (numbers,)) if step == -1 else Operation("*", (Literal(step, "step"), numbers))


def _shifted(numbers: Expression, start: int) -> Expression:
    if not start:
        return numbers
    return Operation("-" if start < 0 else "+", (numbers, Literal(abs(start), "start")))


def _listed(numbers: Sequence[Any]) -> Expression:
    """A list of numbers, runs of equal ones as products of lists."""
    runs: list[tuple[Any, int]] = []
    for x in numbers:
        if runs and type(runs[-1][0]) is type(x) and repr(runs[-1][0]) == repr(x):
            runs[-1] = (x, runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    if len(runs) * 3 > len(numbers) or len(runs) > 20:
        return Listed(tuple(map(number, numbers)), "[")
    parts = [
        Operation("*", (Listed((number(x),), "["), Literal(count, RUN)))
        if count > 1
        else Listed((number(x),), "[")
        for x, count in runs
    ]
    return parts[0] if len(parts) == 1 else Operation("+", tuple(parts))
