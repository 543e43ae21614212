"""`archspec check`."""

from __future__ import annotations

from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, import_plugins


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="Paths or names of specs.")],
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Check names and shapes of specs, and their claims to the printed digit. Fast: never imports torch."""
    from archspec.cli.checking import check_all

    import_plugins(plugins)
    if not check_all(specs, budget):
        raise typer.Exit(1)
