"""archspec: neural architectures as text specs, compiled to graphs and to PyTorch modules.

>>> import archspec
>>> graph = archspec.read("resnet50", resolution=256)  # every shape known; torch is not imported
>>> module = archspec.load("resnet50", classes=10)     # a torch.fx.GraphModule
"""

__distribution__ = "archspec-nn"

from archspec.api import (
    blocks,
    check,
    claims,
    cost,
    diff,
    draw,
    graph_of,
    load,
    load_aot,
    models,
    parse,
    read,
    resize_positions,
    scale,
)
from archspec.graph import Graph
from archspec.ground.errors import Problem, SpecError
from archspec.moved import keep_old_names
from archspec.op import Op
from archspec.version import __version__

__all__ = [
    "Graph",
    "Op",
    "Problem",
    "SpecError",
    "__version__",
    "blocks",
    "check",
    "claims",
    "cost",
    "diff",
    "draw",
    "graph_of",
    "load",
    "load_aot",
    "models",
    "parse",
    "read",
    "resize_positions",
    "scale",
]

keep_old_names()
