"""What a layer brings from the frame in which it is applied: tensors and shared layers among its arguments.

The function of a block does not know where these come from: its layer is rebound to inputs and layers of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from archspec.elaboration.values import (
    BlockLayer,
    DefinedFunction,
    Function,
    Labelled,
    OpLayer,
    Outputs,
    SharedLayer,
    SharedPart,
    Tensor,
)
from archspec.ground.declared import Declared


class Handing:
    """The tensors that a layer holds, in order, and the shared layers, each once."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.layers: list[SharedLayer] = []

    @property
    def empty(self) -> bool:
        """Whether there is neither a tensor nor a shared layer."""
        return not self.tensors and not self.layers

    @classmethod
    def of(cls, value: Any) -> Handing:
        """What a value holds."""
        handing = cls()
        handing.key(value)
        return handing

    def key(self, value: Any) -> Hashable:
        """What tells values apart: equal for layers that do the same, but for the tensors that they hold.

        Tensors are told apart by type and trace only, shared layers by what they are and by what their first use made; both
        are collected, in an order that is the same for values that are equal in this way.
        """
        match value:
            case list() | tuple():
                return (type(value), *((self.key(item), count) for item, count in runs(value)))
            case Tensor():
                self.tensors.append(value)
                return (Tensor, value.type, value.trace)
            case Declared():
                return (Declared, value.key)
            case OpLayer():
                return (value.op, self._keys(value.arguments), self._keys(value.options))
            case BlockLayer():
                return (value.definition, self._keys(value.arguments), self._keys(value.passed_on))
            case Labelled():
                return (Labelled, value.label, value.span, self.key(value.layer))
            case SharedLayer():
                named = value.defaults.below(value.name).key, value.defaults.at(value.name)
                return (SharedLayer, self._place(value), self.key(value.layer), value.state.key, named)
            case SharedPart():
                return (SharedPart, value.path, self.key(value.layer))
            case Function():
                return (Function, value.name)
            case DefinedFunction():
                return (DefinedFunction, value.definition)
            case float():
                return (float, repr(value))  # 0.0 is not -0.0
            case _:
                return (type(value), value)

    def _keys(self, values: Mapping[str, Any]) -> Hashable:
        return tuple((name, self.key(values[name])) for name in sorted(values))

    def _place(self, layer: SharedLayer) -> int:
        for place, known in enumerate(self.layers):
            if known.state is layer.state:
                return place
        self.layers.append(layer)
        return len(self.layers) - 1

    def rebound(self, value: Any, inputs: Iterator[Tensor]) -> Any:
        """The value with the tensors in it replaced by these, in the order of `key`, and layers by those handed in."""
        if self.empty:
            return value
        match value:
            case Outputs():
                return Outputs((self.rebound(item, inputs) for item in value), value.names)
            case list() | tuple():
                items: list[Any] = []
                for item, count in runs(value):
                    items += [self.rebound(item, inputs)] * count
                return items if isinstance(value, list) else tuple(items)
            case Tensor():
                return next(inputs)
            case OpLayer():
                arguments = self._rebound(value.arguments, inputs)
                return replace(value, arguments=arguments, options=self._rebound(value.options, inputs))
            case BlockLayer():
                arguments = self._rebound(value.arguments, inputs)
                return replace(value, arguments=arguments, passed_on=self._rebound(value.passed_on, inputs))
            case Labelled():
                return replace(value, layer=self.rebound(value.layer, inputs))
            case SharedLayer():
                place = self._place(value)
                layer = self.rebound(value.layer, inputs)
                return replace(value, layer=layer, slot=place)
            case SharedPart():
                return replace(value, layer=self.rebound(value.layer, inputs))
        return value

    def _rebound(self, values: Mapping[str, Any], inputs: Iterator[Tensor]) -> dict[str, Any]:
        found = {name: self.rebound(values[name], inputs) for name in sorted(values)}
        return {name: found[name] for name in values}


def runs(items: list[Any] | tuple[Any, ...]) -> Iterator[tuple[Any, int]]:
    """The items, each with how often it follows itself as the same object."""
    start, item = 0, None
    for i, following in enumerate(items):
        if i and following is not item:
            yield item, i - start
            start = i
        item = following
    if items:
        yield item, len(items) - start
