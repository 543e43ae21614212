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
    """Check names and shapes of specs, and their claims to the printed digit. Fast: never imports torch."""
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
            which = spec if len(checked) == 1 else f"{spec}:{graph.name}"
            counted = [(graph.sizes[-1], "node"), (graph.parameters, "parameter"), (len(verdicts), "claim")]
            said = [
                f"{count:,} {what}{'s' * (count != 1)}" for count, what in counted if count or what != "claim"
            ]
            typer.echo(f"{which}: ok ({', '.join(said)})")
        if not checked:
            typer.echo(f"{spec}: ok (no model to check by itself)")
    if failed:
        raise typer.Exit(1)
