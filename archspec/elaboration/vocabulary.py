"""The names that every spec knows: ops, functions and initialisations."""

from __future__ import annotations

from typing import Any

from archspec.elaboration.functions import FUNCTIONS
from archspec.elaboration.values import OpLayer
from archspec.ground.errors import Mistake
from archspec.op import Op
from archspec.op.initialisation import Initialiser

WORDS = {"true", "false", "none"}


def builtin(name: str) -> Any:
    """The op, function or initialisation of that name, or None."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name in Initialiser.known:
        return Initialiser.known[name]
    try:
        return OpLayer(Op.find(name))
    except Mistake:
        return None


def builtins() -> set[str]:
    """The names of all ops, functions and initialisations."""
    return Op.names() | set(FUNCTIONS) | set(Initialiser.known)
