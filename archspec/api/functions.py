"""What Python programs call: read a spec, check it, load a module."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from inspect import Parameter, signature
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from archspec.api.arguments import checked, mapping, path, path_or_graph, text
from archspec.elaboration import (
    BUDGET,
    Entry,
    Module,
    catalogue,
    elaborate,
    locate,
    parameters_of,
    pick_model,
    read_module,
    read_text,
    read_value,
)
from archspec.graph import Graph, graph_of
from archspec.ground.errors import Mistake, Problem, SpecError

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
    from archspec.backends.torch_modules import Network

BUILT = ".archmod"


P = ParamSpec("P")
R = TypeVar("R")


def _told(function: Callable[Concatenate[frozenset[str], P], R]) -> Callable[P, R]:
    """The function, told as its first argument which others were given by name: a default says nothing of that."""
    others = list(signature(function).parameters.values())[1:]
    with_defaults = {p.name for p in others if p.default is not Parameter.empty}

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(with_defaults.intersection(kwargs), *args, **kwargs)  # type: ignore[arg-type]

    told.__signature__ = signature(function).replace(parameters=others)  # type: ignore[attr-defined]
    return told


@checked()
@_told
def read(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str],
    model: str | None = None,
    *,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """The graph of a model, every shape known. Never imports torch.

    `spec` is the path of an `.arch` file, the name of a shipped spec, or either with `:Model` behind
    it; `model` picks one where a file holds several (the last is the default). `budget` is the most
    nodes it may have.

    Parameters of the model are given by name, `read("resnet50", classes=10)`, or as a mapping,
    `settings={"classes": 10}`. Where the model has a parameter of the name of an argument here,
    only the mapping sets it: the argument is refused, unless a mapping, perhaps an empty one, says
    what is meant for the model.

    Raises SpecError when the spec is wrong or cannot be read.
    """
    module, model = _open(spec, model)
    return _elaborated("read", given, module, model, budget, settings, more)


@checked()
@_told
def parse(
    given: frozenset[str],
    /,
    text: str,
    model: str | None = None,
    *,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """The graph of a model written in a string, as `read` gives it for a file.

    Raises SpecError when the spec is wrong.
    """
    return _elaborated("parse", given, read_text(text), model, budget, settings, more)


def _elaborated(
    function: str,
    given: frozenset[str],
    module: Module,
    model: str | None,
    budget: int,
    settings: Mapping[str, Any] | None,
    more: Mapping[str, Any],
) -> Graph:
    """The graph that a function here was asked for, with the names of the arguments that it was given."""
    chosen = _settings(settings, more)
    if settings is None:
        definition = pick_model(module, model)
        _require_clear(function, given, definition.name, parameters_of(definition))
    graph = elaborate(module, model, chosen, budget=budget)
    if settings is None:  # a model in the short form passes on what the one behind it takes
        _require_clear(function, given, graph.name, graph.scopes[0].arguments)
    return graph


def _settings(settings: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a model, given as a mapping and by name."""
    if not isinstance(settings, Mapping | None) or not all(isinstance(name, str) for name in settings or ()):
        raise SpecError.of(
            "argument",
            "`settings` is a mapping of the model's parameters by name",
            help='as in `settings={"classes": 10}`; a parameter of that name is set by `settings={"settings": ...}`',
        )
    twice = [name for name in more if name in (settings or {})]
    if twice:
        raise SpecError.of("argument", f"`{twice[0]}` is given twice, in `settings` and by name")
    return {**(settings or {}), **more}


def _require_clear(function: str, given: frozenset[str], model: str, parameters: Iterable[str]) -> None:
    """SpecError when an argument given by name could have been meant for the model."""
    for name in sorted(given.intersection(parameters)):
        raise SpecError.of(
            "argument",
            f"`{name}` is an argument of `archspec.{function}` and a parameter of {model}",
            help=f'`settings={{"{name}": ...}}` sets the parameter; with `settings={{}}` beside it,'
            f" `{name}=` is the argument",
        )


@checked(spec=path_or_graph, weights=path)
@_told
def load(
    given: frozenset[str],
    /,
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
    check_inputs: bool = True,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> GraphModule:
    """A network as a `torch.fx.GraphModule`, in training mode as a new module is.

    `spec` is what `read` takes, a graph that it gave, or the path of a built `.archmod`, whose weights
    are then loaded; `model`, `budget` and the model's parameters are as in `read`, and a graph and a built
    module have theirs already. Weights are drawn from `seed`, or from PyTorch's generator without one. `flat`
    gives one fx graph instead of a module for each block. `dtype` and `device` are where the
    floating-point weights go.

    `weights` is a `.safetensors` file of all weights by name, which is mapped into memory: nothing is drawn that is then
    replaced. Real numbers become of the spec's dtype, or of `dtype`.

    `recompute` saves memory in training: each of the network's `blocks` keeps its input only, and runs again in the
    backward pass [Chen et al., 2016].

    `compile` makes `torch.compile` compile the network when it first runs: `True` chooses between each block that
    repeats ("regions") and the network as a whole ("whole", or a mode such as "max-autotune"); see docs/speed.md.
    `optimize="inference"` folds, fuses and packs what it can into a flat network in eval mode, which can no longer train.
    A built module is compiled and optimised as it was built to be, unless these are given: `optimize=None` is not.

    The network refuses tensors that its spec does not allow, with an InputError: of another rank or kind of numbers, or of
    other sizes where the spec used the number (docs/resolutions.md). With `check_inputs=False` it takes what it is given.

    Raises SpecError when the spec, the built file or the weights are wrong or cannot be read, when `dtype` cannot hold a
    number of a weight or a constant, and when one argument leaves nothing for another to do.
    """

    import torch

    from archspec.api.artifact import read_artifact
    from archspec.backends.torch_checkpoint import read_weights, require_finite
    from archspec.backends.torch_fx import lower
    from archspec.backends.torch_weights import draw

    graph: Graph
    real, place = _real_dtype(dtype), _device(device)
    fixed = sorted({*given.intersection(("model", "budget")), *_settings(settings, more)})
    if model is not None and "model" not in fixed:
        fixed.insert(0, "model")
    if isinstance(spec, str | os.PathLike) and _is_built(str(spec)):
        fixed += sorted(given.intersection(("seed", "weights")))
        if fixed:
            raise _fixed(f"`{spec}` is built: its model, settings and weights are fixed", fixed)
        graph, saved, manifest = read_artifact(Path(spec))
        optimize = optimize if "optimize" in given else manifest.optimize
        compile = compile if "compile" in given else manifest.compile
        made = partial(_with_constants, saved)
        real = real or _kept_as(graph, saved, manifest.dtype)
    else:
        if not isinstance(spec, Graph):
            module, model = _open(spec, model)
            graph = _elaborated("load", given, module, model, budget, settings, more)
        elif fixed:
            raise _fixed(f"a graph is read already: the model and settings of {spec.name} are fixed", fixed)
        else:
            graph = spec
        if weights is not None and seed is not None:
            raise SpecError.of("argument", "weights from a file need no seed", help="leave out `seed`")
        made = (
            partial(draw, seed=_whole("seed", seed))
            if weights is None
            else partial(read_weights, Path(weights), dtype=real)
        )
    if optimize not in (None, "inference"):
        raise SpecError.of("argument", f"`optimize` is none or `inference`, not `{optimize}`")
    if recompute and (flat or optimize is not None):
        what = "a flat network has no blocks" if optimize is None else "an optimised network does not train"
        raise SpecError.of(
            "argument",
            f"there is nothing to recompute: {what}",
            help=f"leave out `recompute`, or `{'flat' if optimize is None else 'optimize'}`",
        )
    with torch.inference_mode(False):  # weights made within it could never be trained
        tensors = made(graph)
        if real is not None:
            require_finite(graph, tensors, real)
        network = lower(graph, lambda _: tensors, flat=flat or optimize is not None, checked=check_inputs)
        if real is not None or place is not None:
            _move(network, place, real)
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


def _fixed(why: str, names: list[str]) -> SpecError:
    """The error of arguments that come too late to change anything."""
    help_ = "read or load the spec itself with them"
    listed = ", ".join(f"`{name}`" for name in names)
    return SpecError.of("argument", f"{why}, and {listed} would change nothing", help=help_)


def _real_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The dtype that real weights are to have. Raises SpecError when it holds no real numbers."""
    import torch

    if dtype is None:
        return None
    if isinstance(dtype, torch.dtype):
        return torch_dtype(str(dtype).removeprefix("torch."))
    if not isinstance(dtype, str):
        raise SpecError.of("argument", f"`dtype` is a name or a dtype of PyTorch, not {dtype!r}")
    return torch_dtype(dtype)


def _device(device: str | torch.device | None) -> torch.device | None:
    """The device of that name. Raises SpecError when PyTorch knows none."""
    import torch

    try:
        return None if device is None else torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise SpecError.of("argument", f"there is no device `{device}`: {_first_line(error)}") from None


def _move(network: torch.nn.Module, device: torch.device | None, dtype: torch.dtype | None) -> None:
    """Move a network. Raises SpecError when this machine has no such device."""
    try:
        network.to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SpecError.of("argument", f"`{device}` cannot hold the network: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _whole(name: str, value: int | None) -> int | None:
    """The number, which NumPy may have made. Raises SpecError when it is not a whole one of 64 bits."""
    try:
        number = None if value is None else index(value)
    except TypeError:
        number = 1 << 64
    if isinstance(value, bool) or not -(2**63) <= (number or 0) < 2**63:
        raise SpecError.of("argument", f"`{name}` is a whole number of at most 64 bits, not {value!r}")
    return number


@checked()
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


@checked(weights=mapping)
def resize_positions(
    weights: Mapping[str, torch.Tensor],
    graph: Graph,
    before: tuple[int, int] | Mapping[str, tuple[int, int]] | None = None,
    after: tuple[int, int] | Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, torch.Tensor]:
    """Weights of one resolution for a network of another: `load_state_dict(resize_positions(weights, graph, (14, 14)))`.

    Tables of positions are interpolated from the grid `before`, bicubic, as in Dosovitskiy et al. 2021, Section 3.2:
    sequences [1, tokens + H W, D] of a grid row by row, behind or before tokens (ViT), maps [1, C, H, W] (PiT), and relative
    positions [(2 H - 1)(2 W - 1), heads] of windows (Swin). All other weights are handed on.

    `before` is height and width of the grid of places, or of the windows, that the weights are of. Only maps show
    theirs: 16 places are 4 x 4, 2 x 8, or 8 x 2. `after` is that of the network, where its graph does not show it, as
    where it is given a sequence. Both are one grid for all tables, or one for each by its name; a mapping also says that no
    other weight is a table which the graph does not show to be one.

    Raises SpecError when a grid is not known or does not fit, when nothing says whether a block's own weight is a table,
    and when a weight of another shape is none, as in an MLP-Mixer.
    """
    from archspec.backends.torch_positions import resize_positions as resize

    return resize(weights, graph, before, after)


@checked()
def torch_dtype(name: str) -> torch.dtype:
    """The floating-point dtype of that name (`f16`, `float16` ...). Raises SpecError when there is none."""
    import torch

    from archspec.ground.tensor import dtype, torch_name

    try:
        found: torch.dtype = getattr(torch, torch_name(dtype(name)))
    except Mistake as mistake:
        raise mistake.at(None) from None
    if not found.is_floating_point:
        raise SpecError.of(
            "argument", f"weights cannot be {name}", help="f16, bf16, f32 and f64 hold real numbers"
        )
    return found


@checked(dtype=text)
def cost(graph: Graph, *, batch: int = 1, dtype: str | None = None) -> Summary:
    """What a network costs, counted from its graph: `cost(graph).total.macs`, `.peak.bytes`, `.depth` ...

    `batch` is how many samples run at once, `dtype` what real numbers are kept as (`"bf16"`), as in the
    spec unless given. Never imports torch. Raises SpecError for an unknown dtype; what is counted raises
    Mistake where it depends on a free size.
    """
    from archspec.analyses.summary import Summary
    from archspec.ground.tensor import dtype as find

    try:
        return Summary(graph, batch, None if dtype is None else find(dtype))
    except Mistake as mistake:
        raise mistake.at(None) from None


@checked()
@_told
def scale(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str],
    phi: float = 1.0,
    model: str | None = None,
    *,
    alpha: float = 1.2,
    beta: float = 1.1,
    gamma: float = 1.15,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """A model alpha^phi as deep, beta^phi as wide, at gamma^phi times its resolution [Tan & Le, 2019, Section 3.3].

    `spec`, `model`, `budget` and the model's parameters are as in `read`; it has `depth`, `width` and
    `resolution` among them. Where alpha * beta^2 * gamma^2 is 2, FLOPs grow by about 2^phi. Raises SpecError when the model
    cannot be scaled.
    """
    from archspec.analyses.scaling import Base, Rule, elaborating

    module, model = _open(spec, model)
    base = _elaborated("scale", given, module, model, budget, settings, more)
    try:
        rule = Rule(alpha, beta, gamma)
        scaled = rule.settings(Base.of(base), phi)
    except Mistake as mistake:
        raise mistake.at(None) from None
    with elaborating(rule, phi, scaled):
        return elaborate(module, model, {**_settings(settings, more), **scaled}, budget=budget)


@checked()
def diff(left: Graph, right: Graph) -> Difference:
    """What differs between two networks: structure, cost, and the weights that carry over. Never imports torch."""
    from archspec.analyses.diff import diff as compare

    return compare(left, right)


@checked()
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


@checked()
def models(spec: str | os.PathLike[str]) -> list[str]:
    """The models that a spec file defines, in order. Raises SpecError when the file is wrong."""
    module, picked = _open(spec, None)
    return [picked] if picked else [d.name for d in module.file.definitions if d.kind == "model"]


@checked()
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


@checked()
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


@checked()
def parse_value(text: str) -> Any:
    """A value as specs write it: `3`, `[3, 4, 6, 3]`, `GELU`, `Conv(bias=false)`; a bare word is a string.

    Raises SpecError when the text is not a value.
    """
    return read_value(text)


def _with_constants(tensors: dict[str, torch.Tensor], graph: Graph) -> dict[str, torch.Tensor]:
    from archspec.backends.torch_weights import constants

    return {**constants(graph), **tensors}


def _kept_as(graph: Graph, saved: Mapping[str, torch.Tensor], dtype: str) -> torch.dtype | None:
    """The dtype that a built module was cast to: that of weights which are not as the spec has them."""
    from archspec.backends.torch_weights import dtype_of

    for name, weight in graph.weights.items():
        if weight.saved and saved[name].dtype != dtype_of(weight):
            return saved[name].dtype
    return None if dtype == "f32" else torch_dtype(dtype)


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
