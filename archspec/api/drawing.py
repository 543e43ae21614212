"""Pictures of networks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archspec.api.arguments import checked, path_or_graph, renamed, told
from archspec.api.reading import Request
from archspec.elaboration import BUDGET, locate
from archspec.graph import Graph

if TYPE_CHECKING:
    from archspec.backends.picture import Drawing


@renamed("graph", "spec")
@checked(spec=path_or_graph)
@told
def draw(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    view: str = "overview",
    *,
    depth: int | None = None,
    focus: str = "",
    shade: str = "",
    theme: str = "light",
    direction: str = "down",
    model: str | None = None,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Drawing:
    """A drawing of a network: `draw("resnet50").save(Path("net.svg"))`. Never imports torch.

    `spec` is a graph or what `read` takes; `model`, `budget` and the model's parameters are as in `read`, and fixed in a
    graph. `view` is `overview` (the stages), `block` (one block), `blocks` (every distinct block on one sheet), `full`
    (every node), `cost` (the stages, shaded) or `table` (the stages as a paper lists them). `focus` is the one step or block
    to draw, `depth` how many levels of blocks to open, `shade` the quantity by whose share boxes are shaded (`params`,
    `macs` or `memory`), `theme` is `light`, `dark` or `grey`, `direction` `down`, `up` or `right`. Raises SpecError for an
    unknown view, part, quantity, theme or direction.
    """
    from archspec.backends.picture import draw_graph

    graph = Request("draw", given, model, budget, settings, more).graph(spec)
    folders = () if isinstance(spec, Graph) else (locate(str(spec))[0].parent,)
    return draw_graph(
        graph,
        view,
        depth=depth,
        focus=focus,
        shade=shade,
        theme=theme,
        direction=direction,
        folders=folders,
    )
