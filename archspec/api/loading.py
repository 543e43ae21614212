"""Loading: from a spec, a graph or a built module to a network of PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.analyses.features import features as features_of
from archspec.analyses.features import graph_of_features
from archspec.api.arguments import checked, flag, path_or_graph, text, told
from archspec.api.arguments import names as names_given
from archspec.api.reading import Request, free_names, is_built
from archspec.api.weights import Given, Taken, default_of, source_graph, weights_given
from archspec.elaboration import BUDGET
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.warned import warn_all

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

    from archspec.backends.torch_modules import Network


@checked(spec=path_or_graph, steps=names_given)
@told
def features(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    steps: str | Iterable[str] = "stages",
    model: str | None = None,
    *,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Graph:
    """The part of a network that `load(spec, features=steps)` loads, to be costed, drawn or compared: never imports torch.

    `steps` are steps or blocks by name, or "stages": the last value of each resolution, which are those of timm's `features_only`. Raises SpecError
    where the network has none of a name, or no stages.
    """
    graph = Request("features", given, model, budget, settings, more).graph(spec)
    return graph_of_features(graph, features_of(graph, steps))


@checked(
    spec=path_or_graph,
    weights=weights_given,
    from_=path_or_graph,
    strict=flag,
    nonfinite=flag,
    names=text,
    features=names_given,
)
@told
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
    weights: Given | None = None,
    strict: bool = True,
    from_: str | os.PathLike[str] | Graph | None = None,
    adapt: str | Iterable[str] | Mapping[str, Any] | None = None,
    nonfinite: bool = False,
    names: str | None = None,
    features: str | Iterable[str] | None = None,
    check_inputs: bool = True,
    free: bool | str | Iterable[str] = False,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> GraphModule:
    """A network as a `torch.fx.GraphModule`, in training mode as a new module is.

    `spec` is what `read` takes, a graph that it gave, or the path of a built `.archmod`, whose weights
    are then loaded; `model`, `budget`, `free` and the model's parameters are as in `read`, and a graph and a built
    module have theirs already. Weights are drawn from `seed`, or from PyTorch's generator without one. `flat`
    gives one fx graph instead of a module for each block. `dtype` and `device` are where the
    floating-point weights go.

    `weights` are safetensors, a file of `torch.save` (of which nothing is run), `.npz`, a built module, an index of parts, the parts
    themselves, or a mapping of tensors (docs/weights.md). Files are mapped into memory: nothing is drawn that is then replaced. Real
    numbers become of the spec's dtype, or of `dtype`. What becomes of each weight, `plan_weights` says before. With `strict=False`
    weights that the file does not have, or has in another shape, are drawn, and a SpecWarning tells which. `adapt` lets weights
    be adapted: "classes", "channels", "grid", "patch", "fold", several, "all", or a mapping such as `{"classes": [5, 7]}`; `from_` is the network
    that the file is of, as a spec, a graph or a built module. Infinite numbers and NaN are refused unless `nonfinite`. Files that one of the
    spec's `names` explains are read with it; `names` is the title of the one that is meant, where several do or none does whole.

    `features` are the steps or blocks whose values the network gives, by name, and "stages" those at which its stages end: it then gives a
    mapping of tensors, computes no more than these need, and keeps the names of what it keeps. `feature_info` says what they are
    (`archspec.features`). Weights are taken as for the whole network.

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

    request = Request("load", given, model, budget, settings, more, free_names(free))
    plan = Plan(flat, real_dtype(dtype), _device(device), recompute, compile, optimize, check_inputs)
    if not isinstance(spec, Graph) and is_built(spec):
        graph, make_weights, plan = _take_built(Path(spec), request, plan)
    elif weights is None:
        graph = request.graph(spec)
        _require_weights(
            strict=not strict,
            from_=from_ is not None,
            adapt=adapt is not None,
            nonfinite=nonfinite,
            names=names is not None,
        )
        make_weights = _drawing(seed)
    else:
        if seed is not None and strict and adapt is None:
            raise SpecError.of(codes.LATE, "weights from a file need no seed", help="leave out `seed`")
        taken = Taken(weights, source_graph(from_, budget), default_of(spec, model, budget), names)
        graph = request.graph(spec)
        make_weights = partial(_taking, taken, plan, seed, adapt, strict, nonfinite)
    plan.require_effect()
    info = None if features is None else features_of(graph, features)
    part = graph if info is None else graph_of_features(graph, info)
    with torch.inference_mode(False):  # weights made within it could never be trained
        network = _lowered(part, _kept(make_weights(graph), part), plan)
        _move(network, plan)
    if info is not None:
        object.__setattr__(network, "feature_info", info)  # not one of its tensors or modules
    network = _optimised(network, plan)
    _recompute(network, plan)
    _compile(network, plan)
    return network


@dataclass(frozen=True)
class Plan:
    """What is to become of a graph: the arguments of `load` that do not say where its graph and weights come from."""

    flat: bool
    dtype: torch.dtype | None
    device: torch.device | None
    recompute: bool
    compile: bool | str
    optimize: str | None
    check_inputs: bool

    def require_effect(self) -> None:
        """SpecError where one argument leaves nothing for another to do."""
        if self.optimize not in (None, "inference"):
            raise SpecError.of(codes.CHOICE, f"`optimize` is None or `inference`, not `{self.optimize}`")
        if not self.recompute or not (self.flat or self.optimize is not None):
            return
        what, other = ("a flat network has no blocks", "flat")
        if self.optimize is not None:
            what, other = ("an optimised network does not train", "optimize")
        message, help_ = f"there is nothing to recompute: {what}", f"leave out `recompute`, or `{other}`"
        raise SpecError.of(codes.OPTION, message, help=help_)


Weights = dict[str, "torch.Tensor"]
WeightMaker = Callable[[Graph], Weights]


def _take_built(path: Path, request: Request, plan: Plan) -> tuple[Graph, WeightMaker, Plan]:
    """The graph and weights of a built module; the plan as it was built to be, but for what the request gives."""
    from archspec.api.artifact import read_artifact

    request.refuse_all(f"`{path}` is built: its model, settings and weights are fixed", "seed", *_OF_WEIGHTS)
    graph, saved, manifest = read_artifact(path)
    as_built = {
        name: getattr(manifest, name) for name in ("optimize", "compile") if name not in request.given
    }
    dtype = plan.dtype or kept_as(graph, saved, manifest.dtype)
    return graph, partial(_with_constants, saved), replace(plan, dtype=dtype, **as_built)


_OF_WEIGHTS = ("weights", "strict", "from_", "adapt", "nonfinite", "names")


def _require_weights(**said: bool) -> None:
    """SpecError where something is said of weights, and none are given."""
    idle = [name for name, is_said in said.items() if is_said]
    if idle:
        raise SpecError.of(
            codes.OPTION,
            f"`{idle[0]}` says how weights are loaded, and there are none",
            help="give `weights`",
        )


def _drawing(seed: int | None) -> WeightMaker:
    """What draws the weights of a graph."""
    from archspec.backends.torch_weights import initial_weights

    return partial(initial_weights, seed=_whole("seed", seed))


def _taking(
    taken: Taken, plan: Plan, seed: int | None, adapt: Any, strict: bool, nonfinite: bool, graph: Graph
) -> Weights:
    """The weights of a graph as they were given; those that stay new are drawn."""
    from archspec.backends.torch_weights import constants, initial_weights
    from archspec.backends.weights.values import own_memory

    found = taken.plan(graph, adapt, plan.dtype, nonfinite=nonfinite)
    if strict:
        found.require_fit()
    elif not found.fits:
        warn_all([found.problem()])
    drawn: Weights = {}
    if found.drawn:
        drawn = initial_weights(graph, _whole("seed", seed), only=found.drawn)
    made = found.tensors(taken.file.tensors, drawn)
    return {**constants(graph), **drawn, **own_memory(made, shared=taken.file.shared)}


def _kept(weights: Weights, graph: Graph) -> Weights:
    """The weights that are the graph's, of those of a network that it is a part of."""
    return {name: tensor for name, tensor in weights.items() if name in graph.weights}


def _lowered(graph: Graph, weights: Weights, plan: Plan) -> Network:
    from archspec.backends.torch_fx import lower
    from archspec.backends.weights.holding import require_finite

    if plan.dtype is not None:
        require_finite(graph, weights, plan.dtype)
    flat = plan.flat or plan.optimize is not None
    return lower(graph, lambda _: weights, flat=flat, checked=plan.check_inputs)


def _move(network: Network, plan: Plan) -> None:
    """Cast and move a network. Raises SpecError when this machine has no such device."""
    if plan.dtype is None and plan.device is None:
        return
    try:
        network.to(device=plan.device, dtype=plan.dtype)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        message = f"`{plan.device}` cannot hold the network: {_first_line(error)}"
        raise SpecError.of(codes.LATE, message) from None


def _optimised(network: Network, plan: Plan) -> Network:
    if plan.optimize is None:
        return network
    from archspec.passes import optimize_for_inference

    return optimize_for_inference(network)


def _recompute(network: Network, plan: Plan) -> None:
    if plan.recompute:
        from archspec.backends.torch_blocks import recompute

        recompute(network)


def _compile(network: Network, plan: Plan) -> None:
    if not plan.compile:
        return
    from archspec.passes import compile_network, leaves_little

    optimised = plan.optimize is not None
    if optimised and plan.compile is True and leaves_little(network):
        return
    compile_network(network, plan.compile, freeze=optimised)


def real_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The dtype that real weights are to have. Raises SpecError when it holds no real numbers."""
    import torch

    if dtype is None:
        return None
    if isinstance(dtype, torch.dtype):
        return torch_dtype(str(dtype).removeprefix("torch."))
    if not isinstance(dtype, str):
        raise SpecError.of(codes.CHOICE, f"`dtype` is a dtype of PyTorch or its name, not {dtype!r}")
    return torch_dtype(dtype)


def _device(device: str | torch.device | None) -> torch.device | None:
    """The device of that name. Raises SpecError when PyTorch knows none."""
    import torch

    try:
        return None if device is None else torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise SpecError.of(codes.CHOICE, f"there is no device `{device}`: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _whole(name: str, value: int | None) -> int | None:
    """The number, which NumPy may have made. Raises SpecError when it is not a whole one of 64 bits."""
    try:
        number = None if value is None else index(value)
    except TypeError:
        number = 1 << 64
    if isinstance(value, bool) or not -(2**63) <= (number or 0) < 2**63:
        raise SpecError.of(codes.OPTION, f"`{name}` is a 64-bit integer, not {value!r}")
    return number


def _with_constants(tensors: dict[str, torch.Tensor], graph: Graph) -> dict[str, torch.Tensor]:
    from archspec.backends.torch_weights import constants

    return {**constants(graph), **tensors}


def kept_as(graph: Graph, saved: Mapping[str, torch.Tensor], dtype: str) -> torch.dtype | None:
    """The dtype that a built module was cast to: that of weights which are not as the spec has them."""
    from archspec.backends.torch_weights import dtype_of

    for name, weight in graph.weights.items():
        if weight.saved and saved[name].dtype != dtype_of(weight):
            return saved[name].dtype
    return None if dtype == "f32" else torch_dtype(dtype)


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
        raise SpecError.of(codes.OPTION, f"weights cannot be {name}", help="use f16, bf16, f32 or f64")
    return found


@checked()
def load_aot(path: str | os.PathLike[str]) -> Callable[..., Any]:
    """What `archspec build --aot` compiled, as a function of the inputs; it runs without compiling anything.

    The package is machine code: load only what you built yourself. Raises SpecError when it cannot be loaded.
    """
    from archspec.backends.torch_aot import load_package

    return load_package(Path(path))
