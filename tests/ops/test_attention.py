"""Attention against its formula, in every way that it is lowered: causal, of unequal lengths, biased and masked."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule

import archspec

LENGTHS = [(1, 1), (4, 4), (3, 5), (5, 3), (1, 4), (4, 1)]
FRONTS: list[tuple[int, ...]] = [(), (2,), (3, 2)]


def attention(
    front: tuple[int, ...], queries: int, keys: int, *, bias: str, mask: str, dropout: float, width: int = 6
) -> GraphModule:
    """A causal attention alone: `bias` and `mask` are inputs of that shape, or none where it is empty."""
    axes = ", ".join(map(str, front)) + ", " * bool(front)
    lines = [
        f"input q: [{axes}{queries}, 4]",
        f"input k: [{axes}{keys}, 4]",
        f"input v: [{axes}{keys}, {width}]",
    ]
    options = []
    for name, kind, shape in (("bias", "f32", bias), ("mask", "bool", mask)):
        if shape:
            lines.append(f"input {name}: {kind}[{shape}]")
            options.append(f", {name}={name}")
    call = f"Attention(causal=true, dropout={dropout}{''.join(options)})"
    lines.append(f"return (q, k, v) -> {call}")
    return archspec.load(
        archspec.read_text("\n".join(["model Net:", *(f"    {line}" for line in lines), ""]))
    )


def formula(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    """Query i takes from keys 0 to i, row by row, as written in the literature."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    for name, given in (("bias", bias), ("mask", mask)):
        if given is not None:  # behind the batch, axes in front that are left out are ones
            given = given.reshape(given.shape[:1] + (1,) * (scores.ndim - given.ndim) + given.shape[1:])
            scores = scores + given if name == "bias" else scores.masked_fill(~given, -torch.inf)
    rows = []
    for i in range(q.shape[-2]):
        seen = min(i + 1, k.shape[-2])
        weights = scores[..., i, :seen].softmax(-1)
        rows.append((weights.unsqueeze(-2) @ v[..., :seen, :]).squeeze(-2))
    return torch.stack(rows, -2)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_a_query_sees_the_keys_up_to_its_own_number(front: tuple[int, ...], queries: int, keys: int) -> None:
    torch.manual_seed(0)
    batch = (2, *front)
    for biased, masked, dropout, width in product((False, True), (False, True), (0.0, 0.3), (4, 6)):
        module = attention(
            front, queries, keys,
            bias=f"{queries}, {keys}" if biased else "", mask=f"{keys}" if masked else "",
            dropout=dropout, width=width,
        ).eval()  # fmt: skip
        q, k, v = (
            torch.randn(*batch, queries, 4),
            torch.randn(*batch, keys, 4),
            torch.randn(*batch, keys, width),
        )
        bias = torch.randn(2, queries, keys) if biased else None
        mask = (torch.rand(2, keys) < 0.6) if masked else None
        if mask is not None:
            mask[:, 0] = True  # what takes part in nothing has no value
        given = [x for x in (bias, mask) if x is not None]
        torch.testing.assert_close(module(q, k, v, *given), formula(q, k, v, bias, mask))


@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
@pytest.mark.parametrize("biased", [False, True])
def test_dropout_in_training_keeps_the_order(queries: int, keys: int, biased: bool) -> None:
    module = attention((2,), queries, keys, bias=f"{queries}, {keys}" if biased else "", mask="", dropout=0.5)
    torch.manual_seed(0)
    bias = [torch.zeros(3, queries, keys)] if biased else []
    q, k = torch.randn(3, 2, queries, 4), torch.randn(3, 2, keys, 4)
    v = torch.eye(keys, 6).expand(3, 2, keys, 6)  # the output is the weights
    weights = torch.stack([module(q, k, v, *bias) for _ in range(20)])
    later = torch.ones(queries, keys).triu(1).bool()
    assert (weights[..., :keys][..., later] == 0).all()
    assert (weights[..., :keys][..., ~later] > 0).any(0).all()
    assert ((weights[..., 0, 0] == 0) | (weights[..., 0, 0] == 2)).all()  # dropped, or scaled up
