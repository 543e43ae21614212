"""Specs changed by chance, by token, by character and by line: each is told, or gives a graph that is counted, drawn and kept."""

import random
from pathlib import Path

import pytest
from mutations import MUTATIONS
from nets import KINDS, NAMES
from work import TooMuchWork, calls

import archspec
from archspec import SpecError
from archspec.elaboration import shipped_specs
from archspec.graph import Graph
from archspec.ground.errors import Mistake

ERRORS = Path(__file__).parent / "errors"
CASES = sorted(path.stem for path in ERRORS.glob("*.arch") if not path.stem.startswith("bomb_"))
SHIPPED = sorted(shipped_specs().rglob("*.arch"))
OTHERS = set(NAMES) - KINDS
MOST_CALLS = 20_000_000  # of functions, to read one; some seconds


def read(text: str) -> Graph | None:
    """The graph of a text; None where a SpecError says why there is none."""
    try:
        return archspec.read_text(text, budget=3_000)
    except SpecError as error:
        assert error.problems
        return None


def hold(graph: Graph) -> None:
    """What holds of every graph."""
    assert Graph.from_json(graph.to_json()) == graph
    assert archspec.draw(graph).dot
    assert archspec.draw(graph, "full").dot
    cost = archspec.cost(graph)
    assert set(cost.receptive_fields) == set(graph.types)
    try:
        cost.figures()
    except Mistake:
        assert not graph.is_sized


@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_changed_spec_is_told_or_gives_a_graph(
    case: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ERRORS)
    text = (ERRORS / f"{case}.arch").read_text(encoding="utf-8")
    graph = read(MUTATIONS[kind](text, random.Random(f"{case} {kind}")))
    if graph is not None:
        hold(graph)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize(
    "path",
    # All that is imported, and models of all kinds.
    [pytest.param(path, marks=pytest.mark.zoo) if path.stem in OTHERS else path for path in SHIPPED],
    ids=lambda path: str(path.relative_to(shipped_specs())),
)
def test_a_changed_shipped_spec_is_told_or_gives_a_graph(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped_specs())
    text = path.read_text(encoding="utf-8")
    for kind, change in MUTATIONS.items():
        draw = random.Random(f"{path.name} {kind}")
        for _ in range(4):
            changed, made = change(text, draw), []
            try:
                calls(lambda changed=changed, made=made: made.append(read(changed)), MOST_CALLS)
            except TooMuchWork:
                pytest.fail(f"takes too long:\n{changed}")
            if made[0] is not None:
                assert Graph.from_json(made[0].to_json()) == made[0]
