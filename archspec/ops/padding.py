"""Padding: values added around a tensor."""

from functools import partial
from typing import TYPE_CHECKING, Literal

from archspec.ground import codes
from archspec.ground.bounds import require_least
from archspec.ground.declared import use
from archspec.ground.errors import Mistake
from archspec.ground.size import Free
from archspec.ground.tensor import TensorType, show
from archspec.op import Lowered, Movement
from archspec.op.calling import arguments
from archspec.op.dependence import Along, Reach, Slide
from archspec.op.inputs import require_held
from archspec.op.run_time import Terms, computed, plan

if TYPE_CHECKING:
    from torch import Tensor

Amount = int | Free


class Pad(Movement):
    """Add values before and after the last axes, or crop where an amount is negative.

    One number pads all axes but the first; a list pads the last axes in order, each by a number for both
    ends or by [before, after]. `mode` says what is added: `value`, the mirror image without the edge,
    the edge itself, or the opposite end.

    Amounts may be free sizes that are not below 0, as of `Pad([[0, -x.shape[0] % 4], [0, 0]])`; what no axis of the tensor shows is read
    from `sizes_of`.

    Shapes: [*A, n, ...] -> [*A, before + n + after, ...]
    FLOPs: 0
    Raises: when nothing is left, when there is too little to mirror or wrap, and when other modes than
            "constant" are given a `value`, more than three axes, free amounts, or weights without channels, and
            when "reflect" or "replicate" is given bool
    """

    # The pair first: pydantic would write whatever it is given as a Free, which is a string.
    amounts: int | tuple[tuple[Amount, Amount] | Amount, ...]
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    value: int | float = 0

    pytorch = arguments(pad="amounts", mode="mode", value="value")

    examples = (
        "f32[3, 8, 8] -> Pad(1) -> f32[3, 10, 10]",
        "f32[3, 8, 8] -> Pad([[0, 1], 2]) -> f32[3, 9, 12]",
        "f32[3, 8, 8] -> Pad([-1], value=1.0) -> f32[3, 8, 6]",
        'f32[3, 8, 8] -> Pad([1], mode="reflect") -> f32[3, 8, 10]',
        'f32[3, 8, 8, 8] -> Pad([[2, 1], 1], mode="circular") -> f32[3, 8, 11, 10]',
        'f32[5, 6] -> Pad([1, [0, 2]], mode="replicate") -> f32[7, 8]',
        "i64[5] -> Pad([[1, 0]], value=7) -> i64[6]",
    )
    without_batch = True
    sized_by = ("sizes_of",)

    def infer(self, x: TensorType, *, sizes_of: TensorType | None = None) -> TensorType:
        """[*A, n, ...] -> [*A, before + n + after, ...]."""
        pairs = self._pairs(x)
        if self.mode != "constant" and self.value:
            raise Mistake(f'mode "{self.mode}" takes no `value`', codes.NO_EFFECT)
        if self.mode in ("reflect", "replicate") and x.dtype == "bool":
            raise Mistake(f'mode "{self.mode}" cannot pad bool', codes.DTYPE, help="multiply by 1 first")
        if isinstance(self.value, float) and not x.floating:
            raise Mistake(f"cannot pad {x.dtype} with {self.value}", codes.CANNOT_HOLD, help="use an integer")
        require_held(x, self.value)
        sizes = list(x.shape)
        for axis, (before, after) in zip(range(-len(pairs), 0), pairs, strict=True):
            cropped = sum(min(amount, 0) for amount in (before, after) if isinstance(amount, int))
            left = sizes[axis] + cropped
            sizes[axis] += before + after
            if cropped and (self.mode != "constant" or cropped < -1 or before + after < 0):
                use(x.shape[axis])  # PyTorch would crop a smaller one to nothing
            ends = [max(-amount, 0) if isinstance(amount, int) else 0 for amount in (before, after)]
            wrong = f"cropping {show(x.shape)} by {ends[0]} and {ends[1]} leaves nothing"
            require_least(left, 0, wrong)
            require_least(sizes[axis], 1, wrong)
            # PyTorch crops first and wraps what is left; if that is too little, it reads arbitrary memory.
            room = {"reflect": x.shape[axis] - 1, "circular": left}.get(self.mode)
            if room is not None:
                most = max(before, after)
                wrong = f"{show(x.shape)} is too small to {_VERB[self.mode]} {most} values"
                require_least(room - most, 0, wrong)
        self._planned(x, sizes_of)
        return x.with_shape(sizes)

    def sizes_read(self, x: TensorType) -> tuple[Free, ...]:
        """The amounts that are free."""
        return tuple(amount for pair in self._pairs(x) for amount in pair if isinstance(amount, Free))

    def saved(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[str | TensorType, ...]:
        """The input where it is mirrored or its edge repeated; nothing else."""
        return ("inputs",) if self.mode in ("reflect", "replicate") else ()

    def reach(self, x: TensorType, *, sizes_of: TensorType | None = None) -> tuple[Reach, ...]:
        """Each value depends on the one in its place before padding; added values on none, or, if circular, on the other end.

        Mirrored values are no further apart than their originals, so they do not enlarge a window.
        """
        pairs = self._pairs(x)
        amounts = (*((0, 0),) * (x.rank - len(pairs)), *pairs)
        wraps = self.mode == "circular"
        seen = tuple(
            Along((axis,), Slide.window(1, 1, pair[0]), mixed=wraps and max(pair) > 0)
            if isinstance(pair[0], int)
            else Along((axis,), None, straight=False)
            for axis, pair in enumerate(amounts)
        )
        return (seen,) if sizes_of is None else (seen, None)

    def lower(self, x: TensorType, *, sizes_of: TensorType | None = None) -> Lowered:
        """`nn.ConstantPad1d`, `nn.ReflectionPad2d` ... by mode and axes; `functional.pad` for more than three axes."""
        from torch import nn
        from torch.nn import functional

        pairs = self._pairs(x)
        planned = self._planned(x, sizes_of)
        amounts = tuple(amount for amount in planned if isinstance(amount, int))
        if len(amounts) < len(planned):
            return partial(pad_by_sizes, pad=planned, value=self.value)
        if abs(self.value) > LARGEST_HALF:
            return partial(pad_within, pad=amounts, value=self.value)
        if len(pairs) > 3:
            return partial(functional.pad, pad=amounts, value=self.value)
        if self.mode != "constant" and len(pairs) == x.rank and x.batched:
            # Without an axis in between, PyTorch would take the batch for channels, and reject an empty one.
            return partial(pad_behind_batch, pad=amounts, mode=self.mode)
        module = getattr(nn, f"{_PADS[self.mode]}Pad{len(pairs)}d")
        padded: nn.Module = module(amounts, self.value) if self.mode == "constant" else module(amounts)
        return padded

    def _planned(self, x: TensorType, sizes_of: TensorType | None) -> "tuple[int | Terms, ...]":
        """The amounts in PyTorch's order, the free ones as they are computed at run time."""
        return tuple(plan(amount, x, sizes_of) for pair in reversed(self._pairs(x)) for amount in pair)

    def _pairs(self, x: TensorType) -> tuple[tuple[Amount, Amount], ...]:
        """[before, after] for the last axes, in order."""
        amounts = (self.amounts,) * max(x.rank - 1, 0) if isinstance(self.amounts, int) else self.amounts
        if not 1 <= len(amounts) <= x.rank:
            raise Mistake(
                f"`amounts` is given for {len(amounts)} axes, but {show(x.shape)} has {x.rank}",
                codes.AXES,
                help="one number pads all axes but the first; a list of n items pads the last n axes",
            )
        pairs = tuple(amount if isinstance(amount, tuple) else (amount, amount) for amount in amounts)
        for amount in (amount for pair in pairs for amount in pair if isinstance(amount, Free)):
            require_least(amount, 0, f"cannot pad by {amount}, which is below 0")
            if self.mode != "constant":
                raise Mistake(f'mode "{self.mode}" pads by numbers, but {amount} is free', codes.FREE_NUMBER)
        if self.mode == "constant":
            return pairs
        # PyTorch's other modes take all axes but the first or the first two.
        pairs = ((0, 0),) * (x.rank - 1 - len(pairs)) + pairs
        if len(pairs) > 3 or len(pairs) == x.rank + x.offset:
            raise Mistake(
                f'mode "{self.mode}" cannot pad {len(pairs)} axes of {show(x.shape)}',
                codes.AXES,
                help="it pads at most three axes, after one that is not padded; Reshape first",
            )
        return pairs


LARGEST_HALF = 65504


def pad_by_sizes(
    x: "Tensor", *, pad: "tuple[int | Terms, ...]", value: float, sizes_of: "Tensor | None" = None
) -> "Tensor":
    """`functional.pad` by amounts of which some are computed from sizes."""
    return pad_within(x, pad=tuple([computed(amount, x, sizes_of) for amount in pad]), value=value)


_VERB = {"reflect": "mirror", "circular": "wrap"}


_PADS = {
    "constant": "Constant",
    "reflect": "Reflection",
    "replicate": "Replication",
    "circular": "Circular",
}


def pad_within(x: "Tensor", *, pad: tuple[int, ...], value: float) -> "Tensor":
    """`functional.pad` with the value clamped to the tensor's dtype: PyTorch refuses to pad f16 with 1e5."""
    import torch
    from torch.nn import functional

    if x.is_floating_point():
        info = torch.finfo(x.dtype)
        value = min(max(value, info.min), info.max)
    return functional.pad(x, pad, value=value)


def pad_behind_batch(x: "Tensor", *, pad: tuple[int, ...], mode: str) -> "Tensor":
    """`functional.pad` of all axes but the first, which is the batch."""
    from torch.nn import functional

    return functional.pad(x.unsqueeze(1), pad, mode).squeeze(1)
