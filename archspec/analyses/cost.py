"""What a network costs, counted from its graph: parameters, multiply-adds, FLOPs and bytes.

`quantities` defines what is counted for a step and for a weight; here it is evaluated once for each step of each function,
and added up over calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from archspec.analyses.formatting import power_of_ten, short
from archspec.analyses.multiply_adds import macs as macs
from archspec.analyses.quantities import SUMMED, OfSteps, OfWeights
from archspec.graph import Apply, Call, Function, Graph, Node
from archspec.ground.brief import brief
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
        return f"Cost({', '.join(f'{key}={_exact(number)}' for key, number in self.as_dict().items())})"

    @property
    def brief(self) -> str:
        """The costs that tables show first: `25.56M params, 4.089G macs`."""
        return f"{short(self.params)} params, {short(self.macs)} macs"

    def __add__(self, other: Cost) -> Cost:
        return total((self, other))

    def __mul__(self, times: int) -> Cost:
        return Cost(tuple(times * number for number in self.numbers))

    def as_dict(self) -> dict[str, int]:
        """The numbers by their keys."""
        return dict(zip(_POSITIONS, self.numbers, strict=True))

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved; 0 where nothing is moved."""
        return self.flops / self.moved if self.moved else 0.0


def _exact(number: int) -> str:
    """All digits, but of a number that no one would read."""
    return str(number) if number < 10**24 else power_of_ten(number)


# ------------------------------------------------------------------ one step


@dataclass(frozen=True)
class Applied:
    """An op applied to tensors of given types, for a batch, with floating-point tensors in `dtype`: all that a cost depends on.

    `weights` are those that it computes with, in the dtype that they are kept in.
    """

    op: Op
    inputs: tuple[TensorType, ...]
    options: Mapping[str, TensorType]
    outputs: tuple[TensorType, ...]
    weights: tuple[Weight, ...]
    batch: int = 1
    dtype: DType | None = None

    def ask(self, question: Callable[[Op], Callable[..., int]], what: str) -> int:
        """What the op counts for a sample, times the batch. Raises Mistake, about `what`, when it depends on a free size."""
        each = fixed(question(self.op)(*self.inputs, **self.options), what)
        return each * (self.batch if any(type_.batched for type_ in self._read) else 1)

    @property
    def taken(self) -> int:
        """The bytes of its input tensors."""
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self._read)

    @cached_property
    def made(self) -> int:
        """The bytes of the tensors that it computes; 0 for a view."""
        if self.op.view or not is_activation(self.op):
            return 0
        return sum(batch_bytes(type_, self.batch, self.dtype) for type_ in self.outputs)

    @property
    def _read(self) -> tuple[TensorType, ...]:
        return (
            *self.inputs,
            *(type_ for name, type_ in self.options.items() if name not in self.op.sized_by),
        )


def batch_bytes(type_: TensorType, batch: int, dtype: DType | None) -> int:
    """The size of a tensor for a batch, in `dtype` if it is floating-point."""
    return type_.kept_as(dtype).bytes * (batch if type_.batched else 1)


def is_activation(op: Op) -> bool:
    """Whether an op computes its output, rather than being a weight of the network."""
    return not isinstance(op, Own) and bool(op.signature().required or op.signature().variadic)


# ------------------------------------------------------------------ networks


class Counts:
    """The costs of a network for a batch, with floating-point tensors in `dtype`: each step of a function is counted once.

    All but the costs of weights raise Mistake where they depend on a free size.
    """

    def __init__(self, graph: Graph, batch: int = 1, dtype: DType | None = None) -> None:
        self.graph, self.batch, self.dtype = graph, batch, dtype

    def __repr__(self) -> str:
        return brief(self, f"{self.graph.name}, batch {self.batch}")

    @cached_property
    def functions(self) -> tuple[Cost, ...]:
        """The cost of each function, with all that it calls: the last is that of the network."""
        return tuple(map(Cost.__add__, self.passes, self.weights))

    @cached_property
    def weights(self) -> tuple[Cost, ...]:
        """The part of it that the weights are: those of a shared layer count once, where it is declared."""
        columns = (
            self.graph.owned(partial(_of_weight, quantity, self.dtype))
            if isinstance(quantity, OfWeights)
            else (0,) * len(self.graph.functions)
            for quantity in SUMMED
        )
        return tuple(map(Cost, zip(*columns, strict=True)))

    @cached_property
    def passes(self) -> tuple[Cost, ...]:
        """The rest of it: what a forward pass takes."""
        found: list[Cost] = []
        for function, steps in zip(self.graph.functions, self.steps, strict=True):
            calls = (step for step in function.steps if isinstance(step, Call))
            found.append(total((*steps.values(), *(found[call.function] * call.times for call in calls))))
        return tuple(found)

    @cached_property
    def steps(self) -> tuple[dict[str, Cost], ...]:
        """For each function what a forward pass through each of its steps takes, calls left out."""
        return tuple(
            {step.name: self._pass(function, step) for step in function.steps if isinstance(step, Apply)}
            for function in self.graph.functions
        )

    @cached_property
    def held(self) -> tuple[dict[str, Cost], ...]:
        """For each function what the weights of each of its steps are, of those that have any."""
        return tuple(
            {name: self._held(weights.values()) for name, weights in function.held.items()}
            for function in self.graph.functions
        )

    @property
    def each(self) -> Iterator[Cost]:
        """What a forward pass takes for each step of each function, in all the calls of that together."""
        runs = [0] * len(self.steps)
        runs[-1] = 1
        for index in range(len(runs) - 1, -1, -1):
            for step in self.graph.functions[index].steps:
                if isinstance(step, Call):
                    runs[step.function] += runs[index] * step.times
        for times, steps in zip(runs, self.steps, strict=True):
            yield from (cost * times for cost in steps.values())

    @property
    def nodes(self) -> dict[str, Cost]:
        """The cost of each node, by its name."""
        functions = [scope.function for scope in self.graph.scopes]
        return {node.name: self.of(functions[node.scope], node) for node in self.graph.nodes}

    def of(self, function: int, node: Node) -> Cost:
        """The cost of a node that is a step of a function."""
        return (self.steps if node.shares else self._owning)[function][node.step]

    @cached_property
    def _owning(self) -> list[dict[str, Cost]]:
        return [
            {name: cost + held[name] if name in held else cost for name, cost in steps.items()}
            for steps, held in zip(self.steps, self.held, strict=True)
        ]

    def _pass(self, function: Function, step: Apply) -> Cost:
        applied = Applied(
            step.op,
            tuple(function.types[ref] for ref in step.inputs),
            {option: function.types[ref] for option, ref in step.options.items()},
            step.types,
            tuple(kept_as(weight, self.dtype) for weight in function.held.get(step.name, {}).values()),
            self.batch,
            self.dtype,
        )
        try:
            return Cost(
                tuple(
                    quantity.of_step(applied) if isinstance(quantity, OfSteps) else 0 for quantity in SUMMED
                )
            )
        except Mistake as mistake:
            raise at_step(mistake, step.name, step.location) from mistake.__cause__

    def _held(self, weights: Iterable[Weight]) -> Cost:
        return Cost(
            tuple(
                sum(quantity.of_weight(kept_as(weight, self.dtype)) for weight in weights)
                if isinstance(quantity, OfWeights)
                else 0
                for quantity in SUMMED
            )
        )


class WeightCounts(Counts):
    """The part of the costs that depends on weights only, so that free sizes do not matter; 0 for the rest."""

    def _pass(self, function: Function, step: Apply) -> Cost:
        return Cost()


def node_costs(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> dict[str, Cost]:
    """The cost of each node by name, for `batch` samples, with floating-point tensors in `dtype`.

    Raises Mistake when it depends on a free size.
    """
    return Counts(graph, batch, dtype).nodes


def weights_only(graph: Graph, dtype: DType | None = None) -> dict[str, Cost]:
    """The part of each node's cost that depends on weights only, so that free sizes do not matter."""
    return WeightCounts(graph, dtype=dtype).nodes


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    columns = zip(*(cost.numbers for cost in costs), strict=True)
    return Cost(tuple(map(sum, columns)) or Cost().numbers)


def network_cost(graph: Graph, *, batch: int = 1, dtype: DType | None = None) -> Cost:
    """The cost of the whole network for a batch. Raises Mistake when it depends on a free size."""
    return Counts(graph, batch, dtype).functions[-1]


def weight_bytes(graph: Graph, dtype: DType | None = None) -> dict[DType, int]:
    """The bytes of the network's weights and buffers, by dtype."""
    weights = (
        weight for function in graph.functions for held in function.held.values() for weight in held.values()
    )
    dtypes = dict.fromkeys(kept_as(weight, dtype).dtype for weight in weights)
    return {each: graph.owned(partial(_bytes_in, each, dtype))[-1] for each in dtypes}


def kept_as(weight: Weight, dtype: DType | None) -> Weight:
    """A weight as it is kept, where floating-point tensors are in `dtype`."""
    kept = TensorType(weight.shape, weight.dtype).kept_as(dtype).dtype
    return weight if kept == weight.dtype else weight.model_copy(update={"dtype": kept})


def _of_weight(quantity: OfWeights, dtype: DType | None, weight: Weight) -> int:
    return quantity.of_weight(kept_as(weight, dtype))


def _bytes_in(wanted: DType, dtype: DType | None, weight: Weight) -> int:
    kept = kept_as(weight, dtype)
    return TensorType(kept.shape, kept.dtype).bytes if kept.dtype == wanted else 0
