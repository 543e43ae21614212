"""How specs give arguments to what they call, which are ops and initialisations."""

# Annotations here are evaluated, not kept as strings, as in `contract`.

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from archspec.op.settling import Settled

FROM_INPUT = "comes from the input"
INPLACE = "is left out: an activation runs in place where nothing else reads its input"
NO_PADDING: Mapping[str, Any] = MappingProxyType({"padding": 0})
"""PyTorch's layers pad nothing unless told."""
PAD_BEFORE = "is an argument of `Pad`, before the convolution"


def arguments(**here: str) -> Mapping[str, str]:
    """PyTorch's arguments in its order, each with what it is here, as `Called.pytorch` has them."""
    return MappingProxyType(here)


class Called(Settled):
    """What a spec calls with arguments, which are its fields: some by position, all of them by name.

    By position goes only what nobody would take for something else. The order of arguments differs between libraries, and
    the wrong one often makes a network too.
    """

    positional: ClassVar[tuple[str, ...] | None] = None
    """The arguments that may be given by position, in order; None stands for those without a default."""
    pytorch: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """PyTorch's arguments in its order, for messages: each with its name here, or with what "PyTorch's `in_channels`" is or does,
    such as "comes from the input"."""
    pytorch_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """What PyTorch takes for an argument that is not given, by its name here, where another default stands here."""

    @classmethod
    def by_position(cls) -> tuple[str, ...]:
        """The arguments that a spec may give by position, in order."""
        if cls.positional is not None:
            return cls.positional
        return tuple(name for name, field in cls.model_fields.items() if field.is_required())


Called.__annotations__.clear()  # as those of Op, of class variables
