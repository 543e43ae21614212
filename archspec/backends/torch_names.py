"""Tensors under the keys of other code: rearranged and joined on the way here, parted and rearranged back on the way there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from archspec.analyses.renaming import Names, Origin
from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.op.axes import flat

MOST_SAID = 3


def weight_of(origin: Origin, *tensors: Tensor) -> Tensor:
    """The weight that the other's tensors are, in the order of their keys: views where that is possible. Raises Mistake where they do not fit."""
    parts = [_rearranged(origin, tensor) for tensor in tensors]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def tensor_of(origin: Origin, part: int, weight: Tensor) -> Tensor:
    """The other's tensor that is a part of a weight: a view where that is possible. Raises Mistake where it cannot be parted."""
    if len(origin.keys) > 1:
        weight = weight.tensor_split(len(origin.keys))[part]
    return _rearranged(origin, weight, back=True)


def renamed_state(names: Names, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A `state_dict` under the other's keys, in the order of ours; what the other has none of stays as it is.

    Raises SpecError when a weight of the network lacks, or is of another shape than it has there.
    """
    lacking = [key for key in names.shapes if key not in state]
    other = [key for key in state if key not in names.shapes]
    if lacking or other:
        said = [*(f"lacks `{key}`" for key in lacking), *(f"has `{key}` besides" for key in other)]
        more = f", and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
        raise SpecError.of(
            codes.CHECKPOINT,
            f"these are not the weights of {names.graph.name}: it {', '.join(said[:MOST_SAID])}{more}",
            help="give `network.state_dict()`",
        )
    found: dict[str, Tensor] = {}
    for key, origin in names.origins.items():
        for part, theirs in enumerate(origin.keys):
            try:
                made = tensor_of(origin, part, state[key])
            except Mistake as mistake:
                raise SpecError.of(mistake.code, f"`{key}`: {mistake.message}", help=mistake.help) from None
            found[theirs] = made.contiguous() if origin.changes_values else made
    return found


def _rearranged(origin: Origin, tensor: Tensor, *, back: bool = False) -> Tensor:
    if not origin.pattern:
        return tensor
    fit = origin.fitted(tuple(tensor.shape), back=back)
    before, after = flat(fit.left), flat(fit.right)
    parted = tensor.reshape([int(fit.sizes[name]) for name in before])  # type: ignore[arg-type]
    moved = parted.permute([before.index(name) for name in after])
    return moved.reshape([int(size) for size in fit.shape])  # type: ignore[arg-type]
