"""The `archspec` command: each subcommand a thin layer over the Python API."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archspec.errors import Mistake, SpecError

if TYPE_CHECKING:
    from archspec.graph import Graph, Node

app = typer.Typer(
    name="archspec",
    help="Neural architectures as text: check them, look at them, build PyTorch modules from them.",
    epilog="A SPEC is the path of an .arch file, the name of a shipped spec (`archspec list`), or either with :Model behind it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="Path of an .arch file, or name of a shipped spec; :Model picks a model."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set a parameter of the model, as in --set classes=10. May be repeated.",
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Import a Python file that defines ops of your own. May be repeated.",
    ),
]
Budget = Annotated[int, typer.Option("--budget", min=1, help="The most nodes that a graph may have.")]


class Format(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """How a command prints."""

    text = "text"
    json = "json"


@app.command()
def build(
    spec: Spec,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Where to write; build/NAME.archmod unless given.", show_default=False
        ),
    ] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Seed of the first weights: same spec and seed, same bytes.")] = 0,
    dtype: Annotated[
        str, typer.Option(help="Floating-point type of the weights: f32, f16, bf16 or f64.")
    ] = "f32",
    plugins: Plugins = None,
    budget: Budget = 1_000_000,
) -> None:
    """Build a module with fresh weights and write it to a file that archspec.load reads."""
    started = time.perf_counter()
    _import_plugins(plugins)
    with _progress() as say:
        from archspec.api import load, read, torch_dtype
        from archspec.elaborate import locate

        say("reading the spec")
        path, model = locate(spec)
        graph = read(spec, budget=budget, **_parse_settings(settings))
        _require_valid_seed(seed)
        output = output or Path("build") / f"{'.'.join(filter(None, (path.stem, model)))}.archmod"
        say("importing torch")
        from archspec.artifact import save_artifact

        torch_dtype(dtype)
        say(f"drawing {graph.parameters:,} parameters")
        module = load(graph, seed=seed, dtype=dtype)
        say(f"writing {output}")
        save_artifact(module, output, seed=seed, dtype=dtype)
    _echo_summary(graph)
    typer.echo(f"  time           {time.perf_counter() - started:.1f} s")
    typer.echo(f"  written        {output} ({output.stat().st_size / 1e6:.1f} MB)")


@app.command()
def check(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="Paths or names of specs.")],
    plugins: Plugins = None,
    budget: Budget = 1_000_000,
) -> None:
    """Check specs: names, shapes, and their claims to the digits printed. Fast; never imports torch."""
    from archspec.api import check as check_spec

    _import_plugins(plugins)
    failed = False
    for spec in specs:
        try:
            checked = check_spec(spec, budget=budget)
        except SpecError as error:
            typer.echo(f"{error}\n", err=True)
            failed = True
            continue
        for graph, verdicts in checked:
            claims = (
                f", {len(verdicts)} claims hold"
                if len(verdicts) > 1
                else ", 1 claim holds"
                if verdicts
                else ""
            )
            typer.echo(
                f"{spec}: {graph.name} is right: {len(graph.nodes):,} nodes, {graph.parameters:,} parameters{claims}"
            )
        if not checked:
            typer.echo(f"{spec}: right; it defines no model that stands alone")
    if failed:
        raise typer.Exit(1)


@app.command("list")
def list_(
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
) -> None:
    """List the specs that come with archspec, each with a line on what it is."""
    from archspec.api import shipped

    rows = [{"name": name, "summary": summary} for name, summary in shipped()]
    if format is Format.json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['summary']}")


@app.command()
def show(
    spec: Spec,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.text,
    settings: Settings = None,
    plugins: Plugins = None,
    budget: Budget = 1_000_000,
) -> None:
    """Print the graph of a model: every step with its arguments, shape and parameters."""
    from archspec.api import read

    _import_plugins(plugins)
    graph = read(spec, budget=budget, **_parse_settings(settings))
    if format is Format.json:
        typer.echo(graph.to_json(indent=2))
        return
    for line in _lines(graph):
        typer.echo(line)
    typer.echo()
    _echo_summary(graph)


@app.callback(invoke_without_command=True)
def archspec(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    """Neural architectures as text: check them, look at them, build PyTorch modules from them."""
    if version:
        import archspec

        typer.echo(f"archspec {archspec.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command. Exit status 0, 1 for a wrong spec, 2 for wrong usage."""
    # A command makes many objects and leaves few cycles: looking for these takes a tenth of a check.
    gc.disable()
    try:
        app()
    except SpecError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


# ------------------------------------------------------------------ what the commands share


def _echo_summary(graph: Graph) -> None:
    from archspec.analyses.cost import macs

    try:
        multiply_adds = f"{macs(graph):,}"
    except Mistake as mistake:
        multiply_adds = mistake.message
    typer.echo(f"{graph.name}  {_first_sentence(graph.doc)}".rstrip())
    for i, given in enumerate(graph.inputs):
        typer.echo(f"  {'inputs' if i == 0 else '':<14} {given.name} {given.type}")
    for i, result in enumerate(graph.outputs):
        typer.echo(
            f"  {'outputs' if i == 0 else '':<14} {' '.join(filter(None, (result.name, str(result.type))))}"
        )
    typer.echo(f"  parameters     {graph.parameters:,}")
    typer.echo(f"  multiply-adds  {multiply_adds}")


def _first_sentence(doc: str) -> str:
    return doc.split("\n\n")[0].replace("\n", " ")


def _lines(graph: Graph) -> Iterator[str]:
    """The graph as text: a line for each node, indented under the blocks that made it."""
    rows: list[tuple[str, str, str, str]] = []
    open_scopes: list[int] = [0]
    for node in graph.nodes:
        path = _scopes(graph, node)
        common = sum(1 for a, b in zip(open_scopes, path, strict=False) if a == b)
        for depth, scope in enumerate(path[common:], common):
            record, parent = graph.scopes[scope], graph.scopes[path[depth - 1]]
            name = record.name.removeprefix(f"{parent.name}." if parent.name else "")
            rows.append((f"{'  ' * (depth - 1)}{name}", record.block, "", ""))
        open_scopes = path
        here = graph.scopes[path[-1]].name
        own = {
            key: w
            for key, w in node.op.weights(*graph.input_types(node), **graph.option_types(node)).items()
            if w.trainable
        }
        count = 0 if node.shares else sum(_product(weight.shape) for weight in own.values())
        label = node.name.removeprefix(f"{here}." if here else "")
        shapes = ", ".join(str(type_) for type_ in node.types)
        note = f"weights of {node.shares}" if node.shares else f"{count:,}" if count else ""
        rows.append((f"{'  ' * (len(path) - 1)}{label}", str(node.op), shapes, note))
    widths = [min(60, max((len(row[i]) for row in rows), default=0)) for i in range(3)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True)).rstrip()


def _product(shape: tuple[int, ...]) -> int:
    from math import prod

    return prod(shape)


def _scopes(graph: Graph, node: Node) -> list[int]:
    """The scopes that a node stands in, outermost first."""
    path: list[int] = []
    scope: int | None = node.scope
    while scope is not None:
        path.append(scope)
        scope = graph.scopes[scope].parent
    return path[::-1]


def _parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """`name=value` pairs, the values read as a spec would read them, bare words as strings."""
    from archspec.api import parse_value

    parsed: dict[str, Any] = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip().isidentifier():
            raise typer.BadParameter(f"`{setting}` is not NAME=VALUE", param_hint="--set")
        try:
            parsed[name.strip()] = parse_value(text)
        except SpecError as error:
            raise typer.BadParameter(
                f"in `{setting}`: {error.problems[0].message}", param_hint="--set"
            ) from None
    return parsed


def _require_valid_seed(seed: int) -> None:
    if not -(2**63) <= seed < 2**63:
        raise typer.BadParameter("a seed has at most 64 bits", param_hint="--seed")


def _import_plugins(plugins: list[Path] | None) -> None:
    """Import the files with ops that the user named."""
    from importlib.util import module_from_spec, spec_from_file_location

    for path in plugins or []:
        found = spec_from_file_location(f"archspec_plugin_{path.stem}", path)
        if found is None or found.loader is None or not path.is_file():
            raise typer.BadParameter(f"`{path}` is not a Python file", param_hint="--plugin")
        module = module_from_spec(found)
        sys.modules[found.name] = module
        found.loader.exec_module(module)


@contextmanager
def _progress() -> Iterator[Any]:
    """Says on a terminal what is going on; says nothing where the output is kept."""
    if not sys.stderr.isatty():
        yield lambda message: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


if __name__ == "__main__":
    main()
