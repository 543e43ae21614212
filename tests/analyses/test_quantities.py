"""The table of quantities: what it says of itself, and that all who show costs show what is in it."""

import copy
import json
import pickle

import pytest

import archspec
from archspec.analyses.cost import Cost, total, weights_only
from archspec.analyses.quantities import QUANTITIES, SUMMED, OfWeights, shown_in
from archspec.cli import invoke
from archspec.ground.errors import Mistake

FREE = "model Net:\n    input x: [free S, 4]\n    return x -> Linear(2)\n"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert invoke(arguments) == 0
    return capsys.readouterr().out


def headings(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[0].strip("| ").split(" | ")]


def test_names_are_told_apart_and_each_is_explained() -> None:
    for names in (
        [quantity.key for quantity in QUANTITIES],
        [quantity.heading for quantity in QUANTITIES],
        [quantity.title for quantity in QUANTITIES],
    ):
        assert len(set(names)) == len(names)
    assert all(quantity.meaning.endswith(".") for quantity in QUANTITIES)


def test_json_has_every_quantity_and_rows_all_that_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "cost", "lenet5", "--device", "h100", "--format", "json"))
    assert set(found["total"]) == {quantity.key for quantity in QUANTITIES}
    for quantity in SUMMED:
        outer = [row[quantity.key] for row in found["rows"] if row["level"] == 0]
        assert sum(outer) == found["total"][quantity.key]


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("tree", ["cost", "lenet5"]),
        ("comparison", ["cost", "lenet5", "alexnet", "--device", "h100"]),
        ("sweep", ["cost", "lenet5", "--at", "batch=1:2", "--device", "h100"]),
        ("scale", ["scale", "mobilenet_v1"]),
    ],
)
def test_tables_show_the_quantities_of_their_place(
    place: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = headings(printed(capsys, *arguments, "--format", "markdown"))
    known = {quantity.heading for quantity in QUANTITIES}
    assert [
        name for name in shown if name in known - {"depth"} or (name == "depth" and place != "scale")
    ] == [
        quantity.heading
        for quantity in shown_in(place)  # type: ignore[arg-type]
    ]


def test_a_difference_has_the_quantities_of_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "diff", "lenet5", "alexnet", "--format", "json"))
    assert list(found["cost"]) == [quantity.key for quantity in shown_in("diff")]


def test_rows_can_be_sorted_by_each_that_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    for quantity in SUMMED:
        arguments = ["cost", "lenet5", "--by", "node", "--sort", quantity.key, "--format", "json"]
        counts = [row[quantity.key] for row in json.loads(printed(capsys, *arguments))["rows"]]
        assert counts == sorted(counts, reverse=True)
    assert invoke(["cost", "lenet5", "--sort", "mcas"]) == 2
    assert "`mcas` is not one of params, buffers, macs" in capsys.readouterr().err


def test_what_depends_on_weights_alone_is_known_with_free_sizes() -> None:
    graph = archspec.read_text(FREE)
    summary = archspec.cost(graph)
    known = {
        quantity.key: quantity.of_network(summary) for quantity in SUMMED if isinstance(quantity, OfWeights)
    }
    assert known == {"params": 10, "buffers": 0, "weight_bytes": 40}
    for quantity in SUMMED:
        if not isinstance(quantity, OfWeights):
            with pytest.raises(Mistake, match="S is free"):
                quantity.of_network(summary)
    assert total(weights_only(graph).values()).macs == 0
    assert archspec.diff(graph, graph).cost["params"] == (10, 10)


def test_a_cost_is_a_value() -> None:
    cost = archspec.cost(archspec.read("lenet5")).total
    assert cost + Cost() == cost
    assert (cost + cost).macs == 2 * cost.macs
    assert pickle.loads(pickle.dumps(cost)) == copy.deepcopy(cost) == cost
    assert f"macs={cost.macs}" in repr(cost)
    assert total([]) == Cost()
    with pytest.raises(AttributeError, match="a cost has no `mcas`"):
        _ = cost.mcas
