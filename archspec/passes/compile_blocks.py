"""Compile a network with `torch.compile`: each block that repeats once, or the network as a whole.

TorchInductor takes time for every operation that it is given, whether it has seen the like or not. A spec says which blocks
are alike: where these make up nearly all of a network, one of each is compiled, and all that are like it run that code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from archspec.backends.torch_aot import freezes, require_compiler
from archspec.backends.torch_blocks import alike, lone, own_code
from archspec.backends.torch_modules import Network
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.passes.channels_last import channels_last

COVERED = 0.7
"""The share of a network's steps that must stand in blocks that are compiled; the others are not."""

WORTH = 0.02
"""The smallest share of its steps, and of the values that it computes, for which a kind of block is compiled.

Each costs a second or more, however small, and fusing saves writing values.
"""

DISTINCT = 0.34
"""The largest share of its steps that may have to be compiled: with more, little time is won."""

LONE = 0.04
"""The smallest share of the values computed in a network for which a block like no other is compiled beside those that repeat.

The first block of a stage writes many: its images are the largest, and few others are as
large. Its share must be twice its share of the steps, which is what it costs to compile.
"""

ROOM = 0.2
"""The share of the steps up to which such blocks are added: compiling a fifth takes about a third of the whole's time."""

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
CHOICES = ("regions", "whole", *MODES)


@dataclass(frozen=True)
class Plan:
    """Which blocks are compiled: those of each kind, and those like no other that are worth it.

    `covered` is the share of the network's steps that stand in blocks that repeat, and `distinct` the share in one of each
    kind, of those with enough steps; what is compiled of them must compute enough values, too.
    """

    kinds: tuple[tuple[str, ...], ...]
    lone: tuple[str, ...]
    covered: float
    distinct: float

    @property
    def pays(self) -> bool:
        """Whether to compile these blocks rather than the network as a whole."""
        return self.covered >= COVERED and self.distinct <= DISTINCT


def compile_network(network: Network, how: bool | str = True, *, freeze: bool = False) -> None:
    """Make the network compile itself when it is first called, and again for inputs of another kind.

    `how` is True to choose, "regions" or "whole", or a mode of `torch.compile`, which compiles the whole. With `freeze`
    its weights become constants of what is compiled. Raises SpecError when `how` is none of these, when no blocks are alike
    that could be regions, and without a compiler.
    """
    if how is not True and how not in CHOICES:
        raise SpecError.of(
            codes.OPTION,
            f"`compile` is true or one of {', '.join(CHOICES)}, not {how!r}",
            help="true chooses",
        )
    require_compiler(network)
    plan = plan_of(network)
    if how == "regions" and not (plan.kinds or plan.lone):
        raise SpecError.of(
            codes.OPTION,
            f"{network.meta['archspec'].name} has no blocks that are alike and large enough to be compiled as regions",
            help="compile it whole, or let `compile=True` choose; what is flat or optimised has no blocks",
        )
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
    """The outermost blocks that are alike with another and worth it, how much of the network they are, and which go with them."""
    graph: Graph = network.meta["archspec"]
    steps = _shares(graph, graph.sizes)
    kinds = tuple(
        tuple(paths)
        for paths in alike(network)
        if len(paths) * steps[paths[0]] >= WORTH and _in_one_graph(network, paths[0])
    )
    covered = sum(steps[path] for paths in kinds for path in paths)
    distinct = sum(steps[paths[0]] for paths in kinds)
    if not graph.is_sized:
        return Plan(kinds, (), covered, distinct)
    shares = _shares(graph, graph.totals(lambda function, step: sum(type_.values for type_ in step.types)))
    kinds = tuple(paths for paths in kinds if len(paths) * shares[paths[0]] >= WORTH)
    worth = {
        path
        for path, share in shares.items()
        if share >= max(LONE, 2 * steps[path]) and _in_one_graph(network, path)
    }
    alone, room = [], ROOM - distinct
    among = lone(network, worth, {path for paths in kinds for path in paths})
    for path in sorted(among, key=lambda path: -shares[path]):
        if steps[path] <= room:
            alone.append(path)
            room -= steps[path]
    return Plan(kinds, tuple(alone), covered, distinct)


def _in_one_graph(network: Network, path: str) -> bool:
    """Whether a block can be compiled as one graph: Dynamo takes no recurrent layers, and breaks off there."""
    return not any(isinstance(module, nn.RNNBase) for module in network.get_submodule(path).modules())


def _shares(graph: Graph, totals: tuple[int, ...]) -> dict[str, float]:
    """The share of the network's total that each block has, given the totals of its functions."""
    return {scope.name: totals[scope.function] / totals[-1] for scope in graph.scopes}


def _compile_kinds(network: Network, plan: Plan) -> None:
    for paths in (*plan.kinds, *((path,) for path in plan.lone)):
        cls = type(network.get_submodule(paths[0]))
        forward = torch.compile(own_code(cls.forward), fullgraph=True)
        compiled = type(
            cls.__name__, (cls,), {"forward": forward, "_changed": "compiled", "__module__": cls.__module__}
        )
        for path in paths:
            network.get_submodule(path).__class__ = compiled


__all__ = ["CHOICES", "MODES", "Plan", "compile_network", "plan_of"]
