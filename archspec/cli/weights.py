"""`archspec weights`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

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
from archspec.ground.errors import SpecError

Adapt = Annotated[
    list[str] | None,
    typer.Option(
        "--adapt",
        metavar="NAME",
        help="Let weights be adapted: classes, channels, grid, patch, fold, or all; classes=[5, 7] keeps these rows. Repeatable.",
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="OLD",
        help="The network that the file is of: a spec or a built module.",
        show_default=False,
    ),
]
FromSettings = Annotated[
    list[str] | None,
    typer.Option("--from-set", metavar="NAME=VALUE", help="Set a parameter of OLD. Repeatable."),
]
Strict = Annotated[
    bool,
    typer.Option("--strict/--no-strict", help="Refuse a file that does not fit, or take what does."),
]
Nonfinite = Annotated[bool, typer.Option("--nonfinite", help="Let infinite numbers and NaN in.")]

NamesAs = Annotated[
    str | None,
    typer.Option(
        "--names",
        metavar="TITLE",
        help="Read the file's keys with the spec's `names` of this title.",
        show_default=False,
    ),
]
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


def old_network(from_: str | None, settings: list[str] | None, budget: int) -> Any:
    """The network that `--from` names, with its settings; None where it is not given."""
    if from_ is None:
        if settings:
            raise typer.BadParameter("it has no effect without --from", param_hint="--from-set")
        return None
    from archspec.api import read
    from archspec.api.reading import is_built

    if is_built(from_):
        if settings:
            raise typer.BadParameter("a built module has its settings", param_hint="--from-set")
        return from_
    return read(from_, budget=budget, settings=parse_settings(settings, "--from-set"))


def parse_adapt(given: list[str] | None) -> dict[str, Any] | None:
    """The adaptations that `--adapt` names, with what is said of them."""
    from archspec.api import parse_value

    asked: dict[str, Any] = {}
    for text in given or []:
        for name in [text] if "=" in text else text.split(","):
            name, equals, value = name.partition("=")
            try:
                asked[name.strip()] = parse_value(value) if equals else True
            except SpecError as error:
                message = f"in `{text}`: {error.problems[0].message}"
                raise typer.BadParameter(message, param_hint="--adapt") from None
    return asked or None
