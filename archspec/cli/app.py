"""The `archspec` command itself; each subcommand is a file beside this one, a thin layer over the Python API."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="archspec",
    help="Neural architectures as text: check them, look at them, build PyTorch modules from them.",
    epilog="A SPEC is the path of an .arch file, the name of a shipped spec (`archspec list`), or either with :Model behind it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def archspec(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    """Neural architectures as text: check them, look at them, build PyTorch modules from them."""
    if version:
        import archspec

        typer.echo(f"archspec {archspec.__version__}")
        raise typer.Exit
