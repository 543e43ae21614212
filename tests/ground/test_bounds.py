"""Assumptions about free sizes, and bounds under them, against all numbers that a size can be."""

from itertools import product
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.ground.bounds import Assumption, always_equal, assumed_of, never_negative
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.size import Free, Size

LARGEST = 40


@given(st.integers(1, 9), st.integers(1, 60), st.none() | st.integers(1, 90))
def test_a_name_tells_what_is_assumed(multiple: int, least: int, most: int | None) -> None:
    assumed = Assumption("H", multiple, least, most)
    meant = [n for n in range(1, 200) if assumed.meets(n)]
    if not meant:
        with pytest.raises(Mistake, match="no size is what is assumed"):
            _ = assumed.size
        return
    size = assumed.size
    assert isinstance(size, Free)
    (name,) = size.names
    again = assumed_of(name)
    numbers = range(1, (again.top or 200) + 1)
    assert [n for n in (size.substitute({name: i}) for i in numbers) if n < 200] == meant
    assert [n for n in range(1, 200) if again.meets(n)] == meant


def sizes(draw: Random, names: list[str]) -> Size:
    """A random size: sums of names, products of two, and quotients."""
    total: Size = draw.randint(-12, 12)
    for _ in range(draw.randint(1, 3)):
        part: Size = Free.named(draw.choice(names)) + draw.randint(0, 3)
        if draw.random() < 0.3:
            part = part // draw.randint(2, 4)
        elif draw.random() < 0.3:
            part = part * Free.named(draw.choice(names))
        total = total + part * draw.choice([-2, -1, 1, 2])
    return total


@settings(max_examples=400, deadline=None)
@given(st.integers(min_value=0))
def test_answers_hold_for_all_numbers(seed: int) -> None:
    draw = Random(seed)
    assumed = [
        Assumption("H", draw.choice([1, 1, 2, 4]), draw.randint(1, 9), draw.choice([None, 20, 33])),
        Assumption("W", 1, 1, draw.choice([None, 8])),
    ]
    names = [next(iter(each.size.names)) for each in assumed if isinstance(each.size, Free)]
    grid = [range(1, (assumed_of(name).top or LARGEST) + 1) for name in names]
    size = sizes(draw, names)
    values = [
        size if isinstance(size, int) else size.substitute(dict(zip(names, at, strict=True)))
        for at in product(*grid)
    ]
    try:
        answer = never_negative(size, "")
    except Mistake:
        pass  # it may not find out
    else:
        assert all((value >= 0) is answer for value in values)
    try:
        same = always_equal(size, 0)
    except Mistake:
        pass
    else:
        assert all((value == 0) is same for value in values)


CONDITIONS = (
    "S <= 20",
    "S < 31",
    "S >= 5",
    "S > 3",
    "S % 4 == 0",
    "S % 6 == 0",
    "S <= 24 and S >= 2",
    "20 >= S",
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4))
def test_a_model_takes_the_sizes_that_it_requires_and_no_others(conditions: list[str]) -> None:
    lines = "".join(f"    require {condition}\n" for condition in conditions)
    text = f"model Net:\n    input x: [free S, 2]\n{lines}    return x -> ReLU\n"
    wanted = [n for n in range(1, LARGEST) if all(eval(condition, {"S": n}) for condition in conditions)]
    if len(wanted) < 2:
        return
    graph = archspec.read_text(text)
    (accepted,) = graph.accepts
    assert [n for n in range(1, LARGEST) if accepted.meets(n)] == wanted
    net = archspec.load(graph)
    for n in (1, 3, wanted[0], wanted[-1], min(wanted[-1] + 1, LARGEST - 1), 21, 24, 32):
        if n in wanted:
            net(torch.zeros(1, n, 2))
        else:
            with pytest.raises(SpecError, match="must be"):
                net(torch.zeros(1, n, 2))


def test_export_is_told_the_largest_size() -> None:
    net = archspec.load(
        archspec.read_text(
            "model Net:\n    input x: [free S, 2]\n    require S <= 20\n    return x -> ReLU\n"
        )
    )
    shapes = archspec.dynamic_shapes(archspec.graph_of(net))
    program = torch.export.export(net, (torch.zeros(2, 5, 2),), dynamic_shapes=shapes)
    assert program.module()(torch.ones(1, 20, 2)).shape == (1, 20, 2)
    with pytest.raises(Exception, match="20"):
        program.module()(torch.ones(1, 21, 2))
