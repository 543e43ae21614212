"""What an op is: its contract, what it says of its weights, and what each value depends on."""

from archspec.op.contract import (
    Lowered,
    NonNegativeInt,
    Op,
    PositiveInt,
    Probability,
    Signature,
    Weight,
    family,
    load_ops,
    shipped,
    trained_values,
)

__all__ = [
    "Lowered",
    "NonNegativeInt",
    "Op",
    "PositiveInt",
    "Probability",
    "Signature",
    "Weight",
    "family",
    "load_ops",
    "shipped",
    "trained_values",
]
