"""`archspec completion`, and what the shells ask when the Tab key is pressed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from archspec.cli.app import app
from archspec.cli.shells import script
from archspec.ground import codes
from archspec.ground.errors import SpecError


class Shell(str, Enum):  # noqa: UP042  (typer shows the members of a str enum by value)
    """The shells that scripts are written for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


@app.command()
def completion(
    shell: Annotated[
        Shell | None,
        typer.Argument(
            metavar="SHELL", help="bash, zsh or fish; the one in use unless given.", show_default=False
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Write the script where the shell reads it at its start.")
    ] = False,
) -> None:
    """Print a script that completes commands, options, specs and settings: `eval "$(archspec completion bash)"`."""
    name = shell.value if shell else shell_in_use()
    if not install:
        typer.echo(script(name), nl=False)
        return
    for path in install_script(name):
        typer.echo(f"written to {path}")
    typer.echo("completion works in new shells")


def shell_in_use() -> str:
    """The shell that the command was started from, or else the user's own. Raises SpecError when it is none of those known."""
    from shellingham import ShellDetectionFailure, detect_shell

    try:
        name: str = detect_shell()[0]
    except ShellDetectionFailure:
        name = Path(os.environ.get("SHELL", "")).name
    if name not in list(Shell):
        what = (
            f"the shell `{name}` cannot be completed in" if name else "it is not known which shell is in use"
        )
        raise SpecError.of(codes.CHOICE, what, help=f"name one: `archspec completion {'|'.join(Shell)}`")
    return name


def install_script(shell: str) -> list[Path]:
    """Write the script where the shell finds it, and make the shell read it; gives the files that were written.

    Done again, it only brings the script up to date. Raises SpecError where there is no home, or it cannot be written.
    """
    from archspec.ground.atomic import replacing

    try:
        home = Path.home()
    except RuntimeError:
        raise SpecError.of(codes.UNWRITABLE, "there is no home folder to install completion in") from None
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    starts = {"bash": home / ".bashrc", "zsh": Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"}
    path = (
        settings / "fish/completions/archspec.fish"
        if shell == "fish"
        else data / f"archspec/completion.{shell}"
    )
    with replacing(path) as file:
        file.write(script(shell).encode())
    if shell == "fish":  # which reads that folder by itself
        return [path]
    line = f"[ -r {shlex.quote(str(path))} ] && . {shlex.quote(str(path))}"
    start = starts[shell]
    try:
        text = start.read_bytes() if start.exists() else b""
        if line.encode() in text.splitlines():
            return [path]
        with start.open("ab") as file:  # what is in it, and what it is a link to, stay
            file.write(b"\n" * (not text.endswith(b"\n") and bool(text)) + line.encode() + b"\n")
    except OSError as error:
        raise SpecError.of(codes.UNWRITABLE, f"`{start}` cannot be written: {error.strerror}") from None
    return [path, start]


def answer(shell: str, arguments: Sequence[str]) -> None:
    """Print what can be typed next: first which files, then a line for each word, with its meaning behind a tab.

    bash hands over the line up to the cursor and the characters that it parts words at, since it parts them at colons and
    equals signs, too; the others the words themselves, the last up to the cursor and in fish as it is typed.
    """
    from archspec.cli.completing import complete

    if shell != "bash":
        *before, last = arguments
        found = complete([*before, split(last)[0][-1] if shell == "fish" else last])
        lines = [f"{word.text}\t{word.meaning}" if word.meaning else word.text for word in found.words]
        print("\n".join([found.files, *lines]))
        return
    line, breaks = arguments
    words, quoted = split(line)
    found = complete(words[1:])
    typed = words[-1]
    start = quoted
    if start is None:
        start = 1 + max((typed.rfind(sign) for sign in ":=" if sign in breaks), default=-1)
    texts = [word.text[start:] for word in found.words]
    if not found.files and quoted is None:
        texts = [re.sub(r"([^\w@%+=:,./-])", r"\\\1", text, flags=re.ASCII) for text in texts]
    print("\n".join([found.files, typed, *texts]))


def split(line: str) -> tuple[list[str], int | None]:
    """The words of a line up to the cursor; of the last, which may be empty, how much stands before a quote that is still open."""
    for closing in ("", '"', "'"):
        words = _words(line, closing)
        if words is not None and closing:
            places = (i for i in reversed(range(len(line))) if line[i] == closing)
            before = next(filter(None, (_words(line[:i], "") for i in places)), [""])
            return words, len(before[-1])
        if words is not None:
            return words, None
    return [""], None


def _words(line: str, closing: str) -> list[str] | None:
    """The words of a line that is closed by a quote, or none; None where it is not."""
    end = "\0"  # makes a word of what the cursor is in, even where that is empty so far
    try:
        *words, last = shlex.split(line + end + closing)
    except ValueError:
        return None
    return [*words, last.removesuffix(end)]
