"""What Python programs call: read a spec, check it, load a module."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archspec.elaborate import (
    BUDGET,
    Entry,
    Module,
    catalogue,
    elaborate,
    elaborate_text,
    locate,
    pick_model,
    read_module,
    read_value,
)
from archspec.errors import Mistake, Problem, SpecError
from archspec.graph import Graph, graph_of

__all__ = [
    "Graph",
    "blocks",
    "check",
    "claims",
    "cost",
    "diff",
    "draw",
    "graph_of",
    "load",
    "load_aot",
    "models",
    "parse",
    "parse_value",
    "read",
    "resize_positions",
    "scale",
    "shipped",
    "torch_dtype",
]

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

    from archspec.analyses.claims import Verdict
    from archspec.analyses.diff import Difference
    from archspec.analyses.summary import Summary
    from archspec.backends.graphviz import Drawing
    from archspec.backends.torch_fx import Network

BUILT = ".archmod"


def read(
    spec: str | os.PathLike[str], model: str | None = None, *, budget: int = BUDGET, **settings: Any
) -> Graph:
    """The graph of a model, every shape known. Never imports torch.

    `spec` is the path of an `.arch` file, the name of a shipped spec, or either with `:Model` behind
    it; `model` picks one where a file holds several (the last is the default). `settings` are
    parameters of the model, `budget` the most nodes it may have.

    Raises SpecError when the spec is wrong or cannot be read.
    """
    module, model = _open(spec, model)
    return elaborate(module, model, settings, budget=budget)


def parse(text: str, model: str | None = None, *, budget: int = BUDGET, **settings: Any) -> Graph:
    """The graph of a model written in a string, as `read` gives it for a file.

    Raises SpecError when the spec is wrong.
    """
    return elaborate_text(text, model, settings, budget=budget)


def load(
    spec: str | os.PathLike[str] | Graph,
    model: str | None = None,
    *,
    flat: bool = False,
    seed: int | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    recompute: bool = False,
    compile: bool | str = False,
    optimize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    budget: int = BUDGET,
    **settings: Any,
) -> GraphModule:
    """A network as a `torch.fx.GraphModule`, in training mode as a new module is.

    `spec` is what `read` takes, a graph that it gave, or the path of a built `.archmod`, whose weights
    are then loaded. Weights are drawn from `seed`, or from PyTorch's generator without one. `flat`
    gives one fx graph instead of a module for each block. `dtype` and `device` are where the
    floating-point weights go.

    `weights` is a `.safetensors` file of all weights by name, which is mapped into memory: nothing is drawn that is then
    replaced.

    `recompute` saves memory in training: each of the network's `blocks` keeps its input only, and runs again in the
    backward pass [Chen et al., 2016].

    `compile` makes `torch.compile` compile the network when it first runs: `True` chooses between each block that
    repeats ("regions") and the network as a whole ("whole", or a mode such as "max-autotune"); see docs/speed.md.
    `optimize="inference"` folds, fuses and packs what it can into a flat network in eval mode, which can no longer train.

    Raises SpecError when the spec, the built file or the weights are wrong or cannot be read.
    """

    import torch

    from archspec.artifact import read_artifact, read_weights
    from archspec.backends.torch_fx import lower
    from archspec.backends.torch_weights import draw

    if optimize not in (None, "inference"):
        raise SpecError.of("argument", f"`optimize` is none or `inference`, not `{optimize}`")
    graph: Graph
    if isinstance(spec, str | os.PathLike) and _is_built(str(spec)):
        if settings or model or seed is not None or weights is not None:
            raise SpecError.of(
                "argument",
                f"`{spec}` is built: its model, settings and weights are fixed",
                help="load the spec itself to change them",
            )
        graph, saved, manifest = read_artifact(Path(spec))
        optimize, compile = optimize or manifest.optimize, compile or manifest.compile
        made = partial(_with_constants, saved)
    else:
        graph = spec if isinstance(spec, Graph) else read(spec, model, budget=budget, **settings)
        made = partial(draw, seed=seed) if weights is None else partial(read_weights, Path(weights))
    if isinstance(dtype, str):
        dtype = torch_dtype(dtype)
    with torch.inference_mode(False):  # weights made within it could never be trained
        tensors = made(graph)

    network = lower(graph, lambda _: tensors, flat=flat or optimize is not None)
    if dtype is not None or device is not None:
        network.to(device=device, dtype=dtype)
    if optimize is not None:
        from archspec.passes import leaves_little, optimize_for_inference

        network = optimize_for_inference(network)
        if compile is True and leaves_little(network):
            compile = False
    if recompute:
        from archspec.backends.torch_blocks import recompute as recompute_blocks

        recompute_blocks(network)
    if compile:
        from archspec.passes import compile_network

        compile_network(network, compile, freeze=optimize is not None)
    return network


def load_aot(path: str | os.PathLike[str]) -> Callable[..., Any]:
    """What `archspec build --aot` compiled, as a function of the inputs; it runs without compiling anything.

    The package is machine code: load only what you built yourself. Raises SpecError when it cannot be loaded.
    """
    from archspec.backends.torch_aot import load_package

    return load_package(Path(path))


def blocks(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The repeated units of a loaded network by name: the bottlenecks of a ResNet, the encoder layers of a ViT.

    They are what to shard (`for block in blocks(module).values(): fully_shard(block)`), to freeze, or to count: the
    outermost blocks of the spec whose name occurs twice, but for those that hold a list of blocks of which two are alike, as
    stages do. Empty for a flat network.

    Raises TypeError for a module that archspec did not load.
    """
    from archspec.backends.torch_blocks import blocks as blocks_of

    graph_of(module)
    return blocks_of(cast("Network", module))


def resize_positions(weights: Mapping[str, torch.Tensor], graph: Graph) -> dict[str, torch.Tensor]:
    """Weights of one resolution for a network of another: `load_state_dict(resize_positions(weights, graph))`.

    Tables of positions whose size is not the graph's are interpolated, bicubic, as in Dosovitskiy et al. 2021,
    Section 3.2: sequences [1, tokens + H W, D] of a grid behind up to two tokens (ViT), grids [1, C, H, W] (PiT), and
    relative positions [(2 w - 1)^2, heads] of square windows (Swin). All other weights are handed on.

    Raises SpecError when a weight of another shape is no table of positions, as in an MLP-Mixer.
    """
    from archspec.backends.torch_positions import resize_positions as resize

    return resize(weights, graph)


def torch_dtype(name: str) -> torch.dtype:
    """The floating-point dtype of that name (`f16`, `float16` ...). Raises SpecError when there is none."""
    import torch

    from archspec.tensor import dtype, torch_name

    try:
        found: torch.dtype = getattr(torch, torch_name(dtype(name)))
    except Mistake as mistake:
        raise mistake.at(None) from None
    if not found.is_floating_point:
        raise SpecError.of(
            "argument", f"weights cannot be {name}", help="f16, bf16, f32 and f64 hold real numbers"
        )
    return found


def cost(graph: Graph, *, batch: int = 1, dtype: str | None = None) -> Summary:
    """What a network costs, counted from its graph: `cost(graph).total.macs`, `.peak.bytes`, `.depth` ...

    `batch` is how many samples run at once, `dtype` what real numbers are kept as (`"bf16"`), as in the
    spec unless given. Never imports torch. Raises SpecError for an unknown dtype; what is counted raises
    Mistake where it depends on a free size.
    """
    from archspec.analyses.summary import Summary
    from archspec.tensor import dtype as find

    try:
        return Summary(graph, batch, None if dtype is None else find(dtype))
    except Mistake as mistake:
        raise mistake.at(None) from None


def scale(
    spec: str | os.PathLike[str],
    phi: float = 1.0,
    model: str | None = None,
    *,
    alpha: float = 1.2,
    beta: float = 1.1,
    gamma: float = 1.15,
    budget: int = BUDGET,
    **settings: Any,
) -> Graph:
    """A model alpha^phi as deep, beta^phi as wide, at gamma^phi times its resolution [Tan & Le, 2019, Section 3.3].

    `spec`, `model`, `budget` and `settings` are as in `read`; the model has parameters `depth`, `width` and
    `resolution`. Where alpha * beta^2 * gamma^2 is 2, FLOPs grow by about 2^phi. Raises SpecError when the model
    cannot be scaled.
    """
    from archspec.analyses.scaling import Base, Rule

    base = read(spec, model, budget=budget, **settings)
    try:
        scaled = Rule(alpha, beta, gamma).settings(Base.of(base), phi)
    except Mistake as mistake:
        raise mistake.at(None) from None
    return read(spec, model, budget=budget, **{**settings, **scaled})


def diff(left: Graph, right: Graph) -> Difference:
    """What differs between two networks: structure, cost, and the weights that carry over. Never imports torch."""
    from archspec.analyses.diff import diff as compare

    return compare(left, right)


def draw(
    graph: Graph,
    view: str = "overview",
    *,
    depth: int | None = None,
    focus: str = "",
    shade: str = "",
    theme: str = "light",
    direction: str = "down",
) -> Drawing:
    """A picture of a network, drawn with Graphviz: `draw(graph).save(Path("net.svg"))`. Never imports torch.

    `view` is `overview` (the stages), `block` (one block), `blocks` (a sheet of all that differ), `full` (every
    node) or `cost` (the stages, shaded); `focus` the step or block that is drawn alone, `depth` how many levels
    of blocks are opened, `shade` the quantity by whose share boxes are shaded (`params`, `macs` or `memory`),
    `theme` `light`, `dark` or `grey`, `direction` `down`, `up` or `right`. Raises SpecError when there is no
    such view, part, quantity, theme or direction.
    """
    from archspec.backends.graphviz import draw as draw_with_graphviz

    return draw_with_graphviz(
        graph, view, depth=depth, focus=focus, shade=shade, theme=theme, direction=direction
    )


def _picture(graph: Graph) -> str | None:
    from archspec.backends.graphviz import overview_svg

    return overview_svg(graph)


Graph.picture = _picture


def models(spec: str | os.PathLike[str]) -> list[str]:
    """The models that a spec file defines, in order. Raises SpecError when the file is wrong."""
    module, picked = _open(spec, None)
    return [picked] if picked else [d.name for d in module.file.definitions if d.kind == "model"]


def check(spec: str | os.PathLike[str], *, budget: int = BUDGET) -> list[tuple[Graph, list[Verdict]]]:
    """Every model of a file that can stand alone, and the verdicts on its claims, which all hold.

    Never imports torch. Raises SpecError when the spec is wrong or a claim does not hold.
    """
    module, _ = _open(spec, None)
    spans = {span.location: span for span in module.claim_spans()}
    checked = claims(spec, budget=budget)
    problems = []
    for graph, verdicts in checked:
        for verdict in verdicts:
            if not verdict.holds:
                what = " ".join(filter(None, (verdict.claim.quantity, verdict.claim.subject)))
                span = spans[verdict.claim.location]
                message = f"{graph.name} does not have the {what} claimed"
                problems.append(
                    Problem("claim", message, span, f"measured: {verdict.measured}", verdict.mend)
                )
    if problems:
        raise SpecError(problems)
    return checked


def claims(spec: str | os.PathLike[str], *, budget: int = BUDGET) -> list[tuple[Graph, list[Verdict]]]:
    """Every model of a file that can stand alone, and the verdicts on its claims, whether they hold or not.

    A model is read once as it is, and once more for each input size that its claims name. Never
    imports torch. Raises SpecError when the spec is wrong or a claim cannot be measured.
    """
    from archspec.analyses.claims import check_claims

    module, picked = _open(spec, None)
    spans = {span.location: span for span in module.claim_spans()}
    problems: list[Problem] = []
    checked = []
    for definition in module.file.definitions:
        if picked not in (None, definition.name) or definition.kind != "model":
            continue
        if picked is None and any(p.default is None for p in definition.parameters):
            continue  # a family: it stands alone only with arguments
        graph = elaborate(module, definition.name, budget=budget)
        measured = {}
        for settings in _unique(claim.settings for claim in graph.claims):
            as_is = settings.items() <= graph.scopes[0].arguments.items()
            measured[str(settings)] = (
                graph if as_is else elaborate(module, definition.name, settings, budget=budget)
            )
        verdicts = []
        for claim in graph.claims:
            try:
                verdicts += check_claims(measured[str(claim.settings)], (claim,))
            except Mistake as mistake:
                problems += mistake.at(spans[claim.location]).problems
        checked.append((graph, verdicts))
    if picked is not None and not checked:
        pick_model(module, picked)
    if problems:
        raise SpecError(problems)
    return checked


def shipped() -> list[Entry]:
    """The specs that come with archspec, the oldest families first, and in each the oldest specs."""
    return list(catalogue())


def parse_value(text: str) -> Any:
    """A value as specs write it: `3`, `[3, 4, 6, 3]`, `GELU`, `Conv(bias=false)`; a bare word is a string.

    Raises SpecError when the text is not a value.
    """
    return read_value(text)


def _with_constants(tensors: dict[str, torch.Tensor], graph: Graph) -> dict[str, torch.Tensor]:
    from archspec.backends.torch_weights import constants

    return {**constants(graph), **tensors}


def _unique(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The different ones, in the order of their first appearance."""
    found: list[dict[str, Any]] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _open(spec: str | os.PathLike[str], model: str | None) -> tuple[Module, str | None]:
    path, picked = locate(str(spec))
    if path.suffix == BUILT:
        raise SpecError.of("file", f"`{path}` is a built module, not a spec", help="`archspec.load` loads it")
    return read_module(path), model or picked


def _is_built(spec: str) -> bool:
    return bool(re.search(rf"{re.escape(BUILT)}$", spec))
