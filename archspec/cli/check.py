"""`archspec check`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Format, Plugins, import_plugins


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC", help="Paths or names of specs.")],
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if there are warnings.")
    ] = False,
    format: Annotated[Format, typer.Option("--format", help="How to print what was found.")] = Format.text,
) -> None:
    """Check names and shapes of specs, and their claims to the printed digit; warn of what nothing uses. Fast: never imports torch."""
    from archspec.cli.checking import as_records, check_all

    import_plugins(plugins)
    if format is Format.json:
        records = as_records(specs, budget)
        typer.echo(json.dumps(records, indent=2))
        levels = {problem["level"] for record in records for problem in record["problems"]}
        right = "error" not in levels and not (strict and levels)
    else:
        right = check_all(specs, budget, strict=strict)
    if not right:
        raise typer.Exit(1)
