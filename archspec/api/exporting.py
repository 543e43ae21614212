"""Networks as files that run without archspec."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archspec.api.arguments import checked, path_or_graph, text, told
from archspec.api.reading import Request, free_names, opened
from archspec.elaboration import BUDGET, Module, locate, source_files
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.atomic import replacing, require_writable
from archspec.ground.errors import SpecError, suggest


@dataclass(frozen=True)
class Exported:
    """What is written: a graph, what its spec says of blocks, by their names, and the files that it is read from."""

    graph: Graph
    docs: Mapping[str, str]
    sources: tuple[Path, ...]


@dataclass(frozen=True)
class Format:
    """A kind of file that networks are exported to."""

    suffix: str
    meaning: str
    write: Callable[[Exported, Path], None]


def _python(exported: Exported, path: Path) -> None:
    from archspec.backends.python import python_source

    text = python_source(exported.graph, exported.docs)
    with replacing(path, sources=exported.sources) as file:
        file.write(text.encode())


FORMATS = {
    "python": Format(".py", "plain PyTorch code, a class per block", _python),
}
"""The formats by name."""


@checked(spec=path_or_graph, format=text)
@told
def export(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    model: str | None = None,
    free: bool | str | Iterable[str] = False,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """Write a network to a file that runs without archspec: `export("resnet50", "resnet50.py")`; returns its path.

    `spec` is a graph or what `read` takes; `model`, `free`, `budget` and the model's parameters are as in `read`, and fixed in a
    graph. `format` is by default what the path's suffix says: `python` is plain PyTorch, with a class per block, the same
    `state_dict` and the same outputs.

    Raises SpecError when the spec is wrong, for an unknown format, when a step cannot be exported, and when the file
    cannot be written.
    """
    request = Request("export", given, model, budget, settings, more, free_names(free))
    target = Path(path)
    chosen = format_of(target, format)
    graph = request.graph(spec)
    exported = Exported(graph, {}, ())
    if not isinstance(spec, Graph):
        module, _ = opened(spec, model)
        exported = replace(exported, docs=_docs(module), sources=tuple(source_files(locate(str(spec))[0])))
    require_writable(target, sources=exported.sources)
    chosen.write(exported, target)
    return target


def format_of(path: Path, format: str | None) -> Format:
    """The format of that name, or the one that a path's suffix says. Raises SpecError when there is none."""
    if format is not None:
        if format not in FORMATS:
            names = ", ".join(f"`{name}`" for name in FORMATS)
            help_ = suggest(format, FORMATS) or f"the formats are {names}"
            raise SpecError.of(codes.CHOICE, f"there is no format `{format}`", help=help_)
        return FORMATS[format]
    for known in FORMATS.values():
        if path.suffix == known.suffix:
            return known
    suffixes = ", ".join(known.suffix for known in FORMATS.values())
    raise SpecError.of(
        codes.SUFFIX,
        f"`{path}` has no suffix that says a format",
        help=f"end it in {suffixes}, or give a format",
    )


def _docs(module: Module) -> dict[str, str]:
    """What a spec and the files that it imports say of their blocks, by name; nearer files win."""
    found: dict[str, str] = {}
    for imported in module.imports:
        found.update(_docs(imported))
    found.update(
        {definition.name: definition.doc for definition in module.file.definitions if definition.doc}
    )
    return found
