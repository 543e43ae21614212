"""Whether what an op runs is what the op says of it: its weights, the types of what it gives, whose memory that is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from archspec.ground import codes
from archspec.ground.errors import Mistake
from archspec.ground.size import Free
from archspec.ground.tensor import BATCH as SAMPLES
from archspec.ground.tensor import TensorType, torch_name
from archspec.op import Lowered, Op, Weight, shipped
from archspec.op.inference import infer

BATCH = 2
A_FREE_SIZE = 16  # what stands for it


def lowered(op: Op, types: tuple[TensorType, ...], options: Mapping[str, TensorType]) -> Lowered:
    """What an op lowers to. One that does not come with archspec is held to what it says, which Mistake tells when it is not so.

    It is run once on the meta device, on a batch of two; on the CPU where it cannot run there.
    """
    found = op.lower(*types, **options)
    if shipped(type(op)):
        return found
    given = tuple(_fixed(type_) for type_ in types)
    optional = {name: _fixed(type_) for name, type_ in options.items()}
    outputs, weights = infer(op, given, optional)
    sized = found if (given, optional) == (types, dict(options)) else op.lower(*given, **optional)
    require_callable(op, sized)
    require_weights(op, sized, weights)
    require_results(op, sized, (*given, *optional.values()), tuple(optional), outputs, weights)
    return found


def require_callable(op: Op, lowered: Any) -> None:
    """Mistake when what `lower` gives is no module, function or partial with settings by name, or takes no `inplace` that it says."""
    name = type(op).__name__
    if not callable(lowered) or isinstance(lowered, type):
        raise _fault(f"`lower` of {name} gives {lowered!r}, not a module or a function")
    if isinstance(lowered, partial) and lowered.args:
        raise _fault(f"`lower` of {name} gives a partial with arguments by position", "give them by name")
    takes = hasattr(lowered, "inplace") or "inplace" in _parameters(lowered)
    if op.overwrites and not takes:
        raise _fault(f"{name} says `overwrites`, and what it lowers to takes no `inplace`")


def require_weights(op: Op, lowered: Lowered, weights: Mapping[str, Weight]) -> None:
    """Mistake when a module owns other tensors than `weights` declares: other names, shapes or dtypes, trained or saved or not."""
    name = type(op).__name__
    owned = dict(_owned(lowered)) if isinstance(lowered, nn.Module) else {}
    for key in owned.keys() - weights.keys():
        raise _fault(f"what {name} runs owns `{key}`, which its `weights` does not declare")
    for key in weights.keys() - owned.keys():
        raise _fault(f"`weights` of {name} declares `{key}`, which what it runs does not own")
    for key, weight in weights.items():
        tensor, trained, saved = owned[key]
        if tuple(tensor.shape) != weight.shape:
            raise _fault(
                f"`weights` of {name} declares `{key}` of shape {list(weight.shape)}, and what it runs owns it of"
                f" shape {list(tensor.shape)}"
            )
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype != torch_name(weight.dtype):
            raise _fault(
                f"`weights` of {name} declares `{key}` as {weight.dtype}, and what it runs owns it as {dtype}"
            )
        if trained != weight.trainable:
            said, is_ = ("a parameter", "a buffer") if weight.trainable else ("a buffer", "a parameter")
            raise _fault(f"`weights` of {name} declares `{key}` as {said}, and what it runs owns it as {is_}")
        if saved != weight.saved:
            said, is_ = ("", " not") if weight.saved else (" not", "")
            raise _fault(
                f"`weights` of {name} declares `{key}` as{said} saved, and what it runs does{is_} save it"
            )


def require_results(
    op: Op,
    lowered: Lowered,
    types: Iterable[TensorType],
    names: tuple[str, ...],
    outputs: tuple[TensorType, ...],
    weights: Mapping[str, Weight],
) -> None:
    """Mistake when running it fails, or gives tensors of other types than inferred, or the memory of an input unsaid.

    `names` are those of its optional tensors, whose types come last.
    """
    name, types = type(op).__name__, tuple(types)
    try:
        given, results = _run(lowered, types, names, weights, "meta")
    except (Exception, SystemExit):
        try:  # an operator may have no implementation for the meta device
            given, results = _run(lowered, types, names, weights, "cpu")
        except (Exception, SystemExit) as error:
            shown = ", ".join(map(str, types))
            raise _fault(
                f"what {name} runs fails on {shown} with {type(error).__name__}: {_first(error)}"
            ) from error
    if len(results) != len(outputs) or not all(isinstance(result, Tensor) for result in results):
        kinds = ", ".join(type(result).__name__ for result in results)
        raise _fault(f"`infer` of {name} says {_count(len(outputs))}, and what it runs gives ({kinds})")
    for type_, result in zip(outputs, results, strict=True):
        shape, dtype = _shape(type_), getattr(torch, torch_name(type_.dtype))
        if tuple(result.shape) != shape or result.dtype != dtype:
            said = str(result.dtype).removeprefix("torch.")
            batch = f", for a batch of {BATCH}," if type_.batched else ""
            raise _fault(
                f"`infer` of {name} says {type_}, and what it runs gives{batch} {said} {list(result.shape)}",
                "the batch, which stands in front, is no part of the shape that `infer` gives"
                if batch
                else "",
            )
    shared = {_memory(tensor) for tensor in given} & {_memory(tensor) for tensor in results}
    if shared and not (op.view or op.needs_order):
        raise _fault(f"what {name} runs gives the memory of its input, and {name} does not say `view`")
    if shared and op.overwritable:
        raise _fault(f"what {name} runs gives the memory of its input, and {name} says `overwritable`")


def _run(
    lowered: Lowered,
    types: tuple[TensorType, ...],
    names: tuple[str, ...],
    weights: Mapping[str, Weight],
    device: str,
) -> tuple[list[Tensor], list[Any]]:
    """What it is given, and what comes of it at inference."""
    given = [
        torch.ones(_shape(type_), dtype=getattr(torch, torch_name(type_.dtype)), device=device)
        for type_ in types
    ]
    first = len(given) - len(names)
    options = dict(zip(names, given[first:], strict=True))
    with torch.no_grad():
        if not isinstance(lowered, nn.Module):
            result = lowered(*given[:first], **options)
        else:
            tensors: dict[str, Tensor] = {
                key: torch.ones(weight.shape, dtype=getattr(torch, torch_name(weight.dtype)), device=device)
                for key, weight in weights.items()
            }
            mode = lowered.training
            try:
                result = torch.func.functional_call(lowered.eval(), tensors, tuple(given[:first]), options)
            finally:
                lowered.train(mode)
    return given, list(result) if isinstance(result, tuple | list) else [result]


def _owned(module: nn.Module) -> Iterable[tuple[str, tuple[Tensor, bool, bool]]]:
    """The tensors of a module by name: whether each is trained, and whether it is saved."""
    saved = module.state_dict(keep_vars=True)
    for key, parameter in module.named_parameters(remove_duplicate=False):
        yield key, (parameter, True, key in saved)
    for key, buffer in module.named_buffers(remove_duplicate=False):
        yield key, (buffer, False, key in saved)


def _parameters(function: Callable[..., Any]) -> set[str]:
    """The names of a function's parameters; those in C++ show none."""
    try:
        return set(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return set()


def _fixed(type_: TensorType) -> TensorType:
    """The type with numbers for its free sizes."""
    return type_.with_shape(
        [
            size.substitute({**dict.fromkeys(size.names, A_FREE_SIZE), SAMPLES: BATCH})
            if isinstance(size, Free)
            else size
            for size in type_.shape
        ]
    )


def _shape(type_: TensorType) -> tuple[int, ...]:
    sizes = tuple(size for size in _fixed(type_).shape if isinstance(size, int))
    return (BATCH, *sizes) if type_.batched else sizes


def _memory(tensor: Tensor) -> int:
    """Which memory a tensor lies in; on the meta device all have the same address."""
    memory: int = tensor.untyped_storage()._cdata
    return memory


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _count(outputs: int) -> str:
    return f"{outputs} tensor" + "s" * (outputs != 1)


def _fault(message: str, help: str = "") -> Mistake:
    return Mistake(
        message, codes.OWN_OP, help=help or "see docs/adding-an-op.md; `archspec.testing.check_op` checks it"
    )
