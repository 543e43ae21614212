"""Types of tensors: the dtype and shape that are known before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from sys import float_info
from typing import Literal, cast, get_args

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import Declared, number, use
from archspec.ground.errors import Mistake, suggest
from archspec.ground.size import Free, Size

DType = Literal["f16", "bf16", "f32", "f64", "i8", "u8", "i16", "i32", "i64", "bool"]

Shape = tuple[Size, ...]

BATCH = "batch"  # the free size that is the number of samples, of a tensor that holds them all

_LONG_NAMES = {
    "float16": "f16", "half": "f16", "bfloat16": "bf16", "float32": "f32", "float": "f32",
    "float64": "f64", "double": "f64", "int8": "i8", "uint8": "u8", "int16": "i16", "int32": "i32",
    "int64": "i64", "int": "i64",
}  # fmt: skip

_MEANT = {
    "long": "i64", "integer": "i64", "short": "i16", "char": "i8", "byte": "u8", "boolean": "bool",
    "fp16": "f16", "fp32": "f32", "fp64": "f64", "bf": "bf16", "bfp16": "bf16",
}  # fmt: skip
"""What others call dtypes, which is no name here."""

_TORCH_NAMES = {
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "i8": "int8", "u8": "uint8",
    "i16": "int16", "i32": "int32", "i64": "int64", "bool": "bool",
}  # fmt: skip

_BYTES = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "i8": 1, "u8": 1, "i16": 2, "i32": 4, "i64": 8, "bool": 1}


_LIMITS: dict[DType, tuple[int | float, int | float]] = {
    "f16": (-65504.0, 65504.0),
    "bf16": (-(2.0**128 - 2.0**120), 2.0**128 - 2.0**120),
    "f32": (-(2.0**128 - 2.0**104), 2.0**128 - 2.0**104),
    "f64": (-float_info.max, float_info.max),
    "i8": (-(2**7), 2**7 - 1),
    "u8": (0, 2**8 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "bool": (0, 1),
}


def limits(dtype: DType) -> tuple[int | float, int | float]:
    """The smallest and the largest number that the dtype holds."""
    return _LIMITS[dtype]


def is_real(dtype: DType) -> bool:
    """Whether the dtype holds real numbers, not only whole ones."""
    return dtype in ("f16", "bf16", "f32", "f64")


def dtype(name: str) -> DType:
    """The dtype of that name, short (`f32`) or as PyTorch spells it (`float32`).

    Raises Mistake when there is none.
    """
    short = _LONG_NAMES.get(name, name)
    known = get_args(DType)
    if short not in known:
        meant = _MEANT.get(name.lower())
        raise Mistake(
            f"there is no dtype `{name}`",
            codes.UNKNOWN_KIND,
            help=f"write `{meant}`"
            if meant
            else suggest(name, known) or f"the dtypes are {', '.join(known)}",
            instead=meant,
        )
    return cast(DType, short)


def torch_name(name: DType) -> str:
    """What PyTorch calls the dtype: `torch_name("f32") == "float32"`."""
    return _TORCH_NAMES[name]


def byte_size(name: DType) -> int:
    """Bytes per value."""
    return _BYTES[name]


@dataclass(frozen=True)
class TensorType:
    """A dtype and a shape without the batch, which is always free: `f32[64, 56, 56]`.

    `batched` is False for what is the same for every sample, as weights are; at run time such a
    tensor has exactly this shape, and the others have the batch in front of it.
    """

    shape: Shape
    dtype: DType = "f32"
    batched: bool = True

    def __str__(self) -> str:
        return f"{self.dtype}{show(self.shape)}"

    @property
    def rank(self) -> int:
        """Number of axes, the batch not counted."""
        return len(self.shape)

    @property
    def values(self) -> int:
        """Values per sample. Raises Mistake when a size is free."""
        return fixed(prod(self.shape), "the number of values")

    @property
    def bytes(self) -> int:
        """Bytes per sample. Raises Mistake when a size is free."""
        return self.values * _BYTES[self.dtype]

    def kept_as(self, dtype: DType | None) -> TensorType:
        """The same tensor with its real numbers in another dtype; as it is without one."""
        return replace(self, dtype=dtype) if dtype and self.floating else self

    @property
    def floating(self) -> bool:
        """Whether the dtype holds real numbers."""
        return is_real(self.dtype)

    @property
    def offset(self) -> int:
        """How many axes stand before the first of `shape` at run time: 1 with a batch, else 0."""
        return int(self.batched)

    def with_shape(self, shape: Sequence[Size]) -> TensorType:
        """The same dtype and batching with another shape."""
        return TensorType(tuple(shape), self.dtype, self.batched)

    def axis(self, axis: int) -> int:
        """An axis counted from the front, negative ones counted from the back.

        Raises Mistake when there is no such axis.
        """
        if not self.rank:
            raise Mistake("a scalar has no axes", codes.AXIS, help="Reshape it to [1] first")
        if not -self.rank <= axis < self.rank:
            raise Mistake(
                f"there is no axis {axis} in {show(self.shape)}",
                codes.AXIS,
                help=f"axes go from 0 to {self.rank - 1}, or from -1 back to {-self.rank}; the batch is not counted",
            )
        return axis % self.rank


def show(shape: Sequence[Size]) -> str:
    """A shape as specs write it: `[64, 56, 56]`."""
    return f"[{', '.join(str(size) for size in shape)}]"


def fixed(size: Size, what: str) -> int:
    """The size as a number, which it is then used as; Mistake when it is free."""
    if isinstance(size, Free):
        raise Mistake(
            f"{what} must be known, but {size} is free", codes.FREE_NUMBER, help="give the input a size there"
        )
    use(size)
    return cast(int, number(size))


def broadcast(*types: TensorType, verb: str = "combine") -> TensorType:
    """The type of tensors combined value by value, broadcast like NumPy [Harris et al., 2020].

    Shapes align at their last axes; a size of 1 stretches. The batch is not part of a shape, so a
    tensor without one combines with every sample alike. Raises Mistake when sizes differ.

    At other sizes PyTorch refuses two that differ, but for a 1, which it stretches: so sizes that do not
    come from the same declared ones are used as numbers.
    """
    rank = max(t.rank for t in types)
    sizes: list[Size] = []
    for position in range(-rank, 0):
        size: Size = 1
        for t in types:
            if -position > t.rank or t.shape[position] == 1:
                continue
            if size != 1 and not always_equal(size, t.shape[position]):
                shapes = " and ".join(show(t.shape) for t in types)
                raise Mistake(
                    f"cannot {verb} {shapes}",
                    codes.SHAPES,
                    label=f"axis {position + rank} differs: {size} and {t.shape[position]}",
                )
            size = t.shape[position]
        sizes.append(_aligned(size, [t.shape[position] for t in types if -position <= t.rank]))
    return TensorType(tuple(sizes), promote(*types), any(t.batched for t in types))


def _aligned(size: Size, met: Sequence[Size]) -> Size:
    """The size that broadcasting gives, where these meet: they are used unless they come from the same ones."""
    declared = [have for have in met if type(have) is Declared]
    if not declared:
        return size
    fixed_ones = sum(type(have) is int and have == 1 for have in met)
    first = declared[0]
    alike = all(have == first and have.origins == first.origins for have in declared)
    if alike and len(declared) + fixed_ones == len(met):
        return first
    use(*declared)
    return cast(Size, number(size))


def promote(*types: TensorType) -> DType:
    """The dtype that PyTorch gives to values combined of these: the widest of the highest kind."""
    # A single number without a batch widens what has axes only if it is of a higher kind: booleans, whole numbers, reals.
    ranked = [t for t in types if t.rank or t.batched]
    dtypes = {
        t.dtype for t in types if t.rank or t.batched or all(_kind(t.dtype) > _kind(r.dtype) for r in ranked)
    }
    if {"f16", "bf16"} <= dtypes:
        dtypes.add("f32")
    if {"u8", "i8"} <= dtypes:
        dtypes.add("i16")
    return max(dtypes, key=_WIDTHS.index)


_WIDTHS: list[DType] = ["bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64"]


def _kind(dtype: DType) -> str:
    """`b` for booleans, `i` for whole numbers, `r` for reals: the higher kind comes later."""
    return "b" if dtype == "bool" else "r" if "f" in dtype else "i"
