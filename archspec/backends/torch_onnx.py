"""Networks as ONNX: with the names of the spec, for batches of any number of samples and any free sizes."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node as FxNode

from archspec.backends.onnx_decompositions import Unsaid, decomposed
from archspec.backends.torch_export import BATCH, exported, located
from archspec.backends.torch_modules import Network
from archspec.graph import Graph
from archspec.ground.atomic import replacing, require_writable
from archspec.ground.bounds import linear
from archspec.ground.errors import SpecError
from archspec.ground.optional import needing
from archspec.ground.size import Free

if TYPE_CHECKING:
    import onnx_ir
    from torch.onnx import ONNXProgram

SUFFIX = ".onnx"
DATA = ".data"
"""What is added to the name of a file for that of the weights beside it."""

LARGEST = (1 << 31) - (1 << 26)
"""Bytes of weights that a file of ONNX holds itself: protobuf's limit is 2 GiB, the program included."""

_ALIGNMENT = 1 << 12  # of weights in a file of their own, so that they can be mapped into memory
_SMALL = 1 << 10  # bytes of a tensor that stays in the program, where shapes are inferred from it


def save_onnx(
    network: Network, path: Path, *, batch: int | None = None, sources: Iterable[Path] = ()
) -> list[Path]:
    """Write a flat network in eval mode as ONNX, whole or not at all, over none of `sources`; gives the files written.

    Inputs are named as in the spec, outputs as there or after the step that gives them, weights by their keys. Weights of
    more than 2 GB are a file of their own beside it, `net.onnx.data`.

    Raises SpecError where a step cannot be said in ONNX, the packages `onnx` and `onnxscript` are missing, or the
    place cannot be written.
    """
    require_writable(path, sources=sources)
    beside = path.with_name(path.name + DATA)
    program = translated(network, batch=batch)
    size = sum(tensor.nbytes for _, tensor in _held(program))
    if size <= LARGEST:
        data = program.model_proto.SerializeToString()
        with replacing(path, sources=sources) as file:
            file.write(data)
        return [path]
    require_writable(beside, sources=sources)
    # The weights take their place first: until the program has its own, whatever was there is of no use to anyone.
    with replacing(path, sources=sources) as file, replacing(beside, sources=sources) as weights:
        _move_weights(program, weights, beside.name)
        file.write(program.model_proto.SerializeToString())
        file.flush()
    return [path, beside]


def translated(network: Network, *, batch: int | None = None) -> ONNXProgram:
    """A flat network in eval mode as a program of ONNX. Raises SpecError as `save_onnx`."""
    require_packages()
    graph: Graph = network.meta["archspec"]
    for node in network.graph.nodes:
        if "node" in node.meta:  # of what PyTorch is told of a node, it hands on this
            node.meta["custom"] = {_STEP: node.meta["node"].name}
    captured = exported(network, batch=batch)
    inputs = [given.name for given in graph.inputs]
    with _quiet():
        try:
            program = torch.onnx.export(
                decomposed(captured),
                dynamo=True,
                verbose=False,
                input_names=inputs,
                output_names=_output_names(graph),
                optimize=True,
            )
        except (torch.onnx.OnnxExporterError, Unsaid) as error:
            raise _unsaid(graph, error) from error
    assert program is not None
    _name_axes(program, graph)
    return program


_STEP = "archspec.step"


def require_packages() -> None:
    """SpecError unless the packages are there that PyTorch writes ONNX with."""
    with needing("PyTorch writes ONNX with the packages `onnx` and `onnxscript`", "'archspec-nn[onnx]'"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's log and warnings, which are of PyTorch's own insides."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _output_names(graph: Graph) -> list[str]:
    """The names that the spec gives its outputs; of one without, the step's that gives it. No two of all names are one."""
    taken = {given.name for given in graph.inputs} | graph.weights.keys()
    names = []
    for output in graph.outputs:
        wanted = name = output.name or output.value.producer
        number = 0
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        names.append(name)
    return names


def _name_axes(program: ONNXProgram, graph: Graph) -> None:
    """Call the axes as the spec calls its free sizes, and that of the samples `batch`, in the place of `s40`."""
    names: dict[str | onnx_ir.SymbolicDim, str] = {}
    for value, given in zip(program.model.graph.inputs, graph.inputs, strict=True):
        assert value.shape is not None
        for axis, size in enumerate(value.shape):
            declared = None if axis == 0 else given.type.shape[axis - 1]
            for symbol in re.findall(r"[a-z]+\d+", str(size)):
                found = linear(declared) if isinstance(declared, Free) else None
                names.setdefault(symbol, BATCH if found is None else found[0])
    program.rename_axes(names)


# ------------------------------------------------------------------ what ONNX cannot say


def _unsaid(graph: Graph, error: Exception) -> SpecError:
    """The error of a program that has no words in ONNX, at its step of the spec."""
    deepest = error
    while isinstance(deepest.__cause__, Exception):
        deepest = deepest.__cause__
    found = re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", str(deepest))
    what = f"there is no function in it for `{found[1]}`" if found else str(deepest).strip().splitlines()[0]
    if isinstance(deepest, Unsaid):
        what = f"it has no form for {what}"
    step = _step_of(error)
    return located(
        graph,
        step,
        f"ONNX cannot say {'what ' + graph.name + ' does' if step is None else f'`{step}`'}: {what}",
        help="export to `pt2` or `python`, which can say it",
    )


def _step_of(error: BaseException) -> str | None:
    """The step that was being translated where an error was raised."""
    step, cause = None, error
    while cause is not None:
        traceback: TracebackType | None = cause.__traceback__
        while traceback is not None:
            for name in ("node", "n"):
                node = traceback.tb_frame.f_locals.get(name)
                if isinstance(node, FxNode):
                    step = (node.meta.get("custom") or {}).get(_STEP, step)
            traceback = traceback.tb_next
        cause = cause.__cause__  # type: ignore[assignment]
    return step


# ------------------------------------------------------------------ weights of more than a file holds


def _held(program: ONNXProgram) -> list[tuple[Any, Any]]:
    """The values of a program that hold numbers, each with these, without those of the smallest."""
    held = [(value, value.const_value) for value in program.model.graph.initializers.values()]
    return [(value, tensor) for value, tensor in held if tensor is not None and tensor.nbytes > _SMALL]


def _move_weights(program: ONNXProgram, file: Any, name: str) -> None:
    """Write the weights of a program into a file of that name, one after the other, and leave where each begins."""
    from onnx_ir import ExternalTensor

    for value, tensor in _held(program):
        file.write(bytes(-file.tell() % _ALIGNMENT))
        start = file.tell()
        file.write(tensor.tobytes())
        value.const_value = ExternalTensor(
            name, start, file.tell() - start, tensor.dtype, shape=tensor.shape, name=value.name
        )
