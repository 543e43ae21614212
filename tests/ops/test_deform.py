"""DeformConv agrees with its definition, read off the papers as plain loops."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import floor, prod
from typing import Any

import pytest
import torch
from torch import Tensor

from archspec.ground.tensor import TensorType
from archspec.op.window import Windows, per_axis
from archspec.ops.deform import DeformConv

CASES: dict[str, dict[str, Any]] = {
    "plain": {"channels": 3, "out": 2},
    "groups": {"channels": 4, "out": 6, "groups": 2},
    "offset_groups": {"channels": 4, "out": 3, "offset_groups": 2},
    "groups_across_offset_groups": {"channels": 12, "out": 4, "groups": 2, "offset_groups": 3},
    "stride": {"channels": 2, "out": 3, "stride": (2, 1)},
    "dilation": {"channels": 2, "out": 3, "dilation": (1, 2), "padding": (0, 3)},
    "rectangular": {"channels": 2, "out": 3, "kernel": (1, 4), "padding": (1, 2), "bias": False},
    "unequal": {"channels": 2, "out": 3, "padding": ((1, 0), (0, 2))},
    "tf_same": {"channels": 2, "out": 3, "stride": 2, "padding": "tf_same"},
    "all": {
        "channels": 4,
        "out": 2,
        "kernel": (2, 3),
        "stride": (1, 2),
        "padding": 1,
        "dilation": 2,
        "groups": 2,
        "offset_groups": 4,
    },
}


BEFORE = {((1, 0), (0, 2)): (1, 0), "tf_same": (1, 0)}  # of 5 x 6 and windows of 3, 2 are missing and 1


def by_loops(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    op: DeformConv,
    padding: tuple[int, int],
) -> Tensor:
    """Sum every tap of every window, one number at a time."""
    (samples, channels, *_), (out, per_group, rows, columns) = x.shape, weight.shape
    stride, dilation = per_axis(op.stride, 2, "stride"), per_axis(op.dilation, 2, "dilation")
    result = torch.zeros(samples, out, *offset.shape[2:], dtype=x.dtype)
    for n, o, i, j in product(*map(range, result.shape)):
        total = 0.0 if bias is None else float(bias[o])
        for c, r, s in product(range(per_group), range(rows), range(columns)):
            channel = c + o // (out // op.groups) * per_group
            tap = channel // (channels // op.offset_groups) * rows * columns + r * columns + s
            y = i * stride[0] - padding[0] + r * dilation[0] + float(offset[n, 2 * tap, i, j])
            z = j * stride[1] - padding[1] + s * dilation[1] + float(offset[n, 2 * tap + 1, i, j])
            weighed = 1.0 if mask is None else float(mask[n, tap, i, j])
            total += float(weight[o, c, r, s]) * weighed * between(x[n, channel], y, z)
        result[n, o, i, j] = total
    return result


def between(image: Tensor, y: float, x: float) -> float:
    """The bilinear mean of the four pixels around a point, of which those outside the image are 0."""
    total = 0.0
    for row in (floor(y), floor(y) + 1):
        for column in (floor(x), floor(x) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * float(image[row, column])
    return total


def layer(
    channels: int, masked: bool, dtype: torch.dtype, **arguments: Any
) -> tuple[DeformConv, torch.nn.Module, list[Tensor]]:
    """A DeformConv with random weights, and random inputs whose offsets reach out of the image."""
    torch.manual_seed(0)
    op = DeformConv(**arguments)
    height, width = 5, 6
    windows = Windows.of(2, op.kernel, op.stride, op.padding, op.dilation)
    places = windows.places((height, width))
    taps = op.offset_groups * prod(per_axis(op.kernel, 2, "kernel"))
    inputs = [
        torch.randn(2, channels, height, width, dtype=dtype),
        2 * torch.randn(2, 2 * taps, *places, dtype=dtype),
    ]
    if masked:
        inputs.append(torch.rand(2, taps, *places, dtype=dtype))
    types = [TensorType(tuple(tensor.shape[1:])) for tensor in inputs]
    options = {"mask": types[2]} if masked else {}
    module = op.lower(*types[:2], **options).to_empty(device="cpu").to(dtype).requires_grad_(False)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return op, module, inputs


@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_loops(case: dict[str, Any], masked: bool) -> None:
    op, module, inputs = layer(masked=masked, dtype=torch.float32, **case)
    x, offset, mask = (*inputs, None)[:3]
    got = module(x, offset, **({"mask": mask} if masked else {}))
    before = BEFORE.get(op.padding, module.padding)
    wanted = by_loops(x, offset, mask, module.weight, module.bias, op, before)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradients(case: dict[str, Any], masked: bool) -> None:
    _, module, inputs = layer(masked=masked, dtype=torch.float64, **case)
    names = [name for name, _ in module.named_parameters()]

    def call(x: Tensor, offset: Tensor, *others: Tensor) -> Tensor:
        mask, weights = (others[0], others[1:]) if masked else (None, others)
        called = partial(torch.func.functional_call, module, dict(zip(names, weights, strict=True)))
        return called((x, offset), {"mask": mask})

    leaves = [tensor.detach().clone().requires_grad_() for tensor in (*inputs, *module.parameters())]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)


def test_without_offset_it_is_a_convolution() -> None:
    _, module, (x, offset) = layer(masked=False, dtype=torch.float64, channels=4, out=6, groups=2, stride=2)
    wanted = torch.nn.functional.conv2d(x, module.weight, module.bias, stride=2, padding=1, groups=2)
    torch.testing.assert_close(module(x, torch.zeros_like(offset)), wanted)


@pytest.mark.slow
def test_compiles_with_any_batch() -> None:
    _, module, inputs = layer(masked=True, dtype=torch.float32, channels=4, out=6, offset_groups=2)
    x, offset, mask = inputs
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (2, 3):
        x, offset, mask = (tensor[:1].expand(count, -1, -1, -1).contiguous() for tensor in inputs)
        torch.testing.assert_close(compiled(x, offset, mask=mask), module(x, offset, mask=mask))
