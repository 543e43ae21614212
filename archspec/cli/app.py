"""The `archspec` command itself; each subcommand is a file beside this one, a thin layer over the Python API."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperGroup

from archspec.cli.commands import A_SPEC, OPTIONS, SUMMARY, commands, overview


class _Commands(TyperGroup):
    """The group of all commands, which says of itself what `archspec --help` does without importing them."""

    def get_help(self, ctx: object) -> str:
        return overview()


app = typer.Typer(
    name="archspec",
    cls=_Commands,
    help=SUMMARY,
    epilog=A_SPEC,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def load(name: str | None = None) -> typer.Typer:
    """The app with the command of that name in it; with all commands when there is none of that name."""
    known = commands()
    for command in [known[name]] if name in known else known.values():
        import_module(command.module)
    return app


@app.callback(invoke_without_command=True)
def archspec(
    version: Annotated[bool, typer.Option("--version", help=OPTIONS["--version"], is_eager=True)] = False,
    install_completion: Annotated[
        bool, typer.Option("--install-completion", help=OPTIONS["--install-completion"], is_eager=True)
    ] = False,
    show_completion: Annotated[
        bool, typer.Option("--show-completion", help=OPTIONS["--show-completion"], is_eager=True)
    ] = False,
) -> None:
    """Neural architectures as text: check them, look at them, build PyTorch modules from them."""
    if version:
        from archspec.version import __version__

        typer.echo(f"archspec {__version__}")
        raise typer.Exit
    if install_completion or show_completion:
        from archspec.cli.completion import completion

        completion(None, install_completion)
        raise typer.Exit
