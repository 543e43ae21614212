"""Attention as PyTorch's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.backends.python import expressions as py
from archspec.backends.python.functions.applied import Applied, Writer, given, over_batch, with_ones
from archspec.ops.attention import attend

ATTENTION = py.Code("functional.scaled_dot_product_attention")


def attends(applied: Applied) -> py.Call | None:
    """`functional.scaled_dot_product_attention`, with a bias, a mask or both."""
    settings = dict(applied.settings)
    batched = settings.pop("batched")
    dropout = settings.pop("dropout_p", None)
    if settings.keys() - {"scale", "is_causal"}:
        return None
    options = [applied.options[name] for name in ("bias", "mask") if name in applied.options]
    option_types = [applied.option_types[name] for name in ("bias", "mask") if name in applied.options]
    inputs = over_batch((*applied.inputs, *options), (*applied.types, *option_types))[: len(applied.inputs)]
    rank = applied.types[0].rank + any(batched)
    bias, mask = (
        with_ones(
            applied.options[name],
            (rank - type_.rank - type_.offset) if type_.batched else 0,
            1,
        )
        if (type_ := applied.option_types.get(name)) is not None
        else None
        for name in ("bias", "mask")
    )
    if settings.get("is_causal") and (bias is not None or mask is not None):
        return None
    added = mask if bias is None else bias
    if bias is not None and mask is not None:
        added = py.call("torch.where", mask, bias, py.Code('float("-inf")'))
    keywords = [] if added is None else [py.Keyword("attn_mask", added)]
    if dropout is not None:
        keywords.append(
            py.Keyword(
                "dropout_p", py.Chosen(py.Literal(dropout, "p"), py.Code("self.training"), py.Code("0.0"))
            )
        )
    keywords += [py.Keyword(key, given(value)) for key, value in settings.items()]
    return py.Call(ATTENTION, inputs, tuple(keywords))


WRITERS: dict[Callable[..., Any], Writer] = {
    attend: attends,
}
