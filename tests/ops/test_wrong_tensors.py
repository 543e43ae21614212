"""Each op, as its examples have it, given what it does not take: other numbers, ranks and dtypes of tensors. It fits or is told."""

import re

import pytest
from examples import EXAMPLES

import archspec
from archspec import Graph, SpecError

LAYERS = {
    parts[1]: name
    for name, example in EXAMPLES
    if len(parts := re.split(r" -> (?![^(\[]*[)\]])", example)) == 3
}
TYPES = [
    "[]",
    "[8]",
    "[4, 8]",
    "[8, 4, 4]",
    "[2, 8, 4, 4]",
    "[1, 1, 1, 1, 1]",
    "[1]",
    "i64[4]",
    "bool[4, 8]",
    "f16[8, 4, 4]",
    "[free S, 8]",
    "[8, free H, free W]",
    "i64[free S]",
]


def told_or_fits(body: str) -> bool:
    try:
        graph = archspec.read_text(f"model M:\n{body}\n")
    except SpecError as error:
        assert error.problems
        return False
    assert Graph.from_json(graph.to_json()) == graph
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::archspec.SpecWarning")
@pytest.mark.parametrize("name", sorted(set(LAYERS.values())))
def test_any_tensors_fit_an_op_or_are_told(name: str) -> None:
    for layer in (layer for layer, op in LAYERS.items() if op == name):
        for type_ in TYPES:
            given = f"    input x: {type_}\n    y = "
            for tensors in ("x", "(x, x)", "(x, x, x)", "(x, x, x, x)"):
                told_or_fits(f"{given}{tensors} -> {layer}\n    return (y, x)")
            told_or_fits(f"{given}() -> {layer}\n    return (y, x)")
        told_or_fits(f"    input x: [4]\n    weight w: [8, 4] = zeros\n    y = w -> {layer}\n    return y, x")


@pytest.mark.parametrize(
    "layer",
    ["Pad(1)", 'Rearrange("a b -> b a")', "Reshape([-1])", "Roll([1], axes=[0])", 'Pad(1, mode="replicate")'],
)
def test_several_tensors_for_an_op_that_reads_free_sizes_are_told(layer: str) -> None:
    """Free sizes in its arguments are looked for in what it is given."""
    with pytest.raises(SpecError, match=r"\w+ takes 1 tensor, not 2"):
        archspec.read_text(f"model M:\n    input x: [4, 8]\n    return (x, x) -> {layer}\n")
