"""What `torch.export` is told of sizes, which are free and what they can be; and networks as programs that it captures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.bounds import assumed_of, linear
from archspec.ground.errors import Problem, SpecError
from archspec.ground.size import QUOTIENTS, Free, Size
from archspec.ground.source import Span, span_at
from archspec.ground.tensor import torch_name

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from archspec.backends.torch_modules import Network

BATCH = "batch"
"""How the axis of the samples is called in programs that take any number of them."""


def dynamic_shapes(graph: Graph, *, batch: bool = True) -> dict[str, dict[int, Any]]:
    """The `dynamic_shapes` of `torch.export.export`, by input: a `Dim` for the batch and for each free size.

    A size that is a multiple, or not less than some number, is so in the exported program: `32*H_32` is 32 times a
    `Dim`. They begin where no axis inside the network has a size of 1, which PyTorch takes to be fixed.

    Raises SpecError for a size that is no multiple of one name and a number, which PyTorch cannot say.
    """
    from torch.export import Dim

    known: dict[str, Any] = {BATCH: Dim(BATCH, min=1)}
    least = least_sizes(graph)

    def dimension(name: str) -> Any:
        if name not in known:
            known[name] = Dim(name, min=least.get(name, 1), max=assumed_of(name).top)
        return known[name]

    shapes: dict[str, dict[int, Any]] = {}
    for given in graph.inputs:
        axes: dict[int, Any] = {0: dimension(BATCH)} if batch else {}
        for axis, size in enumerate(given.type.shape, 1):
            if isinstance(size, Free):
                found = linear(size)
                if found is None or found[0] in QUOTIENTS:
                    raise SpecError.of(
                        codes.FREE_NUMBER,
                        f"torch.export cannot say that a size is {size}, as axis {axis - 1} of `{given.name}` is",
                    )
                name, factor, offset = found
                made = dimension(name)
                made = made * factor if factor != 1 else made
                axes[axis] = made + offset if offset else made
        shapes[given.name] = axes
    return shapes


def examples(network: Network, *, batch: int | None = None) -> tuple[torch.Tensor, ...]:
    """Zeros for each input of a network, to capture it with: of so many samples, or of two where they may be any number.

    Free sizes are small, and no two of them are equal, nor 1: PyTorch would take what is for what must be.
    """
    import torch

    graph: Graph = network.meta["archspec"]
    least, numbers = least_sizes(graph), dict[str, int]()
    names = {name for given in graph.inputs for size in given.type.shape for name in _names(size)}
    for name in sorted(names):
        number, top = max(least.get(name, 1), 3), assumed_of(name).top
        while number in numbers.values() and (top is None or number < top):
            number += 1
        numbers[name] = number
    device, cast = next(network.parameters(), torch.empty(0)).device, _cast_to(network, graph)
    made = []
    for given in graph.inputs:
        shape = [
            size.substitute({name: numbers[name] for name in size.names}) if isinstance(size, Free) else size
            for size in given.type.shape
        ]
        dtype = (
            cast if cast is not None and given.type.floating else getattr(torch, torch_name(given.type.dtype))
        )
        made.append(torch.zeros((batch or 2, *shape), dtype=dtype, device=device))
    return tuple(made)


def _cast_to(network: Network, graph: Graph) -> torch.dtype | None:
    """The dtype that a network was cast to, in which it takes its inputs; None where it has that of its spec."""
    for name, weight in network.named_parameters():
        declared = graph.weights[name].dtype if name in graph.weights else "f32"
        if weight.is_floating_point():
            return None if str(weight.dtype) == f"torch.{torch_name(declared)}" else weight.dtype
    return None


def exported(network: Network, *, batch: int | None = None) -> ExportedProgram:
    """A network in eval mode as `torch.export` captures it, for so many samples or for any number, and for any free sizes.

    Raises SpecError where PyTorch cannot leave a size free that the spec does.
    """
    import torch

    graph: Graph = network.meta["archspec"]
    shapes = dynamic_shapes(graph, batch=batch is None)
    given = examples(network, batch=batch)
    with explained(graph, "torch.export"), torch.no_grad():
        return torch.export.export(
            network.eval(),
            given,
            dynamic_shapes=tuple(shapes.values()),
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def save_program(
    network: Network, path: Path, *, batch: int | None = None, sources: Iterable[Path] = ()
) -> None:
    """Write a network as a `.pt2` that `torch.export.load` reads, whole or not at all, over none of `sources`.

    Raises SpecError as `exported`, and where the place cannot be written.
    """
    import torch

    from archspec.ground.atomic import replacing, require_writable

    require_writable(path, sources=sources)
    program = exported(network, batch=batch)
    with replacing(path, sources=sources) as file:
        torch.export.save(program, file)


@contextmanager
def explained(graph: Graph, by: str) -> Iterator[None]:
    """Within it, what PyTorch cannot capture or leave free is a SpecError, `by` whom it was to be done."""
    from torch._dynamo.exc import UserError

    try:
        yield
    except UserError as error:
        said = str(error)
        names = re.search(r"Constraints violated \(([^)]+)\)", said)
        if names is None:
            raise SpecError.of(
                codes.NO_EXPORT, f"{by} cannot capture {graph.name}: {_first_line(said)}"
            ) from error
        fixed = re.findall(r"^ +(\w+) = \d+$", said, re.M)  # what PyTorch suggests
        free = fixed or [name.strip() for name in names[1].split(",")]
        why = (
            "a step of it is captured for one size only" if fixed else "it cannot prove that any size will do"
        )
        raise SpecError.of(
            codes.FREE_NUMBER,
            f"{by} cannot leave {' and '.join(f'`{name}`' for name in free)} of {graph.name} free: {why}",
            _place_of(graph, free),
            label="free here",
            help="set the size: by the parameter that gives it, as in --set length=24, or as a number in the spec",
        ) from error


def _place_of(graph: Graph, names: Iterable[str]) -> Span | None:
    """Where the first input stands that has one of these sizes."""
    wanted = set(names)
    for given in graph.inputs:
        if wanted & {BATCH, *(name for size in given.type.shape for name in _names(size))}:
            return span_at(given.location, graph.sources.get(given.location.file, ""))
    return None


def located(graph: Graph, step: str | None, message: str, *, help: str = "") -> SpecError:
    """The error that an export meets at a step, with its place in the spec."""
    from archspec.backends.torch_errors import span_of, trail_of

    node = next((node for node in graph.nodes if node.name == step), None)
    if node is None:
        return SpecError.of(codes.NO_EXPORT, message, help=help)
    span, label = span_of(graph, node.location), f"{type(node.op).__name__} `{node.name}`"
    if span is None:
        message += f" (in the spec: {node.location})"
    return SpecError([Problem(codes.NO_EXPORT, message, span, label, help, trail_of(graph, node))])


def _first_line(text: str) -> str:
    return next(filter(None, map(str.strip, text.splitlines())), "")


def _names(size: Size) -> Iterable[str]:
    return size.names if isinstance(size, Free) else ()


def least_sizes(graph: Graph) -> dict[str, int]:
    """For each free name the least number at which no size that follows from it alone is 1."""
    sizes = {
        size
        for function in graph.functions
        for type_ in (*function.inputs, *(type_ for step in function.steps for type_ in step.types))
        for size in type_.shape
        if isinstance(size, Free) and len(size.names) == 1
    }
    least: dict[str, int] = {}
    for size in sizes:
        (name,) = size.names
        number = least.get(name, 1)
        while number < (assumed_of(name).top or _MOST) and size.substitute({name: number}) < 2:
            number += 1
        least[name] = number
    return least


_MOST = 1 << 14
