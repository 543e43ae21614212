"""The language server at work, over the standard streams."""

from __future__ import annotations

import gc
import logging
import sys

from archspec.editing import answers, navigation, overview
from archspec.editing.server import server

__all__ = ["answers", "navigation", "overview", "serve"]  # the first three are imported for what they answer


def serve() -> None:
    """Answer an editor over the standard streams until it leaves."""
    gc.enable()  # the command line does without, for what is short
    logging.disable(logging.CRITICAL)
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # what an op of the user's own prints is no message
    try:
        server.start_io(sys.stdin.buffer, output)
    finally:
        server.documents.shut()
