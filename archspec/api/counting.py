"""What networks cost, how they differ, and how they scale."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archspec.api.arguments import checked, path_or_graph, renamed, text, told
from archspec.api.reading import Request, opened
from archspec.elaboration import BUDGET
from archspec.graph import Graph
from archspec.ground.errors import Mistake

if TYPE_CHECKING:
    from archspec.analyses.diff import Difference
    from archspec.analyses.summary import Summary


@renamed("graph", "spec")
@checked(spec=path_or_graph, dtype=text)
@told
def cost(
    given: frozenset[str],
    /,
    spec: str | os.PathLike[str] | Graph,
    model: str | None = None,
    *,
    batch: int = 1,
    dtype: str | None = None,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Summary:
    """What a network costs, counted from its graph: `cost("resnet50").total.macs`, `.peak.bytes`, `.depth` ...

    `spec` is a graph or what `read` takes; `model`, `budget` and the model's parameters are as in `read`, and fixed in a
    graph. `batch` is the number of samples that run at once, `dtype` what real numbers are kept as (`"bf16"`; default:
    the spec's). Never imports torch. Raises SpecError for an unknown dtype; a count that depends on a free size raises
    Mistake when it is asked for.
    """
    from archspec.analyses.summary import Summary
    from archspec.ground.tensor import dtype as find

    graph = Request("cost", given, model, budget, settings, more).graph(spec)
    try:
        return Summary(graph, batch, None if dtype is None else find(dtype))
    except Mistake as mistake:
        raise mistake.at(None) from None


@checked()
@told
def diff(
    given: frozenset[str],
    /,
    left: str | os.PathLike[str] | Graph,
    right: str | os.PathLike[str] | Graph,
    *,
    budget: int = BUDGET,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> Difference:
    """What differs between two networks: structure, cost, and the weights that carry over. Never imports torch.

    Each is a graph or what `read` takes; `budget` and parameters are for both, so graphs take none.
    """
    from archspec.analyses.diff import diff as compare

    request = Request("diff", given, None, budget, settings, more)
    return compare(request.graph(left), request.graph(right))


@checked()
@told
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

    `spec`, `model`, `budget` and the model's parameters are as in `read`; `depth`, `width` and `resolution` must be among
    the parameters. It is no graph, whose sizes are fixed. Where alpha * beta^2 * gamma^2 is 2, FLOPs grow by about 2^phi.
    Raises SpecError when the model cannot be scaled.
    """
    from archspec.analyses.scaling import Base, Rule, elaborating

    request = Request("scale", given, model, budget, settings, more)
    module, model = opened(spec, model)
    base = request.elaborated(module, model)
    try:
        rule = Rule(alpha, beta, gamma)
        scaled = rule.settings(Base.of(base), phi)
    except Mistake as mistake:
        raise mistake.at(None) from None
    with elaborating(rule, phi, scaled):
        return request.scaled(module, model, scaled)
