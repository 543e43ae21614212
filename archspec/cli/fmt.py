"""`archspec fmt`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from archspec.api.formatting import Rewritten, format_file, format_text, spec_files
from archspec.cli.app import app
from archspec.elaboration import LARGEST, decoded
from archspec.ground.errors import SpecError

_STANDARD = "-"


@app.command("fmt")
def fmt(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC...", help="Paths of specs, or of folders of them; - for standard input and output."
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; list what would change, and exit with status 1.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; print what would change as a unified diff.")
    ] = False,
) -> None:
    """Format specs, in place: one style, with comments and blank lines kept, and the meaning unchanged. Never imports torch."""
    changes = wrong = False
    for spec in _each(specs):
        if isinstance(spec, SpecError):
            typer.echo(f"{spec}\n", err=True)
            wrong = True
            continue
        changes |= spec.changes
        if diff:
            typer.echo(spec.diff.encode(), nl=False)
        elif check:
            if spec.changes:
                typer.echo(f"{spec.path}: would be formatted")
        elif spec.path == _STANDARD:
            typer.echo(spec.after.encode(), nl=False)
        elif spec.changes:
            try:
                spec.write()
            except SpecError as error:
                typer.echo(f"{error}\n", err=True)
                wrong = True
            else:
                typer.echo(f"{spec.path}: formatted")
    if wrong or (check and changes):
        raise typer.Exit(1)


def _each(specs: list[str]) -> Iterator[Rewritten | SpecError]:
    """Each spec formatted, or what is wrong with it."""
    for spec in specs:
        try:
            files = [spec] if spec == _STANDARD else spec_files(spec)
        except SpecError as error:
            yield error
            continue
        for file in files:
            try:
                yield _input() if file == _STANDARD else format_file(file)
            except SpecError as error:
                yield error


def _input() -> Rewritten:
    """What standard input holds, formatted."""
    before = decoded(sys.stdin.buffer.read(LARGEST + 1), "standard input")
    return Rewritten(_STANDARD, before, format_text(before, "standard input"))
