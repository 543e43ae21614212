"""The quantities that are counted of networks, one entry each; all tables of costs are made from them.

To add a quantity, write a function below. Its name is the key in JSON and the attribute of `Cost`, its docstring its line
in the manual; its decorator says where it is shown. The tree of costs, `--sort`, comparisons, sweeps and their plots, `scale` and
`diff` pick it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from archspec.analyses.formatting import short, short_bytes, short_seconds
from archspec.ground.errors import SpecError

if TYPE_CHECKING:  # the command line reads this table to describe itself, and should not wait for ops
    from archspec.analyses.cost import Applied
    from archspec.analyses.summary import Summary
    from archspec.ground.tensor import DType
    from archspec.op import Weight

Counted = TypeVar("Counted")

Place = Literal["tree", "comparison", "sweep", "plot", "scale", "diff"]
"""Where a quantity is shown. JSON and CSV contain all of them."""

Unit = Literal["", "bytes", "seconds", "layers"]
Share = Literal["", "percent", "bar"]

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
    """A quantity that adds up: that of a block or network is the sum over what is in it."""

    share: Share
    """What the tree shows beside it: its share of the total in percent, or that and a bar."""


@dataclass(frozen=True, slots=True)
class OfSteps(Summed):
    """One that is counted for each step."""

    of_step: Callable[[Applied], int]


@dataclass(frozen=True, slots=True)
class OfWeights(Summed):
    """One that is counted for each weight, in the dtype that it is kept in; shared ones count once."""

    of_weight: Callable[[Weight], int]


_QUANTITIES: dict[str, Quantity] = {}


def of_steps(
    heading: str, title: str, unit: Unit = "", *, shown: str = "", share: Share = ""
) -> Callable[[Callable[[Applied], int]], OfSteps]:
    """A quantity from a function that counts it for a step; `shown` lists its places, separated by spaces."""

    def made(of_step: Callable[[Applied], int]) -> OfSteps:
        key = of_step.__name__

        def of_network(summary: Summary) -> int:
            return getattr(summary.total, key)  # type: ignore[no-any-return]

        quantity = OfSteps(
            key, heading, title, _line(of_step), unit, _places(shown), of_network, share, of_step
        )
        _QUANTITIES[key] = quantity
        return quantity

    return made


def of_weights(
    heading: str, title: str, unit: Unit = "", *, shown: str = "", share: Share = ""
) -> Callable[[Callable[[Weight], int]], OfWeights]:
    """A quantity from a function that counts it for a weight, which free sizes do not change."""

    def made(of_weight: Callable[[Weight], int]) -> OfWeights:
        key = of_weight.__name__

        def of_network(summary: Summary) -> int:
            return getattr(summary.of_weights, key)  # type: ignore[no-any-return]

        quantity = OfWeights(
            key, heading, title, _line(of_weight), unit, _places(shown), of_network, share, of_weight
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


@of_weights("params", "parameters", shown="tree comparison sweep plot scale diff", share="percent")
def params(weight: Weight) -> int:
    """Trained values; those of shared layers count once."""
    return weight.size if weight.trainable else 0


@of_weights("buffers", "values in buffers")
def buffers(weight: Weight) -> int:
    """Values that are not trained, such as running means and constants."""
    return 0 if weight.trainable else weight.size


@of_steps("MACs", "multiply-adds", shown="tree comparison sweep plot scale diff", share="bar")
def macs(step: Applied) -> int:
    """Multiply-adds of convolutions and matrix products; papers print them as "FLOPs"."""
    return step.ask(lambda op: op.macs, "the number of multiply-adds")


@of_steps("FLOPs", "floating-point operations", shown="tree comparison sweep diff")
def flops(step: Applied) -> int:
    """Twice the multiply-adds, and all other arithmetic."""
    return step.ask(lambda op: op.flops, "the number of operations")


@of_weights("weights", "size of weights and buffers", "bytes", shown="comparison")
def weight_bytes(weight: Weight) -> int:
    """Size of weights and buffers."""
    from archspec.ground.tensor import TensorType

    return TensorType(weight.shape, weight.dtype).bytes


@of_steps("activations", "size of activations", "bytes", shown="tree")
def activations(step: Applied) -> int:
    """Size of the tensors that steps compute; views take nothing."""
    return step.made


@of_steps("traffic", "memory traffic", "bytes")
def moved(step: Applied) -> int:
    """Memory traffic: what steps read and write, weights included."""
    return step.taken + step.made + sum(map(weight_bytes.of_weight, step.weights)) if step.made else 0


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
def paths(summary: Summary) -> int | None:
    """Paths from the inputs to the outputs."""
    return _counted(lambda: summary.paths)


@whole("paths by length", "paths by length")
def path_lengths(summary: Summary) -> dict[int, int] | None:
    """Paths of each length in weighted layers."""
    return _counted(lambda: summary.path_lengths)


def _counted(count: Callable[[], Counted]) -> Counted | None:
    """What is counted; None where it is too much to count, which leaves all else as it is."""
    try:
        return count()
    except SpecError:
        return None


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
