"""What a network costs, counted from its graph: parameters, multiply-adds, FLOPs and bytes.

`quantities` defines what is counted for a step; here it is evaluated for each step, and summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from archspec.analyses.quantities import SUMMED
from archspec.graph import Graph, Node
from archspec.ground.errors import Mistake
from archspec.ground.guarding import at_step
from archspec.ground.tensor import DType, TensorType, fixed
from archspec.op import Op, Weight
from archspec.ops.weights import Own

_POSITIONS = {quantity.key: position for position, quantity in enumerate(SUMMED)}


@dataclass(frozen=True, slots=True, repr=False)
class Cost:
    """What a part of a network costs for one batch: `cost.params`, `cost.macs` ...; costs of parts add up.

    It has a number for each of `SUMMED`, in that order.
    """

    numbers: tuple[int, ...] = (0,) * len(SUMMED)

    def __getattr__(self, key: str) -> int:
        if key not in _POSITIONS:
            raise AttributeError(f"a cost has no `{key}`")
        return self.numbers[_POSITIONS[key]]

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *_POSITIONS]

    def __repr__(self) -> str:
        return f"Cost({', '.join(f'{key}={number}' for key, number in self.as_dict().items())})"

    def __add__(self, other: Cost) -> Cost:
        return total((self, other))

    def as_dict(self) -> dict[str, int]:
        """The numbers by their keys."""
        return dict(zip(_POSITIONS, self.numbers, strict=True))

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved; 0 where nothing is moved."""
        return self.flops / self.moved if self.moved else 0.0


# ------------------------------------------------------------------ one step


@dataclass(frozen=True)
class Applied:
    """An op applied to tensors of given types, for a batch, with floating-point tensors in `dtype`: all that a cost depends on.

    With `shares`, it uses the weights of another step.
    """

    op: Op
    inputs: tuple[TensorType, ...]
    options: Mapping[str, TensorType]
    outputs: tuple[TensorType, ...]
    shares: bool = False
    batch: int = 1
    dtype: DType | None = None

    def ask(self, question: Callable[[Op], Callable[..., int]], what: str) -> int:
        """What the op counts for a sample, times the batch. Raises Mistake, about `what`, when it depends on a free size."""
        each = fixed(question(self.op)(*self.inputs, **self.options), what)
        return each * (self.batch if any(type_.batched for type_ in self._operands) else 1)

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """The weights and buffers that it computes with."""
        return tuple(self.op.weights(*self.inputs, **self.options).values())

    @property
    def own_weights(self) -> tuple[Weight, ...]:
        """Those that it does not share with an earlier step."""
        return () if self.shares else self.weights

    def weight_bytes(self, weight: Weight) -> int:
        """The size of a weight."""
        return TensorType(weight.shape, weight.dtype).kept_as(self.dtype).bytes

    @property
    def taken(self) -> int:
        """The bytes of its input tensors."""
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self._operands)

    @cached_property
    def made(self) -> int:
        """The bytes of the tensors that it computes; 0 for a view."""
        if self.op.view or not is_activation(self.op):
            return 0
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self.outputs)

    @property
    def _operands(self) -> tuple[TensorType, ...]:
        return (*self.inputs, *self.options.values())

    def cost(self) -> Cost:
        """Its cost. Raises Mistake when it depends on a free size."""
        return Cost(tuple(quantity.of_step(self) for quantity in SUMMED))

    def cost_of_weights(self) -> Cost:
        """The part of its cost that depends on weights only; 0 for the rest."""
        return Cost(tuple(quantity.of_step(self) if quantity.of_weights else 0 for quantity in SUMMED))


def batch_bytes(type_: TensorType, batch: int, dtype: DType | None) -> int:
    """The size of a tensor for a batch, in `dtype` if it is floating-point."""
    return type_.kept_as(dtype).bytes * (batch if type_.batched else 1)


def is_activation(op: Op) -> bool:
    """Whether an op computes its output, rather than being a weight of the network."""
    return not isinstance(op, Own) and bool(op.signature().required or op.signature().variadic)


# ------------------------------------------------------------------ networks


def node_costs(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> dict[str, Cost]:
    """The cost of each node by name, for `batch` samples, with floating-point tensors in `dtype`.

    Raises Mistake when it depends on a free size.
    """
    return _each(graph, batch, dtype, Applied.cost)


def weights_only(graph: Graph, dtype: DType | None = None) -> dict[str, Cost]:
    """The part of each node's cost that depends on weights only, so that free sizes do not matter."""
    return _each(graph, 1, dtype, Applied.cost_of_weights)


def _each(graph: Graph, batch: int, dtype: DType | None, count: Callable[[Applied], Cost]) -> dict[str, Cost]:
    # Nodes of repeated blocks share their ops and types, so comparing by identity finds most repeats, and is far
    # faster than comparing by value.
    known: dict[Any, Cost] = {}
    costs, types = {}, graph.types
    for node in graph.nodes:
        key = (id(node.op), *(id(types[ref]) for ref in node.operands), *node.options, bool(node.shares))
        if key not in known:
            try:
                known[key] = count(applied(graph, node, batch, dtype))
            except Mistake as mistake:
                raise at_step(mistake, node.name, node.location) from mistake.__cause__
        costs[node.name] = known[key]
    return costs


def applied(graph: Graph, node: Node, batch: int = 1, dtype: DType | None = None) -> Applied:
    """A node's op with the types of its inputs and outputs."""
    inputs, options = graph.input_types(node), graph.option_types(node)
    return Applied(node.op, inputs, options, node.types, bool(node.shares), batch, dtype)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    columns = zip(*(cost.numbers for cost in costs), strict=True)
    return Cost(tuple(map(sum, columns)) or Cost().numbers)


def network_cost(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> Cost:
    """The cost of the whole network for a batch. Raises Mistake when it depends on a free size."""
    return total(node_costs(graph, batch=batch, dtype=dtype).values())


def macs(graph: Graph) -> int:
    """Multiply-adds of convolutions, linears, matrix products and attention, for one sample.

    Papers print them as "FLOPs". Raises Mistake when they depend on a free size.
    """
    return fixed(sum(graph.ask(node, Op.macs) for node in graph.nodes), "the number of multiply-adds")


def weight_bytes(graph: Graph, dtype: DType | None = None) -> dict[DType, int]:
    """The bytes of the network's weights and buffers, by dtype."""
    sizes: dict[DType, int] = {}
    for weight in graph.weights.values():
        kept = TensorType(weight.shape, weight.dtype).kept_as(dtype)
        sizes[kept.dtype] = sizes.get(kept.dtype, 0) + kept.bytes
    return sizes
