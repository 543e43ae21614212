"""`archspec list`."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import Format

if TYPE_CHECKING:
    from archspec.elaboration.shelf import BlockEntry


@app.command("list")
def list_(
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
    blocks: Annotated[bool, typer.Option("--blocks", help="List the shipped blocks instead.")] = False,
) -> None:
    """List the shipped specs by family and year, with a line on each."""
    from archspec.api import shipped, shipped_blocks

    if blocks:
        _list_blocks(shipped_blocks(), format)
        return
    entries = shipped()
    if format is Format.json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for (family, summary), members in groupby(entries, lambda entry: (entry.family, entry.family_summary)):
        typer.echo(f"{family}: {summary}" if summary else family)
        for entry in members:
            typer.echo(f"  {entry.name:<{width}}  {entry.summary}")
        typer.echo()


def _list_blocks(entries: list[BlockEntry], format: Format) -> None:
    """The shipped blocks, a line on each."""
    if format is Format.json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        typer.echo(f"{entry.name:<{width}}  {entry.summary}")
    typer.echo("\n`archspec show NAME` says what a block takes.")
