"""`python -m archspec` is the `archspec` command."""

import signal
from typing import NoReturn


def program() -> NoReturn:
    """The command as a process of its own, which an interrupt ends without a word from the first moment on."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is there yet that would have to be tidied up
    from archspec.cli import program

    program()


if __name__ == "__main__":
    program()
