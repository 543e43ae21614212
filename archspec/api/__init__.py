"""The doors for Python: what `import archspec` offers."""

from importlib import import_module
from typing import TYPE_CHECKING

import archspec.namesake  # noqa: F401  (whatever else is imported comes when it is asked for)

if TYPE_CHECKING:
    from archspec.api.checking import check, claims
    from archspec.api.counting import cost, diff, scale
    from archspec.api.drawing import draw
    from archspec.api.exporting import export
    from archspec.api.formatting import format_text
    from archspec.api.importing import compare_module, spec_of
    from archspec.api.loading import features, load, load_aot
    from archspec.api.loading import torch_dtype as torch_dtype
    from archspec.api.networks import blocks as blocks
    from archspec.api.networks import dynamic_shapes, named, profiled, repeated_blocks, resize_positions
    from archspec.api.pretrained import from_pretrained, save_pretrained
    from archspec.api.reading import BUILT as BUILT
    from archspec.api.reading import models, read, read_text, shipped, shipped_blocks
    from archspec.api.reading import parse as parse
    from archspec.api.reading import parse_value as parse_value
    from archspec.api.timm_models import register_timm
    from archspec.api.weights import plan_weights, propose_names
    from archspec.graph import graph_of

__all__ = [
    "check",
    "claims",
    "compare_module",
    "cost",
    "diff",
    "draw",
    "dynamic_shapes",
    "export",
    "features",
    "format_text",
    "from_pretrained",
    "graph_of",
    "load",
    "load_aot",
    "models",
    "named",
    "plan_weights",
    "profiled",
    "propose_names",
    "read",
    "read_text",
    "register_timm",
    "repeated_blocks",
    "resize_positions",
    "save_pretrained",
    "scale",
    "shipped",
    "shipped_blocks",
    "spec_of",
]

_HOMES = {
    "checking": ("check", "claims"),
    "counting": ("cost", "diff", "scale"),
    "drawing": ("draw",),
    "exporting": ("export",),
    "importing": ("compare_module", "spec_of"),
    "formatting": ("format_text",),
    "loading": ("features", "load", "load_aot", "torch_dtype"),
    "networks": (
        "blocks",
        "dynamic_shapes",
        "graph_of",
        "named",
        "profiled",
        "repeated_blocks",
        "resize_positions",
    ),
    "pretrained": ("from_pretrained", "save_pretrained"),
    "reading": ("BUILT", "models", "parse", "parse_value", "read", "read_text", "shipped", "shipped_blocks"),
    "timm_models": ("register_timm",),
    "weights": ("plan_weights", "propose_names"),
}


if not TYPE_CHECKING:  # or else the names would be of any type

    def __getattr__(name: str) -> object:
        """Import what a function needs when it is first asked for: most programs use one or two."""
        for home, names in _HOMES.items():
            if name in names:
                found = getattr(import_module(f"{__name__}.{home}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for names in _HOMES.values() for name in names)})
