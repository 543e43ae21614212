"""The costs of a network, each counted when it is first asked for: what `archspec.cost` gives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archspec.analyses.cost import Cost, Counts, weight_bytes
from archspec.analyses.formatting import short
from archspec.analyses.formulas import of_batch
from archspec.analyses.hierarchy import Part, hierarchy
from archspec.analyses.memory import Peak, peak_memory, saved_memory
from archspec.analyses.paths import depth, path_count, path_lengths
from archspec.analyses.quantities import QUANTITIES
from archspec.analyses.roofline import Device, estimated_seconds, find_device
from archspec.graph import Graph, Ref
from archspec.ground.brief import brief
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.tensor import DType

if TYPE_CHECKING:
    from archspec.analyses.receptive_field import ReceptiveField


@dataclass(frozen=True)
class Summary:
    """The costs of a network for a batch, each counted when it is first asked for.

    Sizes are in bytes, times in seconds, those of `device`. Counting raises Mistake where it depends on a free size.
    """

    graph: Graph
    batch: int = 1
    dtype: DType | None = None
    device: Device | None = None

    def __post_init__(self) -> None:
        # Where samples are an axis of a tensor, there are as many as the batch has.
        object.__setattr__(self, "graph", of_batch(self.graph, self.batch))

    def __repr__(self) -> str:
        """The network and its totals, where they do not depend on free sizes."""
        said = f"{short(self.graph.parameters)} parameters"
        with suppress(Mistake, SpecError):  # they depend on a free size, or an op cannot tell
            said += f", {short(self.total.macs)} multiply-adds, {short(self.total.flops)} FLOPs"
        return brief(self, f"{self.graph.name}: {said}, batch {self.batch}")

    def _repr_html_(self) -> str:
        from archspec.analyses.notebook import cost_table

        return cost_table(self)

    @cached_property
    def counts(self) -> Counts:
        """The costs of functions and of their steps."""
        return Counts(self.graph, self.batch, self.dtype)

    @cached_property
    def nodes(self) -> dict[str, Cost]:
        """The cost of each node, by its name."""
        return self.counts.nodes

    @property
    def total(self) -> Cost:
        """The cost of all nodes."""
        return self.counts.functions[-1]

    @property
    def of_weights(self) -> Cost:
        """The part of the total that depends on weights only, known even with free sizes."""
        return self.counts.weights[-1]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The blocks and nodes of the model, in order, with repeats folded."""
        return hierarchy(self.counts)

    @property
    def weight_bytes(self) -> dict[DType, int]:
        """The size of weights and buffers, by dtype."""
        return weight_bytes(self.graph, self.dtype)

    @cached_property
    def peak(self) -> Peak:
        """The peak memory of activations at inference."""
        return peak_memory(self.graph, batch=self.batch, dtype=self.dtype)

    @cached_property
    def saved(self) -> int:
        """What a training step keeps for the backward pass."""
        return saved_memory(self.graph, batch=self.batch, dtype=self.dtype)

    @cached_property
    def depth(self) -> int:
        """Weighted layers on the longest path."""
        return depth(self.graph)

    @cached_property
    def paths(self) -> int:
        """Paths from the inputs to the outputs."""
        return path_count(self.graph)

    @cached_property
    def path_lengths(self) -> dict[int, int]:
        """Paths of each length in weighted layers."""
        return path_lengths(self.graph)

    @cached_property
    def receptive_fields(self) -> dict[Ref, dict[str, tuple[ReceptiveField, ...]]]:
        """What each value sees of each input, axis by axis."""
        from archspec.analyses.receptive_field import receptive_fields

        return receptive_fields(self.graph)

    def seconds(self, device: Device) -> float:
        """A lower bound on the time of one pass on a device, by its peak rates."""
        return estimated_seconds(self.counts.each, device, self.dtype or "f32")

    def figures(self, device: str | None = None) -> dict[str, Any]:
        """All quantities by their keys in JSON. Raises Mistake for an unknown device."""
        summary = self if device is None else replace(self, device=find_device(device))
        values = {quantity.key: quantity.of_network(summary) for quantity in QUANTITIES}
        return {key: value for key, value in values.items() if value is not None}
