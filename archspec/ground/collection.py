"""Python's garbage collector, paused while a graph is built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the search for cycles of dead objects.

    A graph is many objects that all stay: to look through them again and again takes a fifth of the
    time at ten thousand nodes, and more than linear time beyond.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                # All objects count as old now, so the first thing done is not to look through them.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
