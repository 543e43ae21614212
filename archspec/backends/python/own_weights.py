"""A block's own tensors, and the tables of numbers in them, as expressions that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.backends.python import expressions as py
from archspec.ground.tensor import torch_name
from archspec.op import Weight
from archspec.op import initialisation as first

RUN = "run"
"""The role of how often a number stands in a list, one after the other."""


@dataclass(frozen=True, slots=True)
class Buffer(py.Expression):
    """A tensor that is not trained: `self.register_buffer(name, value, persistent=False)`."""

    value: py.Expression
    saved: bool


@dataclass(frozen=True, slots=True)
class Local(py.Expression):
    """An expression in which a value has a name, given in a line before."""

    name: str
    value: py.Expression
    then: py.Expression

    @property
    def inlined(self) -> py.Expression:
        """The same without the name, where no line can come before."""
        return py.replaced(self.then, lambda x: self.value if x == py.Code(self.name) else None)


def own_weight(weight: Weight) -> py.Expression:
    """What makes a weight, buffer or constant, with its first values where these are not drawn."""
    made = _tensor(weight)
    return py.call("nn.Parameter", made) if weight.trainable else Buffer(made, weight.saved)


def is_written(weight: Weight) -> bool:
    """Whether the first values of a block's own tensor are part of the expression that makes it."""
    known = first.zeros | first.ones | first.constant | first.values | first.outer_sum
    return isinstance(weight.init, known)


def _tensor(weight: Weight) -> py.Expression:
    init, shape = weight.init, tuple(py.Literal(size, "size") for size in weight.shape)
    dtype = _dtype(weight.dtype)
    if not shape and isinstance(init, first.zeros | first.ones):
        return py.Call(py.Code("torch.tensor"), (py.number(float(isinstance(init, first.ones))),), dtype)
    if isinstance(init, first.zeros | first.ones):
        return py.Call(py.Code(f"torch.{type(init).__name__}"), shape, dtype)
    if isinstance(init, first.constant):
        value = float(init.value) if weight.dtype in _REAL else init.value
        sizes = py.Listed(shape)
        return py.Call(py.Code("torch.full"), (sizes, py.Literal(value, "value")), dtype)
    if isinstance(init, first.values):
        listed = [float(x) for x in init.listed] if weight.dtype in _REAL else list(init.listed)
        if len(shape) == 1:
            return table(listed, dtype)
        return py.Call(py.Code("torch.tensor"), (_nested(listed, weight.shape),), dtype)
    if isinstance(init, first.outer_sum) and init.parts:
        return _outer_sum(init, weight)
    return py.Call(py.Code("torch.empty"), shape or (py.Listed(()),), dtype)


_REAL = ("f16", "bf16", "f32", "f64")


def _dtype(dtype: str) -> tuple[py.Keyword, ...]:
    return () if dtype == "f32" else (py.Keyword("dtype", py.Code(f"torch.{torch_name(dtype)}")),)  # type: ignore[arg-type]


def _nested(numbers: Sequence[Any], shape: Sequence[int]) -> py.Expression:
    """Numbers as lists in lists."""
    if len(shape) < 2:
        return py.Listed(tuple(map(py.number, numbers)), "[") if shape else py.number(numbers[0])
    size = len(numbers) // shape[0]
    return py.Listed(
        tuple(_nested(numbers[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])), "["
    )


def _outer_sum(init: first.outer_sum, weight: Weight) -> py.Expression:
    """Numbers along each axis, added up."""
    real = weight.dtype in _REAL
    relative = _relative(init.parts) if weight.dtype == "i64" else None
    if relative is not None:
        return relative
    inner = (py.Keyword("dtype", py.Code("torch.float64")),) if real else ()
    made: py.Expression | None = None
    for axis, part in enumerate(init.parts):
        along: py.Expression = table([float(x) for x in part] if real else list(part), inner)
        behind = len(init.parts) - 1 - axis
        if behind:
            along = py.Item(along, (py.ALL, *[py.Code("None")] * behind))
        made = along if made is None else py.Operation("+", (made, along))
    assert made is not None
    if weight.dtype != "i64":
        made = py.method(made, "to", py.Code(f"torch.{torch_name(weight.dtype)}"))
    return made


def _relative(parts: Sequence[Sequence[Any]]) -> py.Expression | None:
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
    local = py.Code("places")
    column = py.Item(local, (py.ALL, py.Code("None")))
    return Local("places", places, _shifted(py.Operation("-", (column, local)), shift))


def table(numbers: Sequence[Any], dtype: tuple[py.Keyword, ...]) -> py.Expression:
    """A vector of numbers: counted where they are in steps, repeated where they repeat, else listed."""
    whole = all(type(x) is int for x in numbers)
    computed = _computed(numbers) if len(numbers) > 4 and dtype == () and not whole else None
    if computed is not None:
        return computed
    named = tuple(k for k in dtype if not (whole and k.value == py.Code("torch.int64")))
    counted = _counted(numbers) if whole and len(numbers) > 2 else None
    if counted is not None:
        return counted if not named else py.method(counted, "to", named[0].value)
    return py.Call(py.Code("torch.tensor"), (_listed(numbers),), named)


def _computed(numbers: Sequence[Any]) -> py.Expression | None:
    """Real numbers that repeat, or are powers."""
    count = len(numbers)
    each = next((i for i, x in enumerate(numbers) if x != numbers[0]), 0)
    if each > 1 and count % each == 0 and all(numbers[i] == numbers[i - i % each] for i in range(count)):
        return py.method(table(numbers[::each], ()), "repeat_interleave", py.number(each))
    for period in range(1, min(9, count // 2 + 1)):
        if count % period == 0 and all(numbers[i] == numbers[i % period] for i in range(count)):
            few = py.Listed(tuple(map(py.number, numbers[:period])), "[")
            return py.method(py.call("torch.tensor", few), "repeat", py.Literal(count // period, RUN))
    return _powers(numbers)


def _powers(numbers: Sequence[Any]) -> py.Expression | None:
    """Numbers that are powers with even exponents, as the frequencies of positions are: `10000 ** (-torch.arange(n) / n)`."""
    import torch

    count, scale = len(numbers), numbers[0]
    if not all(type(x) is float and x > 0 for x in numbers) or numbers[1] >= scale:
        return None
    base = round((scale / numbers[1]) ** count)
    steps = torch.arange(count, dtype=torch.float64, device="cpu")  # whatever device the caller works on
    found = scale * base ** (-steps / count)
    if not torch.equal(found.float(), torch.tensor(numbers, device="cpu")):
        return None
    counted = py.call("torch.arange", py.Literal(count, "count"), dtype=py.Code("torch.float64"))
    exponents = py.Operation("/", (py.Operation("-", (counted,)), py.Literal(count, "count")))
    powers: py.Expression = py.Operation("**", (py.number(base), exponents))
    return py.method(powers if scale == 1 else py.Operation("*", (py.number(scale), powers)), "float")


def _counted(numbers: Sequence[int]) -> py.Expression | None:
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
    outer = py.Item(_multiple(len(starts), again), (py.ALL, py.Code("None")))
    return _shifted(py.method(py.Operation("+", (outer, inner)), "flatten"), numbers[0])


def _multiple(count: int, step: int) -> py.Expression:
    numbers = py.call("torch.arange", py.Literal(count, "count"))
    if step == 1:
        return numbers
    if step == -1:
        return py.Operation("-", (numbers,))
    return py.Operation("*", (py.Literal(step, "step"), numbers))


def _shifted(numbers: py.Expression, start: int) -> py.Expression:
    if not start:
        return numbers
    return py.Operation("-" if start < 0 else "+", (numbers, py.Literal(abs(start), "start")))


def _listed(numbers: Sequence[Any]) -> py.Expression:
    """A list of numbers, runs of equal ones as products of lists."""
    runs: list[tuple[Any, int]] = []
    for x in numbers:
        if runs and type(runs[-1][0]) is type(x) and repr(runs[-1][0]) == repr(x):
            runs[-1] = (x, runs[-1][1] + 1)
        else:
            runs.append((x, 1))
    if len(runs) * 3 > len(numbers) or len(runs) > 20:
        return py.Listed(tuple(map(py.number, numbers)), "[")
    parts = [
        py.Operation("*", (py.Listed((py.number(x),), "["), py.Literal(count, RUN)))
        if count > 1
        else py.Listed((py.number(x),), "[")
        for x, count in runs
    ]
    return parts[0] if len(parts) == 1 else py.Operation("+", tuple(parts))
