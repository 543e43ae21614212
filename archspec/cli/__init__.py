"""The `archspec` command."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import archspec.namesake  # noqa: F401  (before typer, which may not be there beside the other distribution)
from archspec.cli.shells import ASKED
from archspec.ground.leaving import leave_on_signals
from archspec.version import __version__

__all__ = ["invoke", "main", "program"]

_UNREAD = 141  # as a shell tells of a program that SIGPIPE ended: nobody reads on


def main() -> NoReturn:
    """Run the command, and leave.

    Exit status 0; 1 for what is wrong with a spec or a file, 2 for wrong usage; 141 when what reads the output has left, as
    `head` does. A signal ends it as such, of which shells show 128 and its number: 130 for an interrupt.
    """
    # A command makes many objects and leaves few cycles: looking for these takes a tenth of a check.
    gc.disable()
    _take_streams()
    leave_on_signals()
    status = _run()
    gc.freeze()  # the interpreter collects once more at its end, which takes as long as parsing does
    sys.exit(status)


def program() -> NoReturn:
    """`main` as a process of its own, which nothing else runs in.

    A plain check leaves nothing to tidy up, and to take all modules apart takes as long as to parse the spec.
    """
    try:
        main()
    except SystemExit as left:
        if _is_plain_check(sys.argv[1:]) and isinstance(left.code, int):
            atexit._run_exitfuncs()
            os._exit(left.code)
        raise


def _run() -> int:
    """The command's exit status, when all that it prints has been taken."""
    try:
        status = invoke(sys.argv[1:])
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_output()
        return _UNREAD
    except OSError as error:
        _drop_output()
        with suppress(OSError):  # where errors cannot be written either, the status has to do
            print(f"error[E1008]: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        return 1


def invoke(arguments: Sequence[str]) -> int:
    """Run the command with these arguments, print what is wrong, and give the exit status.

    Of typer's own way, a broken pipe comes out as any error does.
    """
    if ASKED in os.environ:
        from archspec.cli.completion import answer

        answer(os.environ[ASKED], arguments)
        return 0
    if [*arguments] == ["--help"]:
        from archspec.cli.commands import overview

        print(overview())
        return 0
    if [*arguments] == ["--version"]:
        print(f"archspec {__version__}")
        return 0
    if _is_plain_check(arguments):
        from archspec.cli.checking import check_all

        return 0 if check_all(arguments[1:]) else 1

    import typer
    import typer.main

    from archspec.cli.app import load
    from archspec.cli.printing import style_of
    from archspec.ground.errors import SpecError

    usage_error: Any = typer.BadParameter.__base__  # of typer's copy of click, or of click itself, by version
    command = typer.main.get_command(load(next(iter(arguments), None)))
    plain = warnings.showwarning
    warnings.showwarning = partial(_show_warning, plain)
    try:
        with command.make_context("archspec", [*arguments]) as context:
            command.invoke(context)
    except typer.Exit as left:
        return int(left.exit_code)
    except usage_error as error:
        error.message = error.message.replace("Value error, ", "")  # which typer has from pydantic
        error.show()
        return int(error.exit_code)
    except SpecError as error:
        typer.echo(error.report(style_of(sys.stderr)), err=True)
        return 1
    finally:
        warnings.showwarning = plain
    return 0


def _show_warning(plain: Callable[..., None], message: Warning | str, *place: Any, **more: Any) -> None:
    """Print a warning about a spec as errors are printed, and others as they were."""
    from archspec.cli.printing import print_problem
    from archspec.ground.errors import SpecWarning

    if isinstance(message, SpecWarning):
        print_problem(message.problem)
    else:
        plain(message, *place, **more)


def _is_plain_check(arguments: Sequence[str]) -> bool:
    """Whether specs are to be checked without any option, so that there is nothing to parse."""
    return len(arguments) > 1 and arguments[0] == "check" and not any(a.startswith("-") for a in arguments)


def _take_streams() -> None:
    """Make the standard streams take whatever is printed, and be there.

    A terminal that lacks a letter shows `?`. The number of what was closed is taken, or else the next file that is opened
    would take it, and what is printed: an output that was closed cannot be written, and errors go nowhere.
    """
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """Let nothing be written any more that could not be before: the interpreter would try, and complain, at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
