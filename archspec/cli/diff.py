"""`archspec diff`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, Settings, import_plugins, parse_settings

if TYPE_CHECKING:
    from archspec.analyses.changes import Change, Piece
    from archspec.analyses.diff import Difference
    from archspec.analyses.quantities import Quantity

_MOST = 12  # lines per section without --all


class DiffFormat(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """How a difference is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"


def _side(side: str) -> Any:
    return typer.Option(
        f"--{side}",
        metavar="NAME=VALUE",
        help=f"Set a parameter of the {side} model only, over --set. May be repeated.",
    )


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="Path or name of a spec.")],
    right: Annotated[str, typer.Argument(metavar="B", help="Another, or the same with other settings.")],
    settings: Settings = None,
    left_settings: Annotated[list[str] | None, _side("left")] = None,
    right_settings: Annotated[list[str] | None, _side("right")] = None,
    format: Annotated[DiffFormat, typer.Option("--format", help="How to print.")] = DiffFormat.text,
    everything: Annotated[
        bool, typer.Option("--all", help="List everything, including what is otherwise only counted.")
    ] = False,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Show how two networks differ: in structure, in cost, and in which weights carry over.

    Compares settings of one spec, too: archspec diff resnet50 resnet50 --right classes=10
    """
    from archspec.analyses.diff import diff as compare
    from archspec.api import read

    import_plugins(plugins)
    given = parse_settings(settings)
    found = compare(
        read(left, budget=budget, settings={**given, **parse_settings(left_settings, "--left")}),
        read(right, budget=budget, settings={**given, **parse_settings(right_settings, "--right")}),
    )
    if format is DiffFormat.json:
        typer.echo(json.dumps(as_json(found), indent=2))
        return
    markdown = format is DiffFormat.markdown
    title = f"{found.left.name} -> {found.right.name}"
    typer.echo(f"### {title}" if markdown else title)
    if found.same:
        typer.echo("\nthe same network")
        return
    for heading, lines in _sections(
        found, len(found.left.nodes) + len(found.right.nodes) if everything else _MOST
    ):
        typer.echo(f"\n**{heading}**\n" if markdown else f"\n{heading}")
        for line in _table(lines) if heading == "cost" and markdown else _listed(lines, markdown):
            typer.echo(line)


def as_json(found: Difference) -> dict[str, Any]:
    """The difference as JSON, under stable keys."""
    return {
        "left": _model(found, "left"),
        "right": _model(found, "right"),
        "same": found.same,
        "settings": found.settings,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "structure": {
            "added": [vars(piece) for piece in found.added],
            "removed": [vars(piece) for piece in found.removed],
            "changed": [vars(change) for change in found.changed],
            "renamed": found.renamed,
            "reshaped": found.reshaped,
        },
        "cost": {
            name: None if pair is None else {"left": pair[0], "right": pair[1]}
            for name, pair in found.cost.items()
        },
        "weights": vars(found.weights),
    }


def _model(found: Difference, side: str) -> dict[str, Any]:
    graph = getattr(found, side)
    return {"model": graph.name, "settings": graph.settings}


# ------------------------------------------------------------------ for people

Rows = Sequence[Sequence[str]]


def _sections(found: Difference, most: int) -> Iterator[tuple[str, Rows]]:
    """Headings and the rows under them."""
    if found.settings:
        yield "settings", [[name, f"{old} -> {new}"] for name, (old, new) in found.settings.items()]
    for heading, ends in (("inputs", found.inputs), ("outputs", found.outputs)):
        if ends:
            yield heading, [[f"{old} -> {new}"] for old, new in ends]
    for sign, heading, pieces in (("-", "removed", found.removed), ("+", "added", found.added)):
        if pieces:
            yield heading, _cut([_piece(sign, row) for row in _rows_of(pieces)], most)
    told = [change for change in found.changed if most > _MOST or not change.follows]
    if told:
        yield "changed", _cut([_change(change) for change in told], most)
    if found.renamed:
        yield "renamed", _cut([[old, f"-> {new}"] for old, new in found.renamed], most)
    following = sum(len(change.names) for change in found.changed if change.follows)
    consequences: list[list[str]] = []
    if following and most <= _MOST:
        consequences.append([f"{_steps(following)} changed within these blocks"])
    if found.reshaped:
        consequences.append([f"{_steps(len(found.reshaped))} otherwise unchanged, on different shapes"])
    if consequences:
        yield "as a result", consequences
    yield "cost", _costs(found)
    yield "weights", _weights(found, most)


def _change(change: Change) -> Sequence[str]:
    what = [f"{name}: {old} -> {new}" for name, (old, new) in change.arguments.items()]
    if change.rewired:
        what.append(f"reads {change.rewired[1]} instead of {change.rewired[0]}")
    return [_names(change.names), change.kind, ", ".join(what)]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"


def _rows_of(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Consecutive pieces of one kind as one row: `layer3.6` to `layer3.22`."""
    rows: list[list[Piece]] = []
    for piece in pieces:
        head, number = _place(piece.name)
        last = rows[-1][-1] if rows else None
        if last and last.kind == piece.kind and _place(last.name) == (head, number - 1):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return rows


def _place(name: str) -> tuple[str, int]:
    """A numbered name without its number, and the number; -1 when it has none."""
    head, _, last = name.rpartition(".")
    return (head, int(last)) if last.isdigit() else (name, -1)


def _piece(sign: str, row: list[Piece]) -> Sequence[str]:
    first, last = row[0], row[-1]
    name = first.name if len(row) == 1 else f"{first.name}-{_place(last.name)[1]}"
    times = f"x {len(row)}" if len(row) > 1 else ""
    steps, params = sum(piece.nodes for piece in row), sum(piece.params for piece in row)
    return [f"{sign} {name}", times, first.kind, _steps(steps), f"{params:,} params"]


def _steps(count: int) -> str:
    return f"{count} step" + "s" * (count != 1)


def _cut(rows: Rows, most: int) -> Rows:
    return (
        rows if len(rows) <= most else [*rows[: most - 1], [f"... and {len(rows) - most + 1} more (--all)"]]
    )


def _costs(found: Difference) -> Rows:
    from archspec.analyses.quantities import shown_in

    return [_cost(quantity, found.cost[quantity.key]) for quantity in shown_in("diff")]


def _cost(quantity: Quantity, values: tuple[int, int] | None) -> Sequence[str]:
    if values is None:
        return [quantity.heading, "depends on a free size", "", ""]
    before, after = values
    ratio = f"x {after / before:.3g}" if before and after != before else "" if before == after else "new"
    return [quantity.heading, quantity.text(before), f"-> {quantity.text(after)}", ratio]


def _weights(found: Difference, most: int) -> Rows:
    from archspec.analyses.formatting import percent

    weights = found.weights
    carried = len(weights.kept) + len(weights.renamed)
    tensors = carried + len(weights.reshaped) + len(weights.right_only)
    # Less than all must not round to 100%.
    filled = (
        weights.filled if weights.filled == weights.params else min(weights.filled, 0.999 * weights.params)
    )
    rows = [
        [
            f"{carried} of {tensors} tensors carry over: {weights.filled:,} of {weights.params:,} "
            f"trained values, {percent(filled, weights.params)}"
        ]
    ]
    for heading, lines in (
        ("under a different name", [f"{old} -> {new}" for old, new in weights.renamed]),
        ("with a different shape", [f"{new} {shapes}" for _, new, shapes in weights.reshaped]),
        (f"only in {found.left.name}, the left", list(weights.left_only)),
        (f"only in {found.right.name}, the right", list(weights.right_only)),
    ):
        if lines:
            shown = lines if most > _MOST else lines[:2]
            more = f" and {len(lines) - len(shown)} more" if len(lines) > len(shown) else ""
            rows.append([f"{len(lines)} {heading}: {', '.join(shown)}{more}"])
    return rows


def _listed(rows: Rows, markdown: bool) -> Iterator[str]:
    """Rows as aligned lines, or as a Markdown list."""
    if markdown:
        for row in rows:
            name, *rest = (cell for cell in row if cell)
            yield f"- {' '.join([f'`{name}`' if rest else name, *rest])}"
        return
    columns = max((len(row) for row in rows), default=0)
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    # A line of its own, such as "... and 3 more", makes its column no wider.
    widths = [max((len(row[i]) for row in full if any(row[1:])), default=0) for i in range(columns)]
    used = [i for i in range(columns) if i == 0 or widths[i]]
    for row in full:
        yield "  " + "  ".join(f"{row[i]:<{widths[i]}}" for i in used).rstrip()


def _table(rows: Rows) -> Iterator[str]:
    yield from ("| | before | after | |", "| --- | ---: | ---: | ---: |")
    for name, before, after, ratio in rows:
        yield f"| {name} | {before} | {after.removeprefix('-> ')} | {ratio} |"
