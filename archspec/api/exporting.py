"""Networks as files that others run or read without archspec."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archspec.api.arguments import checked, path_or_graph, text, told
from archspec.api.arguments import path as a_path
from archspec.api.loading import load
from archspec.api.reading import Request, free_names, is_built, opened
from archspec.api.weights import Given, weights_given
from archspec.elaboration import BUDGET, Module, locate, source_files
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.atomic import replacing, require_writable
from archspec.ground.errors import SpecError, suggest
from archspec.syntax.tree import Definition, Input

if TYPE_CHECKING:
    import torch

    from archspec.backends.torch_modules import Network


@dataclass(frozen=True)
class Exported:
    """What is written: a graph, the blocks of its spec by their names, and the files that it is read from.

    `batch` is for how many samples, None for any; `network` loads it, with its weights, in eval mode, flat if it is given True.
    """

    graph: Graph
    blocks: Mapping[str, Definition]
    sources: tuple[Path, ...]
    batch: int | None
    network: Callable[[bool], Network]


@dataclass(frozen=True)
class Format:
    """A kind of file that networks are exported to, and the arguments of `export` beside the spec's that it has a use for."""

    suffix: str
    meaning: str
    write: Callable[[Exported, Path], None]
    uses: tuple[str, ...] = ()

    @property
    def no_use_for(self) -> list[str]:
        """The arguments that other formats have a use for, and this one not."""
        return sorted({use for form in FORMATS.values() for use in form.uses} - set(self.uses))


def _python(exported: Exported, path: Path) -> None:
    from archspec.backends.python import Described, python_source

    blocks = {name: Described(block.doc, _inputs(block)) for name, block in exported.blocks.items()}
    text = python_source(exported.graph, blocks)
    with replacing(path, sources=exported.sources) as file:
        file.write(text.encode())


def _inputs(block: Definition) -> tuple[str, ...]:
    """The names of a block's inputs; none where one stands for several."""
    inputs = [statement for statement in block.body if isinstance(statement, Input)]
    several = any(given.remaining or given.count is not None for given in inputs)
    return () if several else tuple(given.name for given in inputs)


def _onnx(exported: Exported, path: Path) -> None:
    from archspec.backends.torch_onnx import require_packages, save_onnx

    require_packages()
    save_onnx(exported.network(True), path, batch=exported.batch, sources=exported.sources)


def _pt2(exported: Exported, path: Path) -> None:
    from archspec.backends.torch_export import save_program

    save_program(exported.network(False), path, batch=exported.batch, sources=exported.sources)


def _safetensors(exported: Exported, path: Path) -> None:
    from archspec.backends.torch_saving import save_weights

    save_weights(exported.network(False), exported.graph, path, sources=exported.sources)


_WEIGHTS = ("seed", "weights", "dtype")
FORMATS = {
    "python": Format(".py", "plain PyTorch code, a class per block", _python),
    "onnx": Format(".onnx", "a program of ONNX, with the weights", _onnx, ("batch", *_WEIGHTS)),
    "pt2": Format(".pt2", "a program of `torch.export`, with the weights", _pt2, ("batch", *_WEIGHTS)),
    "safetensors": Format(".safetensors", "the weights alone", _safetensors, _WEIGHTS),
}
"""The formats by name."""


@checked(spec=path_or_graph, path=a_path, format=text, weights=weights_given)
@told
def export(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    model: str | None = None,
    batch: int | None = None,
    seed: int | None = None,
    weights: Given | None = None,
    dtype: str | torch.dtype | None = None,
    free: bool | str | Iterable[str] = False,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write a network to a file that runs without archspec: `export("resnet50", "resnet50.py")`; returns its path.

    `spec` is a graph, what `read` takes, or a built `.archmod`; `model`, `free`, `budget` and the model's parameters are as in
    `read`, and fixed in a graph and a built module. `format` is by default what the path's suffix says: `python` is plain
    PyTorch, with a class per block, the same `state_dict` and the same outputs; `onnx` is for onnxruntime and whatever else
    reads ONNX; `pt2` is for `torch.export.load`; `safetensors` are the weights under the spec's keys (docs/exports.md).

    `seed` (0 unless given), `weights` and `dtype` are as in `load`. `onnx` and `pt2` take batches of any number of samples,
    unless `batch` says how many, and leave sizes free that the spec does. Weights of over 2 GB go to a file beside the one of
    ONNX, whose name ends in `.data` as well.

    Raises SpecError when the spec or the weights are wrong, for an unknown format and an argument that it has no use for, when a
    step cannot be exported, and when the file cannot be written.
    """
    request = Request("export", given, model, budget, settings, more, free_names(free))
    target = Path(path)
    name = format_of(target, format)
    idle = [use for use in FORMATS[name].no_use_for if use in given]
    if idle:
        message = f"{name} is {FORMATS[name].meaning}, and `{idle[0]}` would have no effect"
        raise SpecError.of(codes.OPTION, message, help=f"leave out `{idle[0]}`, or choose another format")
    load_as: dict[str, Any] = {"dtype": dtype}
    blocks, sources = dict[str, Definition](), list[Path]()
    whole: str | os.PathLike[str] | Graph = spec
    if not isinstance(spec, Graph) and is_built(spec):
        from archspec.api.artifact import read_artifact

        request.refuse_all(f"`{spec}` is built: its model, settings and weights are fixed", "seed", "weights")
        graph, _, _ = read_artifact(Path(spec))
        sources.append(Path(spec))
        load_as |= {"optimize": None, "compile": False}
    else:
        whole = graph = request.graph(spec)
        load_as |= {"weights": weights, "seed": 0 if seed is None and weights is None else seed}
        if not isinstance(spec, Graph):
            module, _ = opened(spec, model)
            blocks, sources = _blocks(module), source_files(locate(str(spec))[0])
    sources += [
        Path(each)
        for each in (weights if isinstance(weights, list) else [weights])
        if isinstance(each, str | os.PathLike)
    ]
    require_writable(target, sources=sources)

    def network(flat: bool) -> Network:
        return cast("Network", load(whole, flat=flat, **load_as).eval())

    FORMATS[name].write(Exported(graph, blocks, tuple(sources), batch, network), target)
    return target


def format_of(path: Path, format: str | None) -> str:
    """The name of a format that is given, or of the one that a path's suffix says. Raises SpecError when there is none."""
    if format is not None:
        if format not in FORMATS:
            names = ", ".join(f"`{name}`" for name in FORMATS)
            help_ = suggest(format, FORMATS) or f"the formats are {names}"
            raise SpecError.of(codes.CHOICE, f"there is no format `{format}`", help=help_)
        return format
    for name, known in FORMATS.items():
        if path.suffix == known.suffix:
            return name
    suffixes = ", ".join(known.suffix for known in FORMATS.values())
    raise SpecError.of(
        codes.SUFFIX,
        f"`{path}` has no suffix that says a format",
        help=f"end it in {suffixes}, or give a format",
    )


def _blocks(module: Module) -> dict[str, Definition]:
    """The blocks of a spec and of the files that it imports, by name; nearer files win."""
    found: dict[str, Definition] = {}
    for imported in module.imports:
        found.update(_blocks(imported))
    found.update({definition.name: definition for definition in module.file.definitions})
    return found
