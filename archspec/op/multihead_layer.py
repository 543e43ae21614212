"""PyTorch's multi-head attention, batch first, with masks as `Attention` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archspec.op.torch_layers import _Layer


class MultiheadAttention(_Layer, nn.MultiheadAttention):
    """`nn.MultiheadAttention`; `attend` is the function that attends.

    `ranks` are the axes of queries, keys and values behind the batch, which each of them may lack, `batched` says whether bias and
    mask have one, if they are given: one module serves uses in which these differ.
    """

    def __init__(
        self,
        attend: Callable[..., Tensor],
        settings: dict[str, Any],
        ranks: tuple[int, ...],
        batched: tuple[bool, bool],
        **theirs: Any,
    ) -> None:
        super().__init__(**theirs)
        self.attend = attend
        self.settings = settings
        self.ranks = ranks
        self.batched = batched

    def forward(  # type: ignore[override]
        self, q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """[N, L, E], [N, M, K], [N, M, V] -> [N, L, E]."""
        batched = (
            *[x.ndim > rank for x, rank in zip((q, k, v), self.ranks, strict=True)],
            bias is not None and self.batched[0],
            mask is not None and self.batched[1],
        )
        dropout = {"dropout_p": self.dropout if self.training else 0.0} if self.dropout else {}
        q, k, v = (
            torch.unflatten(x, -1, (self.num_heads, -1)).transpose(-3, -2) for x in self._projected(q, k, v)
        )
        out = self.attend(q, k, v, bias=bias, mask=mask, batched=batched, **dropout, **self.settings)
        made: Tensor = self.out_proj(out.transpose(-3, -2).flatten(-2))
        return made

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, of all heads side by side."""
        if self.in_proj_weight is not None and q is k and k is v:
            return functional.linear(q, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        weights = (
            (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            if self.in_proj_weight is None
            else self.in_proj_weight.chunk(3)
        )
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return tuple(map(functional.linear, (q, k, v), weights, biases))
