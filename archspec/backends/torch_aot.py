"""TorchInductor: whether it can compile here, and networks compiled ahead of time, which run without compiling anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from archspec.backends.torch_export import BATCH, examples, exported, least_sizes
from archspec.backends.torch_modules import Network
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.bounds import assumed_of, linear
from archspec.ground.errors import InputError, SpecError
from archspec.ground.regular import require_regular
from archspec.ground.size import Free

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


def save_package(
    network: Network, path: Path, *, batch: int | None = 1, sources: Iterable[Path] = ()
) -> None:
    """Compile a network in eval mode for batches of so many samples, or of any number, and write the package, over none of `sources`.

    Free sizes stay free in it. Raises SpecError when it cannot be compiled, as without a C++ compiler or where PyTorch fixes
    a size that the spec leaves free, or not be written.
    """
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.exc import InductorError

    require_compiler(network)
    graph: Graph = network.meta["archspec"]
    captured = exported(network, batch=batch)
    try:
        with torch.no_grad():
            made = aoti_compile_and_package(
                captured,
                inductor_configs={
                    "freezing": freezes(network) and _held(network).device.type == "cpu",
                    "aot_inductor.metadata": {_INPUTS: json.dumps(_declared(graph, network, batch))},
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
    return loaded if described is None else Package.of(loaded, json.loads(described))


class Along(NamedTuple):
    """The size of an axis of an input: a number that may be any, times a factor, and an offset."""

    name: str
    factor: int = 1
    offset: int = 0

    def __str__(self) -> str:
        times = f"{self.factor} * {self.name}" if self.factor != 1 else self.name
        return f"{times} {'-' if self.offset < 0 else '+'} {abs(self.offset)}" if self.offset else times


class Taken(NamedTuple):
    """An input of a package: its name, PyTorch's dtype, and its sizes, the batch in front."""

    name: str
    dtype: str
    shape: list[int | Along]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


Bounds = dict[str, tuple[int, int | None]]
"""The least and the greatest number that each free name can be."""


class Package:
    """A compiled network, which takes the tensors that it was compiled for; its code would read others as if they were."""

    def __init__(self, run: Callable[..., Any], inputs: list[Taken], bounds: Bounds) -> None:
        self.run = run
        self.inputs = inputs
        self.bounds = bounds

    @classmethod
    def of(cls, run: Callable[..., Any], described: Any) -> Package:
        """A package, given what it says of its inputs."""
        inputs = [
            Taken(name, dtype, [Along(*size) if isinstance(size, list) else size for size in shape])
            for name, dtype, shape in described["inputs"]
        ]
        return cls(run, inputs, {name: (least, most) for name, (least, most) in described["bounds"].items()})

    def __call__(self, *tensors: torch.Tensor) -> Any:
        """What the network computes of its inputs, in order. Raises InputError when one has another dtype or size."""
        if len(tensors) != len(self.inputs) or not all(isinstance(x, torch.Tensor) for x in tensors):
            came = ", ".join(type(x).__name__ for x in tensors)
            raise InputError.of(codes.INPUTS, f"the package takes {len(self.inputs)} tensors, not ({came})")
        known: dict[str, int] = {}
        for given, x in zip(self.inputs, tensors, strict=True):
            before = dict(known)
            if str(x.dtype) != f"torch.{given.dtype}" or not self._fits(given, x, known):
                came = f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
                raise InputError.of(
                    codes.INPUT_SIZES,
                    f"the package was compiled for a `{given.name}` of {given}, the batch in front, not {came}{self._said(given, before)}",
                    help="build one for it: `archspec build SPEC --aot`, with --set for other sizes and --batch for other batches",
                )
        return self.run(*(x.contiguous() for x in tensors))  # the code goes by sizes, whatever the strides

    def _fits(self, given: Taken, x: torch.Tensor, known: dict[str, int]) -> bool:
        """Whether a tensor has the sizes of an input; what a free one is, is known from then on."""
        if x.ndim != len(given.shape):
            return False
        for size, came in zip(given.shape, x.shape, strict=True):
            if isinstance(size, int):
                fits = came == size
            else:
                number, rest = divmod(came - size.offset, size.factor)
                least, most = self.bounds[size.name]
                fits = not rest and number == known.setdefault(size.name, number)
                fits = fits and least <= number and (most is None or number <= most)
            if not fits:
                return False
        return True

    def _said(self, given: Taken, known: dict[str, int]) -> str:
        """What the free sizes of an input must be, some of which earlier inputs say."""
        said = []
        for name in dict.fromkeys(size.name for size in given.shape if isinstance(size, Along)):
            least, most = self.bounds[name]
            if name in known:
                said.append(f"{name} is {known[name]}")
            elif most is not None:
                said.append(f"{name} is from {least} to {most}")
            elif least > 1:
                said.append(f"{name} is at least {least}")
        return f", where {' and '.join(said)}" if said else ""


_INPUTS = "archspec.inputs"


def _declared(graph: Graph, network: Network, batch: int | None) -> dict[str, Any]:
    """What a package says of its inputs."""
    inputs, bounds = list[Taken](), Bounds({BATCH: (1, None)})
    least = least_sizes(graph)
    for given, x in zip(graph.inputs, examples(network, batch=batch), strict=True):
        shape: list[int | Along] = [Along(BATCH) if batch is None else batch]
        for size in given.type.shape:
            found = linear(size) if isinstance(size, Free) else None
            shape.append(int(str(size)) if found is None else Along(*found))
            if found is not None:
                bounds[found[0]] = least.get(found[0], 1), assumed_of(found[0]).top
        inputs.append(Taken(given.name, str(x.dtype).removeprefix("torch."), shape))
    return {"inputs": inputs, "bounds": bounds}


def _held(network: Network) -> torch.Tensor:
    """A weight of the network, or a tensor like PyTorch makes them where there is none."""
    return next(network.parameters(), torch.empty(0))
