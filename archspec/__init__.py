"""archspec: neural architectures as text specs, compiled to graphs and to PyTorch modules.

>>> import archspec
>>> graph = archspec.read("resnet50", resolution=256)  # every shape known; torch is not imported
>>> module = archspec.load("resnet50", classes=10)     # a torch.fx.GraphModule
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from archspec.moved import keep_old_names
from archspec.version import __version__

__distribution__ = "archspec-nn"

if TYPE_CHECKING:
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
    from archspec.op import Op

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

_HOMES = {"Graph": "graph", "Op": "op", "Problem": "ground.errors", "SpecError": "ground.errors"}


def __getattr__(name: str) -> Any:
    """Import a public name, or a room, when it is first asked for: the command line rarely needs all of them."""
    if name in __all__:
        found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        room = f"{__name__}.{name}"
        try:
            found = import_module(room)
        except ModuleNotFoundError as error:
            if error.name != room:
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


keep_old_names()
