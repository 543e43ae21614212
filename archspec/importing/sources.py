"""Where modules come from: timm, torchvision, a callable of the user's own, a file of `torch.export`."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest
from archspec.ground.tensor import dtype as dtype_of
from archspec.ground.tensor import torch_name
from archspec.importing.capture import Given

_CALL = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)\s*(?P<call>\(.*\))?", re.S)
_INPUT = re.compile(r"(?:(?P<dtype>[a-z]\w*)\s*[\[:])?\s*(?P<sizes>\d+(?:\s*[,x]\s*\d+)*)?\]?")


@dataclass(frozen=True)
class Source:
    """A module, the inputs that it takes, and what it is called."""

    module: nn.Module
    inputs: tuple[Given, ...]
    name: str
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of modules by path, where the modules themselves do not say."""


def source(text: str, inputs: Sequence[str] = ()) -> Source:
    """The module that a source names, in evaluation mode. SpecError if there is none, or it needs inputs that are not given."""
    given = tuple(_given(one) for one in inputs)
    library, _, name = text.partition(":")
    if library == "timm" and name:
        return _of_timm(name, given)
    if library == "torchvision" and name:
        return _of_torchvision(name, given)
    if text.endswith(".pt2"):
        return _of_program(Path(text), given)
    found = _CALL.fullmatch(text)
    if found is None:
        raise _no_source(
            f"`{text}` names no module",
            "write `timm:resnet50`, `torchvision:resnet50`, or a callable of your own: `package.module:Net(width=32)`",
        )
    made = _called(found["module"], found["name"], found["call"] or "()")
    return Source(made.eval(), _needed(given, text), found["name"].rpartition(".")[2])


def _no_source(message: str, help: str = "") -> SpecError:
    return SpecError.of(codes.NO_SOURCE, message, help=help)


def _needed(given: tuple[Given, ...], text: str) -> tuple[Given, ...]:
    if not given:
        raise _no_source(
            f"`{text}` does not say what inputs it takes", "give them, without the batch: `--input 3,224,224`"
        )
    return given


def _given(text: str) -> Given:
    """An input as the command line gives it: `3,224,224`, or with a dtype `i64[128]`."""
    found = _INPUT.fullmatch(text.strip())
    if found is None:
        raise _no_source(
            f"`{text}` is no input",
            "write its sizes without the batch, `3,224,224`, or with a dtype, `i64[128]`",
        )
    sizes = tuple(int(size) for size in re.split(r"\s*[,x]\s*", found["sizes"])) if found["sizes"] else ()
    kind = torch.float32
    if found["dtype"]:
        try:
            kind = getattr(torch, torch_name(dtype_of(found["dtype"])))
        except ValueError as mistake:
            raise _no_source(f"`{text}` is no input: {mistake}") from mistake
    return Given(sizes, kind)


def _of_timm(name: str, given: tuple[Given, ...]) -> Source:
    timm = _imported("timm")
    try:
        module = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise _no_source(f"timm has no model `{name}`", suggest(name, timm.list_models())) from error
    size = tuple(module.default_cfg.get("input_size") or (3, 224, 224))
    return Source(module.eval(), given or (Given(size),), name)


def _of_torchvision(name: str, given: tuple[Given, ...]) -> Source:
    models = _imported("torchvision.models")
    try:
        found = models.get_model(name, weights=None, **_without_weights(models, name))
    except ValueError as error:
        raise _no_source(f"torchvision has no model `{name}`", suggest(name, models.list_models())) from error
    size = 224
    weights = models.get_model_weights(name)
    default = next(iter(weights), None)
    if default is not None:
        transforms = default.transforms()
        size = getattr(transforms, "crop_size", getattr(transforms, "resize_size", [224]))[0]
    size = getattr(found, "image_size", size)  # of a transformer, whatever the first of its weights are for
    return Source(found.eval(), given or (Given((3, size, size)),), name)


def _without_weights(models: Any, name: str) -> dict[str, Any]:
    """That no weights of a backbone are downloaded either, where the model would."""
    builder = models.get_model_builder(name)
    return {"weights_backbone": None} if "weights_backbone" in inspect.signature(builder).parameters else {}


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise _no_source(f"{missing} is not installed", f"`pip install {missing}`") from error


def _called(module: str, name: str, call: str) -> nn.Module:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise _failed(f"import {module}", error) from error
        raise _no_source(f"there is no Python module `{module}`") from error
    except Exception as error:
        raise _failed(f"import {module}", error) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise _no_source(
                f"{module} has no `{name}`", suggest(part, [n for n in dir(found) if not n.startswith("_")])
            )
        found = getattr(found, part)
    if isinstance(found, nn.Module):
        return found
    arguments, named = _literals(call)
    try:
        made = found(*arguments, **named)
    except Exception as error:
        raise _failed(f"{name}{call}", error) from error
    if not isinstance(made, nn.Module):
        raise _no_source(f"`{module}:{name}{call}` gives a {type(made).__name__}, not a module")
    return made


def _literals(call: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, which are literals: nothing is evaluated."""
    try:
        tree = ast.parse(f"f{call}", mode="eval").body
        assert isinstance(tree, ast.Call)
        if any(keyword.arg is None for keyword in tree.keywords):
            raise ValueError
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}
        return [ast.literal_eval(argument) for argument in tree.args], named
    except (SyntaxError, ValueError, AssertionError) as error:
        raise _no_source(
            f"the arguments `{call}` must be literals", "numbers, strings, lists, `True`, `None`"
        ) from error


def _failed(what: str, error: Exception) -> SpecError:
    return _no_source(f"`{what}` raised {type(error).__name__}: {error}")


def _of_program(path: Path, given: tuple[Given, ...]) -> Source:
    """The module of a file that `torch.export.save` wrote, whose batch must be free."""
    if not path.is_file():
        raise SpecError.of(codes.NO_FILE, f"there is no file `{path}`")
    try:
        with _only_weights():
            program = torch.export.load(path)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpecError.of(codes.UNREADABLE, f"`{path}` is no program of torch.export: {first}") from error
    module: nn.Module = torch.export.unflatten(program)
    kinds: dict[str, str] = {}
    for node in program.graph.nodes:
        for _, (inner, kind) in (node.meta.get("nn_module_stack") or {}).items():
            kinds[inner] = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    named = {node.name: node for node in program.graph.nodes}
    taken = [named[name].meta["val"] for name in program.graph_signature.user_inputs if name in named]
    if any(not tensor.dim() or isinstance(tensor.shape[0], int) for tensor in taken):
        raise _no_source(
            f"the batch of `{path}` is fixed",
            "export it with a free one: `dynamic_shapes=({0: torch.export.Dim('batch')},)`",
        )
    for inner in module.modules():  # what was noted of the sizes, which are to be asked anew
        for node in getattr(getattr(inner, "graph", None), "nodes", ()):
            for note in ("val", "tensor_meta", "example_value"):
                node.meta.pop(note, None)
    inputs = tuple(Given(tuple(int(size) for size in tensor.shape[1:]), tensor.dtype) for tensor in taken)
    return Source(module, given or inputs, path.stem, kinds)


@contextmanager
def _only_weights() -> Iterator[None]:
    """What PyTorch reads meanwhile is tensors alone: nothing in a file is run. Nor is what it logs of a broken file printed."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before, logger = os.environ.get(name), logging.getLogger("torch.export")
    level = logger.level
    os.environ[name] = "1"
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
