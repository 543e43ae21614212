"""Large constants as steps: tables that follow from few numbers are made of these."""

from __future__ import annotations

import torch
from torch import Tensor

from archspec.importing.constants import (
    SMALL,
    Waves,
    bordered,
    distances,
    is_writable,
    regions,
    repeated,
    squared,
    waves,
)
from archspec.importing.drafting import Draft
from archspec.importing.values import Layout, Value, whole
from archspec.ops.arithmetic import Add, Mul
from archspec.ops.comparison import Equal, Where
from archspec.ops.functions import Cos, Sin
from archspec.ops.joining import Concat, Stack
from archspec.ops.placing import Expand
from archspec.ops.rearrange import Rearrange
from archspec.ops.reshape import Reshape


def table(draft: Draft, key: str, tensor: Tensor) -> Value | None:
    """A constant of that key as steps; None if no rule for it is known."""
    made = _of_rule(draft, key, tensor)
    if made is not None:
        made.layout = Layout(whole(made.type), None)
    return made


def _of_rule(draft: Draft, key: str, tensor: Tensor) -> Value | None:
    if (once := repeated(tensor)) is not None:
        found = _of_rule(draft, key, once) if once.numel() > SMALL else None
        given = _in_one_line(draft, key, once) if found is None else found
        return draft.emit(Expand(shape=tuple(tensor.shape)), given)  # type: ignore[no-any-return]
    if tensor.dim() > 2 and tensor.shape[0] == 1:
        inner = _of_rule(draft, key, tensor[0])
        return None if inner is None else draft.emit(Reshape(shape=tuple(tensor.shape)), inner)
    if tensor.dim() in (2, 3) and 2 <= tensor.shape[-1] <= MOST_CHANNELS:
        channels = [(f"{key}{i + 1}", channel) for i, channel in enumerate(tensor.unbind(-1))]
        if all(_follows(channel) for _, channel in channels):
            parts = [
                _of_rule(draft, name, channel) or draft.held(_label(name), channel)
                for name, channel in channels
            ]
            return draft.emit(Stack(axis=tensor.dim() - 1), *parts)  # type: ignore[no-any-return]
    if (mask := regions(tensor)) is not None:
        return _mask(draft, *mask)
    if (borders := bordered(tensor)) is not None:
        return _bordered(draft, tensor, borders)
    if (parts_ := distances(tensor)) is not None:
        return _distances(draft, *parts_)
    if (square := squared(tensor)) is not None:
        held = _of_rule(draft, key, square) or draft.held(_label(key), square)
        return draft.emit(Reshape(shape=tuple(tensor.shape)), held)  # type: ignore[no-any-return]
    if (turning := waves(tensor)) is not None:
        return _waves(draft, *turning, tensor.dtype)
    return None


MOST_CHANNELS = 4


def _follows(channel: Tensor) -> bool:
    """Whether one of several tables follows a rule."""
    if channel.dim() > 1 and repeated(channel) is not None:
        return True
    square = squared(channel) if channel.dim() == 1 else channel
    return square is not None and (is_writable(square) or distances(square) is not None)


def _in_one_line(draft: Draft, key: str, tensor: Tensor) -> Value:
    """A table whose values stand along one axis as a list of them."""
    if tensor.dim() < 2 or max(tensor.shape) < tensor.numel():
        return draft.held(_label(key), tensor)
    return draft.emit(Reshape(shape=tuple(tensor.shape)), draft.held(_label(key), tensor.flatten()))  # type: ignore[no-any-return]


def _label(key: str) -> str:
    """What a constant is called: as the module does, if it has a name."""
    return "table" if key.startswith("=") else key.rpartition(".")[2]


def _mask(draft: Draft, map_: Tensor, window: tuple[int, int], values: tuple[float, float]) -> Value:
    """A mask of attention in windows, made of the regions of a map."""
    value = draft.held("regions", map_)
    sizes = (("p", window[0]), ("q", window[1]))
    one = draft.emit(Rearrange(pattern="(h p) (w q) -> (h w) (p q) 1", sizes=sizes), value)
    other = draft.emit(Rearrange(pattern="(h p) (w q) -> (h w) 1 (p q)", sizes=sizes), value)
    made: Value = draft.emit(Where(then=values[0], other=values[1]), draft.emit(Equal(), one, other))
    return made


def _distances(draft: Draft, down: Tensor, across: Tensor) -> Value:
    """A table of sums of what two places of grids are apart, down and across."""
    h, v = down.shape
    w, u = across.shape
    pattern = "h w p q -> (h w) (p q)"
    if not bool(down.any()):
        alone, pattern, sizes = across, "w q -> (h w) (p q)", (("h", h), ("p", v))
    elif not bool(across.any()):
        alone, pattern, sizes = down, "h p -> (h w) (p q)", (("w", w), ("q", u))
    else:
        rows = draft.emit(Reshape(shape=(h, 1, v, 1)), draft.held("down", down))
        columns = draft.emit(Reshape(shape=(w, 1, u)), draft.held("across", across))
        return draft.emit(Rearrange(pattern=pattern), draft.emit(Add(), rows, columns))  # type: ignore[no-any-return]
    held = draft.held("across" if alone is across else "down", alone)
    return draft.emit(Rearrange(pattern=pattern, sizes=sizes), held)  # type: ignore[no-any-return]


def _bordered(draft: Draft, tensor: Tensor, borders: tuple[int, int, int]) -> Value:
    """A table of relative positions with a first row and a first column of other numbers, as a class token has."""
    n = tensor.shape[0] - 1
    corner, top, left = borders
    inner = draft.held("between_places", tensor[1:, 1:])
    column = draft.held("to_first", torch.full((n, 1), left, dtype=tensor.dtype))
    first = torch.cat([torch.full((1, 1), corner), torch.full((1, n), top)], 1).to(tensor.dtype)
    row = draft.held("from_first", first)
    made: Value = draft.emit(Concat(axis=0), row, draft.emit(Concat(axis=1), column, inner))
    return made


def _waves(draft: Draft, grid: tuple[int, int], groups: list[Waves], dtype: torch.dtype) -> Value:
    """A table of sines and cosines over the places of a grid."""
    made: dict[Waves, Value] = {}
    for group in groups:
        if group in made:
            continue
        down, sine, rates = group
        size, times = (grid[0], grid[1]) if down else (grid[1], grid[0])
        places = draft.held(
            "places" if grid[0] == grid[1] else "rows" if down else "columns",
            torch.arange(size, dtype=dtype).reshape(size, 1),
        )
        wave = draft.emit(Mul(), places, draft.held("rates", torch.tensor(rates, dtype=dtype)))
        wave = draft.emit(Sin() if sine else Cos(), wave)
        if times > 1:
            pattern = "h c -> (h w) c" if down else "w c -> (h w) c"
            wave = draft.emit(Rearrange(pattern=pattern, sizes=(("w" if down else "h", times),)), wave)
        made[group] = wave
    parts = [made[group] for group in groups]
    return draft.emit(Concat(axis=1), *parts) if len(parts) > 1 else parts[0]
