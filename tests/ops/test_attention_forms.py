"""Attention aligned at the end, of grouped heads and with capped scores, by its formula; multi-head attention by PyTorch's."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.ground.errors import SpecError


def net(inputs: str, returned: str) -> Any:
    lines = "".join(f"    input {line.strip()}\n" for line in inputs.split(";"))
    return archspec.load(archspec.read_text(f"model Net:\n{lines}    return {returned}\n"), seed=0)


def formula(
    q: Tensor, k: Tensor, v: Tensor, shift: int | None, cap: float | None, bias: Tensor, mask: Tensor
) -> Tensor:
    """Head by head, query by query: query i sees the keys up to i + shift, or all."""
    samples, heads, queries, width = q.shape
    out = torch.zeros(*q.shape[:3], v.shape[-1])
    for n, h, i in product(range(samples), range(heads), range(queries)):
        group = h * k.shape[1] // heads
        scores = []
        for j in range(k.shape[2]):
            score = (q[n, h, i] @ k[n, group, j]) / width**0.5
            if cap is not None:
                score = cap * torch.tanh(score / cap)
            hidden = not mask[n, i, j] or (shift is not None and j > i + shift)
            scores.append(torch.tensor(-torch.inf) if hidden else score + bias[n, h, i, j])
        out[n, h, i] = torch.stack(scores).softmax(0) @ v[n, group]
    return out


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("cap", [None, 1.5])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("queries", "keys"), [(3, 3), (2, 5), (1, 4)])
@pytest.mark.parametrize("causal", ["false", '"start"', '"end"'])
def test_is_its_formula(
    causal: str, queries: int, keys: int, groups: int, cap: float | None, free: bool
) -> None:
    torch.manual_seed(0)
    free = free and causal != '"end"'  # there, it must be known that no query comes before the first key
    length, extra = "M" if free else keys, "" if cap is None else f", softcap={cap}"
    module = net(
        f"q: [4, {queries}, 6]; k: [{groups}, {'free M' if free else keys}, 6]; v: [{groups}, {length}, 6];"
        f" bias: [4, {queries}, {length}]; mask: bool[1, {queries}, {length}]",
        f"(q, k, v) -> Attention(causal={causal}, grouped=true{extra}, bias=bias, mask=mask)",
    )
    q, k, v = torch.randn(2, 4, queries, 6), torch.randn(2, groups, keys, 6), torch.randn(2, groups, keys, 6)
    bias, mask = torch.randn(2, 4, queries, keys), torch.rand(2, queries, keys) > 0.3
    mask[..., 0] = True
    shift = {"false": None, '"start"': 0, '"end"': keys - queries}[causal]
    wanted = formula(q, k, v, shift, cap, bias, mask)
    torch.testing.assert_close(module(q, k, v, bias, mask[:, None]), wanted)


def test_queries_at_the_end_need_as_many_keys() -> None:
    with pytest.raises(SpecError, match="at least as many keys as queries, not 3 and 4"):
        net("q: [4, 6]; k: [3, 6]", '(q, k, k) -> Attention(causal="end")')
    with pytest.raises(SpecError, match="divides that of queries"):
        net("q: [4, 5, 6]; k: [3, 5, 6]", "(q, k, k) -> Attention(grouped=true)")


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize(("kdim", "vdim"), [(8, 8), (6, 8), (8, 4)])
def test_multihead_attention_loads_pytorchs_weights(kdim: int, vdim: int, biases: bool) -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(8, 2, bias=biases, kdim=kdim, vdim=vdim, batch_first=True)
    ours = net(
        f"q: [3, 8]; k: [5, {kdim}]; v: [5, {vdim}]; seen: bool[3, 5]; there: bool[5]",
        f"(q, k, v) -> attn: MultiheadAttention(2, biases={str(biases).lower()}, mask=seen and there)",
    )
    assert isinstance(ours.attn, nn.MultiheadAttention)
    ours.load_state_dict({f"attn.{key}": value for key, value in theirs.state_dict().items()}, strict=True)
    q, k, v = torch.randn(2, 3, 8), torch.randn(2, 5, kdim), torch.randn(2, 5, vdim)
    seen, there = torch.rand(3, 5) > 0.3, torch.rand(2, 5) > 0.3
    seen[:, 0], there[:, 0] = True, True
    wanted, _ = theirs(q, k, v, attn_mask=~seen, key_padding_mask=~there)
    torch.testing.assert_close(ours(q, k, v, seen.expand(2, 3, 5), there), wanted)


def test_of_one_tensor_it_is_self_attention() -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    ours = net("x: [free L, 8]", "(x, x, x) -> attn: MultiheadAttention(2, causal=true)")
    ours.load_state_dict({f"attn.{key}": value for key, value in theirs.state_dict().items()}, strict=True)
    x = torch.randn(2, 6, 8)
    later = torch.ones(6, 6, dtype=torch.bool).triu(1)
    wanted, _ = theirs(x, x, x, attn_mask=later)
    torch.testing.assert_close(ours(x), wanted)


SHARED = """
model Net:
    input x: [free N, 16]
    input mask: bool[N]
    weight latents: [6, 16] = trunc_normal(0.02)
    shared attn = MultiheadAttention(4)
    z = {first}
    return {second}
"""
USES = {
    "(latents, x, x) -> attn": lambda layer, x, mask, latents: layer(latents, x, x)[0],
    "(x, latents, latents) -> attn": lambda layer, x, mask, latents: layer(x, latents, latents)[0],
    "(x, x, x) -> attn": lambda layer, x, mask, latents: layer(x, x, x)[0],
    "(x, x, x) -> attn(mask=mask)": lambda layer, x, mask, latents: layer(x, x, x, key_padding_mask=~mask)[0],
}


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize(("first", "second"), list(product(USES, USES)))
def test_uses_of_shared_attention_may_differ_in_batch_and_mask(first: str, second: str) -> None:
    text = SHARED.format(first=first, second=f"concat(z, {second})")
    module = archspec.load(archspec.read_text(text), seed=0).eval()
    weights = module.state_dict()
    reference = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    reference.load_state_dict({k[5:]: value for k, value in weights.items() if k.startswith("attn.")})
    x, mask = torch.randn(2, 5, 16), torch.tensor([[True, True, False, True, True], [True] * 5])
    latents = weights["latents"].expand(2, 6, 16)
    wanted = torch.cat([USES[use](reference, x, mask, latents) for use in (first, second)], 1)
    assert torch.allclose(module(x, mask), wanted, atol=1e-5)
