"""Operators that pool, resample and unfold images, as ops."""

from __future__ import annotations

from typing import Any

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.importing.drafting import Draft, converts
from archspec.importing.images import as_channels, as_image, each, same_or
from archspec.importing.nodes import even
from archspec.importing.values import Value
from archspec.ops.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from archspec.ops.resample import Fold, PixelShuffle, PixelUnshuffle, Unfold, Upsample


@converts("aten.max_pool1d", "aten.max_pool2d", "aten.max_pool3d", "aten.max_pool2d_with_indices")
def _(
    draft: Draft, node: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
    ceil: bool = False,
) -> Any:  # fmt: skip
    value, back = as_channels(draft, draft.value(x))
    axes = value.type.rank - 1
    stride = stride or kernel
    pad = same_or(padding, kernel, stride, dilation, axes)
    said = _strides(kernel, stride, axes)
    op = MaxPool(
        kernel=even(kernel, axes),
        **said,
        padding=pad,
        ceil=_rounds_up(value, kernel, stride, padding, dilation, ceil),
        dilation=even(dilation, axes),
    )
    return back(draft.emit(op, value))


@converts("aten.avg_pool1d", "aten.avg_pool2d", "aten.avg_pool3d")
def _(
    draft: Draft, node: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False,
    count: bool = True, divisor: int | None = None,
) -> Any:  # fmt: skip
    value, back = as_channels(draft, draft.value(x))
    if divisor is not None:
        raise Mistake("`divisor_override` has no form in a spec", codes.NOT_IMPORTED)
    axes = value.type.rank - 1
    stride = stride or kernel
    pad = same_or(padding, kernel, stride, 1, axes)
    said = _strides(kernel, stride, axes)
    ceil = _rounds_up(value, kernel, stride, padding, 1, ceil)
    counts = count or not any((padding,) if isinstance(padding, int) else padding)
    op = AvgPool(
        kernel=even(kernel, axes),
        **said,
        padding=pad,
        ceil=ceil,
        count_include_pad=counts if not ceil else count,
    )
    return back(draft.emit(op, value))


def _strides(kernel: Any, stride: Any, axes: int) -> dict[str, Any]:
    return {} if even(stride, axes) == even(kernel, axes) else {"stride": even(stride, axes)}


def _rounds_up(x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> bool:
    """Whether rounding up, which a layer asks for, makes a difference at these sizes."""
    if not ceil:
        return False
    axes = x.type.rank - 1
    every = [each(v, axes) for v in (kernel, stride, padding, dilation)]
    return any(
        (size + 2 * p - d * (k - 1) - 1) % s
        for size, k, s, p, d in zip(x.type.shape[1:], *every, strict=True)
    )


@converts("aten.adaptive_avg_pool1d", "aten.adaptive_avg_pool2d", "aten.adaptive_avg_pool3d")
def _(draft: Draft, node: Any, x: Any, size: Any) -> Any:
    value, back = as_channels(draft, draft.value(x))
    if set(size) == {1}:
        return back(draft.emit(GlobalAvgPool(keep=True), value))
    if tuple(size) == value.type.shape[1:]:
        return back(value)
    return back(draft.emit(AdaptiveAvgPool(size=even(size, len(size))), value))


@converts("aten.adaptive_max_pool1d", "aten.adaptive_max_pool2d", "aten.adaptive_max_pool3d")
def _(draft: Draft, node: Any, x: Any, size: Any) -> Any:
    value, back = as_channels(draft, draft.value(x))
    op = GlobalMaxPool(keep=True) if set(size) == {1} else AdaptiveMaxPool(size=even(size, len(size)))
    return [back(draft.emit(op, value)), None]


@converts("aten.upsample_nearest1d", "aten.upsample_nearest2d", "aten.upsample_nearest3d")
def _(draft: Draft, node: Any, x: Any, size: Any = None, scales: Any = None) -> Any:
    return _resized(draft, node, x, mode="nearest")


@converts(
    "aten.upsample_bilinear2d",
    "aten.upsample_bicubic2d",
    "aten.upsample_linear1d",
    "aten.upsample_trilinear3d",
    "aten._upsample_bilinear2d_aa",
    "aten._upsample_bicubic2d_aa",
)
def _(draft: Draft, node: Any, x: Any, size: Any, align: bool, scales: Any = None) -> Any:
    name = str(node.target)
    mode = (
        "bicubic"
        if "bicubic" in name
        else "trilinear"
        if "trilinear" in name
        else "bilinear"
        if "bilinear" in name
        else "linear"
    )
    return _resized(draft, node, x, mode=mode, align_corners=align, antialias="_aa" in name)


def _resized(draft: Draft, node: Any, x: Any, **arguments: Any) -> Any:
    value, back = as_image(draft, draft.value(x))
    said = {name: given for name, given in arguments.items() if given or name == "mode"}
    made, given = node.meta["val"].shape[2:], value.type.shape[1:]
    if tuple(made) == tuple(given):
        return back(value)
    if draft.free and (like := draft.latest(tuple(made))) is not None:
        return back(draft.emit(Upsample(**said), value, options={"like": like}))
    scales = {m / g for m, g in zip(made, given, strict=True)}
    if len(scales) == 1 and (scale := scales.pop()).is_integer():
        return back(draft.emit(Upsample(scale=int(scale), **said), value))
    return back(draft.emit(Upsample(size=even(made, len(made)), **said), value))


@converts("aten.pixel_shuffle")
def _(draft: Draft, node: Any, x: Any, factor: int) -> Any:
    return draft.emit(PixelShuffle(factor=factor), draft.value(x))


@converts("aten.pixel_unshuffle")
def _(draft: Draft, node: Any, x: Any, factor: int) -> Any:
    return draft.emit(PixelUnshuffle(factor=factor), draft.value(x))


@converts("aten.im2col")
def _(draft: Draft, node: Any, x: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    value, back = as_image(draft, draft.value(x))
    op = Unfold(
        kernel=even(kernel, 2), stride=even(stride, 2), padding=even(padding, 2), dilation=even(dilation, 2)
    )
    return back(draft.emit(op, value))


@converts("aten.col2im")
def _(
    draft: Draft, node: Any, x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any
) -> Any:
    op = Fold(
        output_size=even(size, 2), kernel=even(kernel, 2), stride=even(stride, 2), padding=even(padding, 2),
        dilation=even(dilation, 2),
    )  # fmt: skip
    return draft.emit(op, draft.value(x))
