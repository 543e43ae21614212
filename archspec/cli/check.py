"""`archspec check`."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, import_plugins


class CheckFormat(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """How problems are printed."""

    text = "text"
    json = "json"
    github = "github"
    sarif = "sarif"


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC", help="Paths or names of specs.")],
    plugins: Plugins = None,
    budget: Budget = BUDGET,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if there are warnings.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="First mend what is sure, in the specs' files and those that they import, in place."
        ),
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Write nothing; print what --fix would change as a unified diff.")
    ] = False,
    format: Annotated[
        CheckFormat,
        typer.Option(
            "--format",
            help="How to print what was found: for people, as JSON, as annotations in GitHub Actions, or as a SARIF log.",
        ),
    ] = CheckFormat.text,
) -> None:
    """Check names and shapes of specs, and their claims to the printed digit; warn of what nothing uses. Fast: never imports torch."""
    from archspec.api.checking import check_models
    from archspec.cli.checking import as_record, check_all

    if diff and format is not CheckFormat.text:
        raise typer.BadParameter("a diff is text", param_hint="--format")
    import_plugins(plugins)
    if diff:
        from archspec.cli.fixing import diff_all

        if not diff_all(specs, budget, strict=strict):
            raise typer.Exit(1)
        return
    written = True
    if fix:
        from archspec.cli.fixing import fix_all

        written = fix_all(specs, budget, sys.stdout if format is CheckFormat.text else sys.stderr)
    if format is CheckFormat.text:
        right = check_all(specs, budget, strict=strict)
    else:
        from archspec.cli.annotations import github, problems_of, sarif

        found = [check_models(spec, budget) for spec in specs]
        problems = problems_of(found)
        right = not any(problem.level == "error" or strict for problem in problems)
        if format is CheckFormat.github:
            for problem in problems:
                typer.echo(github(problem))
        elif format is CheckFormat.sarif:
            typer.echo(json.dumps(sarif(problems), indent=2))
        else:
            typer.echo(json.dumps([as_record(*each) for each in zip(specs, found, strict=True)], indent=2))
    if not (right and written):
        raise typer.Exit(1)
