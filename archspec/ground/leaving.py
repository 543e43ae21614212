"""How a process that a signal ends tidies up.

An exception, as Python has it of an interrupt, may come up anywhere: inside an import, which it leaves half done, or where it is
swallowed, as modules written in C and destructors do. So nothing is raised: what is unfinished is tidied up, and the process ends.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_unfinished: list[Callable[[], object]] = []


@contextmanager
def tidied(tidy: Callable[[], object]) -> Iterator[None]:
    """Within it, `tidy` is called if a signal ends the process. It may raise OSError, which changes nothing."""
    _unfinished.append(tidy)
    try:
        yield
    finally:
        _unfinished.remove(tidy)


def leave_on_signals() -> None:
    """Let signals that end a process do so after what is unfinished was tidied up; who ignores one still does."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    """Tidy up and end by the signal itself: a shell shows 128 and its number, and stops the loop that it is in."""
    for tidy in reversed(_unfinished):
        with suppress(OSError):
            tidy()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
