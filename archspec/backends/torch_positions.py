"""Weights of one resolution for a network of another: tables of positions are resized [Dosovitskiy et al., 2021, Section 3.2]."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional

from archspec.errors import SpecError
from archspec.graph import Graph

MOST_TOKENS = 2  # before the grid: one for the class, one for distillation


def resize_positions(weights: Mapping[str, Tensor], graph: Graph) -> dict[str, Tensor]:
    """The weights, with each table of positions that has another size than the graph's resized to it.

    See `archspec.resize_positions`.
    """
    expected = {name: weight.shape for name, weight in graph.weights.items() if weight.saved}
    resized, wrong = dict(weights), []
    for name, weight in weights.items():
        shape = expected.get(name)
        if shape is None or tuple(weight.shape) == shape:
            continue
        table = _resized(weight, shape)
        if table is None:
            wrong.append(f"`{name}` {list(weight.shape)}, where {list(shape)} is wanted")
        else:
            resized[name] = table
    if wrong:
        raise SpecError.of(
            "shape",
            f"no tables of positions, so they cannot be resized: {', '.join(wrong[:5])}"
            + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            help="these weights are of another model, or of other settings of it",
        )
    return resized


def _resized(table: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A table of positions in another size; None when the two shapes are not those of one."""
    match tuple(table.shape), shape:
        case (1, c, _, _), (1, channels, height, width) if c == channels:  # a grid, as PiT has
            return _interpolated(table, (height, width))
        case (1, n, d), (1, count, dim) if d == dim:  # a sequence: tokens, then a grid row by row, as ViT has
            for tokens in (1, *range(MOST_TOKENS + 1)):
                old, new = _side(n - tokens), _side(count - tokens)
                if old and new:
                    grid = table[:, tokens:].transpose(1, 2).reshape(1, d, old, old)
                    moved = _interpolated(grid, (new, new)).flatten(2).transpose(1, 2)
                    return torch.cat([table[:, :tokens], moved], dim=1)
        case (n, h), (count, heads) if h == heads:  # relative positions along both axes, as Swin has
            old, new = _side(n), _side(count)
            if old % 2 and new % 2:
                grid = table.transpose(0, 1).reshape(1, h, old, old)
                return _interpolated(grid, (new, new)).reshape(h, -1).transpose(0, 1).contiguous()
    return None


def _side(count: int) -> int:
    """The side of a square of so many places; 0 when they are none."""
    side = isqrt(max(count, 0))
    return side if side * side == count else 0


def _interpolated(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """[1, C, H, W] -> [1, C, *size], bicubic, smoothed where it shrinks, in single precision at least."""
    precise = grid if grid.element_size() >= 4 else grid.float()
    return functional.interpolate(precise, size, mode="bicubic", antialias=True).to(grid.dtype)
