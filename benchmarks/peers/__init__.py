"""What archspec is compared with: the same networks as plain modules, written by hand."""

from __future__ import annotations

from typing import Any


def timm() -> Any:
    """timm, where it can be imported; otherwise None."""
    try:
        import timm
    except (ImportError, RuntimeError):  # the latter where its torchvision is not of this PyTorch
        return None
    return timm
