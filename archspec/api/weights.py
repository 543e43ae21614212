"""Weights for a network: what a file has for it, told before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archspec.api.arguments import checked, flag, path, path_or_graph, text, told, wrong
from archspec.api.reading import Request, is_built, opened
from archspec.elaboration import BUDGET
from archspec.graph import Graph
from archspec.ground.errors import SpecError

if TYPE_CHECKING:
    import torch

    from archspec.backends.weights.files import WeightFile
    from archspec.backends.weights.plan import WeightPlan

Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any]
"""Weights as they are given: the path of a file, those of the parts of one checkpoint, or a mapping of tensors."""


def weights_given(name: str, value: Any) -> Given:
    """A path, paths, or a mapping of tensors by name."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise wrong(name, "a mapping by name", value)
        return value
    if isinstance(value, list | tuple):
        if not value:
            raise wrong(name, "the path of a file, or several, or a mapping of tensors", value)
        return [path(name, part) for part in value]
    return path(name, value)


@checked(spec=path_or_graph, weights=weights_given, from_=path_or_graph, nonfinite=flag, names=text)
@told
def plan_weights(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    weights: Given,
    model: str | None = None,
    *,
    from_: str | os.PathLike[str] | Graph | None = None,
    adapt: str | Iterable[str] | Mapping[str, Any] | None = None,
    dtype: str | torch.dtype | None = None,
    nonfinite: bool = False,
    names: str | None = None,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> WeightPlan:
    """What loading weights into a network would do, before it is done: `print(plan_weights("resnet50", FILE).report())`.

    `spec`, `model`, `budget` and the model's parameters are as in `read`; `weights`, `from_`, `adapt`, `dtype`, `nonfinite` and `names`
    as in `load`, which follows the same plan. The plan has a line for each weight of the network and each tensor of the file that is
    without one; `fits` is whether a strict load takes the file.

    Raises SpecError when the spec or the file is wrong or cannot be read, and when there is no such adaptation.
    """
    from archspec.api.loading import real_dtype

    request = Request("plan_weights", given, model, budget, settings, more)
    graph = request.graph(spec)
    taken = Taken(weights, source_graph(from_, budget), default_of(spec, model, budget), names)
    return taken.plan(graph, adapt, real_dtype(dtype), nonfinite=nonfinite)


@checked(spec=path_or_graph, weights=weights_given, title=text)
@told
def propose_names(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    weights: Given,
    model: str | None = None,
    *,
    title: str = "a file",
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """The text of `names` for a file that no names of a spec explain: a guess from structure, shapes and order, for review.

    It never counts until it stands in a spec. Comments tell what to look at: rules that shapes do not decide, layers that are
    paired by their order alone, keys without a counterpart. Names that the spec has for these keys already are told first.

    `spec`, `model`, `budget` and the model's parameters are as in `read`, `weights` as in `load`; `title` is what the names are called.
    Raises SpecError when the spec or the file is wrong or cannot be read.
    """
    from archspec.analyses.proposing import propose
    from archspec.analyses.renaming import all_names
    from archspec.backends.weights.plan import shapes_of

    graph = Request("propose_names", given, model, budget, settings, more).graph(spec)
    shapes = shapes_of(Taken(weights, None).file.tensors)
    known = [names.title for names in all_names(graph) if names.fit(shapes).explains]
    told = "".join(f'# the spec has names for these keys: "{name}"\n' for name in known)
    return told + propose(graph, shapes, title).text


def source_graph(from_: str | os.PathLike[str] | Graph | None, budget: int = BUDGET) -> Graph | None:
    """The network that a file is said to be of."""
    if from_ is None or isinstance(from_, Graph):
        return from_
    if is_built(from_):
        from archspec.api.artifact import read_artifact

        return read_artifact(Path(from_))[0]
    return Request("load", frozenset(), None, budget, None, {}).graph(from_)


def default_of(
    spec: str | os.PathLike[str] | Graph, model: str | None, budget: int
) -> tuple[str, str | None, int] | None:
    """What `Taken` needs to read a spec at its default settings; None of a graph, which says nothing of these."""
    return None if isinstance(spec, Graph) else (os.fspath(spec), model, budget)


class Taken:
    """Weights that were given, opened; and the network that they are said to be of, or are of where a built module has them."""

    def __init__(
        self,
        weights: Given,
        source: Graph | None,
        default: tuple[str, str | None, int] | None = None,
        names: str | None = None,
    ) -> None:
        from archspec.backends.weights.files import open_weights

        self.source = source
        self._names = names
        self._default = default
        self.file: WeightFile
        if (path := _built_in(weights)) is None:
            self.file = open_weights(weights)
        else:
            self.file, built = _of_built(path)
            self.source = source or built

    def plan(
        self, graph: Graph, adapt: Any, dtype: torch.dtype | None, *, nonfinite: bool = False
    ) -> WeightPlan:
        """What loading them into a network does."""
        from dataclasses import replace

        from archspec.backends.weights.further import first_keys_alone
        from archspec.backends.weights.planning import plan_of

        tensors = first_keys_alone(self.source or graph, self.file.tensors)
        self.file = self.file if tensors is self.file.tensors else replace(self.file, tensors=tensors)
        return plan_of(
            graph,
            self.file,
            source=self.source,
            defaults=self._at_defaults,
            adapt=adapt,
            dtype=dtype,
            nonfinite=nonfinite,
            names=self._names,
        )

    def _at_defaults(self) -> Graph | None:
        """The network at the default settings of its spec; None where these make none."""
        if self._default is None:
            return None
        spec, model, budget = self._default
        try:
            module, picked = opened(spec, model)
            from archspec.elaboration import elaborate

            return elaborate(module, picked, {}, budget=budget)
        except SpecError:
            return None


def _built_in(weights: Given) -> Path | None:
    """The path of the built module that was given alone; None where it is something else."""
    if isinstance(weights, Mapping):
        return None
    paths = [weights] if isinstance(weights, str | os.PathLike) else weights
    return Path(paths[0]) if len(paths) == 1 and is_built(paths[0]) else None


def _of_built(path: Path) -> tuple[WeightFile, Graph]:
    """The weights of a built module, and its graph."""
    from archspec.api.artifact import read_artifact
    from archspec.backends.weights.files import WeightFile

    graph, tensors, _ = read_artifact(path)
    return WeightFile(path.name, cast("Mapping[str, torch.Tensor]", tensors)), graph
