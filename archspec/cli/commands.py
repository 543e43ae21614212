"""Which commands there are, read off the text of the files beside this one: to import them all takes as long as a check does."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from archspec.cli.printing import terminal_width

SUMMARY = "Neural architectures as text: check them, look at them, build PyTorch modules from them."
A_SPEC = (
    "A SPEC is the path of an .arch file, the name of a shipped spec (`archspec list`),"
    " or either with :Model behind it."
)
OPTIONS = {
    "--version": "Print the version and leave.",
    "--install-completion": "Let the shell complete commands, options, specs and settings.",
    "--show-completion": "Print the script that does so.",
    "--help": "Show this message and exit.",
}
_COMMAND = re.compile(
    r'^@app\.command\((?:"(?P<name>[^"]+)")?\)\ndef (?P<function>\w+)\(.*?\) -> None:\n    """(?P<doc>.*?)(?:\n\n|""")',
    re.M | re.S,
)


class Command(NamedTuple):
    """A subcommand: the module that defines it, and what it does in a line."""

    module: str
    help: str


@cache
def commands() -> dict[str, Command]:
    """Every command by its name, in alphabetical order."""
    found = {}
    for path in Path(__file__).parent.glob("*.py"):
        for match in _COMMAND.finditer(path.read_text(encoding="utf-8")):
            name = match["name"] or match["function"].replace("_", "-")
            found[name] = Command(f"archspec.cli.{path.stem}", " ".join(match["doc"].split()))
    return dict(sorted(found.items()))


def overview() -> str:
    """What `archspec --help` prints."""
    width = max(50, min(80, terminal_width(sys.stdout) or 80) - 2)
    return "\n\n".join(
        (
            "Usage: archspec [OPTIONS] COMMAND [ARGS]...",
            _wrapped(SUMMARY, width),
            "Options:\n" + _listed(OPTIONS, width),
            "Commands:\n" + _listed({name: command.help for name, command in commands().items()}, width),
            _wrapped(A_SPEC, width),
        )
    )


def _wrapped(text: str, width: int) -> str:
    return fill(text, width, initial_indent="  ", subsequent_indent="  ")


def _listed(meanings: dict[str, str], width: int) -> str:
    """A line for each name, its meaning indented behind it."""
    indent = max(map(len, meanings)) + 4
    return "\n".join(
        fill(meaning, width, initial_indent=f"  {name}".ljust(indent), subsequent_indent=" " * indent)
        for name, meaning in meanings.items()
    )
