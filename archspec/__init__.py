"""archspec: neural architectures as text specs, compiled to graphs and to PyTorch modules.

>>> import archspec
>>> graph = archspec.read("resnet50", resolution=256)  # every shape known; torch is not imported
>>> module = archspec.load("resnet50", classes=10)     # a torch.fx.GraphModule
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from archspec.moved import keep_old_names
from archspec.version import __version__ as __version__

__distribution__ = "archspec-nn"

if TYPE_CHECKING:
    from archspec.api import *  # noqa: F403
    from archspec.graph import Graph as Graph
    from archspec.ground.errors import InputError as InputError
    from archspec.ground.errors import Problem as Problem
    from archspec.ground.errors import SpecError as SpecError
    from archspec.ground.errors import SpecWarning as SpecWarning
    from archspec.ground.errors import StepError as StepError
    from archspec.op import Op as Op

_HOMES = {
    "Graph": "graph",
    "InputError": "ground.errors",
    "Op": "op",
    "Problem": "ground.errors",
    "SpecError": "ground.errors",
    "SpecWarning": "ground.errors",
    "StepError": "ground.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name, or a room, when it is first asked for: the command line rarely needs all of them.

    Which functions there are, `archspec.api` says.
    """
    if name == "__all__":
        return [*_HOMES, "__version__", *import_module("archspec.api").__all__]
    missing = AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.startswith("_"):
        raise missing
    room = f"{__name__}.{name}"
    try:
        found = (
            getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            if name in _HOMES
            else import_module(room)
        )
    except ModuleNotFoundError as error:
        if error.name != room:
            raise
        found = getattr(import_module("archspec.api"), name, None)
        if found is None:
            raise missing from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__getattr__("__all__")})


keep_old_names()
