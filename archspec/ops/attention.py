"""Attention: values mixed by how well their keys match a query."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import floor, prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from archspec.ground import codes
from archspec.ground.bounds import always_equal, require_least
from archspec.ground.declared import same_always, use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType, broadcast, fixed, show
from archspec.op import Lowered, Op
from archspec.op.dependence import WHOLE, Along, Reach, Slide, aligned, points
from archspec.op.inputs import require_real
from archspec.ops.arithmetic import with_ones

if TYPE_CHECKING:
    from torch import Tensor


class Attention(Op):
    """Scaled dot-product attention: softmax(scale * q k^T + bias) v [Vaswani et al., 2017].

    `scale` is 1 / sqrt(d) by default. `bias` is added to the scores; a query ignores the keys where `mask` is
    false. With `causal`, query i attends to keys 0 to i: counted from the first by `true` or "start", as in PyTorch, and by
    "end" so that the last query sees all keys, as where queries continue a sequence. `dropout` zeroes attention weights in
    training, and scales up the rest. With `softcap` c, a score s becomes c tanh(s / c) [Gemma Team, 2024]. `grouped` shares each
    head of keys and values, on the third axis from the end, among as many neighbouring heads of queries as there are for it
    [Ainslie et al., 2023].

    Shapes: q [*A, N, d], k [*A, M, d], v [*A, M, e] -> [*A, N, e]; bias and mask broadcast to [*A, N, M];
            if `grouped`, q [*A, H, N, d], k [*A, G, M, d], v [*A, G, M, e] -> [*A, H, N, e], of which G divides H
    MACs:   N * M * (d + e), for each of *A
    FLOPs:  2 MACs; 5 M - 2 for each softmax; for each score 1, 1 for each of bias, mask and `causal`, and 3 for `softcap`
    Raises: when *A, M, d or dtypes differ, when bias or mask do not broadcast, when mask is not bool, and when there are more
            queries than keys with `causal="end"`
    """

    scale: float | None = None
    causal: bool | Literal["start", "end"] = False
    softcap: Annotated[float, Field(gt=0)] | None = None
    grouped: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    autocasts = True
    examples = (
        "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 8]) -> Attention -> f32[2, 5, 8]",
        "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 4]) -> Attention -> f32[2, 5, 4]",
        "(f32[5, 8], f32[5, 8], f32[5, 8]) -> Attention(scale=1.0, causal=true) -> f32[5, 8]",
        "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(bias=f32[2, 5, 5]) -> f32[2, 5, 8]",
        "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8])"
        " -> Attention(mask=bool[3, 1, 5, 5]) -> f32[3, 2, 5, 8]",
        "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8])"
        " -> Attention(causal=true, dropout=0.1, bias=f32[5, 5], mask=bool[5]) -> f32[2, 5, 8]",
        '(f32[2, 3, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(causal="end") -> f32[2, 3, 8]',
        "(f32[6, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(grouped=true, causal=true) -> f32[6, 5, 8]",
        "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 4]) -> Attention(softcap=2.0, mask=bool[5, 7]) -> f32[2, 5, 4]",
        "(f32[4, 3, 8], f32[2, 5, 8], f32[2, 5, 8])"
        ' -> Attention(grouped=true, causal="end", softcap=5.0, dropout=0.1, scale=0.5, bias=f32[4, 1, 5]) -> f32[4, 3, 8]',
    )

    def infer(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> TensorType:
        """q [*A, N, d], k [*A, M, d], v [*A, M, e] -> [*A, N, e]."""
        tensors = [q, k, v] if bias is None else [q, k, v, bias]
        require_real(q, self)
        if len({x.dtype for x in tensors}) > 1:
            raise Mistake(
                f"Attention takes tensors of the same dtype, not {', '.join(x.dtype for x in tensors)}",
                codes.DTYPES,
            )
        if mask is not None and mask.dtype != "bool":
            raise Mistake(
                f"`mask` must be bool, not {mask.dtype}: true where a query attends to a key",
                codes.DTYPE,
                help="pass numbers that are added to the scores as `bias`",
            )
        if not (2 <= q.rank == k.rank == v.rank):
            raise _cannot(q, k, v, "each must be [*A, length, width], with the same leading axes")
        if self.grouped:
            k, v = self._shared(q, k, v)
        if not all(map(always_equal, q.shape[:-2] + k.shape[:-1], k.shape[:-2] + v.shape[:-1])):
            help = "all axes but the last two must agree, with one value per key"
            if q.rank > 2 and q.shape[-3] != k.shape[-3] == v.shape[-3]:
                help += "; for heads of keys that several of queries share, `Attention(grouped=true)`"
            raise _cannot(q, k, v, help)
        if not always_equal(q.shape[-1], k.shape[-1]):
            raise _cannot(q, k, v, "queries and keys must have the same width")
        for pair in zip(
            (*q.shape[:-2], *k.shape[:-1], q.shape[-1]),
            (*k.shape[:-2], *v.shape[:-1], k.shape[-1]),
            strict=True,
        ):
            use_unless_same(*pair)  # PyTorch would stretch a 1
        if self.causal == "end":
            require_least(
                k.shape[-2] - q.shape[-2],
                0,
                f'causal="end" takes at least as many keys as queries, not {k.shape[-2]} and {q.shape[-2]}',
            )
        scores = q.with_shape((*q.shape[:-1], k.shape[-2]))
        for name, x in (("bias", bias), ("mask", mask)):
            if x is not None and not _fits(x, scores):
                raise Mistake(
                    f"`{name}` {show(x.shape)} does not broadcast to the scores {show(scores.shape)}",
                    codes.SHAPES,
                )
        batched = any(x is not None and x.batched for x in (q, k, v, bias, mask))
        return TensorType((*q.shape[:-1], v.shape[-1]), q.dtype, batched)

    def _shared(self, q: TensorType, k: TensorType, v: TensorType) -> tuple[TensorType, TensorType]:
        """Keys and values as each head of queries sees them. Mistake unless these are a multiple of those."""
        if q.rank < 3:
            raise _cannot(q, k, v, "with `grouped`, each must be [*A, heads, length, width]")
        heads, groups, others = (fixed(x.shape[-3], "the number of heads") for x in (q, k, v))
        if groups != others or heads % groups:
            raise _cannot(
                q,
                k,
                v,
                "with `grouped`, keys and values have the same number of heads, which divides that of queries",
            )
        return (
            k.with_shape((*k.shape[:-3], heads, *k.shape[-2:])),
            v.with_shape((*v.shape[:-3], heads, *v.shape[-2:])),
        )

    def macs(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> int:
        """N * M * (d + e), for each of *A."""
        scores = fixed(prod(q.shape[:-1]) * k.shape[-2], "the number of scores")
        return scores * fixed(q.shape[-1] + v.shape[-1], "the widths of keys and values")

    def flops(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> int:
        """2 MACs; 5 M - 2 for each softmax; for each score 1, and 1 for each of bias, mask and `causal`."""
        rows = fixed(prod(q.shape[:-1]), "the number of queries")
        keys = fixed(k.shape[-2], "the number of keys")
        changes = 1 + (bias is not None) + (mask is not None) + bool(self.causal)
        changes += 3 * (self.softcap is not None)
        return 2 * self.macs(q, k, v) + rows * (5 * keys - 2 + changes * keys)

    def saved(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> tuple[str | TensorType, ...]:
        """What PyTorch keeps on the CPU: with a fused kernel the logarithm of each sum, else all scores."""
        batched = self.infer(q, k, v, bias=bias, mask=mask).batched
        scores = TensorType((*q.shape[:-1], k.shape[-2]), q.dtype, batched)
        keys: str | TensorType = "k"
        values: str | TensorType = "v"
        if self.grouped and not always_equal(q.shape[-3], k.shape[-3]):
            k, v = (replace(x, batched=batched) for x in self._shared(q, k, v))
            keys, values = k, v
        square = TensorType(scores.shape[-2:], "bool", batched=False)
        seen = mask
        if self.causal and (mask is not None or self._aligned(q, k) == "end"):
            seen = square if mask is None else broadcast(mask, square)
        if self.softcap is not None:
            # Scaled queries, the scores' tanh, and their softmax; with dropout what is zeroed, and what is left.
            every = (scores,) * (4 if self.dropout else 2)
            shown = square if self.causal and mask is None else seen
            return q, keys, values, *every, *(() if shown is None else ("mask" if shown is mask else shown,))
        # The fused kernel of the CPU takes four axes, to which `attend` brings more, one width, and no bias to be
        # trained; those of CUDA take a bias too, so that this claims more than they keep.
        axes = q.rank + batched
        fused = always_equal(q.shape[-1], v.shape[-1])
        if fused and bias is None and not self.dropout:
            sums = TensorType(q.shape[:-1], "f32", batched)
            if seen is None:
                return "q", keys, values, "outputs", sums
            added = replace(seen, dtype=q.dtype)  # the mask, as numbers to add
            shape = (*[1] * (q.rank - seen.rank), *seen.shape)
            if axes > 4 and (
                seen.batched or any(size != 1 for size in shape[:-3])
            ):  # repeated along merged axes
                added = TensorType((*q.shape[:-3], *shape[-3:]), q.dtype, batched)
            return "q", keys, values, "outputs", sums, added
        # Scaled queries and keys, and a contiguous copy of the values, which several heads need.
        kept: list[str | TensorType] = [*(replace(x, batched=batched) for x in (q, k, v)), scores]
        if self.dropout:
            kept += [scores, scores]  # what is zeroed, and what is left
        if bias is not None and self.causal:
            causal = TensorType(scores.shape[-2:], "bool", batched=False)
            kept.append(causal if mask is None else broadcast(mask, causal))
        elif bias is not None and mask is not None:
            kept.append("mask")
        return tuple(kept)

    def reach(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> tuple[Reach, ...]:
        """Each value depends on its query, all keys, and its place in all values, causal or masked or not."""
        scores = q.with_shape((*q.shape[:-1], k.shape[-2]))
        heads = {q.rank - 3: self._heads(q, k)} if self.grouped else {}
        rows = [
            (*(aligned(x, scores) or ())[:-1], WHOLE) if x.rank else () for x in (bias, mask) if x is not None
        ]
        return (
            points(q, q.rank - 1),
            _with_axes(points(k, k.rank - 2, k.rank - 1), heads),
            _with_axes(points(v, v.rank - 2), heads),
            *rows,
        )

    def lower(
        self,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        *,
        bias: TensorType | None = None,
        mask: TensorType | None = None,
    ) -> Lowered:
        """`functional.scaled_dot_product_attention`, around which `attend` puts the scores in shape."""
        from torch.nn import functional

        settings: dict[str, Any] = {}
        if self.scale is not None:
            settings["scale"] = self.scale
        if self.causal:
            settings["is_causal"] = True
        given = (q, k, v, bias, mask)
        others: dict[str, Any] = {}
        if self.causal and self._aligned(q, k) == "end":
            others["at_end"] = True
        if self.grouped:
            others["grouped"] = True
        if self.softcap is not None:
            others["softcap"] = self.softcap
        settings |= others
        plain = (
            not others
            and bias is None
            and mask is None
            and q.batched == k.batched == v.batched
            and q.rank + q.batched == 4
        )
        if plain and not self.dropout:
            attention = functional.scaled_dot_product_attention
            return partial(attention, **settings) if settings else attention
        settings["batched"] = tuple(x is not None and x.batched for x in given)
        if not self.dropout:
            return partial(attend, **settings)
        from archspec.op.torch_layers import Attention as Module

        return Module(attend, self.dropout, **settings)

    def _aligned(self, q: TensorType, k: TensorType) -> str:
        """Where `causal` counts from: the start also where there are as many queries as keys."""
        if self.causal != "end" or (q.shape[-2] == k.shape[-2] and same_always(q.shape[-2], k.shape[-2])):
            return "start"
        return "end"

    def _heads(self, q: TensorType, k: TensorType) -> Along:
        """The head of keys and values that each head of queries sees."""
        ratio = Fraction(fixed(k.shape[-3], "the number of heads"), fixed(q.shape[-3], "the number of heads"))
        return Along((q.rank - 3,), Slide.resampled(ratio, lambda head: (floor(head * ratio),) * 2))


def attend(
    q: "Tensor",
    k: "Tensor",
    v: "Tensor",
    *,
    bias: "Tensor | None" = None,
    mask: "Tensor | None" = None,
    batched: tuple[bool, ...],
    scale: float | None = None,
    is_causal: bool = False,
    at_end: bool = False,
    grouped: bool = False,
    softcap: float | None = None,
    dropout_p: float = 0.0,
) -> "Tensor":
    """`functional.scaled_dot_product_attention` with a bias, a mask or both.

    `batched` says which of the five tensors have a batch, as their first axis.
    """
    import torch
    from torch.nn import functional

    given = (q, k, v, bias, mask)
    if any(batched) and not all(batched[:3]):
        batch = next(x.shape[0] for x, has in zip(given, batched, strict=True) if has and x is not None)
        q, k, v = (
            x if has else x.expand(batch, *x.shape) for x, has in zip((q, k, v), batched[:3], strict=True)
        )
    if bias is not None:
        bias = with_ones(bias, q.ndim - bias.ndim, at=int(batched[3]))
    if mask is not None:
        mask = with_ones(mask, q.ndim - mask.ndim, at=int(batched[4]))
    if grouped:
        k, v = (_for_heads(x, q.shape[-3]) for x in (k, v))
    if is_causal and (bias is not None or mask is not None or at_end or softcap is not None):
        past = k.shape[-2] - q.shape[-2] if at_end else 0
        if past < 0:
            raise ValueError(f"there are fewer keys than queries: {k.shape[-2]} and {q.shape[-2]}")
        causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril(past)
        mask, is_causal = causal if mask is None else mask & causal, False
    if softcap is not None:
        return _softcapped(
            q, k, v, bias, mask, softcap, q.shape[-1] ** -0.5 if scale is None else scale, dropout_p
        )
    if bias is not None and mask is not None:
        bias = torch.where(mask, bias, -torch.inf)
    added = mask if bias is None else bias
    lead = q.shape[:-3]
    # Fused kernels, and the patterns by which TorchInductor finds attention, take four axes, and features side by side.
    merged = len(lead) > 1
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    if merged:
        q, k, v = (x.flatten(0, -4) for x in (q, k, v))
        if added is not None:
            ones = all(size == 1 for size in added.shape[:-3])
            added = added.expand(*(added.shape[:-3] if ones else lead), *added.shape[-3:]).flatten(0, -4)
    rank = q.ndim
    if rank < 4:  # what PyTorch does itself from 2.14 on
        q, k, v = (with_ones(x, 4 - rank, at=0) for x in (q, k, v))
        added = None if added is None else with_ones(added, 4 - rank, at=0)
    result = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=added, dropout_p=dropout_p, is_causal=is_causal, scale=scale
    )
    if torch.compiler.is_exporting():
        # Each kernel lays its result out in its own way. A view that is exported of one is none of another, by which a
        # backend such as ONNX takes the first apart.
        result = result.clone(memory_format=torch.contiguous_format)
    if rank < 4:
        result = result.view(result.shape[4 - rank :])
    return torch.unflatten(result, 0, lead) if merged else result


def _for_heads(x: "Tensor", heads: int) -> "Tensor":
    """Keys or values [*A, G, M, d], each head repeated for its share of the heads of queries."""
    shares = heads // x.shape[-3]
    return x.unsqueeze(-3).expand(*x.shape[:-2], shares, *x.shape[-2:]).flatten(-4, -3)


def _softcapped(
    q: "Tensor",
    k: "Tensor",
    v: "Tensor",
    bias: "Tensor | None",
    mask: "Tensor | None",
    cap: float,
    scale: float,
    dropout: float,
) -> "Tensor":
    """Attention step by step, with scores between -cap and cap: no fused kernel of PyTorch has that."""
    import torch
    from torch.nn import functional

    scores = (q * scale @ k.transpose(-2, -1) / cap).tanh() * cap
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return functional.dropout(scores.softmax(-1), dropout) @ v


def _with_axes(reach: Reach, others: dict[int, Along]) -> Reach:
    """What values depend on, with other axes in some places."""
    assert reach is not None
    return tuple(others.get(axis, along) for axis, along in enumerate(reach))


def _fits(x: TensorType, scores: TensorType) -> bool:
    """Whether a tensor broadcasts to the scores."""
    return x.rank <= scores.rank and all(map(always_equal, broadcast(x, scores).shape, scores.shape))


def _cannot(q: TensorType, k: TensorType, v: TensorType, help: str) -> Mistake:
    return Mistake(
        f"Attention cannot combine q {show(q.shape)}, k {show(k.shape)} and v {show(v.shape)}",
        codes.SHAPES,
        help=help,
    )
