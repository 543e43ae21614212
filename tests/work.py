"""How much work something is, whatever the machine: calls of functions, Python's and C's, are counted, not seconds."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class TooMuchWork(BaseException):
    """More calls than allowed; nothing that is tested catches it."""


def calls(work: Callable[[], object], most: int) -> int:
    """How many calls a piece of work makes. Raises TooMuchWork as soon as they are more than `most`."""
    made = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal made
        if event in ("call", "c_call"):
            made += 1
            if made > most:
                raise TooMuchWork(f"more than {most:,} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return made
