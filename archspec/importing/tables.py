"""Large constants as steps: tables that follow from few numbers are made of these."""

from __future__ import annotations

import torch
from torch import Tensor

from archspec.importing.constants import Waves, bordered, distances, regions, squared, waves
from archspec.importing.drafting import Draft
from archspec.importing.values import Layout, Value, whole
from archspec.ops.arithmetic import Add, Mul
from archspec.ops.comparison import Equal, Where
from archspec.ops.functions import Cos, Sin
from archspec.ops.joining import Concat
from archspec.ops.rearrange import Rearrange
from archspec.ops.reshape import Reshape


def table(draft: Draft, key: str, tensor: Tensor) -> Value | None:
    """A constant of that key as steps; None if no rule for it is known."""
    made: Value | None = None
    if (mask := regions(tensor)) is not None:
        made = _mask(draft, key, *mask)
    elif (borders := bordered(tensor)) is not None:
        made = _bordered(draft, key, tensor, borders)
    elif (parts := distances(tensor)) is not None:
        made = _distances(draft, key, *parts)
    elif (square := squared(tensor)) is not None:
        made = draft.emit(Reshape(shape=tuple(tensor.shape)), draft.held(key, key.rpartition(".")[2], square))
    elif (found := waves(tensor)) is not None:
        made = _waves(draft, key, *found, tensor.dtype)
    if made is not None:
        made.layout = Layout(whole(made.type), None)
    return made


def _mask(
    draft: Draft, key: str, map_: Tensor, window: tuple[int, int], values: tuple[float, float]
) -> Value:
    """A mask of attention in windows, made of the regions of a map."""
    value = draft.held(key, "regions", map_)
    sizes = (("p", window[0]), ("q", window[1]))
    one = draft.emit(Rearrange(pattern="(h p) (w q) -> (h w) (p q) 1", sizes=sizes), value)
    other = draft.emit(Rearrange(pattern="(h p) (w q) -> (h w) 1 (p q)", sizes=sizes), value)
    made: Value = draft.emit(Where(then=values[0], other=values[1]), draft.emit(Equal(), one, other))
    return made


def _distances(draft: Draft, key: str, down: Tensor, across: Tensor) -> Value:
    """A table of sums of what two places of grids are apart, down and across."""
    h, v = down.shape
    w, u = across.shape
    rows = draft.emit(Reshape(shape=(h, 1, v, 1)), draft.held(key, "down", down))
    columns = draft.emit(Reshape(shape=(w, 1, u)), draft.held(key, "across", across))
    made: Value = draft.emit(Rearrange(pattern="h w p q -> (h w) (p q)"), draft.emit(Add(), rows, columns))
    return made


def _bordered(draft: Draft, key: str, tensor: Tensor, borders: tuple[int, int, int]) -> Value:
    """A table of relative positions with a first row and a first column of other numbers, as a class token has."""
    n = tensor.shape[0] - 1
    corner, top, left = borders
    inner = draft.held(key, "between_places", tensor[1:, 1:])
    column = draft.held(key, "to_first", torch.full((n, 1), left, dtype=tensor.dtype))
    first = torch.cat([torch.full((1, 1), corner), torch.full((1, n), top)], 1).to(tensor.dtype)
    row = draft.held(key, "from_first", first)
    made: Value = draft.emit(Concat(axis=0), row, draft.emit(Concat(axis=1), column, inner))
    return made


def _waves(draft: Draft, key: str, grid: tuple[int, int], groups: list[Waves], dtype: torch.dtype) -> Value:
    """A table of sines and cosines over the places of a grid."""
    parts = []
    for down, sine, rates in groups:
        size, times = (grid[0], grid[1]) if down else (grid[1], grid[0])
        same = next(j for j, group in enumerate(groups) if group.rates == rates)
        places = draft.held(
            key, "rows" if down else "columns", torch.arange(size, dtype=dtype).reshape(size, 1)
        )
        rate = draft.held(key, f"rates{same + 1 if same else ''}", torch.tensor(rates, dtype=dtype))
        wave = draft.emit(Sin() if sine else Cos(), draft.emit(Mul(), places, rate))
        if times > 1:
            pattern = "h c -> (h w) c" if down else "w c -> (h w) c"
            wave = draft.emit(Rearrange(pattern=pattern, sizes=(("w" if down else "h", times),)), wave)
        parts.append(wave)
    made: Value = draft.emit(Concat(axis=1), *parts) if len(parts) > 1 else parts[0]
    return made
