"""Costs of free sizes: formulas give what the network costs at numbers."""

import re

import pytest

import archspec
from archspec.analyses.formulas import at_sizes, formula
from archspec.analyses.multiply_adds import macs
from archspec.ground.errors import Mistake


def value(text: str, **sizes: int) -> float:
    """What a printed formula gives, to the digits that are printed."""
    units = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    total = 0.0
    for sign, term in re.findall(r"([+-]?) ?([^+-]+)", text.partition(",")[0]):
        product = -1.0 if sign == "-" else 1.0
        for factor in term.strip().split(" * "):
            name, _, power = factor.partition("^")
            if name in sizes:
                product *= sizes[name] ** int(power or 1)
            else:
                product *= float(factor.rstrip("KMGT")) * units.get(factor[-1], 1)
        total += product
    return total


@pytest.mark.parametrize(
    ("name", "step"), [("resnet18", 32), ("vgg11", 32), ("mobilenet_v2", 32), ("googlenet", 32)]
)
def test_a_formula_is_what_is_counted(name: str, step: int) -> None:
    free = archspec.read(name, free="H W")
    found = formula(free, macs)
    for height, width in ((3 * step, 5 * step), (7 * step, 7 * step)):
        counted = macs(archspec.read(name, resolution=[height, width]))
        assert value(found, H=height, W=width) == pytest.approx(counted, rel=1e-3)
        assert macs(at_sizes(free, {"H": height, "W": width})) == counted


def test_attention_costs_squares() -> None:
    free = archspec.read("transformer_base", layers=2)
    found = formula(free, macs)
    assert "S^2" in found and "S * T" in found
    counted = macs(archspec.read("transformer_base", layers=2, length=40))
    assert value(found, S=40, T=40) == pytest.approx(counted, rel=1e-3)


def test_numbers_that_a_network_does_not_take_are_refused() -> None:
    spec = "model Net:\n    input x: [3, free H, free W]\n    require H % 4 == 0\n    return x -> Conv(4, 4, stride=4, padding=0)\n"
    graph = archspec.read_text(spec.replace("free W", "8"))
    assert str(at_sizes(graph, {"H": 12}).outputs[0].type) == "f32[4, 3, 2]"
    with pytest.raises(Mistake, match="multiple of 4"):
        at_sizes(graph, {"H": 10})
    with pytest.raises(Mistake, match="no free size `N`"):
        at_sizes(graph, {"N": 10})
