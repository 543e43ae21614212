"""Ops of a user's own: an exception in one of their methods, or a wrong return value, becomes a Mistake that names the op."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from traceback import extract_tb
from typing import Any, get_args

from archspec.ground import codes
from archspec.ground.declared import Declared
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.size import Free
from archspec.ground.source import Location
from archspec.ground.tensor import DType, TensorType


def guard(op: type, weight: type) -> None:
    """Guard the methods that an op's class defines itself; `weight` is the class of the items of `weights`."""
    checks: dict[str, Wrong] = {**_WRONG, "weights": partial(_no_weights, weight)}
    for name, wrong in checks.items():
        method = vars(op).get(name)
        if inspect.isfunction(method):
            setattr(op, name, _guarded(method, name, wrong))


def at_step(mistake: Mistake, step: str, location: Location) -> Mistake:
    """The mistake with its location in the spec added, if it is an op's fault and has none yet."""
    if mistake.code != codes.OWN_OP or "in the spec:" in mistake.message:
        return mistake
    message = f"{mistake.message} (in the spec: {location}, step `{step}`)"
    return Mistake(message, mistake.code, label=mistake.label, help=mistake.help)


def _guarded(method: Callable[..., Any], name: str, wrong: Wrong) -> Callable[..., Any]:
    @wraps(method)
    def guarded(self: Any, *inputs: TensorType, **options: TensorType) -> Any:
        op = type(self).__name__
        try:
            result = method(self, *inputs, **options)
        except (Mistake, SpecError):
            raise
        except (Exception, SystemExit) as error:
            said = f": {error}" if str(error) else ""
            raise Mistake(
                f"`{name}` of {op} fails with {type(error).__name__}{said}",
                codes.OWN_OP,
                help=_line(method, error),
            ) from error
        problem = wrong(result, self, (*inputs, *options.values()))
        if problem:
            file = Path(method.__code__.co_filename).name
            raise Mistake(
                f"`{name}` of {op} returns {problem}",
                codes.OWN_OP,
                help=f"see {file}, line {method.__code__.co_firstlineno}",
            )
        return result

    return guarded


def _line(method: Callable[..., Any], error: BaseException) -> str:
    """The innermost line of the op's own file in the traceback."""
    file = method.__code__.co_filename
    lines = [step.lineno for step in extract_tb(error.__traceback__) if step.filename == file]
    return f"see {Path(file).name}, line {lines[-1]}" if lines else ""


Wrong = Callable[[Any, Any, tuple[TensorType, ...]], str]


def _no_types(result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    types = result if isinstance(result, tuple) else (result,)
    if not types or not all(isinstance(type_, TensorType) for type_ in types):
        return f"{_shown(result)}, not a TensorType or a tuple of them"
    for type_ in types:
        if type_.dtype not in get_args(DType):
            return f"the dtype {_shown(type_.dtype)}; expected one of {', '.join(get_args(DType))}"
        if not isinstance(type_.shape, tuple) or not all(map(_is_size, type_.shape)):
            return f"the shape {_shown(type_.shape)}, not a tuple of integers"
    return ""


def _no_weights(weight: type, result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    if not isinstance(result, Mapping) or not all(isinstance(value, weight) for value in result.values()):
        return f"{_shown(result)}, not a mapping from names to `Weight`s"
    for key, value in result.items():
        if not isinstance(key, str) or not re.fullmatch(r"\w+(\.\w+)*", key, re.ASCII):
            return f"a weight named {_shown(key)}; a name has letters, digits and `_`, in parts separated by dots"
        if not all(map(_is_size, value.shape)):
            return f"`{key}` with shape {_shown(value.shape)}, not a tuple of integers"
    return ""


def _no_count(result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    return "" if _is_size(result) else f"{_shown(result)}, not a non-negative integer"


def _not_saved(result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    if not isinstance(result, tuple) or not all(isinstance(part, str | TensorType) for part in result):
        return f"{_shown(result)}, not a tuple of names and TensorTypes"
    takes = op.signature()
    known = {"inputs", "outputs", *takes.required, *takes.optional}
    strange = [part for part in result if isinstance(part, str) and part not in known]
    return (
        f"{strange[0]!r}, which is not a parameter of `infer`; expected one of {', '.join(sorted(known))}"
        if strange
        else ""
    )


def _no_reach(result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    if not isinstance(result, tuple) or len(result) != len(inputs):
        return f"{_shown(result)}, not a tuple with one item per tensor"
    for reach, type_ in zip(result, inputs, strict=True):
        if reach is not None and (not isinstance(reach, tuple) or len(reach) != type_.rank):
            return f"{_shown(reach)} for a tensor of {type_.rank} axes"
    return ""


def _nothing(result: Any, op: Any, inputs: tuple[TensorType, ...]) -> str:
    return ""


_WRONG: dict[str, Wrong] = {
    "infer": _no_types,
    "macs": _no_count,
    "flops": _no_count,
    "saved": _not_saved,
    "reach": _no_reach,
    "lower": _nothing,  # a backend checks what it returns
}


def _is_size(size: Any) -> bool:
    return isinstance(size, Free) or (type(size) in (int, Declared) and size >= 0)


def _shown(value: Any) -> str:
    """The repr of a value, shortened if it is long."""
    try:
        text = repr(value)
    except (Exception, SystemExit) as error:
        text = f"an object that cannot be printed ({type(error).__name__})"
    return text if len(text) <= 80 else f"{text[:60]} ..."
