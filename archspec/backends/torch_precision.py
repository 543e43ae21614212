"""Modules that know the dtype of the network around them, and hold and hand on what is not to be rounded to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from archspec.op.torch_layers import _Layer


class _Following(_Layer):
    """Knows which dtype a real weight of the network has by now that the spec writes as `written`."""

    def __init__(self, written: torch.dtype) -> None:
        super().__init__()
        self.written = written
        self.dtype = written

    @property
    def exact(self) -> torch.dtype:
        """The dtype of what is not rounded: as written, or that of the weights if it is wider."""
        return torch.promote_types(self.written, self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Following:
        # What `.to`, `.half`, `.cuda` and their like do to each weight, done to an empty one.
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """How it prints."""
        return str(self.dtype).removeprefix("torch.")


class Exact(_Following):
    """A real tensor that is never of a narrower dtype than it was written in.

    `values` gives it in double precision, where what was rounded can be restored.
    """

    value: Tensor

    def __init__(self, written: torch.dtype, values: Callable[[], Tensor] | None) -> None:
        super().__init__(written)
        self.values = values
        self.register_buffer("value", torch.empty(0, dtype=written, device="meta"), persistent=False)

    @classmethod
    def of(cls, value: Tensor) -> Exact:
        """One that holds a tensor that was computed."""
        made = cls(value.dtype, None)
        made.value = value
        return made

    def forward(self) -> Tensor:
        """() -> [*S]."""
        return self.value

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Exact:
        before = self.value
        super()._apply(fn, recurse)
        if self.value is not before:  # moved or cast
            values = before if self.values is None else self.values()
            self.value = values.to(self.value.device, self.exact)
        return self

    def extra_repr(self) -> str:
        """How it prints."""
        return f"{str(self.value.dtype).removeprefix('torch.')}, shape={tuple(self.value.shape)}"


class Real(_Following):
    """Makes whole numbers and truths real, in a dtype that is not narrower than the spec's."""

    def forward(self, input: Tensor) -> Tensor:
        """[*S] -> [*S]."""
        return input.to(self.exact)


class Rounded(_Following):
    """Brings an exact value to the dtype that a weight of its own would have."""

    def forward(self, input: Tensor) -> Tensor:
        """[*S] -> [*S]."""
        return input.to(self.dtype)


def rounded(value: Tensor, like: Tensor) -> Tensor:
    """A value in the dtype of another that it meets: an exact one in that of the weights, or any in that of an island."""
    return value.to(like.dtype)


class Unnarrowed(_Layer):
    """Computes a function of exact values, also where autocast would compute it in half precision."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor, **options: Tensor) -> Tensor:
        """As the function."""
        device = inputs[0].device.type
        if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
            return self.function(*inputs, **options)
        with torch.autocast(device, enabled=False):
            return self.function(*inputs, **options)
