"""`archspec explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.ground.explanations import explained, explanations


@app.command()
def explain(
    codes: Annotated[
        list[str] | None, typer.Argument(metavar="CODE...", help="Codes, or names of warnings.")
    ] = None,
    every: Annotated[bool, typer.Option("--list", help="List all codes.")] = False,
) -> None:
    """Say what the code of a message means, with an example and how to mend it: `archspec explain E0504`."""
    if every:
        for each in explanations():
            typer.echo(f"{each.code}  {each.title}" + (f" ({each.name})" if each.name else ""))
        return
    if not codes:
        raise typer.BadParameter("name a code, as in `archspec explain E0504`, or give `--list`")
    typer.echo("\n\n\n".join(str(explained(code)) for code in codes))
