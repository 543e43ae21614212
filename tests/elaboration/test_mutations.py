"""Wrong specs, changed by chance: each is told, or gives a graph that is counted, drawn and kept."""

import random
import re
from pathlib import Path

import pytest

import archspec
from archspec import SpecError
from archspec.graph import Graph
from archspec.ground.errors import Mistake

ERRORS = Path(__file__).parent / "errors"
CASES = sorted(path.stem for path in ERRORS.glob("*.arch") if not path.stem.startswith("bomb_"))
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|\n[ ]*|[ ]+|->|\.\.|//|\*\*|[=!<>]=|[^\w\s]')
WORDS = """
    0 -1 1_ 1e999 1e308 10**20 2**63 none true len range Conv ReLU Conv(8) constant zeros normal concat x x.shape free C
    *S [] () [1] [[1]] "" "a{{" "{x}" "a.b" "__class__" half type -> : , = .. in not if else return input weight buffer
    shared block model require claims # \\ ( ) [ ] { } ' " @ % // ** == <= + - * / . [0] [1:-1] [::0] .weight .shape
    sum max min GlobalAvgPool Flatten AdaptiveAvgPool(1) Index Scale f16 i64 bool
"""
NASTY = WORDS.split()


def mutated(text: str, draw: random.Random) -> str:
    """The text with a few tokens dropped, doubled, swapped, replaced or put in."""
    tokens = TOKEN.findall(text)
    for _ in range(draw.randint(1, 3)):
        at, other = draw.randrange(len(tokens)), draw.randrange(len(tokens))
        match draw.randrange(5):
            case 0:
                tokens[at] = ""
            case 1:
                tokens[at] *= 2
            case 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = draw.choice(NASTY)
            case 4:
                tokens.insert(at, draw.choice(NASTY))
    return "".join(tokens)


@pytest.mark.parametrize("case", CASES)
def test_a_changed_spec_is_told_or_gives_a_graph(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    text = (ERRORS / f"{case}.arch").read_text(encoding="utf-8")
    draw = random.Random(case)
    for _ in range(3):
        try:
            graph = archspec.read_text(mutated(text, draw), budget=3_000)
        except SpecError as error:
            assert error.problems
            continue
        assert Graph.from_json(graph.to_json()) == graph
        assert archspec.draw(graph).dot
        assert archspec.draw(graph, "full").dot
        cost = archspec.cost(graph)
        assert set(cost.receptive_fields) == set(graph.types)
        try:
            cost.figures()
        except Mistake:
            assert not graph.is_sized
