"""The names that every spec knows: ops, functions, initialisations and constants."""

from __future__ import annotations

import math
from typing import Any

from archspec.elaboration.functions import FUNCTIONS
from archspec.elaboration.values import OpLayer
from archspec.ground.errors import Mistake
from archspec.op import Op
from archspec.op.initialisation import Initialiser

CONSTANTS = {"pi": math.pi}
WORDS = {"true", "false", "none"}


def builtin(name: str) -> Any:
    """The op, function, initialisation or constant of that name, or None."""
    if name in CONSTANTS:
        return CONSTANTS[name]
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name in Initialiser.known:
        return Initialiser.known[name]
    try:
        return OpLayer(Op.find(name))
    except Mistake:
        return None


def builtins() -> set[str]:
    """The names of all ops, functions, initialisations and constants."""
    return Op.names() | set(CONSTANTS) | set(FUNCTIONS) | set(Initialiser.known)
