"""The `archspec` command."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from archspec.cli.app import app
from archspec.errors import SpecError

__all__ = ["app", "main"]

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)


def main() -> None:
    """Run the command. Exit status 0, 1 for a wrong spec, 2 for wrong usage."""
    # A command makes many objects and leaves few cycles: looking for these takes a tenth of a check.
    gc.disable()
    try:
        app()
    except SpecError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
