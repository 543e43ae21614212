"""`archspec scale`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archspec.cli.app import app
from archspec.cli.options import (
    BUDGET,
    Budget,
    Plugins,
    Settings,
    Spec,
    import_plugins,
    parse_settings,
    refuse_idle,
    setting_texts,
    sources_of,
)
from archspec.cli.tables import Table, TableFormat, print_table
from archspec.ground import codes

if TYPE_CHECKING:
    from archspec.analyses.scaling import Rule, Scaled
    from archspec.graph import Graph

_TOLERATED = 0.1  # distance from 2 that still counts as "about 2": the paper's own rule gives 1.92


@app.command()
def scale(
    context: typer.Context,
    spec: Spec,
    phi: Annotated[float, typer.Option("--phi", help="Number of steps; each about doubles the FLOPs.")] = 1.0,
    alpha: Annotated[float, typer.Option("--alpha", min=1.0, help="Factor of depth per step.")] = 1.2,
    beta: Annotated[float, typer.Option("--beta", min=1.0, help="Factor of width per step.")] = 1.1,
    gamma: Annotated[float, typer.Option("--gamma", min=1.0, help="Factor of resolution per step.")] = 1.15,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the scaled model as a spec.")
    ] = None,
    search: Annotated[
        bool,
        typer.Option(
            "--search", help="Search a grid for alpha, beta and gamma that multiply the FLOPs by --times."
        ),
    ] = False,
    times: Annotated[float, typer.Option("--times", min=1.0, help="Target factor of FLOPs per step.")] = 2.0,
    step: Annotated[float, typer.Option("--step", min=0.005, max=1.0, help="Spacing of the grid.")] = 0.05,
    most: Annotated[float, typer.Option("--most", min=1.0, max=10.0, help="End of the grid.")] = 2.0,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0.0, max=1.0, help="Relative tolerance on alpha * beta^2 * gamma^2."),
    ] = 0.05,
    top: Annotated[int, typer.Option("--top", min=1, help="Number of rules shown, closest first.")] = 20,
    settings: Settings = None,
    format: Annotated[TableFormat, typer.Option("--format", help="How to print.")] = TableFormat.table,
    plugins: Plugins = None,
    budget: Budget = BUDGET,
) -> None:
    """Scale depth, width and resolution of a model together, and show what it costs.

    Compound scaling: depth grows by alpha^phi, width by beta^phi and resolution by gamma^phi, where
    alpha * beta^2 * gamma^2 is about 2. The model needs parameters depth, width and resolution.
    """
    from archspec.analyses import scaling
    from archspec.api import read
    from archspec.ground.atomic import require_writable
    from archspec.ground.errors import Mistake

    import_plugins(plugins)
    if search:
        refuse_idle(
            context, "--search tries many rules at phi = 1", "phi", "alpha", "beta", "gamma", "output"
        )
    else:
        refuse_idle(context, "it belongs to --search", "times", "step", "most", "tolerance", "top")
    given = parse_settings(settings)
    sources = () if output is None else tuple(sources_of(spec, others=plugins or []))
    if output is not None:
        require_writable(output, sources=sources)

    def read_scaled(**values: float) -> Graph:
        return read(spec, budget=budget, settings={**given, **values})

    try:
        if search:
            rules = scaling.grid(times, step=step, most=most, tolerance=tolerance)
            print_table(_found(list(scaling.search(read_scaled, rules)), times, top), format)
            return
        rule, base = scaling.Rule(alpha, beta, gamma), read_scaled()
        rule.settings(scaling.Base.of(base), phi)  # fail before the smaller steps are read
        steps = sorted({*range(int(phi) + 1), phi})
        rows = [scaling.scaled(read_scaled, rule, at, base=base) for at in steps]
    except Mistake as mistake:
        raise mistake.at(None) from None
    table = _table(rows, ["phi"])
    table.notes.append(_growth(rule))
    print_table(table, format)
    if output is not None:
        meant = read_scaled(**rows[-1].settings)
        _write(output, spec, base, rows[-1], setting_texts(settings), meant, sources)


def _found(rows: list[Scaled], times: float, top: int) -> Table:
    nearest = sorted(rows, key=lambda row: (abs(row.ratio - times), row.rule.alpha, row.rule.beta))[:top]
    table = _table(nearest, ["alpha", "beta", "gamma"])
    table.notes.append(
        f"the {len(nearest)} of {len(rows)} rules in the grid closest to {times:g} times the multiply-adds;"
        " train them to find the best"
    )
    return table


def _growth(rule: Rule) -> str:
    product = f"alpha * beta^2 * gamma^2 = {rule.growth:.3g}"
    if abs(rule.growth - 2) <= _TOLERATED:
        return f"{product}, about 2: the FLOPs grow by about 2^phi"
    return f"{product}, not about 2: the FLOPs grow by {rule.growth:.3g}^phi"


def _table(rows: Sequence[Scaled], first: Iterable[str]) -> Table:
    from archspec.analyses.quantities import shown_in
    from archspec.analyses.scaling import AXES

    first, quantities = list(first), shown_in("scale")
    headings = [*first, *AXES, *(quantity.heading for quantity in quantities), "times"]
    raw = [
        {
            **{name: getattr(row if name == "phi" else row.rule, name) for name in first},
            **row.settings,
            **{quantity.key: quantity.of_network(row.summary) for quantity in quantities},
            "times": row.ratio,
        }
        for row in rows
    ]
    shown = [
        [
            *(f"{values[name]:g}" for name in [*first, *AXES]),
            *(quantity.text(values[quantity.key]) for quantity in quantities),
            f"{values['times']:.2f}",
        ]
        for values in raw
    ]
    return Table(headings, shown, right=frozenset(headings), raw=raw)


def _write(
    output: Path,
    spec: str,
    base: Graph,
    row: Scaled,
    given: Mapping[str, str],
    meant: Graph,
    sources: Sequence[Path],
) -> None:
    """Write a spec that imports the base model and applies it to the scaled parameters; `given` are the other settings."""
    from archspec.elaboration import SUFFIX, elaborate, locate, module_from_text, shipped_specs
    from archspec.ground.atomic import replacing
    from archspec.ground.errors import SpecError
    from archspec.ground.literals import written

    path, _ = locate(spec)
    if path.parent != shipped_specs() and path.parent.resolve() != output.parent.resolve():
        raise SpecError.of(
            codes.UNWRITABLE,
            f"`{output}` cannot import `{path}`, which is in another folder",
            help=f"write it to `{path.parent / output.name}`",
        )
    if path.suffix != SUFFIX or not path.stem.isidentifier():
        raise SpecError.of(
            codes.UNWRITABLE,
            f"specs cannot import `{path}`",
            help=f"rename it to an identifier, such as `net{SUFFIX}`",
        )
    name = re.sub(r"\W", "_", f"{base.name}Phi{row.phi:g}".replace("-", "Minus"))
    arguments = {**given, **{axis: written(value) for axis, value in row.settings.items()}}
    text = (
        f'"{base.name} scaled by phi = {row.phi:g} [Tan & Le, 2019]: alpha = {row.rule.alpha:g},'
        f' beta = {row.rule.beta:g}, gamma = {row.rule.gamma:g}."\n'
        f"from {path.stem} import {base.name}\n\n"
        f"model {name} = {base.name}({', '.join(f'{name}={text}' for name, text in arguments.items())})\n"
    )
    found = elaborate(module_from_text(text, str(output)))
    if _network(found) != _network(meant):
        raise SpecError.of(
            codes.CHANGED,
            f"the spec in `{output}` would be a different network",
            help=f"another `{path.stem}{SUFFIX}` in that folder shadows the base model; write to another folder",
        )
    with replacing(output, sources=sources) as file:
        file.write(text.encode())
    typer.echo(f"\nwritten to {output}")


def _network(graph: Graph) -> object:
    """What makes two networks the same, wherever they were written."""
    nodes = [(n.name, n.op, n.operands, tuple(n.options), n.types, n.shares) for n in graph.nodes]
    return nodes, graph.weights, [(i.name, i.type) for i in graph.inputs], graph.outputs
