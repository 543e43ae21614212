"""What the codes of messages mean, in words and by example: the texts of docs/errors.md and of `archspec explain`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from archspec.ground import codes
from archspec.ground.errors import SpecError, suggest

_TEXTS = Path(__file__).with_name("codes.toml")
_HEAD = "model Net:\n    input x: [3, 32, 32]\n"

GROUPS = {
    "E01": "The text",
    "E02": "Names",
    "E03": "What a value is",
    "E04": "Arguments",
    "E05": "Shapes",
    "E06": "Dtypes",
    "E07": "Numbers",
    "E08": "Free sizes",
    "E09": "Limits",
    "E10": "Imports and files",
    "E11": "Claims",
    "E12": "Graphs, built modules and weights",
    "E13": "Tensors given to a network",
    "E14": "From Python and the shell",
    "E15": "Ops of one's own",
    "E16": "Names of other code",
    "W01": "Warnings: what nothing uses",
    "W02": "Warnings: what hides something",
    "W03": "Warnings: what is hardly meant",
    "W04": "Warnings: what is loaded",
}
"""The sorts of messages, by the first characters of their codes."""


class Explanation(NamedTuple):
    """What a code means.

    `wrong` is a spec that gives it and `right` the same mended; what is not found in a spec has an `example`, of a command
    or of Python, and `advice` instead. `name` is that by which a comment allows a warning.
    """

    code: str
    name: str
    title: str
    cause: str
    wrong: str = ""
    right: str = ""
    example: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """The explanation as `archspec explain` prints it."""
        level = "warning" if self.name else "error"
        parts = [f"{level}[{self.code}]: {self.title}", self.cause]
        if self.wrong:
            parts += [f"For example\n\n{_indented(self.wrong)}", f"Mended\n\n{_indented(self.right)}"]
        else:
            parts += [f"For example\n\n{_indented(self.example)}", self.advice]
        if self.name:
            parts.append(f"`# allow {self.name}: why` on the line says that it is meant so.")
        return "\n\n".join(parts)


def explained(code: str) -> Explanation:
    """What a code (`E0203`), or the name of a warning (`unused-step`), means. Raises SpecError when there is none such."""
    wanted = code.strip().upper()
    named = {name: each for each, name in codes.NAMES.items()}
    found = _texts().get(named.get(code.strip().lower(), wanted))
    if found is None:
        known = [*_texts(), *named]
        help = suggest(code, known) or "`archspec explain --list` lists them"
        raise SpecError.of(codes.CHOICE, f"there is no code `{code}`", help=help)
    return found


def explanations() -> Iterator[Explanation]:
    """What each code means, in the order of the codes."""
    yield from _texts().values()


@cache
def _texts() -> dict[str, Explanation]:
    import tomllib  # which few commands need

    with _TEXTS.open("rb") as file:
        entries: dict[str, dict[str, Any]] = tomllib.load(file)
    return {
        code: Explanation(
            code, codes.NAMES.get(code, ""), **{key: _text(key, text) for key, text in entry.items()}
        )
        for code, entry in sorted(entries.items())
    }


def _text(key: str, text: str) -> str:
    """A text of the file; lines without a model, in one."""
    text = text.strip("\n")
    if key not in ("wrong", "right"):
        return text
    if any(line.startswith("model ") for line in text.splitlines()):
        return text + "\n"
    return _HEAD + "".join(f"    {line}\n" for line in text.splitlines())


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip("\n").splitlines())
