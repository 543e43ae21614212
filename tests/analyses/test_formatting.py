"""Numbers for people and for programs, huge ones too, and what is said with them."""

import json
from pathlib import Path

import pytest

import archspec
from archspec.analyses.formatting import plural, power_of_ten, short, short_bytes, writable

MODEL = "model Net:\n    input z: [4, 8, 8]\n"


@pytest.mark.parametrize(
    "number, text", [(2**15000, "2.82e+4515"), (10**5000 - 1, "1.00e+5000")], ids=["two", "ten"]
)
def test_huge_numbers_are_powers_of_ten(number: int, text: str) -> None:
    assert power_of_ten(number) == short(number) == text
    assert short_bytes(number) == f"{text} B"
    assert json.dumps(writable({"lengths": {0: number}, "few": [3]})) == (
        f'{{"lengths": {{"0": "{text}"}}, "few": [3]}}'
    )


def test_one_is_singular() -> None:
    assert [plural(count, "path") for count in (0, 1, 2)] == ["paths", "path", "paths"]


def test_a_tensor_given_as_an_argument_is_an_input_of_the_picture(tmp_path: Path) -> None:
    block = "block Up(skip):\n    input x: [C, H, W]\n    return concat(skip, x) -> Conv(C, 1)\n\n"
    graph = archspec.read_text(
        f"{block}{MODEL}    x = z -> stem: Conv(6, 3)\n    return z -> up: Up(skip=x)\n"
    )
    drawing = archspec.draw(graph, "block", focus="up")
    assert drawing.dot.index("<b>input</b>") < drawing.dot.index("<b>skip</b>")
    drawing.save(str(tmp_path / "up.dot"))
    assert (tmp_path / "up.dot").read_text() == drawing.dot


def test_another_step_of_the_same_name_is_told_apart() -> None:
    blocks = "".join(
        f"block {name}:\n    input x: [C, H, W]\n    return x -> {first} -> fc: {last}\n\n"
        for name, first, last in (("A", "Conv(4, 3)", "Conv(4, 1)"), ("B", "ReLU", "Conv(4, 5)"))
    )
    old, new = (
        archspec.read_text(f"{blocks}{MODEL}    return z -> body: {b} -> head: Conv(2, 1)\n") for b in "AB"
    )
    (change,) = [change for change in archspec.diff(old, new).changed if change.names == ("head",)]
    assert change.rewired == ("body.fc", "body.fc (new)")
