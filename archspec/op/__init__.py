"""What an op is, and all that the author of one imports.

from archspec.op import Elementwise, Lowered

class Snake(Elementwise): ...
"""

from archspec.ground import codes
from archspec.ground.bounds import always_equal
from archspec.ground.declared import use, use_unless_same
from archspec.ground.errors import Mistake
from archspec.ground.size import Size
from archspec.ground.tensor import DType, Shape, TensorType, broadcast, fixed, show
from archspec.op.bases import Elementwise, Movement
from archspec.op.contract import (
    Epsilon,
    Lowered,
    NonNegativeInt,
    Op,
    PositiveInt,
    Probability,
    Signature,
    Weight,
    family,
    load_ops,
    trained_values,
)
from archspec.op.dependence import (
    POINT,
    WHOLE,
    Along,
    Reach,
    Slide,
    aligned,
    everything,
    normalised,
    points,
)
from archspec.op.initialisation import Init, torch_default
from archspec.op.inputs import channels_of, require_numbers, require_rank, require_real, space_of
from archspec.op.settling import shipped

__all__ = [
    "POINT",
    "WHOLE",
    "Along",
    "DType",
    "Elementwise",
    "Epsilon",
    "Init",
    "Lowered",
    "Mistake",
    "Movement",
    "NonNegativeInt",
    "Op",
    "PositiveInt",
    "Probability",
    "Reach",
    "Shape",
    "Signature",
    "Size",
    "Slide",
    "TensorType",
    "Weight",
    "aligned",
    "always_equal",
    "broadcast",
    "channels_of",
    "codes",
    "everything",
    "family",
    "fixed",
    "load_ops",
    "normalised",
    "points",
    "require_numbers",
    "require_rank",
    "require_real",
    "shipped",
    "show",
    "space_of",
    "torch_default",
    "trained_values",
    "use",
    "use_unless_same",
]
