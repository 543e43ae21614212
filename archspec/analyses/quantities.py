"""The quantities that are counted of networks, one entry each; all tables of costs are made from them.

To add a quantity, write a function below. Its name is the key in JSON and the attribute of `Cost`, its docstring its line
in the manual; its decorator says where it is shown. The tree of costs, `--sort`, comparisons, sweeps and their plots, `scale` and
`diff` pick it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from archspec.analyses.formatting import short, short_bytes, short_seconds

if TYPE_CHECKING:  # the command line reads this table to describe itself, and should not wait for ops
    from archspec.analyses.cost import Applied
    from archspec.analyses.summary import Summary
    from archspec.ground.tensor import DType

Place = Literal["tree", "comparison", "sweep", "plot", "scale", "diff"]
"""Where a quantity is shown. JSON and CSV contain all of them."""

Unit = Literal["", "bytes", "seconds", "layers"]

_TEXTS: dict[Unit, Callable[[Any], str]] = {
    "": short,
    "bytes": short_bytes,
    "seconds": short_seconds,
    "layers": str,
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is counted: `key` is its name in Python and JSON, `heading` in tables, `title` in plots."""

    key: str
    heading: str
    title: str
    meaning: str
    unit: Unit
    places: frozenset[Place]
    of_network: Callable[[Summary], Any]
    """Its value for a network; None where there is none, such as a time without a device."""

    @property
    def panel(self) -> str:
        """Its title in plots, with the unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: Any) -> str:
        """A value as tables print it."""
        return _TEXTS[self.unit](value)


@dataclass(frozen=True, slots=True)
class Summed(Quantity):
    """A quantity of steps; that of a block or network is the sum over its steps."""

    of_step: Callable[[Applied], int]
    of_weights: bool
    """Whether it depends on weights only, and not on free sizes and the batch."""
    share: Literal["", "percent", "bar"]
    """What the tree shows beside it: its share of the total in percent, or that and a bar."""


_QUANTITIES: dict[str, Quantity] = {}


def summed(
    heading: str,
    title: str,
    unit: Unit = "",
    *,
    shown: str = "",
    of_weights: bool = False,
    share: Literal["", "percent", "bar"] = "",
) -> Callable[[Callable[[Applied], int]], Summed]:
    """A quantity from a function that counts it for a step; `shown` lists its places, separated by spaces."""

    def made(of_step: Callable[[Applied], int]) -> Summed:
        key = of_step.__name__

        def of_network(summary: Summary) -> int:
            return getattr(summary.of_weights if of_weights else summary.total, key)  # type: ignore[no-any-return]

        quantity = Summed(
            key, heading, title, _line(of_step), unit, _places(shown), of_network, of_step, of_weights, share
        )
        _QUANTITIES[key] = quantity
        return quantity

    return made


def whole(
    heading: str, title: str, unit: Unit = "", *, shown: str = ""
) -> Callable[[Callable[[Summary], Any]], Quantity]:
    """A quantity that does not add up, from a function that counts it for a network."""

    def made(of_network: Callable[[Summary], Any]) -> Quantity:
        key = of_network.__name__
        quantity = Quantity(key, heading, title, _line(of_network), unit, _places(shown), of_network)
        _QUANTITIES[key] = quantity
        return quantity

    return made


def _line(function: Callable[..., Any]) -> str:
    return " ".join((function.__doc__ or "").split())


def _places(shown: str) -> frozenset[Place]:
    known: dict[str, Place] = {place: place for place in get_args(Place)}
    return frozenset(known[word] for word in shown.split())


# ------------------------------------------------------------------ in the order of columns


@summed(
    "params", "parameters", shown="tree comparison sweep plot scale diff", of_weights=True, share="percent"
)
def params(step: Applied) -> int:
    """Trained values; those of shared layers count once."""
    from archspec.op import trained_values

    return trained_values(step.own_weights)


@summed("buffers", "values in buffers", of_weights=True)
def buffers(step: Applied) -> int:
    """Values that are not trained, such as running means and constants."""
    return sum(weight.size for weight in step.own_weights if not weight.trainable)


@summed("MACs", "multiply-adds", shown="tree comparison sweep plot scale diff", share="bar")
def macs(step: Applied) -> int:
    """Multiply-adds of convolutions and matrix products; papers print them as "FLOPs"."""
    return step.ask(lambda op: op.macs, "the number of multiply-adds")


@summed("FLOPs", "floating-point operations", shown="tree comparison sweep diff")
def flops(step: Applied) -> int:
    """Twice the multiply-adds, and all other arithmetic."""
    return step.ask(lambda op: op.flops, "the number of operations")


@summed("weights", "size of weights and buffers", "bytes", shown="comparison", of_weights=True)
def weight_bytes(step: Applied) -> int:
    """Size of weights and buffers."""
    return sum(map(step.weight_bytes, step.own_weights))


@summed("activations", "size of activations", "bytes", shown="tree")
def activations(step: Applied) -> int:
    """Size of the tensors that steps compute; views take nothing."""
    return step.made


@summed("traffic", "memory traffic", "bytes")
def moved(step: Applied) -> int:
    """Memory traffic: what steps read and write, weights included."""
    return step.taken + step.made + sum(map(step.weight_bytes, step.weights)) if step.made else 0


@whole("FLOPs/byte", "arithmetic intensity")
def intensity(summary: Summary) -> float:
    """FLOPs for each byte of memory traffic."""
    return round(summary.total.intensity, 3)


@whole("weights by dtype", "size of weights by dtype")
def weight_bytes_by_dtype(summary: Summary) -> dict[DType, int]:
    """Size of weights and buffers, by dtype."""
    return summary.weight_bytes


@whole("peak memory", "peak activation memory", "bytes", shown="comparison sweep plot diff")
def peak_memory(summary: Summary) -> int:
    """The most that activations take at once, at inference."""
    return summary.peak.bytes


@whole("peak at", "step of the peak")
def peak_node(summary: Summary) -> str:
    """The step that runs at the peak."""
    return summary.peak.node


@whole("kept for backward", "kept for a backward pass", "bytes", shown="comparison sweep plot diff")
def saved_memory(summary: Summary) -> int:
    """What the forward pass of a training step keeps for the backward pass."""
    return summary.saved


@whole("depth", "depth", "layers", shown="comparison diff")
def depth(summary: Summary) -> int:
    """Weighted layers on the longest path."""
    return summary.depth


@whole("paths", "paths from input to output", shown="comparison")
def paths(summary: Summary) -> int:
    """Paths from the inputs to the outputs."""
    return summary.paths


@whole("paths by length", "paths by length")
def path_lengths(summary: Summary) -> dict[int, int]:
    """Paths of each length in weighted layers."""
    return summary.path_lengths


@whole("device", "device")
def device(summary: Summary) -> str | None:
    """The device whose time is estimated."""
    return summary.device.name if summary.device else None


@whole("estimate", "estimated time", "seconds", shown="comparison sweep")
def estimated_seconds(summary: Summary) -> float | None:
    """A lower bound on the time of one pass on the device."""
    return summary.seconds(summary.device) if summary.device else None


# ------------------------------------------------------------------ all of them

QUANTITIES = tuple(_QUANTITIES.values())
SUMMED = tuple(quantity for quantity in QUANTITIES if isinstance(quantity, Summed))


def shown_in(place: Place) -> list[Quantity]:
    """The quantities that a table shows, in order."""
    return [quantity for quantity in QUANTITIES if place in quantity.places]
