"""Shipped networks in timm's registry: `timm.create_model("archspec_resnet50", num_classes=10)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from archspec.analyses.features import STAGES, FeatureInfo, features, graph_of_features
from archspec.api.arguments import wrong
from archspec.api.loading import load
from archspec.api.reading import read, shipped
from archspec.graph import Graph, graph_of
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.optional import needing

if TYPE_CHECKING:
    from torch.fx import GraphModule

__all__: list[str] = ["register_timm"]  # timm adds the names of the models

PREFIX = "archspec_"
SETTINGS = {
    "num_classes": "classes",
    "in_chans": "in_channels",
    "img_size": "resolution",
    "drop_rate": "dropout",
    "drop_path_rate": "drop_path",
}
"""The parameters of shipped specs, by the names that timm has for them."""


def register_timm(names: Iterable[str] | None = None) -> list[str]:
    """Enter shipped networks, all unless some are named, in timm's registry; returns their names there.

    `archspec.register_timm()`, then `timm.create_model("archspec_resnet50", num_classes=10, in_chans=1)`. timm's `num_classes`,
    `in_chans`, `img_size`, `drop_rate` and `drop_path_rate` are the spec's `classes`, `in_channels`, `resolution`, `dropout` and
    `drop_path`; other arguments are parameters of the spec under their own names. What the spec has no parameter for is an error, unless
    it is timm's default. Weights come from `checkpoint_path`; archspec ships none.

    Raises SpecError when timm is not installed, and for a name that is not a shipped spec's.
    """
    with needing("timm cannot be imported", "timm"):
        from timm.models import register_model
    known = [entry.name for entry in shipped()]
    if isinstance(names, str) or not (names is None or isinstance(names, Iterable)):
        raise wrong("names", "names of shipped specs", names)
    wanted = known if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise wrong("names", "names of shipped specs", name, help="`archspec list` prints them")
    for name in wanted:
        register_model(_entry(name))
    return [PREFIX + name for name in wanted]


def _entry(name: str) -> Callable[..., GraphModule]:
    """The function that makes a network, as timm calls it."""

    def make(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **given: Any,
    ) -> GraphModule:
        if pretrained:
            raise SpecError.of(
                codes.OPTION,
                f"there are no pretrained weights for {PREFIX}{name}",
                help="give a file of them as `checkpoint_path`, or load it: `archspec.load(spec, weights=FILE)`",
            )
        only, indices = given.pop("features_only", False), given.pop("out_indices", None)
        graph = read(name, settings=_settings(name, given))
        if not only:
            if indices is not None:
                raise SpecError.of(
                    codes.OPTION, "`out_indices` are of features", help="give `features_only=True`"
                )
            return _described(load(graph), PREFIX + name)
        info = _taken(features(graph, STAGES), indices)
        network = _described(load(graph_of_features(graph, info, named=False)), PREFIX + name)
        object.__setattr__(network, "feature_info", info)
        return network

    make.__name__ = make.__qualname__ = PREFIX + name
    make.__doc__ = f"`{name}` of archspec."
    return make


def _taken(stages: FeatureInfo, indices: Any) -> FeatureInfo:
    """The stages that timm's `out_indices` are of; all of them for none. Raises SpecError for one that there is not."""
    if indices is None:
        return stages
    if isinstance(indices, int):  # the last ones
        indices = range(len(stages) - indices, len(stages))
    try:
        return FeatureInfo(stages[index] for index in indices)
    except (IndexError, TypeError):
        last = len(stages) - 1
        raise wrong(
            "out_indices", f"numbers of stages from 0 to {last}, or how many of the last", indices
        ) from None


def _settings(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What timm was given as parameters of a spec. Raises SpecError for what the spec has no parameter for."""
    parameters = read(name).arguments
    settings = {}
    for key, value in given.items():
        parameter = SETTINGS.get(key, key)
        if parameter in parameters:
            settings[parameter] = list(value) if isinstance(value, tuple) else value
        elif value or key not in _NOTHING:
            raise SpecError.of(
                codes.OPTION,
                f"`{name}` has no parameter `{parameter}`, which timm's `{key}` would be"
                if parameter != key
                else f"`{name}` has no parameter `{key}`",
                help=f"it has {', '.join(f'`{known}`' for known in parameters)}",
            )
    return settings


_NOTHING = ("drop_rate", "drop_path_rate", "scriptable", "exportable")
"""Arguments that ask for nothing where they are 0 or False."""


def _described(network: GraphModule, name: str) -> GraphModule:
    """The network with what timm's programs ask a model: its input and its classes."""
    graph: Graph = graph_of(network)
    sizes = list(graph.inputs[0].type.shape)
    classes = graph.arguments.get("classes")
    described: dict[str, Any] = {"architecture": name, "num_classes": classes}
    if graph.is_sized:
        uses = graph.inputs[0].uses or ()
        described |= {"input_size": tuple(sizes), "fixed_input_size": any(use.axis for use in uses)}
    for attribute, value in {
        "num_classes": classes,
        "pretrained_cfg": described,
        "default_cfg": described,
    }.items():
        setattr(network, attribute, value)
    return network
