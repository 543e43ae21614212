"""What the steps of a function under construction give, with sizes that know where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archspec.ground.tensor import TensorType

Traced = list[tuple[TensorType, int]]
"""Types, whose sizes may be `Declared`, each with its trace."""


@dataclass(slots=True)
class Made:
    """What a step gives, and of a call also what the steps inside give, by their names in its function."""

    types: Traced
    inside: Mapping[str, Made] = field(default_factory=dict)
