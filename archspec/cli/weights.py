"""`archspec weights`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Format,
    Plugins,
    Settings,
    Spec,
    import_plugins,
    parse_settings,
    progress,
)
from archspec.cli.weight_options import (
    Adapt,
    From,
    FromSettings,
    NamesAs,
    Nonfinite,
    Strict,
    old_network,
    parse_adapt,
)

Propose = Annotated[
    bool,
    typer.Option(
        "--propose",
        help="Print `names` that may be those of the file, for review: a guess by structure and shape.",
    ),
]


@app.command()
def weights(
    spec: Spec,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Weights: a file, its parts, or an index of them.")
    ],
    settings: Settings = None,
    adapt: Adapt = None,
    from_: From = None,
    from_settings: FromSettings = None,
    strict: Strict = True,
    nonfinite: Nonfinite = False,
    names: NamesAs = None,
    propose: Propose = False,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Show what becomes of each weight of a file in a network, before it is loaded.

    The exit status is 1 where the file would not be loaded.
    """
    import_plugins(plugins)
    if propose:
        typer.echo(_proposed(spec, files, budget, settings, format), nl=False)
        return
    with progress() as say:
        say("reading the weights")
        from archspec.api import plan_weights

        plan = plan_weights(
            spec,
            files,
            from_=old_network(from_, from_settings, budget),
            adapt=parse_adapt(adapt),
            nonfinite=nonfinite,
            names=names,
            budget=budget,
            settings=parse_settings(settings),
        )
    if format is Format.json:
        typer.echo(json.dumps(plan.as_record(), indent=2))
    else:
        typer.echo(plan.report())
    if strict and not plan.fits:
        raise typer.Exit(1)


def _proposed(spec: str, files: list[Path], budget: int, settings: list[str] | None, format: Format) -> str:
    """What `--propose` prints."""
    from archspec.api import propose_names

    text = propose_names(spec, files, title=files[0].stem, budget=budget, settings=parse_settings(settings))
    if format is Format.json:
        return json.dumps({"names": text}, indent=2) + "\n"
    return text or "# every key of the file is the network's own\n"
