"""Windows against PyTorch, for all small ones: how many places they take, and which it refuses as well."""

from collections.abc import Iterator
from itertools import product
from math import ceil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from archspec.ground.errors import Mistake
from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.ops.padding import Pad

SIZES, KERNELS, STRIDES = range(1, 8), range(1, 5), range(1, 5)
POOLS: dict[str, list[Any]] = {
    "MaxPool": [functional.max_pool1d, functional.max_pool2d, functional.max_pool3d],
    "AvgPool": [functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d],
}
CONVS: dict[str, list[Any]] = {
    "Conv": [functional.conv1d, functional.conv2d, functional.conv3d],
    "ConvTranspose": [functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d],
}


def inferred(op: Op, shape: tuple[int, ...]) -> tuple[Any, ...] | None:
    """The shape that an op says, or None where it refuses."""
    try:
        return op.infer(TensorType(shape)).shape  # type: ignore[union-attr]
    except Mistake:
        return None


def given_by(function: Any, *arguments: Any, **settings: Any) -> tuple[int, ...] | None:
    """The shape that PyTorch gives, without the batch; None where it refuses, or nothing is left."""
    try:
        shape = tuple(function(*arguments, **settings).shape[1:])
    except (RuntimeError, ValueError):
        return None
    return None if 0 in shape else shape


def windows() -> Iterator[tuple[int, int, int, int, int]]:
    yield from product(SIZES, KERNELS, STRIDES, range(4), (1, 2, 3))


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("name", POOLS)
def test_pools_take_the_places_of_pytorchs(name: str, ceil: bool) -> None:
    for size, kernel, stride, padding, dilation in windows():
        settings: dict[str, Any] = {"stride": stride, "padding": padding}
        if name == "MaxPool":
            settings["dilation"] = dilation
        elif dilation > 1:
            continue
        op = Op.find(name).model_validate({"kernel": kernel, "ceil": ceil, **settings})
        theirs = given_by(POOLS[name][0], torch.zeros(2, 3, size), kernel, ceil_mode=ceil, **settings)
        assert inferred(op, (3, size)) == theirs, (op, size)


@pytest.mark.parametrize("name", CONVS)
def test_convolutions_take_the_places_of_pytorchs(name: str) -> None:
    weight = {kernel: torch.zeros(3, 3, kernel) for kernel in KERNELS}
    for size, kernel, stride, padding, dilation in windows():
        for extra in (0, 1) if name == "ConvTranspose" else (0,):
            settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
            settings |= {"output_padding": extra} if extra else {}
            op = Op.find(name).model_validate({"out": 3, "kernel": kernel, **settings})
            theirs = given_by(CONVS[name][0], torch.zeros(2, 3, size), weight[kernel], **settings)
            assert inferred(op, (3, size)) == theirs, (op, size)


def test_unfold_takes_the_places_of_pytorchs() -> None:
    for size, kernel, stride, padding, dilation in windows():
        settings = {"stride": stride, "padding": padding, "dilation": dilation}
        op = Op.find("Unfold").model_validate({"kernel": kernel, **settings})
        theirs = given_by(functional.unfold, torch.zeros(2, 1, size, size), kernel, **settings)
        assert inferred(op, (1, size, size)) == theirs, (op, size)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.data(), st.integers(2, 3), st.sampled_from([*POOLS, *CONVS]), st.booleans())
def test_images_and_volumes_axis_by_axis(data: st.DataObject, axes: int, name: str, ceil: bool) -> None:
    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(least, most)) for _ in range(axes))

    size, kernel = each(1, 6), each(1, 4)
    settings: dict[str, Any] = {"stride": each(1, 3), "padding": each(0, 2)}
    x = torch.zeros(2, 3, *size)
    if name != "AvgPool":
        settings["dilation"] = each(1, 2)
    if name in POOLS:
        op = Op.find(name).model_validate({"kernel": kernel, "ceil": ceil, **settings})
        theirs = given_by(POOLS[name][axes - 1], x, kernel, ceil_mode=ceil, **settings)
    else:
        op = Op.find(name).model_validate({"out": 3, "kernel": kernel, **settings})
        theirs = given_by(CONVS[name][axes - 1], x, torch.zeros(3, 3, *kernel), **settings)
    assert inferred(op, (3, *size)) == theirs


# ------------------------------------------------------------------ TensorFlow's SAME, and unequal ends


def missing(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """What SAME adds before and after, by TensorFlow's documentation."""
    added = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return added // 2, added - added // 2


def inside(
    row: list[float], kernel: int, stride: int, dilation: int, before: int, places: int
) -> list[list[float]]:
    """The values that each window covers, without padding."""
    at = [[i * stride - before + tap * dilation for tap in range(kernel)] for i in range(places)]
    return [[row[position] for position in window if 0 <= position < len(row)] for window in at]


@pytest.mark.parametrize("name", ["Conv", "WSConv"])
def test_convolutions_pad_as_tensorflow_at_any_size(name: str) -> None:
    torch.manual_seed(0)
    for kernel, stride, dilation in product(KERNELS, STRIDES, (1, 2)):
        settings: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
        op = Op.find(name).model_validate({"out": 2, "padding": "tf_same", **settings})
        module: Any = op.lower(TensorType((3, 5))).to_empty(device="cpu").requires_grad_(False)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
        weight = module.standardised(module.weight) if name == "WSConv" else module.weight
        for size in SIZES:
            x = torch.randn(2, 3, size)
            around = functional.pad(x, missing(size, kernel, stride, dilation))
            wanted = functional.conv1d(around, weight, module.bias, stride, dilation=dilation)
            torch.testing.assert_close(module(x), wanted)
            assert inferred(op, (3, size)) == tuple(wanted.shape[1:]) == (2, ceil(size / stride))


def test_pools_pad_as_tensorflow_at_any_size() -> None:
    """TensorFlow leaves padding out of maxima and of means."""
    for kernel, stride in product(KERNELS, STRIDES):
        arguments: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": "tf_same"}
        largest = Op.find("MaxPool").model_validate(arguments).lower(TensorType((1, 5)))
        mean = Op.find("AvgPool").model_validate(arguments | {"count_include_pad": False})
        for size in SIZES:
            x = -1 - torch.rand(1, 1, size)
            before, _ = missing(size, kernel, stride, 1)
            windows = inside(x.flatten().tolist(), kernel, stride, 1, before, ceil(size / stride))
            assert largest(x).flatten().tolist() == [max(window) for window in windows]
            means = mean.lower(TensorType((1, 5)))(x).flatten()
            torch.testing.assert_close(means, torch.tensor([sum(window) / len(window) for window in windows]))


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.data(), st.integers(1, 3), st.sampled_from(["Conv", "MaxPool", "AvgPool"]))
def test_ends_may_be_padded_differently(data: st.DataObject, axes: int, name: str) -> None:
    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(least, most)) for _ in range(axes))

    size, kernel, stride, before, after = each(1, 6), each(1, 4), each(1, 3), each(0, 2), each(0, 2)
    settings: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": tuple(zip(before, after, strict=True)),
    }
    if name == "Conv":
        settings |= {"out": 2, "dilation": each(1, 2), "bias": False}
    op = Op.find(name).model_validate(settings)
    x = torch.rand(2, 3, *size)
    fill = float("-inf") if name == "MaxPool" else 0.0
    around = functional.pad(x, [side for pair in reversed(settings["padding"]) for side in pair], value=fill)
    if inferred(op, (3, *size)) is None:
        fits = all(n + b + a >= k for n, b, a, k in zip(size, before, after, kernel, strict=True))
        halves = all(2 * max(pair) <= k for pair, k in zip(settings["padding"], kernel, strict=True))
        assert name == "Conv" or not (fits and halves)
        return
    module: Any = op.lower(TensorType((3, *size)))
    if name == "Conv":
        weight = torch.randn(2, 3, *kernel)
        module = module.to_empty(device="cpu").requires_grad_(False)
        module.weight.copy_(weight)
        wanted = CONVS["Conv"][axes - 1](around, weight, None, stride, dilation=settings["dilation"])
    else:
        wanted = POOLS[name][axes - 1](around, kernel, stride)
    torch.testing.assert_close(module(x), wanted)
    assert inferred(op, (3, *size)) == tuple(wanted.shape[1:])


# ------------------------------------------------------------------ what is added and cut off


def padded(size: int, before: int, after: int, mode: str) -> list[int] | None:
    """The numbers 1, 2 ... of an axis, cropped, then padded by the rule of a mode; None where there is too little."""
    left = list(range(1, size + 1))[max(-before, 0) : size - max(-after, 0)]
    if size + min(before, 0) + min(after, 0) < 0 or size + before + after < 1:
        return None
    before, after = max(before, 0), max(after, 0)
    if mode == "constant":
        return [0] * before + left + [0] * after
    if max(before, after) > len(left):
        return None
    return left[len(left) - before :] + left + left[:after]


@pytest.mark.parametrize("mode", ["constant", "circular"])
def test_pads_crop_first(mode: Any) -> None:
    for size, before, after in product(range(1, 5), range(-4, 6), range(-4, 6)):
        pad = Pad(amounts=((before, after),), mode=mode)
        wanted = padded(size, before, after, mode)
        assert inferred(pad, (1, size)) == (None if wanted is None else (1, len(wanted))), (pad, size)
        if wanted is not None:
            for batch in (1, 2):
                x = torch.arange(1.0, size + 1).expand(batch, 1, size).contiguous()
                assert pad.lower(TensorType((1, size)))(x).tolist() == [[wanted]] * batch, (pad, size)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_pads_are_pytorchs_where_something_is_left(mode: Any) -> None:
    for size, before, after in product(range(1, 5), range(-4, 6), range(-4, 6)):
        if size + min(before, 0) + min(after, 0) < 0:
            continue
        pad = Pad(amounts=((before, after),), mode=mode)
        theirs = given_by(functional.pad, torch.zeros(2, 1, size), (before, after), mode)
        assert inferred(pad, (1, size)) == theirs, (pad, size)
