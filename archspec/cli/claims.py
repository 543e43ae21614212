"""`archspec claims`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from archspec.cli.app import app
from archspec.cli.options import BUDGET, Budget, Plugins, import_plugins
from archspec.cli.tables import Table, TableFormat, print_table

if TYPE_CHECKING:
    from archspec.analyses.claims import Verdict

_SAID = {"printed": "holds", "differs": "known difference", "wrong": "WRONG", "unmeasured": "not measured"}


@app.command()
def claims(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help="Paths or names of specs; all shipped ones unless given.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[TableFormat, typer.Option("--format", help="How to print.")] = TableFormat.table,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Compare published figures with measured ones. Exits with status 1 if one does not hold."""
    from archspec.api import claims as read_claims
    from archspec.api import shipped

    import_plugins(plugins)
    found = [
        (graph.name, verdict)
        for spec in specs or [entry.name for entry in shipped()]
        for graph, verdicts in read_claims(spec, budget=budget)
        for verdict in verdicts
    ]
    print_table(claims_table(found), format)
    if not all(verdict.holds for _, verdict in found):
        raise typer.Exit(1)


def claims_table(found: list[tuple[str, Verdict]]) -> Table:
    """A row for each claim: the model, what is claimed, what is measured, the verdict and the source."""
    rows: list[list[str]] = []
    raw: list[dict[str, Any]] = []
    for model, verdict in found:
        claim = verdict.claim
        settings = ", ".join(f"{name}={_plain(value)}" for name, value in claim.settings.items())
        rows.append(
            [
                model,
                settings,
                " ".join(filter(None, (claim.quantity, claim.subject))),
                verdict.claimed,
                verdict.measured,
                _SAID[verdict.finding] + (f": {claim.reason}" if claim.reason else ""),
                claim.source,
            ]
        )
        raw.append(
            {
                "model": model,
                "settings": claim.settings,
                "claim": claim.quantity,
                "subject": claim.subject,
                "claimed": verdict.claimed,
                "measured": verdict.measured,
                "verdict": verdict.finding,
                "reason": claim.reason,
                "source": claim.source,
            }
        )
    from archspec.analyses.formatting import plural

    headings = ["model", "settings", "claim", "claimed", "measured", "verdict", "source"]
    count = len({model for model, _ in found})
    held = sum(verdict.finding == "printed" for _, verdict in found)
    differing = sum(verdict.finding == "differs" for _, verdict in found)
    wrong = len(found) - held - differing
    notes = [
        f"{len(found)} {plural(len(found), 'claim')} about {count} {plural(count, 'model')}: "
        f"{held} {'holds' if held == 1 else 'hold'}, "
        f"{differing} {'has' if differing == 1 else 'have'} a known difference, "
        f"{wrong} {'is' if wrong == 1 else 'are'} wrong"
    ]
    return Table(
        headings, rows, frozenset(("claimed", "measured")), raw, notes, long=frozenset(("verdict", "source"))
    )


def _plain(value: Any) -> str:
    from archspec.ground.literals import written

    return written(value)
