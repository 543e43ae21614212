"""Tables: rows of cells in columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from archspec.syntax.layout import Atom, Group, Row, Series, flat_text
from archspec.syntax.pieces import first_of

_NUMBER = re.compile(r"[-+]?[0-9][0-9_.eE+-]*")
_BETWEEN = re.compile(r"(?<=,)\s*|\s{2,}")


_FEWEST = 4
"""So many numbers make a call a row of a table."""


def aligned_items(doc: Group, alone: Sequence[bool], width: int) -> dict[int, str]:
    """The texts of items that are rows of a table, in columns: tuples or lists of one length, each `alone` on its line.

    Of these there are at least two in a row, none wider than `width`. A comment over the first that names the columns is
    aligned with them.
    """
    rows = {
        index: [flat_text(cell) for cell in item.items]
        for index, item in enumerate(doc.items)
        if alone[index] and isinstance(item, Group) and _is_row(item) and item.last < width
    }
    texts: dict[int, str] = {}
    run: list[int] = []
    for index in range(len(doc.items) + 1):
        if index in rows and (not run or len(rows[run[0]]) == len(rows[index])):
            run.append(index)
            continue
        if len(run) > 1:
            texts |= _table(doc, {i: rows[i] for i in run}, width)
        run = [index] if index in rows else []
    return texts


def _table(doc: Group, rows: dict[int, list[str]], width: int) -> dict[int, str]:
    above = first_of(doc.brackets.items[min(rows)]).above
    title = names_of_columns(above[-1].text, len(rows[min(rows)])) if above else []
    lines, named = aligned_rows(list(rows.values()), title)
    texts = {}
    for index, line in zip(rows, lines, strict=True):
        item = doc.items[index]
        assert isinstance(item, Group)
        texts[index] = f"{item.brackets.opening.text}{line}{item.brackets.closing.text}"
    if max(map(len, texts.values())) >= width:
        return {}
    if named:
        above[-1].text = f"# {named}"
    return texts


def _is_row(item: Group) -> bool:
    return item.is_flat and item.brackets.kind in ("tuple", "list") and len(item.items) > 1


def aligned_calls(chain: Series) -> dict[int, str]:
    """The texts of steps that are rows of a table, in columns: calls of one layer with many numbers, each alone on its line.

    Those whose names take as much room belong to one table, with whatever steps stand between them.
    """
    tables: dict[tuple[int, str, int], dict[int, tuple[str, list[str]]]] = {}
    links = chain.links
    for index, link in enumerate(links):
        ends = index + 1 == len(links) or links[index + 1].broken
        if not (
            link.broken and ends and isinstance(link.doc, Row) and isinstance(link.doc.parts[-1][1], Row)
        ):
            continue
        parts = link.doc.parts[-1][1].parts
        callee, call = parts[-2][1], parts[-1][1]
        if link.doc.forced or not (
            isinstance(callee, Atom) and isinstance(call, Group) and call.brackets.kind == "call"
        ):
            continue
        cells = [flat_text(item) for item in call.items]
        if sum(map(bool, map(_NUMBER.fullmatch, cells))) >= _FEWEST:
            start = flat_text(Row([*link.doc.parts[:-1], (link.doc.parts[-1][0], Row(parts[:-1]))]))
            tables.setdefault((len(start), callee.piece.text, len(cells)), {})[index] = start, cells
    texts: dict[int, str] = {}
    for table in tables.values():
        lines, _ = aligned_rows([cells for _, cells in table.values()])
        texts |= {
            index: f"{start}({line})" for (index, (start, _)), line in zip(table.items(), lines, strict=True)
        }
    return texts


def aligned_rows(rows: Sequence[Sequence[str]], title: Sequence[str] = ()) -> tuple[list[str], str]:
    """The rows as lines, a comma behind each cell but the last, and the line of a title; numbers stand on the right.

    A title names the columns, with the commas that it has. It takes part unless the first column holds numbers: all rows
    would then begin with blanks.
    """
    right = [all(_NUMBER.fullmatch(row[column]) for row in rows) for column in range(len(rows[0]))]
    ended = [[*(f"{cell}," for cell in row[:-1]), row[-1]] for row in rows]
    widths = [max(len(row[column]) for row in ended) for column in range(len(right))]
    if not title or right[0]:
        return [_line(row, widths, right) for row in ended], ""
    names = [
        name if name.endswith(",") or not is_right else f"{name} "
        for name, is_right in zip(title, right, strict=True)
    ]
    names[-1] = title[-1]
    widths = [max(width, len(name)) for width, name in zip(widths, names, strict=True)]
    widths[0] = max(
        widths[0], len(names[0]) + 1
    )  # a space stands behind the title's `#`, nothing behind a row's bracket
    return [_line(row, widths, right) for row in ended], _line(
        names, [widths[0] - 1, *widths[1:]], right
    ).rstrip()


def names_of_columns(comment: str, columns: int) -> list[str]:
    """The names of so many columns that a comment gives, if it is written in columns itself."""
    text = comment.removeprefix("#").strip()
    names = _BETWEEN.split(text) if "  " in text else []
    return names if len(names) == columns and all(names) else []


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    """The cells, each as wide as its column, the last as wide as it is unless it stands on the right."""
    padded = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    ]
    return " ".join(padded).rstrip()
