"""Errors at run time: whatever fails in a network, the error says at which step of the spec, and on what."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torch.fx import Node as FxNode

from archspec.analyses.fitting import Misfit, accepted, misfit
from archspec.graph import Apply, Graph, Node
from archspec.ground import codes
from archspec.ground.errors import InputError, Mistake, Problem, SpecError, StepError, suggest
from archspec.ground.source import Location, Span, span_at
from archspec.ground.tensor import dtype, show

if TYPE_CHECKING:
    from archspec.backends.torch_modules import Network

Trail = tuple[tuple[str, Span], ...]

_OF_STEPS = (
    *(RuntimeError, NotImplementedError, IndexError, ValueError, TypeError, AttributeError),
    *(AssertionError, ZeroDivisionError, Mistake),
)
"""What PyTorch raises where an op cannot take a tensor. Other errors, of devices for instance, stay as they are."""

_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


class Failed(NamedTuple):
    """A step that was running when an error was raised: its name, its place, and the tensors that it was given."""

    name: str
    location: Location
    given: tuple[Any, ...]
    fx: FxNode | None = None


def explained(
    network: Network, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Exception:
    """The error as one of the spec, at the step that failed; itself where no tensor of the caller's is to blame.

    What hooks and the user's own modules raise is theirs, and errors of memory, devices and compilers are no input's fault:
    these get notes of the places in the spec that they passed through.
    """
    graph: Graph = network.meta["archspec"]
    if type(error) is TypeError and not _entered(network, error):
        return _miscalled(network, graph, args, kwargs) or error
    frames = list(_frames(error.__traceback__))
    steps = [step for frame in frames for step in _step_of(frame)]
    if type(error) is InputError:
        return _declared(error, graph, steps)
    compiled = type(error).__module__.startswith("torch._dynamo") and isinstance(error, RuntimeError)
    if (
        (type(error) in _OF_STEPS or compiled)
        and not _OF_MEMORY.search(str(error))
        and all(_is_ours(frame, graph) for frame in frames)
    ):
        inputs = _bound(network, args, kwargs)
        wrong = None if inputs is None else _misfit(graph, inputs)
        node = _node_of(graph, steps) if wrong is None else wrong.node
        if node is not None and (wrong is not None or not compiled):
            return _of_step(error, network, graph, node, steps, wrong, inputs)
        if node is None and (advice := _advice(network, graph, inputs)):
            span = span_of(graph, graph.inputs[0].location)
            message = f"{graph.name} cannot run on what came: {_first_line(error)}"
            return _also(StepError, type(error))([Problem(codes.STEP, message, span, help=advice)])
    _note_places(error, steps)
    return error


# ------------------------------------------------------------------ how it was called


def _entered(network: Network, error: Exception) -> bool:
    """Whether an error was raised within `forward`, or in a hook before it, and not by how it was called."""
    last = list(_frames(error.__traceback__))[-1]
    return not (
        last.tb_frame.f_code.co_name == "_call_impl" and last.tb_frame.f_locals.get("self") is network
    )


def _miscalled(
    network: Network, graph: Graph, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> InputError | None:
    """What is wrong with the number and names of arguments; None if nothing is."""
    try:
        inspect.signature(network.forward).bind(*args, **kwargs)
    except TypeError:
        pass
    else:
        return None
    names = list(inspect.signature(network.forward).parameters)
    unknown = [name for name in kwargs if name not in names]
    taken = " and ".join(f"`{given.name}`" for given in graph.inputs)
    many = f"{len(names)} tensor{'s' * (len(names) != 1)}"
    if unknown:
        message, help_ = f"{graph.name} has no input `{unknown[0]}`", suggest(unknown[0], names)
    else:
        came = len(args) + len(kwargs)
        message, help_ = f"{graph.name} takes {many}, {taken}, and {came} came", ""
        twice = [name for name in names[: len(args)] if name in kwargs]
        if twice:
            message = f"`{twice[0]}` is given twice to {graph.name}, by position and by name"
    shown = " and ".join(f"{given.type}" for given in graph.inputs)
    help_ = help_ or f"`net({', '.join(names)})` takes {shown}, the batch in front of each"
    span = span_of(graph, graph.inputs[0].location)
    return _also(InputError, TypeError)([Problem(codes.INPUTS, message, span, help=help_)])


def _declared(error: InputError, graph: Graph, steps: Sequence[Failed]) -> InputError:
    """An error of the check of an input, with the place of its declaration."""
    (problem,) = error.problems
    if problem.span is not None or not steps:
        return error
    where = steps[-1].location
    span = span_of(graph, where)
    if span is None:
        return error
    return type(error)([Problem(problem.code, problem.message, span, "declared here", problem.help)])


def _bound(network: Network, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor] | None:
    """The tensors that a network was given, in order; None where it was not given one for each input."""
    try:
        found = list(inspect.signature(network.forward).bind(*args, **kwargs).arguments.values())
    except TypeError:
        return None
    return found if all(isinstance(value, Tensor) for value in found) else None


def _misfit(graph: Graph, inputs: Sequence[Tensor]) -> Misfit | None:
    """What the ops of the spec say of sizes that came; None where they say nothing."""
    if any(x.ndim != given.type.rank + 1 for x, given in zip(inputs, graph.inputs, strict=True)):
        return None
    types = [given.type.with_shape(x.shape[1:]) for x, given in zip(inputs, graph.inputs, strict=True)]
    if not graph.is_sized:
        return None  # free sizes are checked at the door
    try:
        return misfit(graph, types)
    except SpecError:  # too large to be seen step by step
        return None


# ------------------------------------------------------------------ the step that failed


def _of_step(
    error: Exception,
    network: Network,
    graph: Graph,
    node: Node,
    steps: Sequence[Failed],
    wrong: Misfit | None,
    inputs: Sequence[Tensor] | None,
) -> StepError:
    op = type(node.op).__name__
    if wrong is not None:
        assert inputs is not None
        given = ", ".join(map(str, wrong.given))
        message = f"`{node.name}` cannot take {given}: {wrong.mistake.message}"
        help_ = _sizes_taken(graph, inputs) or wrong.mistake.help
    else:
        given = ", ".join(map(_shown, steps[-1].given))
        message = f"`{node.name}` cannot take {given or 'what came'}: {_first_line(error)}"
        help_ = _advice(network, graph, inputs)
    span = span_of(graph, node.location)
    if span is None:
        message += f" (in the spec: {node.location})"
    problem = Problem(codes.STEP, message, span, f"{op} `{node.name}`", help_, trail_of(graph, node))
    made = _also(StepError, type(error))([problem])
    made.step = node.name
    return made


def span_of(graph: Graph, location: Location) -> Span | None:
    """The place of a location in the text of the spec, where its file is there as it was."""
    return span_at(location, graph.sources.get(location.file, ""))


def trail_of(graph: Graph, node: Node) -> Trail:
    """The blocks that a step stands in, innermost first."""
    found = []
    scope = graph.scopes[node.scope]
    while scope.parent is not None:
        span = span_of(graph, scope.location)
        if span is not None and scope.block:
            found.append((f"{scope.block} `{scope.name}`", span))
        scope = graph.scopes[scope.parent]
    return tuple(found)


def _sizes_taken(graph: Graph, inputs: Sequence[Tensor]) -> str:
    """Which sizes the inputs must have instead of those that came, where that can be told of each by itself."""
    found = accepted(graph)
    lines = []
    for (index, axis), assumed in (found or {}).items():
        size = inputs[index].shape[axis + 1]
        if not assumed.meets(size):
            must = "must" if assumed.exact else "can"
            name = graph.inputs[index].name
            lines.append(f"axis {axis} of `{name}` {must} be {assumed.needed}, and {size} came")
    return "\n".join(lines)


def _advice(network: Network, graph: Graph, inputs: Sequence[Tensor] | None) -> str:
    """What can be told of devices and precisions that differ."""
    weight = next(network.parameters(), None)
    if inputs is None or weight is None:
        return ""
    for given, x in zip(graph.inputs, inputs, strict=True):
        name = given.name
        if x.device != weight.device:
            return (
                f"`{name}` is on {x.device}, and the weights on {weight.device}:"
                f' move one of them, `{name}.to("{weight.device}")` or `net.to("{x.device}")`'
            )
        if x.is_floating_point() and x.dtype != weight.dtype:
            return (
                f"`{name}` is {_short(x.dtype)}, and the weights are {_short(weight.dtype)}:"
                f" cast one of them, `{name}.to({weight.dtype})` or `net.to({x.dtype})`"
            )
    return "the batch is empty" if any(not x.shape[0] for x in inputs if x.ndim) else ""


def _node_of(graph: Graph, steps: Sequence[Failed]) -> Node | None:
    """The node of the graph that the innermost step is."""
    if not steps:
        return None
    last = steps[-1]
    if last.fx is not None and isinstance(node := last.fx.meta.get("node"), Node):
        return node
    prefix = ".".join(step.name for step in steps[:-1])
    try:
        nodes = [node for node in graph.nodes if node.location == last.location]
    except SpecError:
        return None
    for node in nodes:
        inner = node.name.removeprefix(f"{prefix}." if prefix else "")
        if (inner != node.name or not prefix) and re.sub(r"\W", "_", inner) == re.sub(r"\W", "_", last.name):
            return node
    scopes = [node for node in nodes if graph.scopes[node.scope].name == prefix]
    return scopes[0] if len(scopes) == 1 else None


def _step_of(traceback: TracebackType) -> Iterator[Failed]:
    """The step that was running in a frame, if it is one of a block's or a network's."""
    from archspec.backends.torch_modules import Block, Chain, Network

    frame = traceback.tb_frame
    module = frame.f_locals.get("self")
    if not frame.f_code.co_name.startswith("forward"):
        return
    if isinstance(module, Chain):
        for name, child in module._modules.items():
            if child is frame.f_locals.get("module") and name in module._places:
                given = frame.f_locals.get("inputs", (frame.f_locals.get("input"),))
                yield Failed(name, module._places[name], tuple(given))
                return
    elif isinstance(module, Block | Network):
        program = module.graph if isinstance(module, Network) else module._program
        line = linecache.getline(frame.f_code.co_filename, traceback.tb_lineno)
        match = re.match(r"\s*(\w+) = ", line)
        for node in program.nodes if match and program is not None else ():
            if node.name == match[1] and "location" in node.meta:  # type: ignore[index]
                name = str(node.target) if node.op == "call_module" else node.name
                given = tuple(frame.f_locals.get(value.name) for value in node.all_input_nodes)
                yield Failed(name, node.meta["location"], given, node)


# ------------------------------------------------------------------ whose fault it is


def _is_ours(traceback: TracebackType, graph: Graph) -> bool:
    """Whether a frame runs code of PyTorch, of archspec or of an op, and not of whoever uses the network."""
    file = traceback.tb_frame.f_code.co_filename
    if file.startswith((_GENERATED, *_folders())) or file in _files_of_ops(graph):
        return True
    return file.startswith(_library()) and "site-packages" not in file[len(_library()) :]


_GENERATED = "<eval_with_key>"


def _folders() -> tuple[str, ...]:
    """The folders of PyTorch's code, of archspec's, and of what TorchInductor writes."""
    roots = (Path(torch.__file__).parent, Path(__file__).parent.parent)
    folders = [str(root) + os.sep for root in roots]
    inductor = sys.modules.get("torch._inductor.runtime.cache_dir_utils")
    return (*folders, str(inductor.cache_dir())) if inductor is not None else tuple(folders)


@cache
def _library() -> str:
    """The folder of Python's own library, of whose context managers PyTorch makes use."""
    return sysconfig.get_path("stdlib") + os.sep


def _files_of_ops(graph: Graph) -> set[str]:
    """The files of the ops of a network, which its author may have written."""
    steps = (step for function in graph.functions for step in function.steps)
    return {
        inspect.unwrap(type(step.op).lower).__code__.co_filename for step in steps if isinstance(step, Apply)
    }


def _note_places(error: BaseException, steps: Sequence[Failed]) -> None:
    """Add to an error the lines of the spec whose code it passed through, innermost last."""
    if not any("in the spec" in note for note in getattr(error, "__notes__", ())):
        for step in steps:
            error.add_note(f"in the spec: {step.location}, at {step.name}")


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


# ------------------------------------------------------------------ how it is said


Known = TypeVar("Known", bound=InputError)

_ALSO: dict[tuple[type[InputError], type[Exception]], type[Any]] = {}


def _also(error: type[Known], other: type[Exception]) -> type[Known]:
    """A class of errors that are of another one as well, which `except` may name."""
    if issubclass(error, other) or other.__module__ != "builtins":
        return error
    if (error, other) not in _ALSO:
        _ALSO[error, other] = type(error.__name__, (error, other), {"__module__": error.__module__})
    return cast("type[Known]", _ALSO[error, other])


def _shown(value: object) -> str:
    """A tensor's dtype and shape; the type of anything else."""
    if not isinstance(value, Tensor):
        return f"a Python `{type(value).__name__}`"
    return f"{_short(value.dtype)}{show(tuple(value.shape))}"


def _short(kind: torch.dtype) -> str:
    name = str(kind).removeprefix("torch.")
    try:
        return dtype(name)
    except Mistake:
        return name


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
