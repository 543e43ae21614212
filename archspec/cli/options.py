"""What several commands take, and how it is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from archspec.ground import codes
from archspec.ground.errors import SpecError

Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="Path of an .arch file or name of a shipped spec; append :Model to pick a model."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set a parameter of the model: --set classes=10. Repeatable.",
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Import a Python file that defines custom ops. Repeatable.",
    ),
]
Budget = Annotated[int, typer.Option("--budget", min=1, help="Most nodes a graph may have.")]
BUDGET = 1_000_000


class Format(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """How a command prints."""

    text = "text"
    json = "json"


def parse_settings(settings: list[str] | None, option: str = "--set") -> dict[str, Any]:
    """`name=value` pairs, the values read as a spec would read them, bare words as strings."""
    from archspec.api import parse_value

    parsed: dict[str, Any] = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip().isidentifier():
            raise typer.BadParameter(f"`{setting}` is not NAME=VALUE", param_hint=option)
        if name.strip() in parsed:
            raise typer.BadParameter(f"`{name.strip()}` is given twice", param_hint=option)
        try:
            parsed[name.strip()] = parse_value(text)
        except SpecError as error:
            raise typer.BadParameter(
                f"in `{setting}`: {error.problems[0].message}", param_hint=option
            ) from None
    return parsed


Free = Annotated[
    str | None,
    typer.Option(
        "--free",
        metavar="NAMES",
        help="Leave the last sizes of the first input open, under these names: --free H,W.",
    ),
]


def free_of(names: str | None) -> bool | str:
    """What `archspec.read` takes for `--free`."""
    return False if names is None else names


def refuse_idle(context: typer.Context, why: str, *names: str) -> None:
    """Usage is wrong when an option was given, whatever its value, that does nothing beside the others."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"it has no effect: {why}", param_hint=max(parameter.opts, key=len))


def setting_texts(settings: list[str] | None) -> dict[str, str]:
    """The settings as a spec writes them: as they were given, bare words as strings."""
    from archspec.ground.literals import written

    given = {
        name.strip(): text.strip() for name, _, text in (setting.partition("=") for setting in settings or [])
    }
    values = parse_settings(settings)
    return {
        name: written(values[name]) if isinstance(values[name], str) else text for name, text in given.items()
    }


def import_plugins(plugins: list[Path] | None) -> None:
    """Import the files with ops that the user named."""
    from importlib.util import module_from_spec, spec_from_file_location

    for path in plugins or []:
        found = spec_from_file_location(f"archspec_plugin_{path.stem}", path)
        if found is None or found.loader is None or not path.is_file():
            raise typer.BadParameter(f"`{path}` is not a Python file", param_hint="--plugin")
        module = module_from_spec(found)
        sys.modules[found.name] = module
        try:
            found.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise SpecError.of(
                codes.PLUGIN,
                f"`{path}` cannot be imported: {type(error).__name__}: {error}",
                help=_line_in(path, error),
            ) from None


def _line_in(path: Path, error: BaseException) -> str:
    """The line of a Python file from which an error came; empty when it came from none of its lines."""
    from traceback import extract_tb

    lines = [
        step.lineno
        for step in extract_tb(error.__traceback__)
        if Path(step.filename).resolve() == path.resolve()
    ]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    return f"see line {lines[-1]} of it" if lines else ""


def sources_of(*specs: str, others: Iterable[Path | None] = ()) -> Iterator[Path]:
    """Every file that a result is made from: the specs, what they import, and others such as weights and plugins."""
    from archspec.elaboration import locate, source_files

    yield from (path for path in others if path is not None)
    for spec in specs:
        path, _ = locate(spec)
        yield from source_files(path)


@contextmanager
def progress() -> Iterator[Any]:
    """Says on a terminal what is going on; says nothing where the output is kept."""
    if not sys.stderr.isatty():
        yield lambda message: None
        return
    from rich.console import Console

    from archspec.ground.leaving import tidied

    with (
        tidied(partial(os.write, 2, b"\r\x1b[K\x1b[?25h")),
        Console(stderr=True).status("starting") as status,
    ):
        yield status.update
