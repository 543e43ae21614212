"""What steps compute by functions, as expressions."""

from archspec.backends.python.functions.applied import Applied, over_batch
from archspec.backends.python.functions.attention import ATTENTION, attends
from archspec.backends.python.functions.named_axes import AXIS
from archspec.backends.python.functions.table import written

__all__ = ["ATTENTION", "AXIS", "Applied", "attends", "over_batch", "written"]
