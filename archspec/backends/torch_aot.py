"""TorchInductor: whether it can compile here, and networks compiled ahead of time, which run without compiling anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from archspec.backends.torch_modules import Network
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.errors import InputError, SpecError
from archspec.ground.regular import require_regular
from archspec.ground.size import Free
from archspec.ground.tensor import torch_name

SUFFIX = ".pt2"


def require_compiler(network: Network) -> None:
    """SpecError when a network on the CPU is to be compiled, and there is no C++ compiler to do it."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    if _held(network).device.type != "cpu":
        return
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise SpecError.of(
            codes.PROGRAM,
            f"there is no C++ compiler, which TorchInductor needs to compile {network.meta['archspec'].name}",
            help="install one, such as g++, or name it in the environment variable CXX",
        ) from None


def freezes(network: Network) -> bool:
    """Whether TorchInductor can make constants of the weights: in double precision it calls kernels that do not exist."""
    return _held(network).dtype != torch.float64


def require_fixed(graph: Graph) -> None:
    """Raise SpecError where an input has a free size: a package is compiled for sizes that are known, but for the batch."""
    for given in graph.inputs:
        free = sorted({name for size in given.type.shape if isinstance(size, Free) for name in size.names})
        if free:
            names, place = " and ".join(f"`{name}`" for name in free), given.location
            raise SpecError.of(
                codes.FREE_NUMBER,
                f"the input `{given.name}` of {graph.name} has a free size, {names}, and a package is compiled for known ones",
                help=f"where a parameter gives the size, set it, as in --set length=24;\n"
                f"else write a number for {names} in line {place.line} of {place.file}, where it is free",
            )


def save_package(
    network: Network, path: Path, *, batch: int | None = 1, sources: Iterable[Path] = ()
) -> None:
    """Compile a network in eval mode for batches of so many samples, or of any number, and write the package, over none of `sources`.

    Raises SpecError when it cannot be compiled, as without a C++ compiler, or not be written.
    """
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.exc import InductorError

    require_compiler(network)
    graph: Graph = network.meta["archspec"]
    require_fixed(graph)
    examples = tuple(_example(graph, index, batch or 2, network) for index in range(len(graph.inputs)))
    shapes = None
    if batch is None:
        samples = torch.export.Dim("batch", min=1)
        shapes = tuple({0: samples} for _ in examples)
    try:
        with torch.no_grad():
            exported = torch.export.export(network.eval(), examples, dynamic_shapes=shapes)
            made = aoti_compile_and_package(
                exported,
                inductor_configs={
                    "freezing": freezes(network) and _held(network).device.type == "cpu",
                    "aot_inductor.metadata": {_INPUTS: json.dumps(_declared(graph, examples, batch))},
                },
            )
    except InductorError as error:
        reason = str(error).splitlines()[0]
        raise SpecError.of(codes.PROGRAM, f"TorchInductor cannot compile {graph.name}: {reason}") from error
    try:
        with replacing(path, sources=sources) as file:
            file.write(Path(made).read_bytes())
    finally:
        Path(made).unlink()


def load_package(path: Path) -> Callable[..., Any]:
    """What a package computes, as a function of its inputs. The package is machine code, which is run: load your own.

    Raises SpecError when there is no such package, or it does not suit this machine.
    """
    from torch._inductor import aoti_load_package

    require_regular(path)
    if not path.exists():
        raise SpecError.of(
            codes.NO_FILE, f"there is no file `{path}`", help="`archspec build SPEC --aot` makes one"
        )
    try:
        loaded: Callable[..., Any] = aoti_load_package(str(path))
    except RuntimeError as error:
        raise SpecError.of(
            codes.ARTIFACT,
            f"`{path}` is no package that runs here: {str(error).splitlines()[0]}",
            help="build it again with `archspec build --aot`, on the kind of machine that it is for",
        ) from None
    described = loaded.get_metadata().get(_INPUTS)  # type: ignore[attr-defined]
    return (
        loaded if described is None else Package(loaded, [Taken(*given) for given in json.loads(described)])
    )


class Taken(NamedTuple):
    """An input of a package: its name, PyTorch's dtype, and its sizes, of which that of a free batch is None."""

    name: str
    dtype: str
    shape: list[int | None]


class Package:
    """A compiled network, which takes the tensors that it was compiled for; its code would read others as if they were."""

    def __init__(self, run: Callable[..., Any], inputs: list[Taken]) -> None:
        self.run = run
        self.inputs = inputs

    def __call__(self, *tensors: torch.Tensor) -> Any:
        """What the network computes of its inputs, in order. Raises InputError when one has another dtype or size."""
        if len(tensors) != len(self.inputs) or not all(isinstance(x, torch.Tensor) for x in tensors):
            came = ", ".join(type(x).__name__ for x in tensors)
            raise InputError.of(codes.INPUTS, f"the package takes {len(self.inputs)} tensors, not ({came})")
        samples: int | None = None
        for given, x in zip(self.inputs, tensors, strict=True):
            samples = samples or x.shape[:1].numel()
            wanted = [samples if size is None else size for size in given.shape]
            if list(x.shape) != wanted or str(x.dtype) != f"torch.{given.dtype}":
                came = f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
                raise InputError.of(
                    codes.INPUT_SIZES,
                    f"the package was compiled for a `{given.name}` of {given.dtype}{wanted}, the batch in front, not {came}",
                    help="build one for it: `archspec build SPEC --aot`, with --set for other sizes and --batch for other batches",
                )
        return self.run(*(x.contiguous() for x in tensors))  # the code goes by sizes, whatever the strides


_INPUTS = "archspec.inputs"


def _declared(graph: Graph, examples: tuple[torch.Tensor, ...], batch: int | None) -> list[Taken]:
    return [
        Taken(given.name, str(x.dtype).removeprefix("torch."), [batch, *x.shape[1:]])
        for given, x in zip(graph.inputs, examples, strict=True)
    ]


def _example(graph: Graph, index: int, samples: int, network: Network) -> torch.Tensor:
    type_ = graph.inputs[index].type
    held = _held(network)
    dtype = held.dtype if type_.floating else getattr(torch, torch_name(type_.dtype))
    return torch.zeros((samples, *map(int, map(str, type_.shape))), dtype=dtype, device=held.device)


def _held(network: Network) -> torch.Tensor:
    """A weight of the network, or a tensor like PyTorch makes them where there is none."""
    return next(network.parameters(), torch.empty(0))
