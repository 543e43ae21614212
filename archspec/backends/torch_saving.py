"""The weights of a network as a file of safetensors, under the keys of the spec."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from archspec.graph import Graph
from archspec.ground.atomic import replacing
from archspec.version import __version__


def save_weights(module: nn.Module, graph: Graph, path: Path, *, sources: Iterable[Path] = ()) -> None:
    """Write all weights of a network that its `state_dict` has, whole or not at all, over none of `sources`.

    What the file says of itself is text, as safetensors has it: `format` for loaders of others, `archspec` the version, `name`
    that of the model, and `settings` its parameters that were set, as JSON. Raises SpecError when the place cannot be written.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    for key in getattr(module, "further_keys", ()):  # which are the same tensors
        tensors.pop(key, None)
    said = {"format": "pt", "archspec": __version__, "name": graph.name}
    if graph.settings:
        said["settings"] = json.dumps(graph.settings)
    data = memoryview(save(tensors, metadata=said))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8 : 8 + size]))
    header["__metadata__"] = (
        said  # in one order: the library's changes from call to call, and so would the bytes
    )
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path, sources=sources) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        file.write(data[8 + size :])
