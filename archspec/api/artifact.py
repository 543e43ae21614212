"""A built module on disk: a zip of the graph as JSON, the weights as safetensors, and a manifest.

Nothing in it is ever executed or unpickled. The same spec and seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from archspec.api.archive import GRAPH, MANIFEST, WEIGHTS, digest, not_whole, read_archive, write_archive
from archspec.graph import Graph, graph_of
from archspec.graph.reading import told
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.tensor import DType, byte_size, is_real, show, torch_name
from archspec.ground.tensor import dtype as short_name
from archspec.version import __version__

if TYPE_CHECKING:
    import torch

_FORMAT: Final = 2
_LARGEST_HEADER = 100_000_000  # bytes, as safetensors itself has it


Real = Literal["f16", "bf16", "f32", "f64"]


class Manifest(BaseModel):
    """What a built module is made of, and how it is to be loaded. `hashes` are those of the other two entries."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[2] = _FORMAT
    archspec: str
    torch: str
    name: str
    seed: int | None
    dtype: Real
    optimize: Literal["inference"] | None = None
    compile: bool | str = False
    sources: dict[str, str]
    hashes: dict[str, str]


def save_artifact(
    module: torch.nn.Module,
    path: Path,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    optimize: Literal["inference"] | None = None,
    compile: bool | str = False,
    sources: Iterable[Path] = (),
) -> Manifest:
    """Write a loaded module to `path`, whole or not at all; `optimize` and `compile` are how it is loaded unless told.

    `sources` are files that are never written over. `dtype` is what its real numbers are kept as, where that is not as the
    spec has it; found out unless given.

    Raises SpecError when the place cannot be written, or the weights are no longer those of the spec; TypeError for a module
    that archspec did not load.
    """
    entries, manifest = parts_of(module, seed=seed, dtype=dtype, optimize=optimize, compile=compile)
    write_archive(path, entries, sources)
    return manifest


def parts_of(
    module: torch.nn.Module,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    optimize: Literal["inference"] | None = None,
    compile: bool | str = False,
) -> tuple[dict[str, bytes], Manifest]:
    """What a built module consists of, by name: its graph, its weights and the manifest. Raises as `save_artifact`."""
    import torch
    from safetensors.torch import save

    graph = graph_of(module)
    further = getattr(module, "further_keys", ())  # of tensors that are there already
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items() if name not in further}
    names = {getattr(torch, torch_name(dtype)): dtype for dtype in get_args(DType)}
    kept = {
        name: (names.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))
        for name, tensor in state.items()
    }
    real = _real(dtype or _kept_as(kept, graph))
    for problem in _misfits(kept, graph, real):
        raise SpecError.of(codes.CHANGED, f"{graph.name} cannot be written as its spec has it: it {problem}")
    entries = {GRAPH: graph.to_json().encode(), WEIGHTS: save(state)}
    manifest = Manifest(
        archspec=__version__,
        torch=torch.__version__,
        name=graph.name,
        seed=seed,
        dtype=real,
        optimize=optimize,
        compile=compile,
        sources=graph.sources,
        hashes={name: digest(data) for name, data in entries.items()},
    )
    entries[MANIFEST] = manifest.model_dump_json(indent=2).encode()
    return entries, manifest


def read_artifact(path: Path) -> tuple[Graph, dict[str, torch.Tensor], Manifest]:
    """Graph, weights and manifest of a built module. The weights are mapped into memory, and copied only when written to.

    Raises SpecError when the file is missing, not a built module, truncated or altered.
    """
    return read_parts(path, *read_archive(path))


def read_parts(
    path: Path, entries: Mapping[str, bytes], weights: memoryview
) -> tuple[Graph, dict[str, torch.Tensor], Manifest]:
    """Graph, weights and manifest of what `parts_of` gave, which is at `path`. Raises SpecError when they do not belong together."""
    manifest = _manifest(path, entries[MANIFEST])
    for name, data in ((GRAPH, entries[GRAPH]), (WEIGHTS, weights)):
        if digest(data) != manifest.hashes[name]:
            raise not_whole(path, f"was altered: `{name}` is not what the manifest says")
    graph = Graph.from_json(entries[GRAPH])
    if (manifest.name, manifest.sources) != (graph.name, graph.sources):
        raise not_whole(path, "has a manifest of another network")
    try:
        places, values = _places(weights)
    except ValueError as error:
        raise not_whole(path, f"has weights that are not safetensors: {error}") from None
    kept = {name: (place.dtype.lower(), place.shape) for name, place in places.items()}
    for problem in _misfits(kept, graph, manifest.dtype):
        raise not_whole(path, problem)
    return graph, {name: _tensor(values, place) for name, place in places.items()}, manifest


def _manifest(path: Path, data: bytes) -> Manifest:
    """What the manifest says, when it says what can be; SpecError when not."""
    from archspec.passes.compile_blocks import CHOICES

    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        try:
            made = _AnyManifest.model_validate_json(data).format
        except ValidationError:
            made = _FORMAT
        if made != _FORMAT:
            raise not_whole(path, f"has format {made}, and this archspec reads format {_FORMAT}") from None
        raise not_whole(path, f"has a manifest that is not one: {told(error)[0]}") from None
    if isinstance(manifest.compile, str) and manifest.compile not in CHOICES:
        raise not_whole(path, f"has a manifest that is not one: nothing is compiled as `{manifest.compile}`")
    if manifest.hashes.keys() != {GRAPH, WEIGHTS}:
        raise not_whole(
            path,
            "has a manifest that is not one: it has other hashes than those of the graph and the weights",
        )
    return manifest


class _AnyManifest(BaseModel):
    """A manifest of any format."""

    format: int


class _Place(BaseModel):
    """Where a tensor lies in a file of safetensors, and what it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dtype: Literal["F16", "BF16", "F32", "F64", "I8", "U8", "I16", "I32", "I64", "BOOL"]
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


def _places(data: memoryview) -> tuple[dict[str, _Place], memoryview]:
    """The header of a file of safetensors, checked, and the values behind it. Raises ValueError when it is none.

    The library's own reader takes no file within another without copying it.
    """
    if len(data) < 8:
        raise ValueError("they have no header")
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, _LARGEST_HEADER) or length % 8:
        raise ValueError("their header is not as long as they say")
    try:
        places = TypeAdapter(dict[str, _Place]).validate_json(bytes(data[8 : 8 + length]))
    except ValidationError as error:
        raise ValueError(told(error)[0]) from None
    values, end = data[8 + length :], 0
    for name, place in sorted(places.items(), key=lambda item: item[1].data_offsets):
        size = byte_size(cast(DType, place.dtype.lower()))
        if place.data_offsets != (end, end + size * prod(place.shape)) or end % size:
            raise ValueError(f"`{name}` does not fill its place")
        end = place.data_offsets[1]
        if place.dtype == "BOOL" and bytes(values[slice(*place.data_offsets)]).translate(None, b"\0\1"):
            raise ValueError(f"`{name}` holds what is neither true nor false")
    if end != len(values):
        raise ValueError("they have other values than their header says")
    return places, values


def _tensor(values: memoryview, place: _Place) -> torch.Tensor:
    """A tensor in the file's own memory."""
    import torch

    dtype = getattr(torch, torch_name(cast(DType, place.dtype.lower())))
    part = values[slice(*place.data_offsets)]
    return (torch.frombuffer(part, dtype=dtype) if part else torch.empty(0, dtype=dtype)).view(place.shape)


Kept = Mapping[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of each tensor of a `state_dict`."""


def _misfits(kept: Kept, graph: Graph, real: Real) -> Iterator[str]:
    """What is wrong with saved tensors for a graph whose real numbers may be kept as `real`."""
    saved = {name: weight for name, weight in graph.weights.items() if weight.saved}
    for name in kept.keys() - saved.keys():
        yield f"has a weight `{name}`, which {graph.name} has not"
    for name, weight in saved.items():
        dtypes = {weight.dtype, real} if is_real(weight.dtype) else {weight.dtype}
        if name not in kept or kept[name][1] != weight.shape:
            yield f"has no weight `{name}` of shape {show(weight.shape)}"
        elif kept[name][0] not in dtypes:
            yield f"has the weight `{name}` as {kept[name][0]}, not as {weight.dtype}"


def _kept_as(kept: Kept, graph: Graph) -> str:
    """The dtype of the real numbers that are not kept as the spec has them."""
    others = {
        dtype
        for name, (dtype, _) in kept.items()
        if name in graph.weights and dtype != graph.weights[name].dtype
    }
    return min(others & set(get_args(Real)), default="f32")


def _real(name: str) -> Real:
    """The dtype of that name. SpecError when it holds no real numbers, or is none."""
    try:
        found = short_name(name)
    except Mistake as mistake:
        raise mistake.at(None) from None
    if not is_real(found):
        raise SpecError.of(
            codes.OPTION, f"weights cannot be {name}", help="f16, bf16, f32 and f64 hold real numbers"
        )
    return cast(Real, found)
