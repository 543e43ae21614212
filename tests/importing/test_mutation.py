"""Modules that write into tensors and into views of them: what is read afterwards is what PyTorch reads."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

import archspec


class Random(nn.Module):
    """Takes views of a map, of views, and writes into some: what is done is drawn from a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        draw = random.Random(self.seed)
        y = self.layer(x)
        first = 1  # axis behind the batch
        if draw.random() < 0.4:
            y = torch.zeros_like(y)
        elif draw.random() < 0.3:
            y, first = torch.zeros(4, 6), 0
        known, read = [y], [y]
        for step in range(draw.randint(3, 8)):
            given = draw.choice(known)
            axis = draw.randrange(first, given.dim()) if given.dim() > first else -1
            kind = draw.randrange(9) if axis >= 0 else 0
            if kind < 3:
                self._write(draw, given, first, step)
            elif kind == 3:
                known.append(given.select(axis, draw.randrange(given.shape[axis])))
            elif kind == 4:
                known.append(given.narrow(axis, 0, 1))
            elif kind == 5:
                known.append(given[..., given.shape[-1] // 2 :])
            elif kind == 6 and given.shape[-1] % 2 == 0:
                known.append(given[..., draw.randrange(2) :: 2])
            elif kind == 7 and given.dim() > first + 1:
                known.append(given.transpose(-1, -2))
            else:
                known += given.chunk(2, axis) if draw.random() < 0.5 else given.unbind(axis)
            if draw.random() < 0.4:
                read.append(draw.choice(known) * 2)
        total = self.layer(x).sum((1, 2))
        for tensor in (*read, *known):
            total = total + (tensor.sum([*range(first, tensor.dim())]) if tensor.dim() > first else tensor)
        return total

    @staticmethod
    def _write(draw: random.Random, given: Tensor, first: int, step: int) -> None:
        how = draw.randrange(4)
        if how == 0:
            given.mul_(0.5 + step)
        elif how == 1:
            given.add_(1.5)
        elif how == 2:
            given.copy_(given.flip(-1) - 1 if given.dim() > first else given - 1)
        else:
            given.relu_()


@pytest.mark.parametrize("seed", range(60))
def test_what_is_written_into_views_is_read_everywhere(seed: int) -> None:
    module, x = Random(seed), torch.randn(1, 4, 6)
    try:
        module(x)
    except RuntimeError as error:  # PyTorch allows no writing into some views where gradients are wanted
        assert "view" in str(error)
        return
    text = archspec.spec_of(module, x)
    compared = archspec.compare_module(text, module, x)
    assert compared.equal, (compared, text)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.count[:1] += 1
        return x + self.count


def test_a_module_that_changes_its_own_tensors_is_told() -> None:
    with pytest.raises(archspec.SpecError, match="changes `count` of the module while it runs"):
        archspec.spec_of(Counting(), torch.zeros(1, 3))
