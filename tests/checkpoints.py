"""What the state_dicts of other libraries hold, for the specs that take their checkpoints.

`checkpoints.json` has, for each such spec, the model it follows, how many tensors that model's state_dict holds, and
a digest of their names and shapes; `arguments` are the reference's, `settings` the spec's, where the published weights
are not those of the default net; `part` is the module of the reference that the spec describes, if not all. `python tests/checkpoints.py` counts all anew where timm and torchvision are installed;
`python tests/checkpoints.py SPEC LIBRARY:MODEL` adds one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import archspec

FILE = Path(__file__).with_suffix(".json")


def digest(shapes: Mapping[str, Iterable[object]]) -> str:
    """Equal for equal names and shapes, in any order."""
    lines = sorted(f"{name} {' '.join(map(str, shape))}\n" for name, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def reference_shapes(reference: str, part: str = "", **arguments: Any) -> dict[str, tuple[int, ...]]:
    """What the state_dict of `timm:NAME` or `torchvision:NAME`, or of a part of it, holds."""
    import torch

    library, name = reference.split(":")
    with torch.device("meta"):
        if library == "timm":
            model = import_module("timm").create_model(name, pretrained=False, **arguments)
        else:
            model = import_module("torchvision.models").get_model(name, weights=None, **arguments)
    module = model.get_submodule(part)
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def spec_shapes(name: str, **settings: Any) -> dict[str, tuple[int, ...]]:
    """What the state_dict of a shipped spec holds."""
    return {
        key: weight.shape for key, weight in archspec.read(name, **settings).weights.items() if weight.saved
    }


def main(arguments: list[str]) -> None:
    found = json.loads(FILE.read_text())
    if arguments:
        found[arguments[0]] = {"reference": arguments[1]}
    for entry in found.values():
        shapes = reference_shapes(entry["reference"], entry.get("part", ""), **entry.get("arguments", {}))
        entry.update(tensors=len(shapes), digest=digest(shapes))
    FILE.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
