"""Python's garbage collector, paused while a graph is built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_frozen_by_others = False
"""Whether the program froze objects of its own; asked no more once it did, since the answer counts them one by one."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the search for cycles of dead objects.

    A graph is many objects that all stay: to look through them again and again takes a fifth of the
    time at ten thousand nodes, and more than linear time beyond.
    """
    global _frozen_by_others
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            _frozen_by_others = _frozen_by_others or gc.get_freeze_count() > 0
            if not _frozen_by_others:
                # All objects count as old now, so the first thing done is not to look through them.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
