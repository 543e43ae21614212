"""What ops require of their inputs: real numbers, channels, spatial axes."""

from collections.abc import Callable
from typing import TypeVar

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import Shape, TensorType, fixed, limits, show
from archspec.op.contract import Op

Choice = TypeVar("Choice", bound=Callable[..., object])


def require_real(x: TensorType, op: Op) -> None:
    """Mistake unless the values are real numbers."""
    if not x.floating:
        raise Mistake(
            f"{type(op).__name__} takes real numbers, not {x.dtype}",
            codes.DTYPE,
            help="" if x.dtype == "bool" else "map indices to vectors with Embedding",
        )


def require_numbers(x: TensorType, op: Op) -> None:
    """Mistake if the values are bool."""
    if x.dtype == "bool":
        raise Mistake(f"{type(op).__name__} takes numbers, not bool", codes.DTYPE, help="multiply by 1 first")


def require_held(x: TensorType, number: float) -> None:
    """Mistake if the number is out of the dtype's range: PyTorch would wrap it around, or make it infinite."""
    least, most = limits(x.dtype)
    if not least <= number <= most:
        raise Mistake(
            f"{x.dtype} cannot hold {number}: its range is {least} to {most}",
            codes.CANNOT_HOLD,
            help="" if x.floating else 'widen it first: Cast("i64")',
        )


def space_of(x: TensorType, op: Op) -> Shape:
    """The spatial sizes of a signal, an image or a volume, after the channels; Mistake for anything else."""
    require_real(x, op)
    if not 2 <= x.rank <= 4:
        raise Mistake(
            f"{type(op).__name__} takes [C, L], [C, H, W] or [C, D, H, W], not {show(x.shape)}",
            codes.RANK,
            help="use Linear for vectors, or Reshape first",
        )
    return x.shape[1:]


def channels_of(x: TensorType) -> int:
    """The number of channels, the first size; Mistake if there is none or it is free."""
    if not x.rank:
        raise Mistake("a scalar has no channels", codes.RANK, help="Reshape it to [1] first")
    return fixed(x.shape[0], "the number of channels")


def by_axes(x: TensorType, *choices: Choice) -> Choice:
    """The first choice for a signal, the second for an image, the third for a volume."""
    return choices[x.rank - 2]


def require_rank(x: TensorType, rank: int, op: Op, form: str) -> None:
    """Mistake unless the tensor has `rank` axes; `form` shows what it should look like."""
    if x.rank != rank:
        raise Mistake(
            f"{type(op).__name__} takes {form}, not {show(x.shape)}", codes.RANK, help="Reshape first"
        )
