"""What `archspec check --fix` does, and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

import typer

from archspec.api.checking import Checked
from archspec.api.fixing import Fixer
from archspec.cli.printing import print_error, print_problem
from archspec.ground.errors import SpecError


def fix_all(specs: Sequence[str], budget: int, stream: TextIO) -> bool:
    """Mend what is sure in each of these specs, and print how much that was; whether all could be written."""
    fixer = Fixer(budget)
    written = True
    for spec in specs:
        fixed = fixer.fix(spec)
        try:
            fixer.write()
        except SpecError as error:
            print_error(error)
            written = False
        else:
            if fixed.mended:
                print(
                    f"{spec}: {_counted(fixed.mended)} fixed, {_left(fixed.after)}", file=stream, flush=True
                )
    return written


def diff_all(specs: Sequence[str], budget: int, *, strict: bool = False) -> bool:
    """Print what `fix_all` would change, and what is left, to standard error; whether all are right as they are."""
    fixer = Fixer(budget)
    right = True
    told: set[object] = set()
    for spec in specs:
        count, before, after = fixer.fix(spec)
        right = right and before.error is None and not (strict and before.warnings)
        if count:
            print(f"{spec}: {_counted(count)} can be fixed, {_left(after)}\n", file=sys.stderr, flush=True)
        for problem in after.problems:
            if (problem.code, problem.span) not in told:
                print_problem(problem)
            if problem.span is not None:
                told.add((problem.code, problem.span))
    for file in fixer.files.values():
        typer.echo(file.diff.encode(), nl=False)
    return right


def _counted(count: int) -> str:
    return f"{count} problem{'s' * (count != 1)}"


def _left(checked: Checked) -> str:
    more = " or more" if checked.error is not None and not checked.error.complete else ""
    return f"{len(checked.problems)}{more} left"
