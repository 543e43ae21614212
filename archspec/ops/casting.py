"""Dtypes and gradients: values in another dtype, and values that train nothing before them."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import DType, TensorType, promote, torch_name
from archspec.ground.tensor import dtype as dtype_named
from archspec.op import Elementwise, Lowered, Movement
from archspec.op.calling import arguments
from archspec.op.dependence import Along, Reach, points
from archspec.op.window import Extent

if TYPE_CHECKING:
    from torch import Tensor


def _short(name: Any) -> Any:
    """The dtype by its short name. Raises Mistake if there is none of that name."""
    return dtype_named(name) if isinstance(name, str) else name


class Cast(Movement, Elementwise):
    """The values in another dtype, or in that of a tensor `like`: real numbers are cut to whole ones, and what is not 0 is true.

    A real dtype holds in a module that is cast, too, but for a wider one that the module has: `Cast("f32")` makes an island in which
    half-precision modules compute in f32, up to a layer with weights or a `Cast(like=x)`.

    Shapes: [*S] -> [*S] of that dtype
    FLOPs: 0
    Raises: when there is no such dtype, and unless exactly one of `dtype` and `like` is given
    """

    dtype: Annotated[DType, BeforeValidator(_short)] | None = None

    positional = ("dtype",)

    examples = (
        'f16[4, 8] -> Cast("f32") -> f32[4, 8]',
        'f32[4, 8] -> Cast("i64") -> i64[4, 8]',
        'i64[3] -> Cast("f32") -> f32[3]',
        'f32[3] -> Cast("bool") -> bool[3]',
        'bool[3] -> Cast("float16") -> f16[3]',
        "bool[3] -> Cast(like=f32[4, 8]) -> f32[3]",
    )
    without_batch = True

    def infer(self, x: TensorType, *, like: TensorType | None = None) -> TensorType:
        """[*S] -> [*S]."""
        dtype = self.dtype if like is None else like.dtype
        if dtype is None or (self.dtype is not None and like is not None):
            raise Mistake(
                "Cast takes either a dtype or a tensor that has it",
                codes.EXCLUSIVE,
                help='write `x -> Cast("f32")` or `x -> Cast(like=y)`',
            )
        return replace(x, dtype=dtype)

    def reach(self, x: TensorType, *, like: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one in its place, and on no value of `like`."""
        return (points(x),) if like is None else (points(x), None)

    def lower(self, x: TensorType, *, like: TensorType | None = None) -> Lowered:
        """`cast` or `cast_like`."""
        if like is not None:
            return cast_like
        out = self.infer(x)
        widens = x.floating and out.floating and promote(x, out) == self.dtype
        return partial(cast, dtype=torch_name(out.dtype), widens=widens)


class Detach(Movement, Elementwise):
    """The same values, through which no gradient flows back.

    Shapes: [*S] -> [*S]
    FLOPs: 0
    """

    examples = ("f32[4, 8] -> Detach -> f32[4, 8]", "i64[3] -> Detach -> i64[3]")
    without_batch = True
    view = True
    stops_gradients = True

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S]."""
        return x

    def lower(self, x: TensorType) -> Lowered:
        """`torch.detach`."""
        import torch

        return torch.detach


class OneHot(Movement):
    """For each index a vector that is 1 at that place, and 0 elsewhere.

    Shapes: i64[*S] -> i64[*S, count], also from i32
    FLOPs: 0
    Raises: when the values are not i32 or i64
    """

    count: Extent

    pytorch = arguments(num_classes="count")

    examples = ("i64[4] -> OneHot(10) -> i64[4, 10]", "i32[2, 3] -> OneHot(5) -> i64[2, 3, 5]")
    without_batch = True

    def infer(self, x: TensorType) -> TensorType:
        """i64[*S] -> i64[*S, count]."""
        require_index(x, self)
        return replace(x.with_shape((*x.shape, self.count)), dtype="i64")

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each vector depends on the index in its place."""
        return (tuple(Along((axis,)) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`one_hot`."""
        return partial(one_hot, count=self.count)


def require_index(x: TensorType, op: Movement) -> None:
    """Mistake unless the values are whole numbers that PyTorch indexes with."""
    if x.dtype not in ("i32", "i64"):
        raise Mistake(f"{type(op).__name__} takes indices of i32 or i64, not {x}", codes.DTYPE)


def cast(x: "Tensor", *, dtype: str, widens: bool) -> "Tensor":
    """The tensor in a dtype; where that `widens` it, never in a narrower one than it has."""
    import torch

    wanted = getattr(torch, dtype)
    return x.to(torch.promote_types(x.dtype, wanted) if widens else wanted)


def cast_like(x: "Tensor", *, like: "Tensor") -> "Tensor":
    """The tensor in the dtype of another."""
    return x.to(like.dtype)


def one_hot(x: "Tensor", *, count: int) -> "Tensor":
    """1 at each index, 0 elsewhere; an index that is out of range is an error on the CPU."""
    from torch.nn import functional

    return functional.one_hot(x.long(), count)
