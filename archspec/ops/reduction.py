"""Reductions: the mean, sum or extreme of values along axes."""

from dataclasses import replace
from functools import partial
from typing import Literal

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import Shape, TensorType
from archspec.op import Lowered, Op, PositiveInt
from archspec.op.axes import MERGED, Fitted, fitted, flat, of_one, outline, parsed, plain, require_known
from archspec.op.dependence import WHOLE, Along, Reach
from archspec.ops.rearrange import rearranging

_FUNCTIONS = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}  # what torch calls them


class Reduce(Op):
    """The mean, sum, largest or smallest value over axes, which are removed, or kept with size 1 if `keep`.

    `axes` are numbers, or a pattern whose right side lacks those axes, as in Rearrange: `"h w c -> c"`.

    Shapes: [*S] -> [*S without `axes`], or as the pattern says
    FLOPs: for n values to m, n - m; n for the mean
    Raises: when an axis is missing or named twice, when a pattern does not fit, and for the mean of integers
    """

    how: Literal["mean", "sum", "max", "min"]
    axes: int | tuple[int, ...] | str
    keep: bool = False
    sizes: tuple[tuple[str, PositiveInt], ...] = ()

    rest = "sizes"

    examples = (
        'f32[8, 4, 4] -> Reduce("mean", [1, 2]) -> f32[8]',
        'f32[8, 4, 4] -> Reduce("sum", -1) -> f32[8, 4]',
        'f32[8, 4, 4] -> Reduce("max", 0, keep=true) -> f32[1, 4, 4]',
        'i64[8, 4] -> Reduce("min", [0, 1]) -> i64[]',
        'bool[8, 4] -> Reduce("sum", 1) -> i64[8]',
        'f32[4, 5, 8] -> Reduce("mean", "h w c -> c") -> f32[8]',
        'f32[8, 4, 6] -> Reduce("max", "c (h p) (w q) -> c h w", p=2, q=3) -> f32[8, 2, 2]',
        'f32[4, 6, 8] -> Reduce("sum", "(h 2) (w 2) c -> (w h) c") -> f32[6, 8]',
        'f32[4, 6, 8] -> Reduce("min", "a b ... -> (... a) 1") -> f32[32, 1]',
        'f32[4, 6] -> Reduce("mean", "... ->") -> f32[]',
    )
    without_batch = True

    def _require_possible(self) -> None:
        super()._require_possible()
        if isinstance(self.axes, str):
            pattern = of_one(self.axes, self)
            require_known(pattern, self.sizes, "Reduce", ("how", "axes", "keep"))
            if self.keep:
                raise Mistake(
                    "`keep` goes with numbers of axes",
                    codes.EXCLUSIVE,
                    help="a pattern keeps an axis as `1`: `c h w -> c 1 1`",
                )
            new = set(flat(pattern.made)) - set(flat(pattern.taken[0])) - {MERGED}
            if new:
                raise Mistake(
                    f"the axis `{plain(min(new))}` is on the right only",
                    codes.PATTERN,
                    help="Rearrange repeats a tensor along a new axis",
                )
        elif self.sizes:
            raise Mistake(
                f"Reduce has no argument `{self.sizes[0][0]}`",
                codes.UNKNOWN_ARGUMENT,
                help='sizes go with a pattern: `"(h p) c -> h c"`',
            )

    def infer(self, x: TensorType) -> TensorType:
        """[*S] -> [*S without `axes`]."""
        if self.how == "mean" and not x.floating:
            raise Mistake(f"cannot take the mean of {x.dtype}", codes.DTYPE, help="multiply by 1.0 first")
        sizes = self._left(x)
        whole = self.how == "sum" and not x.floating
        return replace(x.with_shape(sizes), dtype="i64" if whole else x.dtype)

    def flops(self, x: TensorType) -> int:
        """n - m, for n values to m; a mean adds m quotients."""
        return x.values - (0 if self.how == "mean" else self.infer(x).values)

    def saved(self, x: TensorType) -> tuple[str | TensorType, ...]:
        """Input and output for the largest and smallest value, to find where it was; nothing for sums."""
        if self.how in ("max", "min"):
            return "inputs", x.with_shape(self._left(x)) if self._copies else "outputs"
        return ()

    def reach(self, x: TensorType) -> tuple[Reach, ...]:
        """Each value depends on the whole of `axes`."""
        if isinstance(self.axes, str):
            return (self._fitted(x, self.axes).reach(),)
        gone = self._axes(x)
        left = [axis for axis in range(x.rank) if self.keep or axis not in gone]
        return (tuple(WHOLE if axis in gone else Along((left.index(axis),)) for axis in range(x.rank)),)

    def lower(self, x: TensorType) -> Lowered:
        """`torch.mean`, `torch.sum`, `torch.amax` or `torch.amin`."""
        import torch

        if isinstance(self.axes, str):
            return rearranging(self._fitted(x, self.axes), x, reduce=_FUNCTIONS[self.how])
        axes = tuple(axis - x.rank for axis in self._axes(x))
        return partial(getattr(torch, _FUNCTIONS[self.how]), dim=axes, keepdim=self.keep)

    def _left(self, x: TensorType) -> Shape:
        """The shape of what is left."""
        if isinstance(self.axes, str):
            return self._fitted(x, self.axes).shape
        axes = self._axes(x)
        return tuple(
            1 if axis in axes else size for axis, size in enumerate(x.shape) if self.keep or axis not in axes
        )

    def _fitted(self, x: TensorType, pattern: str) -> Fitted:
        found = fitted(parsed(pattern), x, self.sizes)
        if not found.gone:
            raise Mistake(
                f'the pattern "{pattern}" reduces no axis', codes.PATTERN, help="Rearrange keeps all of them"
            )
        return found

    @property
    def _copies(self) -> bool:
        """Whether what is left is copied to merge its axes."""
        return isinstance(self.axes, str) and outline(self.axes).copies

    def _axes(self, x: TensorType) -> tuple[int, ...]:
        """The axes counted from the front."""
        assert not isinstance(self.axes, str)
        axes = tuple(x.axis(axis) for axis in ((self.axes,) if isinstance(self.axes, int) else self.axes))
        if not axes or len(set(axes)) < len(axes):
            raise Mistake("`axes` must name at least one axis, and no axis twice", codes.AXES)
        return axes
