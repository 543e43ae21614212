"""The check at a network's entry: that it is given what its spec declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.fx import Graph as FxGraph
from torch.fx import Node as FxNode
from torch.overrides import handle_torch_function, has_torch_function

from archspec.graph import Graph, Input
from archspec.ground import codes
from archspec.ground.bounds import Assumption, assumed_of, linear, written
from archspec.ground.errors import InputError
from archspec.ground.size import Free
from archspec.ground.tensor import DType, torch_name
from archspec.op.run_time import Source, Terms, terms_of, total

_REAL: tuple[DType, ...] = ("f16", "bf16", "f32", "f64")
_WIDER: dict[DType, tuple[DType, ...]] = {
    "bool": ("bool",),
    "u8": ("u8", "i16", "i32", "i64"),
    "i8": ("i8", "i16", "i32", "i64"),
    "i16": ("i16", "i32", "i64"),
    "i32": ("i32", "i64"),
    "i64": ("i64",),
    **dict.fromkeys(_REAL, _REAL),
}
_TAKEN = {name: [getattr(torch, torch_name(wider)) for wider in taken] for name, taken in _WIDER.items()}


def as_declared(
    x: Tensor,
    *others: Tensor,
    name: str,
    dtype: DType,
    shape: tuple[int | str, ...],
    fixed: tuple[tuple[int, str], ...] = (),
    follows: tuple[tuple[int, Terms], ...] = (),
    steps: tuple[tuple[int, int, int], ...] = (),
    limits: tuple[tuple[int, int], ...] = (),
) -> Tensor:
    """The tensor itself, when it is what the spec declares for the input of that name. Raises InputError when not.

    `shape` is declared, the batch in front of it. `fixed` are the axes in it whose sizes must be as declared, and where
    the spec uses each as a number; any size will do along the others. What `follows` is an axis, the batch counted, whose
    size is a sum of products of sizes of x, which is tensor 0, and of `others`. Weights may be in another precision than
    the spec's, so real numbers may be of any; whole ones may be wider. `steps` are axes whose sizes are a factor times a number from
    1, and an offset, `limits` axes with the largest size.
    """
    given = (x, *others)
    if has_torch_function(given):
        return handle_torch_function(
            as_declared,
            given,
            *given,
            name=name,
            dtype=dtype,
            shape=shape,
            fixed=fixed,
            follows=follows,
            steps=steps,
            limits=limits,
        )
    if not isinstance(x, Tensor):
        raise InputError.of(
            codes.INPUT_TYPE,
            f"`{name}` is a tensor, not of Python's type `{type(x).__name__}`",
            help=f"`torch.as_tensor({name})` makes one of an array, a list or a number",
        )
    sizes = x.shape
    if len(sizes) != len(shape) + 1:
        _refuse_rank(name, shape, sizes)
    for axis, place in fixed:
        if sizes[axis + 1] != shape[axis]:
            _refuse_size(name, shape, axis, place, sizes)
    if x.dtype not in _TAKEN[dtype]:
        _refuse_dtype(name, dtype, x.dtype)
    if not x.numel():
        _require_values(name, sizes)
    for axis, factor, offset in steps:
        if sizes[axis] < factor + offset or (sizes[axis] - offset) % factor:
            _refuse_step(name, shape, axis, factor, offset, sizes)
    for axis, most in limits:
        if sizes[axis] > most:
            _refuse_limit(name, shape, axis, most, sizes)
    for axis, terms in follows:
        wanted = total(terms, given)
        if sizes[axis] != wanted:
            _refuse_relation(name, shape, axis, wanted, sizes)
    return x


def check_inputs(fx: FxGraph, graph: Graph) -> None:
    """Put the check of each input behind the placeholders of an fx graph, which are the inputs in order."""
    placeholders = [node for node in fx.nodes if node.op == "placeholder"]
    # Of each free name, the first tensor with an axis that is a factor times that size and an offset, the axis and both.
    homes: dict[str, tuple[FxNode, int, int, int]] = {}
    last = placeholders[-1]
    for given, node in zip(graph.inputs, placeholders, strict=True):
        others: list[FxNode] = []
        follows: list[tuple[int, Terms]] = []
        steps: list[tuple[int, int, int]] = []
        limits: list[tuple[int, int]] = []

        def numbered(home: FxNode, node: FxNode = node, others: list[FxNode] = others) -> int:
            if home is node:
                return 0
            if home not in others:
                others.append(home)
            return 1 + others.index(home)

        if node is not placeholders[0]:
            follows.append((0, ((1, ((numbered(placeholders[0]), 0, 1, 0),)),)))
        for axis, size in enumerate(given.type.shape, 1):
            if not isinstance(size, Free):
                continue
            declares = linear(size)
            if declares is not None and declares[0] not in homes:
                name, factor, offset = declares
                homes[name] = node, axis, factor, offset
                if (factor, offset) != (1, 0):
                    steps.append((axis, factor, offset))
                if (top := assumed_of(name).top) is not None:
                    limits.append((axis, factor * top + offset))
            elif size.names <= homes.keys():

                def source(name: str, numbered: Callable[[FxNode], int] = numbered) -> Source | None:
                    if name not in homes:
                        return None
                    node, axis, factor, offset = homes[name]
                    return numbered(node), axis, factor, offset

                follows.append((axis, terms_of(size, source)))
        with fx.inserting_after(last):
            check = fx.call_function(
                as_declared, (node, *others), _settings(given, tuple(follows), tuple(steps), tuple(limits))
            )
        node.replace_all_uses_with(check, delete_user_cb=lambda user: not is_check(user))
        check.meta.update(type=given.type, location=given.location)
        place = given.location
        check.stack_trace = f'File "{place.file}", line {place.line}, in the model\n    {given.name}\n'
        last = check


def checked(placeholder: FxNode) -> FxNode:
    """The check of an input, which hands it on; the input itself where it is not checked."""
    return next(
        (user for user in placeholder.users if is_check(user) and user.args[0] is placeholder), placeholder
    )


def is_check(node: FxNode) -> bool:
    """Whether a node is the check of an input."""
    return node.target is as_declared


def _settings(
    given: Input,
    follows: tuple[tuple[int, Terms], ...],
    steps: tuple[tuple[int, int, int], ...],
    limits: tuple[tuple[int, int], ...],
) -> dict[str, Any]:
    """What `as_declared` is told of an input."""
    settings: dict[str, Any] = {
        "name": given.name,
        "dtype": given.type.dtype,
        "shape": tuple(size if isinstance(size, int) else str(written(size)) for size in given.type.shape),
    }
    if given.uses:
        settings["fixed"] = tuple((use.axis, str(use.location)) for use in given.uses)
    if steps:
        settings["steps"] = steps
    if limits:
        settings["limits"] = limits
    return {**settings, "follows": follows} if follows else settings


def _refuse_rank(name: str, shape: tuple[int | str, ...], came: tuple[int, ...]) -> NoReturn:
    raise InputError.of(
        codes.INPUT_SIZES,
        f"`{name}` has {len(shape) + 1} axes, a batch and {_shown(shape)}, not the {len(came)} of {_shown(came)}",
        help="the batch is in front also of a single sample: `x[None]`" if len(came) == len(shape) else "",
    )


def _refuse_size(
    name: str, shape: tuple[int | str, ...], axis: int, place: str, came: tuple[int, ...]
) -> NoReturn:
    raise InputError.of(
        codes.INPUT_SIZES,
        f"`{name}` is {_shown(shape)} behind the batch, and {_shown(came[1:])} came: axis {axis} must be {shape[axis]},"
        f" not {came[axis + 1]}",
        help=f"the spec uses the number at {place}; read the spec with another size to run at that",
    )


def _refuse_step(
    name: str, shape: tuple[int | str, ...], axis: int, factor: int, offset: int, came: tuple[int, ...]
) -> NoReturn:
    wanted = Assumption("", 1 if offset % factor else factor, factor + offset).needed
    if offset % factor and factor > 1:
        wanted = f"{shape[axis - 1]}, {wanted}"
    raise InputError.of(
        codes.INPUT_SIZES,
        f"`{name}` is {_shown(shape)} behind the batch, and {_shown(came[1:])} came: axis {axis - 1} must be {wanted},"
        f" not {came[axis]}",
        help="the network would not be what its spec says at that size: pad or crop to one that it takes",
    )


def _refuse_limit(
    name: str, shape: tuple[int | str, ...], axis: int, most: int, came: tuple[int, ...]
) -> NoReturn:
    raise InputError.of(
        codes.INPUT_SIZES,
        f"`{name}` is {_shown(shape)} behind the batch, and {_shown(came[1:])} came: axis {axis - 1} must be at most {most},"
        f" not {came[axis]}",
        help="the network would not be what its spec says at that size: crop to one that it takes",
    )


def _refuse_dtype(name: str, dtype: DType, came: torch.dtype) -> NoReturn:
    wanted = torch_name(dtype)
    raise InputError.of(
        codes.INPUT_DTYPE,
        f"`{name}` holds {dtype}, not {str(came).removeprefix('torch.')}",
        help=f"cast it: `{name}.to(torch.{wanted})`",
    )


def _require_values(name: str, came: tuple[int, ...]) -> None:
    """InputError when an axis is empty; a batch may be."""
    if 0 in came[1:]:
        axis = came[1:].index(0)
        raise InputError.of(
            codes.INPUT_SIZES, f"axis {axis} of `{name}` is empty: {_shown(came[1:])} came, behind the batch"
        )


def _refuse_relation(
    name: str, shape: tuple[int | str, ...], axis: int, wanted: int, came: tuple[int, ...]
) -> NoReturn:
    if axis == 0:
        message = f"the batch of `{name}` has {came[0]} samples, and that of the first input {wanted}"
        raise InputError.of(codes.INPUT_SIZES, message, help="all inputs are of the same samples")
    raise InputError.of(
        codes.INPUT_SIZES,
        f"`{name}` is {_shown(shape)} behind the batch, and {_shown(came[1:])} came: axis {axis - 1} must be {wanted},"
        f" not {came[axis]}",
        help=f"it is `{shape[axis - 1]}`, and the other sizes say how much that is",
    )


def _shown(shape: tuple[int | str, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
