"""Tensors that a file has under several keys: each under the first one of its weight alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from archspec.analyses.further_keys import further_keys
from archspec.graph import Graph
from archspec.ground import codes
from archspec.ground.errors import SpecError

Held = TypeVar("Held")


def first_keys_alone(graph: Graph, tensors: Mapping[str, Held]) -> Mapping[str, Held]:
    """What a file holds, without what it has under a further key of a weight, also behind a prefix of all keys.

    Raises SpecError where the tensors of a weight's keys differ.
    """
    further = further_keys(graph)
    if not further:
        return tensors
    made = dict(tensors)
    for key in tensors:
        for other, first in further.items():
            if key != other and not key.endswith(f".{other}"):
                continue
            under = key.removesuffix(other) + first
            if under in tensors:
                _require_equal(key, under, tensors[key], tensors[under])
            made[under] = made.pop(key) if under not in made else made[under]
            made.pop(key, None)
            break
    return made


def _require_equal(key: str, other: str, first: object, second: object) -> None:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        alike = first is second or (first.shape == second.shape and torch.equal(first, second))
        if not alike:
            raise SpecError.of(
                codes.CHECKPOINT,
                f"`{key}` and `{other}` are one weight here, and differ in the file",
                help="leave out the one that is not meant",
            )
