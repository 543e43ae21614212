"""The targets of fuzzing work: each takes its seeds, and tells of what is changed (`tests/fuzz/README.md`)."""

import random
from itertools import islice

import pytest
from fuzz.doors import DOORS
from mutations import by_character

MOST = 25  # seeds of each door, evenly spread


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize("name", DOORS)
def test_a_door_takes_seeds_and_tells_of_changes(name: str) -> None:
    door, draw = DOORS[name], random.Random(name)
    seeds = list(door.seeds())
    chosen = list(islice(seeds, 0, None, 1 + len(seeds) // MOST))
    taken = [door.attempt(seed) for seed in chosen]  # all of them
    assert any(taken)
    told = 0
    for seed in chosen:
        changed = door.change(
            seed, draw, lambda data: by_character(data.decode("latin-1"), draw).encode("latin-1", "replace")
        )
        told += not door.attempt(changed[: door.longest])
    assert told
