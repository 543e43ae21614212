"""A lower bound on the time of a network on a device: the roofline model [Williams et al., 2009]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from archspec.analyses.cost import Cost
from archspec.ground import codes
from archspec.ground.errors import Mistake, suggest
from archspec.ground.tensor import DType


@dataclass(frozen=True)
class Device:
    """A device and its peak rates from the data sheet: FLOP/s by dtype, memory bandwidth in bytes/s."""

    name: str
    flops: Mapping[DType, float]
    bandwidth: float
    source: str


_H100: Mapping[DType, float] = {"f64": 67e12, "f32": 67e12, "f16": 989.5e12, "bf16": 989.5e12}

DEVICES = {
    "h100": Device("NVIDIA H100 SXM", _H100, 3.35e12, "NVIDIA H100 data sheet, dense rates"),
    "h200": Device("NVIDIA H200 SXM", _H100, 4.8e12, "NVIDIA H200 data sheet, dense rates"),
    "a100": Device(
        "NVIDIA A100 SXM 80 GB",
        {"f64": 19.5e12, "f32": 19.5e12, "f16": 312e12, "bf16": 312e12},
        2.039e12,
        "NVIDIA A100 data sheet, dense rates",
    ),
    # 40 cores at 2.3 GHz with two 16-wide FMA units each; 8 channels of DDR4-3200.
    "cpu": Device(
        "Intel Xeon Platinum 8380, one socket",
        {"f64": 2.944e12, "f32": 5.888e12, "f16": 5.888e12, "bf16": 5.888e12},
        204.8e9,
        "computed from Intel's base clock, FMA units and memory channels",
    ),
}


def find_device(name: str) -> Device:
    """The device of that name. Raises Mistake when there is none."""
    if name not in DEVICES:
        raise Mistake(
            f"there is no device `{name}`",
            codes.CHOICE,
            help=suggest(name, DEVICES) or f"the devices are {', '.join(DEVICES)}",
        )
    return DEVICES[name]


def estimated_seconds(costs: Iterable[Cost], device: Device, dtype: DType = "f32") -> float:
    """A lower bound on the time of one pass, in seconds.

    Each node takes as long as its arithmetic or its memory traffic at the device's peak rates, whichever is longer.
    Launch overheads and caches are ignored.
    """
    rate = device.flops[dtype]
    return sum(max(cost.flops / rate, cost.moved / device.bandwidth) for cost in costs)
