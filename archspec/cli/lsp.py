"""`archspec lsp`."""

from __future__ import annotations

from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import Plugins, import_plugins


@app.command()
def lsp(
    plugins: Plugins = None,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Talk over the standard streams, as it always does.")
    ] = True,
) -> None:
    """Serve an editor over the Language Server Protocol: errors while typing, shapes behind each step, completion. Never imports torch."""
    from archspec.ground import codes
    from archspec.ground.errors import SpecError

    try:
        from archspec.editing.serving import serve
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        raise SpecError.of(
            codes.PROGRAM, f"{error.name} is not installed", help="pip install 'archspec-nn[lsp]'"
        ) from None
    import_plugins(plugins)
    serve()
