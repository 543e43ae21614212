"""`archspec list`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import Format


@app.command("list")
def list_(
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
) -> None:
    """List the specs that come with archspec, each with a line on what it is."""
    from archspec.api import shipped

    rows = [{"name": name, "summary": summary} for name, summary in shipped()]
    if format is Format.json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['summary']}")
