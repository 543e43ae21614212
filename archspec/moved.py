"""Modules under the names that they had before 0.2: they still import, for one version, and say where they are now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MOVED = {
    "archspec.analyses.figures": "archspec.analyses.formatting",
    "archspec.analyses.words": "archspec.analyses.captions",
    "archspec.artifact": "archspec.api.artifact",
    "archspec.elaborate": "archspec.elaboration",
    "archspec.errors": "archspec.ground.errors",
    "archspec.initialisation": "archspec.op.initialisation",
    "archspec.ops.inputs": "archspec.op.inputs",
    "archspec.ops.window": "archspec.op.window",
    "archspec.reach": "archspec.op.dependence",
    "archspec.size": "archspec.ground.size",
    "archspec.source": "archspec.ground.source",
    "archspec.tensor": "archspec.ground.tensor",
    "archspec.torch_layers": "archspec.op.torch_layers",
    "archspec.validation": "archspec.graph.validation",
}


class _Moved:
    """A finder and loader; not `MetaPathFinder`'s child, since importing that takes longer than all else here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        import warnings
        from importlib import import_module

        now = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {now} now", DeprecationWarning, stacklevel=2)
        module = import_module(now)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # importing under another name has set that of the alias


def keep_old_names() -> None:
    """Let `import archspec.tensor` and its like find what has moved."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
