"""What a network costs, counted from its graph: parameters, multiply-adds, FLOPs and bytes.

Which quantities there are, and what each counts of a step, is told in `quantities`; here steps are asked, and summed.
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
    """An op applied to tensors of these types, for a batch, with real numbers kept as `dtype`: what costs depend on.

    With `shares`, it computes with the weights of another step.
    """

    op: Op
    inputs: tuple[TensorType, ...]
    options: Mapping[str, TensorType]
    outputs: tuple[TensorType, ...]
    shares: bool = False
    batch: int = 1
    dtype: DType | None = None

    def ask(self, question: Callable[[Op], Callable[..., int]], what: str) -> int:
        """What the op counts of a sample, times the batch. Raises Mistake, about `what`, when a free size decides."""
        each = fixed(question(self.op)(*self.inputs, **self.options), what)
        return each * (self.batch if any(type_.batched for type_ in self._operands) else 1)

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """The weights and buffers that it computes with."""
        return tuple(self.op.weights(*self.inputs, **self.options).values())

    @property
    def own_weights(self) -> tuple[Weight, ...]:
        """Those that no other step holds."""
        return () if self.shares else self.weights

    def weight_bytes(self, weight: Weight) -> int:
        """What a weight takes."""
        return TensorType(weight.shape, weight.dtype).kept_as(self.dtype).bytes

    @property
    def taken(self) -> int:
        """The bytes of the tensors that it reads."""
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self._operands)

    @cached_property
    def made(self) -> int:
        """The bytes of the tensors that it computes; none when it only shows its input in another way."""
        if self.op.view or not is_activation(self.op):
            return 0
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self.outputs)

    @property
    def _operands(self) -> tuple[TensorType, ...]:
        return (*self.inputs, *self.options.values())

    def cost(self) -> Cost:
        """All that is counted of it. Raises Mistake when it depends on a free size."""
        return Cost(tuple(quantity.of_step(self) for quantity in SUMMED))

    def cost_of_weights(self) -> Cost:
        """What is known of its cost whatever the free sizes are, and 0 else."""
        return Cost(tuple(quantity.of_step(self) if quantity.of_weights else 0 for quantity in SUMMED))


def batch_bytes(type_: TensorType, batch: int, dtype: DType | None) -> int:
    """What a tensor takes for a batch, its real numbers kept as `dtype`."""
    return type_.kept_as(dtype).bytes * (batch if type_.batched else 1)


def is_activation(op: Op) -> bool:
    """Whether an op computes what it gives, rather than holding it as a weight of the network."""
    return not isinstance(op, Own) and bool(op.signature().required or op.signature().variadic)


# ------------------------------------------------------------------ networks


def node_costs(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> dict[str, Cost]:
    """The cost of each node by its name, for `batch` samples, real numbers kept as `dtype`.

    Raises Mistake when it depends on a free size.
    """
    return _each(graph, batch, dtype, Applied.cost)


def weights_only(graph: Graph, dtype: DType | None = None) -> dict[str, Cost]:
    """What is known of each node's cost whatever its free sizes are: the costs of its weights."""
    return _each(graph, 1, dtype, Applied.cost_of_weights)


def _each(graph: Graph, batch: int, dtype: DType | None, count: Callable[[Applied], Cost]) -> dict[str, Cost]:
    # Nodes of repeated blocks share their ops and types: to compare these by identity is enough to count
    # most of them once, and far faster than to compare what they hold.
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
    """A node's op with the types of what it takes and gives."""
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
    """How many bytes the network's weights and buffers take, by their dtype."""
    sizes: dict[DType, int] = {}
    for weight in graph.weights.values():
        kept = TensorType(weight.shape, weight.dtype).kept_as(dtype)
        sizes[kept.dtype] = sizes.get(kept.dtype, 0) + kept.bytes
    return sizes
