"""`archspec import`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.analyses.formatting import plural
from archspec.cli.app import app
from archspec.cli.options import progress

if TYPE_CHECKING:
    from archspec.importing.comparing import Comparison


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="`timm:NAME`, `torchvision:NAME`, a callable of your own with literal arguments,"
            " `'package.module:Net(width=32)'`, or a .pt2 file of torch.export.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Output file (default: standard output).", show_default=False),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="The sizes of an input without the batch, `3,224,224`, or with a dtype, `i64[128]`; once for each input.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the model is called (default: as its class).", show_default=False)
    ] = None,
    free: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Leave the last sizes of the first input open, under these names: --free H,W.",
            show_default=False,
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Write what can be written, and mark what has no form in a spec as a gap."
        ),
    ] = False,
    verify: Annotated[
        bool, typer.Option(help="Run the module and the spec's network with the same weights, and compare.")
    ] = True,
) -> None:
    """Write a PyTorch module as a spec: a block for each of its classes, repetition folded, every weight under its own key.

    Exits with status 1 if the network of the spec is not the module.
    """
    with progress() as say:
        say(f"building {source}")
        from archspec.api.importing import comparison_of, import_of
        from archspec.api.reading import free_names
        from archspec.ground.atomic import replacing, require_writable
        from archspec.importing.sources import source as found
        from archspec.importing.spec import Asked

        if output is not None:
            require_writable(output)
        given = found(source, inputs or ())
        say(f"capturing {source}")
        called = name or (given.name if given.kinds else type(given.module).__name__)
        names = free_names(free) if free else None
        doc = f"Imported from {source}."
        asked = Asked(called, doc, source, given.kinds, partial=partial, free=names or ())
        made = import_of(given.module, given.inputs, asked)
        text = made.text
        if output is not None:
            with replacing(output) as file:
                file.write(text.encode())
        comparisons = []
        if verify and not made.gaps:
            for sizes in made.inputs:
                say("comparing")
                comparisons.append(comparison_of(text, given.module, sizes, trains=not given.kinds))
    if output is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(f"written to {output} ({text.count(chr(10))} lines)")
    for gap, reason in made.gaps.items():
        typer.echo(f"gap: {gap}: {reason}", err=True)
    for sizes, comparison in zip(made.inputs, comparisons, strict=False):
        if len(comparisons) > 1:
            typer.echo(f"at {list(sizes[0].shape)}:", err=output is None)
        for line in _said(comparison):
            typer.echo(line, err=output is None)
    if made.gaps or not all(comparison.equal for comparison in comparisons):
        raise typer.Exit(1)


_MOST_LISTED = 6


def _listed(keys: Sequence[str]) -> str:
    """Keys in few words: those that differ in numbers are one."""
    groups = Counter(re.sub(r"(?<![^.])\d+(?![^.])", "*", key) for key in keys)
    said = [f"{key} ({count})" if count > 1 else key for key, count in groups.items()]
    more = f", and {len(said) - _MOST_LISTED} more" if len(said) > _MOST_LISTED else ""
    return ", ".join(said[:_MOST_LISTED]) + more


def _said(comparison: Comparison) -> list[str]:
    """What a comparison found, line by line."""
    if comparison.missing or comparison.unknown:
        return [
            *(f"not the same keys: the module has `{key}`" for key in comparison.missing[:5]),
            *(f"not the same keys: the spec has `{key}`" for key in comparison.unknown[:5]),
        ]
    ours, theirs = comparison.parameters
    macs, counted = comparison.macs
    same = "as the module" if ours == theirs else f"the module has {theirs:,}"
    training = (
        f"{comparison.difference_in_training:.1e} in training"
        if comparison.difference_in_training is not None
        else f"not compared in training ({comparison.refused})"
    )
    lines = [
        "same keys",
        f"{ours:,} parameters, {same}",
        f"{macs:,} multiply-adds; PyTorch counts {counted:,} in the module",
        f"relative difference in {comparison.dtype}: {comparison.difference:.1e} at inference, {training}",
    ]
    if comparison.unread:
        count = f"{len(comparison.unread)} {plural(len(comparison.unread), 'key')}"
        lines.append(
            f"{count} of the module left out, which nothing reads at inference: {_listed(comparison.unread)}"
        )
    if comparison.restarted:
        count = f"{len(comparison.restarted)} {plural(len(comparison.restarted), 'weight')}"
        lines.append(
            f"{count} of the spec start otherwise than the module's: {_listed(comparison.restarted)}"
        )
    if comparison.first and not comparison.equal:
        lines.append(f"not equal: outputs first differ at `{comparison.first}`")
    return lines
