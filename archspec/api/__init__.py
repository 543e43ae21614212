"""The doors for Python: what `import archspec` offers."""

from archspec.api.checking import check, claims
from archspec.api.counting import cost, diff, scale
from archspec.api.drawing import draw
from archspec.api.loading import load, load_aot
from archspec.api.loading import torch_dtype as torch_dtype
from archspec.api.networks import blocks as blocks
from archspec.api.networks import repeated_blocks, resize_positions
from archspec.api.reading import BUILT as BUILT
from archspec.api.reading import models, read, read_text, shipped
from archspec.api.reading import parse as parse
from archspec.api.reading import parse_value as parse_value
from archspec.graph import graph_of

__all__ = [
    "check",
    "claims",
    "cost",
    "diff",
    "draw",
    "graph_of",
    "load",
    "load_aot",
    "models",
    "read",
    "read_text",
    "repeated_blocks",
    "resize_positions",
    "scale",
    "shipped",
]
