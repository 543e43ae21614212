"""What a network costs, counted from its graph: parameters, multiply-adds, FLOPs and bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from archspec.graph import Graph, Node
from archspec.ground.errors import Mistake
from archspec.ground.guarding import at_step
from archspec.ground.tensor import DType, TensorType, fixed
from archspec.op import Op
from archspec.ops.weights import Own

_MACS = "the number of multiply-adds"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a network costs for one batch; costs of parts add up.

    `params` are trained numbers, `buffers` all others that the network holds, `weight_bytes` what both
    take. `macs` are multiply-adds of convolutions and matrix products, the figure that papers print as
    "FLOPs"; `flops` are twice these and all other arithmetic. `activations` are the bytes of the tensors
    that the nodes make, `moved` the bytes that they read and write, weights included.
    """

    params: int = 0
    buffers: int = 0
    weight_bytes: int = 0
    macs: int = 0
    flops: int = 0
    activations: int = 0
    moved: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.params + other.params,
            self.buffers + other.buffers,
            self.weight_bytes + other.weight_bytes,
            self.macs + other.macs,
            self.flops + other.flops,
            self.activations + other.activations,
            self.moved + other.moved,
        )

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved; 0 where nothing is moved."""
        return self.flops / self.moved if self.moved else 0.0


QUANTITIES = tuple(field.name for field in fields(Cost))


def node_costs(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> dict[str, Cost]:
    """The cost of each node by its name, for `batch` samples, real numbers kept as `dtype`.

    Raises Mistake when it depends on a free size.
    """
    # Nodes of repeated blocks share their ops and types: to compare these by identity is enough to count
    # most of them once, and far faster than to compare what they hold.
    known: dict[Any, Cost] = {}
    costs, types = {}, graph.types
    for node in graph.nodes:
        key = (id(node.op), *(id(types[ref]) for ref in node.inputs), *node.options, bool(node.shares))
        if key not in known or node.options:
            try:
                known[key] = _cost(node, graph.input_types(node), graph.option_types(node), batch, dtype)
            except Mistake as mistake:
                raise at_step(mistake, node.name, node.location) from mistake.__cause__
        costs[node.name] = known[key]
    return costs


def weights_only(graph: Graph) -> dict[str, Cost]:
    """What is known of each node's cost whatever its free sizes are: its trained numbers."""
    costs = {}
    for node in graph.nodes:
        weights = node.op.weights(*graph.input_types(node), **graph.option_types(node)).values()
        params = sum(prod(weight.shape) for weight in weights if weight.trainable)
        costs[node.name] = Cost() if node.shares else Cost(params=params)
    return costs


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    rows = [(c.params, c.buffers, c.weight_bytes, c.macs, c.flops, c.activations, c.moved) for c in costs]
    return Cost(*(sum(column) for column in zip(*rows, strict=True))) if rows else Cost()


def network_cost(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> Cost:
    """The cost of the whole network for a batch. Raises Mistake when it depends on a free size."""
    return total(node_costs(graph, batch=batch, dtype=dtype).values())


def macs(graph: Graph) -> int:
    """Multiply-adds of convolutions, linears, matrix products and attention, for one sample.

    It is the figure that papers print as "FLOPs". Raises Mistake when it depends on a free size.
    """
    counts = []
    for node in graph.nodes:
        try:
            counts.append(node.op.macs(*graph.input_types(node), **graph.option_types(node)))
        except Mistake as mistake:
            raise at_step(mistake, node.name, node.location) from mistake.__cause__
    return fixed(sum(counts), _MACS)


def weight_bytes(graph: Graph, dtype: DType | None = None) -> dict[DType, int]:
    """How many bytes the network's weights and buffers take, by their dtype."""
    sizes: dict[DType, int] = {}
    for weight in graph.weights.values():
        kept = TensorType(weight.shape, weight.dtype).kept_as(dtype)
        sizes[kept.dtype] = sizes.get(kept.dtype, 0) + kept.bytes
    return sizes


def batch_bytes(type_: TensorType, batch: int, dtype: DType | None) -> int:
    """What a tensor takes for a batch, its real numbers kept as `dtype`."""
    return type_.kept_as(dtype).bytes * (batch if type_.batched else 1)


def is_activation(op: Op) -> bool:
    """Whether what an op gives is computed, and is no weight of the network itself."""
    return not isinstance(op, Own) and bool(op.signature().required or op.signature().variadic)


def _cost(
    node: Node,
    inputs: tuple[TensorType, ...],
    options: dict[str, TensorType],
    batch: int,
    dtype: DType | None,
) -> Cost:
    op = node.op
    held = op.weights(*inputs, **options).values()
    weights = [TensorType(weight.shape, weight.dtype).kept_as(dtype).bytes for weight in held]
    own = not node.shares  # a repeated use reads the weights of the first, and holds none
    times = batch if any(type_.batched for type_ in (*inputs, *options.values())) else 1
    made = 0 if op.view or not is_activation(op) else sum(batch_bytes(t, batch, dtype) for t in node.types)
    taken = sum(batch_bytes(type_, batch, dtype) for type_ in (*inputs, *options.values()))
    return Cost(
        params=own * sum(prod(weight.shape) for weight in held if weight.trainable),
        buffers=own * sum(prod(weight.shape) for weight in held if not weight.trainable),
        weight_bytes=own * sum(weights),
        macs=times * fixed(op.macs(*inputs, **options), _MACS),
        flops=times * fixed(op.flops(*inputs, **options), "the number of operations"),
        activations=made,
        moved=taken + made + sum(weights) if made else 0,
    )
