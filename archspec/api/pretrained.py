"""Networks with their weights as a folder, or a repository of Hugging Face: what huggingface_hub's mixin saves and finds."""

from __future__ import annotations

import mmap
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from archspec.api.archive import GRAPH, LARGEST_JSON, MANIFEST, WEIGHTS, not_whole
from archspec.api.arguments import checked, flag, text
from archspec.api.arguments import path as a_path
from archspec.api.artifact import parts_of, read_parts
from archspec.api.loading import kept_as, load
from archspec.graph import graph_of
from archspec.ground import codes
from archspec.ground.atomic import replacing
from archspec.ground.errors import SpecError
from archspec.ground.optional import needing
from archspec.ground.regular import open_regular

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

FILES = {GRAPH: "graph.json", WEIGHTS: "model.safetensors", MANIFEST: "config.json"}
"""The names of the parts of a built module in a folder: those that Hugging Face looks for."""


@checked(path=a_path)
def save_pretrained(module: torch.nn.Module, path: str | os.PathLike[str], **more: Any) -> str | None:
    """Write a loaded network into a folder: its graph as JSON, its weights as safetensors, what it is, and a model card.

    `more` goes to the `save_pretrained` of huggingface_hub's `ModelHubMixin`: `push_to_hub=True` and `repo_id="user/net"` upload the
    folder, and what is returned is where to. Nothing in it is ever executed or unpickled.

    Raises SpecError when the place cannot be written, huggingface_hub is not installed, or the weights are no longer those of the
    spec; TypeError for a module that archspec did not load.
    """
    graph_of(module)
    found: str | None = _mixin()(module).save_pretrained(Path(path), **more)
    return found


_CARD = """\
---
{{ card_data }}
---

A network of archspec (`pip install archspec-nn`): its graph is `graph.json`, its weights are `model.safetensors`.

```python
import archspec

net = archspec.from_pretrained("this repository, or folder")
```
"""
"""The page that describes a repository, unless whoever uploads it writes one."""


def _text_of_path(name: str, value: Any) -> str:
    """A path or the name of a repository, as a string."""
    return os.fspath(a_path(name, value))


@checked(name=_text_of_path, revision=text, local_files_only=flag, force_download=flag)
def from_pretrained(
    name: str | os.PathLike[str],
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> GraphModule:
    """A network that `save_pretrained` wrote, from a folder or a repository of Hugging Face (`user/net`), in eval mode.

    `dtype` and `device` are as in `load`, the rest as in huggingface_hub. The graph is validated, and its weights have to be those
    that were saved with it.

    Raises SpecError when there is no such folder or repository, it is not whole, or huggingface_hub is needed and not installed.
    """
    folder = Path(name)
    if os.path.isdir(folder):  # noqa: PTH112 (takes names that are too long)
        return _read(str(name), {part: folder / file for part, file in FILES.items()}, dtype, device)
    pretrained = _mixin()
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = pretrained.from_pretrained(
            name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
            dtype=dtype,
            device=device,
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        said = next(filter(None, str(error).splitlines()), type(error).__name__)
        raise SpecError.of(
            codes.NO_FILE,
            f"there is no folder `{name}`, and no network of that name on Hugging Face: {said}",
            help="`archspec.save_pretrained` writes one",
        ) from None
    except (ValueError, AttributeError) as error:  # huggingface_hub reads the manifest as well
        raise not_whole(Path(name), f"has a `{FILES[MANIFEST]}` that is none: {error}") from None
    return cast("GraphModule", found.module)


@cache
def _mixin() -> Any:
    """The class by which huggingface_hub saves and finds networks. Raises SpecError when it is not installed."""
    with needing("networks are shared by huggingface_hub", "huggingface_hub"):
        from huggingface_hub import ModelHubMixin, hf_hub_download

    class Pretrained(  # type: ignore[call-arg]
        ModelHubMixin,  # type: ignore[misc]
        library_name="archspec",
        tags=["archspec"],
        model_card_template=_CARD,
    ):
        """A network as huggingface_hub handles it: what it writes and reads are the parts of a built module."""

        def __init__(self, module: torch.nn.Module) -> None:
            self.module = module

        def _save_pretrained(self, save_directory: Path) -> None:
            parts, _ = parts_of(self.module)
            for part, data in parts.items():  # the manifest last, which vouches for the others
                with replacing(save_directory / FILES[part]) as file:
                    file.write(data)

        @classmethod
        def _from_pretrained(
            cls, *, model_id: str, dtype: Any = None, device: Any = None, **download: Any
        ) -> Self:
            paths = {part: Path(hf_hub_download(model_id, file, **download)) for part, file in FILES.items()}
            return cls(_read(model_id, paths, dtype, device))

    return Pretrained


def _read(name: str, paths: dict[str, Path], dtype: Any, device: Any) -> GraphModule:
    """The network that some files hold, in eval mode."""
    entries = {part: _bytes(name, paths[part]) for part in (GRAPH, MANIFEST)}
    try:
        graph, saved, manifest = read_parts(Path(name), entries, _mapped(name, paths[WEIGHTS]))
    except SpecError as error:
        help_ = "save it again with `archspec.save_pretrained`, or download it again with `force_download`"
        raise type(error)(replace(problem, help=help_) for problem in error.problems) from None
    kept = dtype or kept_as(graph, saved, manifest.dtype)
    return load(graph, weights=saved, dtype=kept, device=device, nonfinite=True).eval()


def _open(name: str, path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except OSError as error:
        raise not_whole(Path(name), f"has no `{path.name}` that can be read: {error.strerror}") from None


def _bytes(name: str, path: Path) -> bytes:
    """What a file of JSON holds. Raises SpecError when it is missing, or larger than any graph."""
    with _open(name, path) as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise not_whole(Path(name), f"has a `{path.name}` of over {LARGEST_JSON:,} bytes")
    return data


def _mapped(name: str, path: Path) -> memoryview:
    """The weights, mapped into memory: what is written there stays in this process."""
    with _open(name, path) as file:
        if not os.fstat(file.fileno()).st_size:
            raise not_whole(Path(name), f"has a `{path.name}` that is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
