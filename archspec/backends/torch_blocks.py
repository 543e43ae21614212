"""The blocks of a lowered network: which are alike, which are its repeated units, and recomputing these to save memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from types import FunctionType
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from archspec.backends.torch_modules import Block, Network
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError

Kind = tuple[int, type[nn.Module]]

_NUMBERS = count()  # of the functions that `own_code` has made


def kinds(network: Network) -> dict[Kind, list[str]]:
    """The names of the blocks of each kind: calls of functions of one kind, as `Graph.kinds` says, lowered to one class.

    A function has more than one class where its calls are used differently, as with one of its outputs left unread.
    """
    graph: Graph = network.meta["archspec"]
    functions = {scope.name: scope.function for scope in graph.scopes}
    found: dict[Kind, list[str]] = {}
    for path, module in network.named_modules():
        if isinstance(module, Block):
            found.setdefault((graph.kinds[functions[path]], type(module)), []).append(path)
    return found


def alike(network: Network) -> list[list[str]]:
    """The outermost blocks that are of a kind with others, kind by kind, by their names."""
    repeated = [paths for paths in kinds(network).values() if len(paths) > 1]
    outermost = _outermost(path for paths in repeated for path in paths)
    chosen = [[path for path in paths if path in outermost] for paths in repeated]
    return [paths for paths in chosen if len(paths) > 1]


def lone(network: Network, among: set[str], beside: set[str]) -> list[str]:
    """The outermost of some blocks that neither hold nor stand in others that are given, by name; lists are none."""
    holders = {part for path in beside for part in _above(path)}
    named = _named(network)
    found = [
        path
        for path, module in network.named_modules()
        if path in (among & named.keys()) - beside - holders
        and isinstance(module, Block)
        and beside.isdisjoint(_above(path))
    ]
    outermost = _outermost(found)
    return [path for path in found if path in outermost]


def blocks(module: Network) -> dict[str, nn.Module]:
    """The repeated units of a network by name. See `archspec.repeated_blocks`."""
    found = kinds(module)
    kind_of = {path: kind for kind, paths in found.items() for path in paths}
    # Lists of layers are no units, nor is what has a list in which two are alike, as stages do: those are.
    members = Counter(
        (path.rpartition(".")[0], kind) for path, kind in kind_of.items() if path.rpartition(".")[2].isdigit()
    )
    holds = {part for (path, _), count in members.items() if count > 1 for part in (path, *_above(path))}
    named = _named(module)
    counts = Counter(named[path] for path in kind_of if path in named)
    units = [path for path in kind_of if path in named and counts[named[path]] > 1 and path not in holds]
    chosen = _outermost(units)
    return {path: unit for path, unit in module.named_modules() if path in chosen}


def recompute(network: Network) -> None:
    """Make the network's repeated units keep their inputs only while training, and run again in the backward pass.

    As in Chen et al., 2016, with each unit a segment. Weights, results and statistics are as without.
    Raises SpecError when it has no such units.
    """
    units = blocks(network)
    if not units:
        name = network.meta["archspec"].name
        raise SpecError.of(
            codes.OPTION,
            f"there is nothing to recompute: no block repeats in {name}",
            help="leave out `recompute`",
        )
    for module in units.values():
        module.__class__ = recomputing(cast(type[Block], type(module)))


def recomputing(cls: type[Block]) -> type[Block]:
    """The class of blocks that are of a class, and recompute: the same each time."""
    if "_recomputing" not in cls.__dict__:
        cls._recomputing = _recomputing(cls)
    return cls._recomputing


def _recomputing(cls: type[Block]) -> type[Block]:
    plain: Callable[..., Any] = cls.forward

    def forward(self: nn.Module, *tensors: torch.Tensor) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return plain(self, *tensors)
        if torch.compiler.is_compiling():  # what is compiled writes statistics once
            return checkpoint(plain, self, *tensors, use_reentrant=False)
        return checkpoint(
            plain,
            self,
            *tensors,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _statistics_kept(self)),
        )

    return type(
        cls.__name__, (cls,), {"forward": forward, "_changed": "recomputing", "__module__": cls.__module__}
    )


def _named(network: Network) -> dict[str, str]:
    """What block of the spec each block of the network is, by its name; lists of layers are none."""
    graph: Graph = network.meta["archspec"]
    return {scope.name: scope.block for scope in graph.scopes if scope.block}


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within it, batch norms do not count a batch, which they have counted when it came first."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def _outermost(paths: Iterable[str]) -> set[str]:
    """Those of the names that lie in none of the others."""
    given = set(paths)
    return {path for path in given if not any(part in given for part in _above(path))}


def _above(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function like it with a code object of its own: `torch.compile` finds what it compiled by the code.

    Its name is new as well: by file, line and name `torch.compile` remembers the sizes that a function has met, and where
    others come it compiles for sizes that vary. All blocks are a `forward` in line 1 of a file that is none.
    """
    assert isinstance(function, FunctionType)
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_NUMBERS)}")
    return FunctionType(code, function.__globals__, function.__name__, None, function.__closure__)
