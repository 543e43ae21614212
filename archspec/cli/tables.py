"""Tables as commands print them: for terminals, as CSV, Markdown and JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import typer


class TableFormat(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """How a table is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


@dataclass
class Table:
    """Rows of text under headings; columns named in `right` are right-aligned, those in `long` may wrap.

    `raw` has the same rows for CSV and JSON, `notes` the lines below the table.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()
    raw: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    title: str = ""
    last_is_total: bool = False
    long: frozenset[str] = frozenset()


def print_table(table: Table, format: TableFormat, json_value: Any = None) -> None:
    """Print a table; as JSON, `json_value`, or the raw rows without one."""
    from archspec.analyses.formatting import writable

    match format:
        case TableFormat.json:
            typer.echo(json.dumps(writable(table.raw if json_value is None else json_value), indent=2))
        case TableFormat.csv:
            typer.echo(as_csv(writable(table.raw)), nl=False)
        case TableFormat.markdown:
            typer.echo(as_markdown(table))
        case TableFormat.table:
            _print_rich(table)


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as CSV with a column for each key; lists are joined by spaces, nested values are JSON."""
    import csv

    out = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _in_a_cell(value) for key, value in row.items()})
    return out.getvalue()


def _in_a_cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    return " ".join(map(str, value)) if isinstance(value, list) else value


def as_markdown(table: Table) -> str:
    """The table as Markdown, columns aligned in the source too."""
    from archspec.backends.drawing.markdown import markdown_table

    return markdown_table(table.headings, table.rows, table.right)


def _print_rich(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:  # files and pipes have no width to cut at
        console = Console(highlight=False, width=max(console.width, 200))
    drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title=table.title or None)
    for heading in table.headings:
        drawn.add_column(
            heading,
            justify="right" if heading in table.right else "left",
            no_wrap=heading not in table.long,
            overflow="fold" if heading in table.long else "ellipsis",
        )
    for i, row in enumerate(table.rows):
        last = i == len(table.rows) - 1 and table.last_is_total
        drawn.add_row(*(Text(cell) for cell in row), style="bold" if last else "")
        if table.last_is_total and i == len(table.rows) - 2:
            drawn.add_section()
    with console.capture() as captured:
        console.print(drawn)
    # rich pads each line to the width of the table
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    for note in table.notes:
        typer.echo(note)
