"""What commands take that load weights, and how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archspec.cli.options import parse_settings, refuse_idle
from archspec.ground.errors import SpecError

WeightFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        help="Weights to use: safetensors, a file of PyTorch, .npz, an index. Repeatable for the parts of one.",
        show_default=False,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="Dtype of floating-point weights: f32, f16, bf16 or f64 (default: the spec's).",
        show_default=False,
    ),
]
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


def refuse_idle_weights(context: typer.Context, weights: list[Path] | None) -> None:
    """Usage is wrong when it is said how weights are loaded, and none are."""
    if not weights:
        names = ("adapt", "from_", "from_settings", "strict", "nonfinite", "names")
        refuse_idle(context, "it says how --weights are loaded", *names)


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
