"""What single steps lower to, modules or functions, and what tells them apart."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any

from torch import nn

from archspec.backends.torch_conformance import lowered
from archspec.backends.torch_modules import own_dicts
from archspec.graph import Apply, Function
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.guarding import at_step
from archspec.ground.tensor import TensorType
from archspec.op import Op
from archspec.op.torch_layers import one_step
from archspec.ops.weights import Own, Tied

Leaf = nn.Module | tuple[Callable[..., Any], Mapping[str, Any]]

_PLAIN = (str, int, float, tuple, list, dict, type(None), FunctionType)


@functools.lru_cache(maxsize=10_000)
def _leaf(op: Op, types: tuple[TensorType, ...], options: tuple[tuple[str, TensorType], ...]) -> Leaf:
    """What an op lowers to. It is never run itself, only copied, so all networks can have the same."""
    found = lowered(op, types, dict(options))
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, functools.partial):
        return one_step(found.func), found.keywords
    return one_step(found), {}


class Leaves:
    """What the steps of a network lower to, each asked once."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, str], Leaf] = {}  # by the identity of the function, and the name in it
        self._owned: dict[nn.Module, tuple[str, ...]] = {}

    def of(self, function: Function, step: Apply, name: str = "") -> Leaf:
        """What a step lowers to: a module to copy, or a function and its settings.

        Raises SpecError, with the step's place, and under `name` if that is given.
        """
        known = self.known.get((id(function), step.name))
        if known is not None:
            return known
        types = tuple([function.types[ref] for ref in step.inputs])
        if makes_real(function, step):
            types = tuple(replace(type_, dtype=step.types[0].dtype) for type_ in types)
        options = tuple((option, function.types[ref]) for option, ref in step.options.items())
        try:
            leaf = self.known[id(function), step.name] = _leaf(step.op, types, options)
        except Mistake as mistake:
            raise at_step(mistake, name or step.name, step.location).at(None) from mistake.__cause__
        return leaf

    def owned(self, leaf: nn.Module) -> tuple[str, ...]:
        """The keys of the weights of what a step lowers to."""
        if leaf not in self._owned:
            self._owned[leaf] = tuple(leaf.state_dict(keep_vars=True))
        return self._owned[leaf]

    def by_code(self, function: Function, step: Apply) -> Hashable:
        """What tells a step from others in the code that is generated for it, and in the place that its errors name."""
        return step.location, self._code(function, step)

    def by_module(self, function: Function, step: Apply) -> Hashable:
        """What tells a step from others in the modules that run it, wherever it is written."""
        code, leaf = self._code(function, step), self.known.get((id(function), step.name))
        return step.op, code, repr(_attributes(leaf)) if isinstance(leaf, nn.Module) else None

    def _code(self, function: Function, step: Apply) -> Hashable:
        """The dtypes, which say what is converted; whether there is a batch; whether it has weights, which says what is rounded; and what it calls.

        Of a layer with weights that is its class alone, so that blocks of all widths share their code.
        """
        dtypes = (
            tuple([function.types[ref].dtype for ref in step.operands]),
            tuple([t.dtype for t in step.types]),
            any(function.types[ref].batched for ref in step.operands),
        )
        has_weights = step.name in function.held
        if isinstance(step.op, Own | Tied):
            return dtypes, has_weights, step.op if isinstance(step.op, Tied) else type(step.op)
        try:
            leaf = self.of(function, step)
        except SpecError:  # raised again, with the full name, where the step is lowered
            return dtypes, step.op
        if not isinstance(leaf, nn.Module):
            return dtypes, type(step.op), leaf[0], repr(leaf[1])  # as text, 2, 2.0 and true stay apart
        return dtypes, has_weights, type(leaf), type(step.op) if has_weights else step.op


def makes_real(function: Function, step: Apply) -> bool:
    """Whether a step computes real numbers of whole ones and truths alone."""
    if not step.operands or not step.types[0].floating or step.op.takes_truths:
        return False
    return step.name not in function.held and not any(function.types[ref].floating for ref in step.operands)


def alike(left: nn.Module, right: nn.Module) -> bool:
    """Whether two modules compute the same of the same weights, as far as their attributes say."""
    return left is right or (type(left) is type(right) and _attributes(left) == _attributes(right))


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {
        name: value for name, value in vars(module).items() if isinstance(value, _PLAIN) and name[0] != "_"
    }


def clone(module: nn.Module, copies: dict[nn.Module, nn.Module] | None = None) -> nn.Module:
    """Another module like it, which shares no dict with it: far faster than to construct one.

    `copies` takes the copy of each module in it.
    """
    made = type(module).__new__(type(module))
    made.__dict__ = own_dicts(module)
    if copies is not None:
        copies[module] = made
    for name, child in module._modules.items():
        if child is not None:
            made._modules[name] = clone(child, copies)
    return made
