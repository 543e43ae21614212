"""Values as specs write them: what is written reads back as the same value."""

from math import copysign

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archspec
from archspec.api import parse_value
from archspec.ground.literals import written
from archspec.op import Op

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.integers(-(10**30) + 1, 10**30 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT, lambda inner: st.lists(inner, max_size=4), max_leaves=12
)


def alike(left: object, right: object) -> bool:
    """Whether two values are equal, of the same types and signs."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return left == right and copysign(1, left) == copysign(1, right)
    return type(left) is type(right) and left == right


@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    assert alike(parse_value(written(value)), value)


@pytest.mark.parametrize(
    "value",
    ['a"b', "a'b", "a\\", "\\n", "a\nb", "\t\r", "{x}", "}}{{", '"""', "", 1e22, -0.0, 5e-324, 1.7e308, -1],
)
def test_strings_and_numbers_that_need_care_read_back(value: object) -> None:
    assert alike(parse_value(written(value)), value)


@given(TEXT)
def test_a_setting_reaches_the_graph_as_it_was_given(text: str) -> None:
    spec = 'model Net(label: str = ""):\n    input x: [3]\n    require label == label\n    return x -> ReLU\n'
    graph = archspec.read_text(spec, label=text)
    assert graph.settings == {"label": text}
    again = archspec.read_text(spec, label=parse_value(written(text)))
    assert again == graph


@pytest.mark.parametrize(
    "text",
    [
        "Conv(8, kernel=3, init=normal(std=0.5))",
        "PReLU(per_channel=true, init=values(listed=[1, true, 0.5]))",
        'Conv(8, init=kaiming_normal(mode="fan_out"))',
        'Pad([[0, 1], 2], mode="reflect")',
        "Index([[1, none, none], -1])",
    ],
)
def test_an_op_reads_back_from_its_text(text: str) -> None:
    spec = "model Net(op: layer):\n    input x: [3, 8, 8]\n    return x -> op\n"

    def op(layer: str) -> Op:
        return archspec.read_text(spec, op=parse_value(layer)).nodes[0].op

    assert op(str(op(text))) == op(text)


@pytest.mark.parametrize(
    "text",
    [
        "zero_row(init=normal(std=2.0), row=1)",
        "values(listed=[1, true, -0.5])",
        'kaiming_uniform(mode="fan_out")',
    ],
)
def test_an_initialisation_reads_back_from_its_text(text: str) -> None:
    initialisation = parse_value(text)
    assert str(initialisation) == text
    assert parse_value(str(initialisation)) == initialisation


def test_a_repetition_below_zero_is_nothing() -> None:
    assert parse_value("[1] * -(10**20)") == []
    assert parse_value("[] * 10**20") == []
