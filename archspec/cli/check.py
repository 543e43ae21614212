"""`archspec check`."""

from __future__ import annotations

from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, import_plugins
from archspec.ground.errors import SpecError


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="Paths or names of specs.")],
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Check specs: names, shapes, and their claims to the digits printed. Fast; never imports torch."""
    from archspec.api import check as check_spec

    import_plugins(plugins)
    failed = False
    for spec in specs:
        try:
            checked = check_spec(spec, budget=budget)
        except SpecError as error:
            typer.echo(f"{error}\n", err=True)
            failed = True
            continue
        for graph, verdicts in checked:
            claims = (
                f", {len(verdicts)} claims hold"
                if len(verdicts) > 1
                else ", 1 claim holds"
                if verdicts
                else ""
            )
            typer.echo(
                f"{spec}: {graph.name} is right: {len(graph.nodes):,} nodes, {graph.parameters:,} parameters{claims}"
            )
        if not checked:
            typer.echo(f"{spec}: right; it defines no model that stands alone")
    if failed:
        raise typer.Exit(1)
