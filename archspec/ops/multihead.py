"""Multi-head attention: with its projections, as PyTorch has it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, fixed, show
from archspec.op import Op, PositiveInt, Weight
from archspec.op.calling import FROM_INPUT, arguments
from archspec.op.dependence import WHOLE, Along, Reach
from archspec.op.initialisation import Init, torch_default, xavier_uniform, zeros
from archspec.op.inputs import require_real
from archspec.ops.attention import Attention

if TYPE_CHECKING:
    from torch import nn

_Optional = TensorType | None


class MultiheadAttention(Op):
    """Attention of several heads between linear maps, with the weights of `nn.MultiheadAttention` [Vaswani et al., 2017].

    Each of `heads` attends with its part of the mapped queries, keys and values; the output has the width of the queries. `bias`,
    `mask` (true where a query attends to a key: PyTorch's is the opposite), `causal` and `dropout` are those of Attention;
    `biases` are those of the linear maps.

    Shapes: q [N, d], k [M, k], v [M, v] -> [N, d]; bias and mask broadcast to [heads, N, M]
    MACs:   2 N d^2, M d (k + v), and 2 N M d for attention
    FLOPs:  2 MACs; 2 (N + M) d for biases; what Attention adds
    Raises: when `heads` does not divide d, and as Attention
    """

    heads: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    biases: bool = True
    causal: bool | Literal["start", "end"] = False
    init: Init | None = None
    bias_init: Init | None = None

    pytorch = arguments(
        embed_dim=FROM_INPUT,
        num_heads="heads",
        dropout="dropout",
        bias="biases",
        add_bias_kv="is left out: concat own weights to keys and values",
        add_zero_attn="is left out: concat zeros to keys and values",
        kdim=FROM_INPUT,
        vdim=FROM_INPUT,
        batch_first="is always true here: the batch comes first",
    )

    examples = (
        "(f32[5, 8], f32[7, 8], f32[7, 8]) -> MultiheadAttention(2) -> f32[5, 8]",
        "(f32[5, 8], f32[7, 6], f32[7, 4]) -> MultiheadAttention(4, biases=false) -> f32[5, 8]",
        "(f32[5, 8], f32[7, 8], f32[7, 8]) -> MultiheadAttention(2, mask=bool[7]) -> f32[5, 8]",
        '(f32[5, 8], f32[7, 8], f32[7, 8]) -> MultiheadAttention(2, causal="end", dropout=0.1, init=normal(0.02),'
        " bias_init=zeros, bias=f32[2, 5, 7]) -> f32[5, 8]",
    )

    def infer(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> TensorType:
        """q [N, d], k [M, k], v [M, v] -> [N, d]."""
        for x in (q, k, v):
            require_real(x, self)
            if x.rank != 2:
                raise Mistake(
                    f"MultiheadAttention takes [length, width], not {show(x.shape)}",
                    codes.RANK,
                    help="Reshape first, or use Attention, which takes more axes",
                )
        width = self._width(q)
        if width % self.heads:
            raise Mistake(f"{self.heads} heads do not divide a width of {width}", codes.INDIVISIBLE)
        attended = self._attention.infer(*self._in_heads(q, k, v), bias=bias, mask=mask)
        return replace(q, batched=attended.batched)

    @property
    def _attention(self) -> Attention:
        """What happens between the linear maps."""
        return Attention(causal=self.causal, dropout=self.dropout)

    def _width(self, x: TensorType) -> int:
        return fixed(x.shape[1], "the width of queries, keys and values")

    def _in_heads(self, q: TensorType, *others: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        """Mapped queries, keys and values as Attention takes them."""
        width = self._width(q) // self.heads
        first, second, third = (x.with_shape((self.heads, x.shape[0], width)) for x in (q, *others))
        return first, second, third

    def weights(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> Mapping[str, Weight]:
        """`in_proj_weight` [3 d, d], or `q_proj_weight`, `k_proj_weight` and `v_proj_weight` where widths differ; then `out_proj`."""
        d, others = self._width(q), [self._width(x) for x in (k, v)]
        if others == [d, d]:
            shapes = {"in_proj_weight": (3 * d, d)}
        else:
            shapes = {
                f"{name}_proj_weight": (d, width) for name, width in zip("qkv", (d, *others), strict=True)
            }
        found = {
            name: Weight(shape=shape, init=self.init or xavier_uniform(), dtype=q.dtype)
            for name, shape in shapes.items()
        }
        out = Weight(shape=(d, d), init=self.init or torch_default(d), dtype=q.dtype)
        if not self.biases:
            return {**found, "out_proj.weight": out}
        biases = self.bias_init or zeros()
        return {
            **found,
            "in_proj_bias": Weight(shape=(3 * d,), init=biases, dtype=q.dtype),
            "out_proj.weight": out,
            "out_proj.bias": Weight(shape=(d,), init=biases, dtype=q.dtype),
        }

    def macs(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> int:
        """2 N d^2, M d (k + v), and those of attention."""
        d = self._width(q)
        maps = fixed(
            2 * q.shape[0] * d + k.shape[0] * (self._width(k) + self._width(v)), "the lengths of sequences"
        )
        return d * maps + self._attention.macs(*self._in_heads(q, k, v))

    def flops(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> int:
        """2 MACs; 2 (N + M) d for biases; what Attention adds."""
        types = self._in_heads(q, k, v)
        attention = self._attention
        added = attention.flops(*types, bias=bias, mask=mask) - 2 * attention.macs(*types)
        biases = 2 * fixed(q.shape[0] + k.shape[0], "the lengths of sequences") * self._width(q)
        return 2 * self.macs(q, k, v) + self.biases * biases + added

    def saved(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> tuple[str | TensorType, ...]:
        """What is mapped, what Attention keeps, and its result."""
        types = self._in_heads(q, k, v)
        mixed = self._attention.infer(*types, bias=bias, mask=mask)
        named = {**dict(zip("qkv", types, strict=True)), "outputs": mixed}
        kept = self._attention.saved(*types, bias=bias, mask=mask)
        found = [named.get(x, x) if isinstance(x, str) else x for x in kept]
        return ("q", "k", "v", *found, *(() if "outputs" in kept else (mixed,)))

    def reach(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> tuple[Reach, ...]:
        """Each value depends on its query, and on all keys and values."""
        of_scores = self._attention.reach(*self._in_heads(q, k, v), bias=bias, mask=mask)[3:]
        # Of a bias or mask, each head's part goes into every value; the rows are those of the queries.
        others: list[Reach] = []
        for reach in of_scores:
            assert reach is not None
            rows = [along if along.axes != (0,) and along.axes != (1,) else WHOLE for along in reach]
            if len(reach) >= 2 and reach[-2].axes == (1,):
                rows[-2] = Along((0,))
            others.append(tuple(rows))
        return (Along((0,)), WHOLE), (WHOLE, WHOLE), (WHOLE, WHOLE), *others

    def lower(
        self, q: TensorType, k: TensorType, v: TensorType, *, bias: _Optional = None, mask: _Optional = None
    ) -> "nn.Module":
        """`nn.MultiheadAttention`, batch first."""
        from functools import partial

        from archspec.op.multihead_layer import MultiheadAttention as Module
        from archspec.ops.attention import attend

        lowered = self._attention.lower(*self._in_heads(q, k, v), bias=bias, mask=mask)
        settings = lowered.keywords if isinstance(lowered, partial) else getattr(lowered, "settings", {})
        return Module(
            attend,
            {name: value for name, value in settings.items() if name != "batched"},
            ranks=(q.rank, k.rank, v.rank),
            batched=(bias is None or bias.batched, mask is None or mask.batched),
            embed_dim=self._width(q),
            num_heads=self.heads,
            dropout=self.dropout,
            bias=self.biases,
            kdim=self._width(k),
            vdim=self._width(v),
            batch_first=True,
            device="meta",
        )
