"""Compile a network with `torch.compile`: each block that repeats once, or the network as a whole.

TorchInductor takes time for every operation that it is given, whether it has seen the like or not. A spec says which blocks
are alike: where these make up nearly all of a network, one of each is compiled, and all that are like it run that code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archspec.backends.torch_aot import freezes, require_compiler
from archspec.backends.torch_blocks import alike, own_code
from archspec.backends.torch_fx import Network
from archspec.errors import SpecError
from archspec.graph import Graph
from archspec.passes.channels_last import channels_last

COVERED = 0.7
"""The share of a network's steps that must stand in blocks that are compiled; the others are not."""

WORTH = 0.02
"""The smallest share of its steps for which a kind of block is compiled: each costs a second or more, however small."""

DISTINCT = 0.34
"""The largest share of its steps that may have to be compiled: with more, little time is won."""

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
CHOICES = ("regions", "whole", *MODES)


@dataclass(frozen=True)
class Plan:
    """Which blocks are compiled: those of each kind, and what share of the network's steps that is.

    `covered` is the share of the steps that stand in them, `distinct` the share that is compiled.
    """

    kinds: tuple[tuple[str, ...], ...]
    covered: float
    distinct: float

    @property
    def pays(self) -> bool:
        """Whether to compile these blocks rather than the network as a whole."""
        return self.covered >= COVERED and self.distinct <= DISTINCT


def compile_network(network: Network, how: bool | str = True, *, freeze: bool = False) -> None:
    """Make the network compile itself when it is first called, and again for inputs of another kind.

    `how` is True to choose, "regions" or "whole", or a mode of `torch.compile`, which compiles the whole. With `freeze`
    its weights become constants of what is compiled. Raises SpecError when `how` is none of these, and without a compiler.
    """
    if how is not True and how not in CHOICES:
        raise SpecError.of(
            "argument", f"`compile` is true or one of {', '.join(CHOICES)}, not {how!r}", help="true chooses"
        )
    require_compiler(network)
    plan = plan_of(network)
    if how == "regions" or (how is True and plan.pays):
        channels_last(network)
        _compile_kinds(network, plan)
    else:
        if not freeze:  # then it is laid out already
            channels_last(network)
        if how in MODES:
            network.compile(mode=how)
        else:
            network.compile(options={"freezing": True} if freeze and freezes(network) else None)


def plan_of(network: Network) -> Plan:
    """The outermost blocks that are alike with another and worth it, and how much of the network they are."""
    graph: Graph = network.meta["archspec"]
    steps = {scope.name: sum(1 for _ in graph.inside(i)) for i, scope in enumerate(graph.scopes)}
    least = WORTH * len(graph.nodes)
    chosen = tuple(tuple(paths) for paths in alike(network) if len(paths) * steps[paths[0]] >= least)
    covered = sum(steps[path] for paths in chosen for path in paths)
    compiled = sum(steps[paths[0]] for paths in chosen)
    return Plan(chosen, covered / len(graph.nodes), compiled / len(graph.nodes))


def _compile_kinds(network: Network, plan: Plan) -> None:
    for paths in plan.kinds:
        cls = type(network.get_submodule(paths[0]))
        forward = torch.compile(own_code(cls.forward), fullgraph=True)
        compiled = type(cls.__name__, (cls,), {"forward": forward, "__module__": cls.__module__})
        for path in paths:
            network.get_submodule(path).__class__ = compiled


__all__ = ["CHOICES", "MODES", "Plan", "compile_network", "plan_of"]
