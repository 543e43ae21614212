"""Constants written as the rule they follow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.terms import Runs, Said, Sums, Term, Text, number, shown

MOST_VALUES = 20_000
SMALL = 256
FEW = 16


def is_writable(tensor: Tensor) -> bool:
    """Whether `written_constant` can write a tensor, in few words or at most so many values."""
    return tensor.numel() <= SMALL or bool((tensor == tensor.flatten()[0]).all()) or _sums(tensor) is not None


def has_values_to_say(tensor: Tensor) -> bool:
    """Whether a buffer starts by values that can be written: a mask, a table of places."""
    if tensor.is_meta or not tensor.numel() or not bool(tensor.isfinite().all()):
        return False
    return is_writable(tensor)


def is_table(tensor: Tensor) -> bool:
    """Whether a constant has so many values that it is rather made of others by a rule."""
    return tensor.numel() > SMALL or (
        tensor.numel() >= FEW and tensor.dim() > 2 and repeated(tensor) is not None
    )


def written_constant(tensor: Tensor) -> Term:
    """A tensor as a spec writes it: a rule, or its values. Mistake if it is too large for either."""
    if tensor.numel() == 0:
        raise Mistake("a constant without values", codes.NOT_IMPORTED)
    first = tensor.flatten()[0]
    if bool((tensor == first).all()):
        return Text(_number(first))
    rule = _sums(tensor)
    if rule is not None:
        return rule
    apart = _apart(tensor)
    if apart is not None:
        return apart
    if tensor.dim() == 1 and tensor.is_floating_point() and (powers := _powers(tensor)) is not None:
        return powers
    if (
        tensor.dim() == 1
        and not tensor.is_floating_point()
        and len(runs := _runs([int(v) for v in tensor])) <= 6
    ):
        return Runs(tuple(runs))
    if (
        tensor.dim() == 2
        and tensor.shape[0] == 1
        and not tensor.is_floating_point()
        and len(runs := _runs([int(v) for v in tensor[0]])) <= 6 < tensor.numel()
    ):
        return Sums((Runs(((0, 1),)), Runs(tuple(runs))))
    if tensor.numel() > MOST_VALUES:
        raise Mistake(
            f"a constant of {tensor.numel()} values that follow no rule known here", codes.NOT_IMPORTED
        )
    return Text(_listed(tensor))


def _number(value: Tensor) -> str:
    found = value.item()
    if isinstance(found, float):
        return number(float(str(np.float32(found)))) if value.dtype == torch.float32 else number(found)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _listed(tensor: Tensor) -> str:
    if tensor.dim() == 0:
        return _number(tensor)
    if tensor.dim() == 1:
        return _sequence(tensor)
    return f"[{', '.join(_listed(row) for row in tensor)}]"


def _sequence(tensor: Tensor) -> str:
    """A list of numbers, shorter where these go up by steps or come in runs."""
    if tensor.is_floating_point() or tensor.dtype.is_complex or str(tensor.dtype) == "torch.bool":
        return f"[{', '.join(_number(value) for value in tensor)}]"
    values = [int(value) for value in tensor.tolist()]
    if len(values) > 2:
        step = values[1] - values[0]
        if step and [values[0] + step * i for i in range(len(values))] == values:
            end = values[-1] + (1 if step > 0 else -1)
            if step == 1:
                return f"range({end})" if values[0] == 0 else f"range({values[0]}, {end})"
            return f"range({values[0]}, {end}, {step})"
        rows = _rows(values)
        if rows is not None:
            return shown(rows)
        runs = _runs(values)
        if len(runs) <= 6 and len(values) > 2 * len(runs):
            return " + ".join(f"{count} * [{value}]" if count > 1 else f"[{value}]" for value, count in runs)
    return f"[{', '.join(map(str, values))}]"


def _rows(values: list[int]) -> Said | None:
    """Numbers that are those of a grid, row by row: `[a * y + b * x + c for y in range(h) for x in range(w)]`."""
    width = next((i for i in range(2, len(values)) if values[i] - values[i - 1] != values[1] - values[0]), 0)
    if not width or len(values) % width:
        return None
    across, down = values[1] - values[0], values[width] - values[0]
    height = len(values) // width
    if values != [values[0] + down * y + across * x for y in range(height) for x in range(width)]:
        return None
    parts, factors = [], []
    for factor, name in ((down, "y"), (across, "x")):
        if factor:
            parts.append(
                name
                if factor == 1
                else f"-{name}"
                if factor == -1
                else f"{'-' if factor < 0 else ''}{{}} * {name}"
            )
            factors += [abs(factor)] if abs(factor) != 1 else []
    if values[0] or not parts:
        parts.append("{}")
        factors.append(values[0])
    text = " + ".join(parts).replace("+ -", "- ")
    return Said("[" + text + " for y in range({}) for x in range({})]", (*factors, height, width))


def _sums(tensor: Tensor) -> Term | None:
    """A table whose values are sums of a number for each place along each axis."""
    if not _is_whole(tensor) or tensor.dim() < 2 or tensor.numel() < 16:
        return None
    tensor = tensor.to(torch.int64)
    corner = tensor[(0,) * tensor.dim()]
    lines, total = [], corner.reshape((1,) * tensor.dim())
    for axis in range(tensor.dim()):
        line = tensor[tuple(slice(None) if i == axis else 0 for i in range(tensor.dim()))] - corner
        lines.append(line)
        total = total + line.reshape([-1 if i == axis else 1 for i in range(tensor.dim())])
    if not bool((total == tensor).all()):
        return None
    lines[-1] = lines[-1] + corner
    return Sums(tuple(_terms(line) for line in lines))


def _apart(tensor: Tensor) -> Term | None:
    """A table of how far the places of two lines are apart, times a number: `[[14 * abs(y - x) for x in range(n)] for y in range(n)]`."""
    if not _is_whole(tensor) or tensor.dim() != 2 or min(tensor.shape) < 2:
        return None
    first, factor = int(tensor[0, 0]), int(tensor[0, 1] - tensor[0, 0])
    for stride in (1, 2):
        rows, columns = torch.arange(tensor.shape[0]) * stride, torch.arange(tensor.shape[1])
        apart = rows[:, None] - columns[None]
        row = "y" if stride == 1 else f"{stride} * y"
        for far, said in ((apart.abs(), f"abs({row} - x)"), (apart**2, f"({row} - x) ** 2")):
            if bool((factor * far + first == tensor).all()):
                inner = f"{f'{factor} * ' if factor != 1 else ''}{said}{f' + {first}' if first else ''}"
                text = "[[" + inner + " for x in range({})] for y in range({})]"
                return Said(text, (tensor.shape[1], tensor.shape[0]))
    return None


def _powers(tensor: Tensor) -> Term | None:
    """The powers of a base that rotary embeddings have for rates, from the highest down."""
    found = _base(tensor.tolist())
    if found is None:
        return None
    (base, times), count = found, len(tensor)
    exact = torch.tensor(_powers_of(base, times, count), dtype=torch.float64)
    if not bool(((tensor.double() / exact - 1).abs() < 4e-7).all()):
        return None
    if times == 1:
        return Said("[{} ** (-i / {}) for i in range({})]", (base, count, count))
    return Said("[{} ** (-(i // {}) / {}) for i in range({})]", (base, times, count // times, count))


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor has whole numbers, of whatever type."""
    return tensor.dtype != torch.bool and (
        not tensor.is_floating_point() or bool((tensor == tensor.round()).all() and tensor.isfinite().all())
    )


def distances(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """A table between the places of two grids as the sum of one between their rows and one between their columns, if it is one."""
    if tensor.dim() != 2 or tensor.dtype == torch.bool or _sums(tensor) is not None:
        return None
    whole = _is_whole(tensor)  # sums of others are rounded
    for h, w in _factors(tensor.shape[0]):
        for v, u in _factors(tensor.shape[1]):
            if min(h, w, v, u) < 2:
                continue
            table = tensor.reshape(h, w, v, u)
            for down, across in _parts(table, whole=whole):
                if bool((down[:, None, :, None] + across[None, :, None, :] == table).all()):
                    return down, across
    return None


def _parts(table: Tensor, *, whole: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """What a table between places may be the sum of; other numbers than whole ones depend on rows or columns alone, as sums are rounded."""
    down, across = table[:, 0, :, 0], table[0, :, 0, :]
    if whole:
        yield down, across - table[0, 0, 0, 0]
        return
    yield down, torch.zeros_like(across)
    yield torch.zeros_like(down), across


def repeated(tensor: Tensor) -> Tensor | None:
    """A tensor once along the axes where it says the same again and again; None if it does along none, or is one number."""
    once = tensor
    for axis, size in enumerate(tensor.shape):
        first = once.narrow(axis, 0, 1) if size else once
        if size > 1 and bool((once == first).all()):
            once = first
    return once if 1 < once.numel() < tensor.numel() else None


def squared(tensor: Tensor) -> Tensor | None:
    """A list of numbers as the square table that it is row by row, if that follows a rule; None if not."""
    side = math.isqrt(tensor.numel())
    if tensor.dim() != 1 or side * side != tensor.numel():
        return None
    square = tensor.reshape(side, side)
    return square if _sums(square) is not None or distances(square) is not None else None


def _terms(tensor: Tensor) -> Term:
    """A list of whole numbers, in runs where it has few."""
    runs = _runs([int(value) for value in tensor.tolist()])
    if len(runs) <= 6 and tensor.numel() > 2 * len(runs):
        return Runs(tuple(runs))
    return _rows([int(value) for value in tensor.tolist()]) or Text(_sequence(tensor))


def _runs(values: list[int]) -> list[tuple[int, int]]:
    """Numbers as pairs of one and how often it comes in a row."""
    return [(value, len(list(group))) for value, group in groupby(values)]


def regions(mask: Tensor) -> tuple[Tensor, tuple[int, int], tuple[float, float]] | None:
    """A mask of attention in windows, [windows, n, n], as the regions of a map whose places attend to each other.

    The regions are numbers for each place of the map, [h * p, w * q]; with them come the size of a window, (p, q), and what the mask
    is where places are of one region, and where they are not. None if it is no such mask.
    """
    if mask.dim() != 3 or mask.shape[1] != mask.shape[2] or not mask.is_floating_point():
        return None
    kinds = torch.unique(mask)
    if len(kinds) != 2:
        return None
    inside = mask[0, 0, 0]
    other = kinds[kinds != inside]
    alike = mask == inside
    windows, places = mask.shape[0], mask.shape[1]
    for h, w in _factors(windows):
        for p, q in _factors(places):
            found = _region_map(alike.reshape(h, w, p, q, p, q))
            if found is not None:
                return found, (p, q), (inside.item(), other.item())
    return None


def _factors(count: int) -> list[tuple[int, int]]:
    """The pairs whose product a number is, the most even first."""
    pairs = [(n, count // n) for n in range(1, count + 1) if count % n == 0]
    return sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))


def bordered(tensor: Tensor) -> tuple[int, int, int] | None:
    """What stands in the corner, the first row and the first column of a table whose rest is one of sums; None if it is no such."""
    if (
        tensor.dim() != 2
        or tensor.is_floating_point()
        or min(tensor.shape) < 3
        or tensor.shape[0] != tensor.shape[1]
    ):
        return None
    top, left = tensor[0, 1:], tensor[1:, 0]
    if not bool((top == top[0]).all() and (left == left[0]).all()) or _sums(tensor[1:, 1:]) is None:
        return None
    return int(tensor[0, 0]), int(top[0]), int(left[0])


class Waves(NamedTuple):
    """Neighbouring columns of a table over a grid that are sines, or cosines, of a rate times the number of the row or column."""

    down: bool
    sine: bool
    rates: tuple[float, ...]


def waves(tensor: Tensor) -> tuple[tuple[int, int], list[Waves]] | None:
    """A table of the places of a grid, [h * w, d], as waves along its rows and columns; with the grid. None if it is none."""
    if tensor.dim() != 2 or not tensor.is_floating_point() or tensor.shape[0] < 4:
        return None
    values = tensor.double()
    for h, w in _factors(tensor.shape[0]):
        grid = values.reshape(h, w, -1)
        found: list[tuple[bool, bool, float]] = []
        for column in grid.unbind(-1):
            wave = _wave(column)
            if wave is None:
                break
            found.append(wave)
        else:
            groups = [
                Waves(down, sine, tuple(wave[2] for wave in group))
                for (down, sine), group in groupby(found, key=lambda wave: wave[:2])
            ]
            return (h, w), _sharpened(grid, groups)
    return None


def _sharpened(grid: Tensor, groups: list[Waves]) -> list[Waves]:
    """Waves with the rates of sines where those of cosines, which small ones hardly show in, may be the same, and by a rule if they follow one."""
    made, at = [], 0
    exact = [tuple(_geometric(group.rates) or group.rates) for group in groups if group.sine]
    for group in groups:
        columns = grid[..., at : at + len(group.rates)]
        at += len(group.rates)
        lines = columns[:, 0] if group.down else columns[0]
        places = torch.arange(len(lines), dtype=torch.float64)[:, None]
        for rates in (*exact, tuple(_geometric(group.rates) or group.rates)):
            if len(rates) != len(group.rates):
                continue
            angles = places * torch.tensor(rates, dtype=torch.float64)
            wave = angles.sin() if group.sine else angles.cos()
            if bool((wave - lines).abs().max() < 1e-6 + 2e-7 * len(lines)):
                group = group._replace(rates=rates)
                break
        made.append(group)
    return made


def _geometric(values: Sequence[float]) -> list[float] | None:
    """The numbers base ** (-i / n), each some times, that some are, nearly; None if they are not."""
    found = _base(values)
    return None if found is None else _powers_of(*found, len(values))


def _powers_of(base: int, times: int, count: int) -> list[float]:
    return [base ** (-(i // times) * times / count) for i in range(count)]


def _base(values: Sequence[float]) -> tuple[int, int] | None:
    """The whole number of which values are the powers base ** (-i / n), nearly, and how often each comes."""
    times = (
        next((i for i, value in enumerate(values) if abs(value / values[0] - 1) > 1e-3), 0)
        if values[0]
        else 0
    )
    if not times or len(values) % times or len(values) // times < 4 or abs(values[0] - 1) > 1e-5:
        return None
    ratio = values[times]
    if not 0 < ratio < 1:
        return None
    base = ratio ** (-len(values) / times)
    digits = 10 ** max(0, len(str(int(base))) - 3)
    rounded = round(base / digits) * digits
    if rounded < 2:
        return None
    exact = _powers_of(rounded, times, len(values))
    near = all(abs(a - b) < 1e-3 * b + 3e-4 for a, b in zip(values, exact, strict=True))
    return (rounded, times) if near else None


def _wave(column: Tensor) -> tuple[bool, bool, float] | None:
    """What a column of a table is a wave of: of the rows, or of the columns of its grid, a sine, or a cosine; and its rate."""
    for down in (True, False):
        lines = column if down else column.T
        line = lines[:, 0]
        if len(line) < 2 or not bool((lines == line[:, None]).all()):
            continue
        places = torch.arange(len(line), dtype=torch.float64)
        for sine, rate in ((True, torch.asin(line[1].clamp(-1, 1))), (False, _rate_of_cosine(line))):
            wave = torch.sin(places * rate) if sine else torch.cos(places * rate)
            if bool((wave - line).abs().max() < 2e-6 * len(line)):
                return down, sine, float(np.float32(rate.item()))
    return None


def _rate_of_cosine(line: Tensor) -> Tensor:
    """The rate of a cosine, from the place where it has gone down most of those before it turns: at small angles it hardly shows."""
    falls = (line[1:] <= line[:-1]) & (line[1:] > -0.9)
    steps = len(falls) if bool(falls.all()) else int(falls.int().argmin())
    at = max(steps, 1)
    return torch.acos(line[at].clamp(-1, 1)) / at


def _region_map(alike: Tensor) -> Tensor | None:
    _h, _w, _p, _q = alike.shape[:4]
    rows = _classes(alike[:, :, :, 0, :, 0].all(1))
    columns = _classes(alike[:, :, 0, :, 0, :].all(0))
    count = int(columns.max()) + 1
    made = count * rows[:, None, :, None] + columns[None, :, None, :]
    same = made[:, :, :, :, None, None] == made[:, :, None, None, :, :]
    if not bool((same == alike).all()):
        return None
    return (count * rows.reshape(-1, 1) + columns.reshape(1, -1)).to(torch.int64)


def _classes(alike: Tensor) -> Tensor:
    """Numbers of classes, [groups, n], of which places are alike, [groups, n, n]."""
    made = torch.zeros(alike.shape[:2], dtype=torch.int64)
    for group in range(len(alike)):
        seen: list[int] = []
        for place in range(alike.shape[1]):
            first = int(alike[group, place].int().argmax())
            if first not in seen:
                seen.append(first)
            made[group, place] = seen.index(first)
    return made
