"""What ops ask of their inputs: real numbers, channels, axes to slide over."""

from collections.abc import Callable
from typing import TypeVar

from archspec.ground.errors import Mistake
from archspec.ground.tensor import Shape, TensorType, fixed, limits, show
from archspec.op import Op

Choice = TypeVar("Choice", bound=Callable[..., object])


def require_real(x: TensorType, op: Op) -> None:
    """Mistake when the values are whole numbers or truths."""
    if not x.floating:
        raise Mistake(
            f"{type(op).__name__} takes real numbers, not {x.dtype}",
            kind="shape",
            help="" if x.dtype == "bool" else "use Embedding to make vectors of indices",
        )


def require_held(x: TensorType, number: float) -> None:
    """Mistake when the tensor's dtype holds neither the number nor its negative: PyTorch would wrap it, or make it infinite."""
    most = limits(x.dtype)[1]
    if abs(number) > most:
        raise Mistake(f"{x.dtype} holds numbers up to {most}, not {number}", kind="dtype")


def space_of(x: TensorType, op: Op) -> Shape:
    """The sizes behind the channels of a signal, an image or a volume; Mistake for anything else."""
    require_real(x, op)
    if not 2 <= x.rank <= 4:
        raise Mistake(
            f"{type(op).__name__} takes [C, L], [C, H, W] or [C, D, H, W], not {show(x.shape)}",
            kind="shape",
            help="use Linear for vectors, or Reshape first",
        )
    return x.shape[1:]


def channels_of(x: TensorType) -> int:
    """The number of channels, which come first; Mistake when there are none or they are free."""
    if not x.rank:
        raise Mistake("a single number has no channels", kind="shape", help="Reshape it to [1] first")
    return fixed(x.shape[0], "the number of channels")


def by_axes(x: TensorType, *choices: Choice) -> Choice:
    """The first choice for a signal, the second for an image, the third for a volume."""
    return choices[x.rank - 2]


def require_rank(x: TensorType, rank: int, op: Op, form: str) -> None:
    """Mistake when the tensor has not so many axes; `form` is what it should look like."""
    if x.rank != rank:
        raise Mistake(
            f"{type(op).__name__} takes {form}, not {show(x.shape)}", kind="shape", help="Reshape first"
        )
