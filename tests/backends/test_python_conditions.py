"""Exported Python of blocks of which only some instances do a step."""

from random import Random

import pytest
from nets import batch_of
from python_files import formatted, require_same

import archspec
from archspec.backends.python import python_source

pytestmark = pytest.mark.filterwarnings("ignore::archspec.SpecWarning")

CONDITIONS = {
    "a skip that some have": (
        """
block Unit(out: int, stride: int = 1):
    input x: [C, H, W]
    y = x -> conv: Conv(out, 3, stride=stride) -> norm: BatchNorm
    return x + y if C == out and stride == 1 else y

model Net:
    input x: [3, 16, 16]
    return x -> units: [Unit(8), Unit(8), Unit(8, stride=2), Unit(12), Unit(12)]
""",
        "        return x + y if self.in_channels == self.out and self.stride == 1 else y\n",
    ),
    "branches that some have": (
        """
block Unit(out: int, stride: int, scaled: bool):
    input x: [C, H, W]
    branches = [x -> wide: Conv(out, 3, stride=stride)]
    if scaled:
        branches += [x -> scale: Conv(out, 1, stride=stride)]
    if C == out and stride == 1:
        branches += [x -> identity: BatchNorm]
    return sum(branches) -> act: ReLU

model Net:
    input x: [8, 16, 16]
    return x -> units: [Unit(8, 1, true), Unit(8, 2, true), Unit(8, 1, false), Unit(6, 1, false), Unit(6, 2, true)]
""",
        """
        y = self.wide(x)
        if self.scale is not None:
            y = y + self.scale(x)
        if self.identity is not None:
            y = y + self.identity(x)
        return self.act(y)
""",
    ),
    "a tensor that some are handed": (
        """
block Mixed(scale = none):
    input x: [N, C]
    y = x -> lin: Linear(C)
    if scale != none:
        y = y * scale
    return y -> act: ReLU -> out: Linear(C)

block Unit(gated: bool):
    input x: [N, C]
    gate = none
    if gated:
        weight gain: [C] = normal(0.5)
        gate = gain -> Sigmoid
    return x + (x -> norm: LayerNorm -> mixed: Mixed(scale=gate)) -> last: Linear(C)

model Net:
    input x: [4, 6]
    return x -> units: [Unit(true), Unit(false), Unit(true)]
""",
        """
    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        x = self.lin(x)
        if scale is not None:
            x = x * scale
        return self.out(self.act(x))
""",
    ),
    "more than one step": (
        """
block Unit(shifted: bool):
    input x: [C, H, W]
    y = x -> norm: BatchNorm
    if shifted:
        weight mask: [H, W] = normal(0.5)
        y = y -> Roll([1, 1], [1, 2])
        y = y * mask -> Tanh
    return y -> conv: Conv(C, 3) -> act: ReLU

model Net:
    input x: [4, 5, 7]
    return x -> units: [Unit(false), Unit(true), Unit(false), Unit(true)]
""",
        """
        x = self.norm(x)
        if self.mask is not None:
            x = self.tanh(x.roll((1, 1), (-2, -1)) * self.mask)
        return self.act(self.conv(x))
""",
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_only_some_instances_do_has_a_condition(name: str) -> None:
    text, expected = CONDITIONS[name]
    graph = archspec.read_text(text)
    written = python_source(graph)
    assert expected in written
    assert "class Unit2" not in written
    assert formatted(written) == written
    require_same(graph, batch_of(graph, 2), train=True)


def test_blocks_that_share_little_stay_apart() -> None:
    graph = archspec.read_text(
        """
block Unit(deep: bool):
    input x: [C, H, W]
    y = x -> first: Conv(C, 3)
    if deep:
        y = concat(y -> a: Conv(C), y -> b: Conv(C)) -> c: Conv(C, 3) -> d: BatchNorm -> e: ReLU
    return y

model Net:
    input x: [4, 8, 8]
    return x -> units: [Unit(true), Unit(false)]
"""
    )
    assert "class Unit2(" in python_source(graph) or "class UnitWithoutDeep(" in python_source(graph)
    require_same(graph, batch_of(graph, 2))


# ------------------------------------------------------------------ any such block


def unit(random: Random) -> str:
    """A network of instances of a block, some of whose steps depend on its parameters."""
    known, count = ["x"], 0

    def step(of: str) -> str:
        nonlocal count
        count += 1
        other = random.choice(known)
        return random.choice(
            [
                f"{of} -> c{count}: Conv(C, 3)",
                f"{of} -> b{count}: BatchNorm",
                f"{of} -> ReLU",
                f"{of} -> t{count}: Tanh",
                f"{of} -> Roll([1], [1])",
                f"{of} + {other}",
                f"{of} * 0.5 + {other}",
                f"sum([{of}, {other}, {of} -> s{count}: Conv(C)])",
                f"{of} -> g{count}: Gated(gate=gate)",
            ]
        )

    lines = []
    if random.random() < 0.5:
        lines += ["    if a:", "        weight gain: [1, 1] = normal(0.5)", "        gate = gain -> Sigmoid"]
    for place in range(random.randint(3, 9)):
        condition = random.choice([None, None, "a", "b", "k == 1"])
        if condition is not None:
            lines.append(f"    if {condition}:")
            lines += [f"        y = {step('y')}" for _ in range(random.randint(1, 2))]
        elif random.random() < 0.4:
            lines.append(f"    v{place} = {step(random.choice(['y', *known]))}")
            known.append(f"v{place}")
        else:
            lines.append(f"    y = {step('y')}")
    switches = [[random.choice(["true", "false"]) for _ in "ab"] for _ in range(random.randint(2, 5))]
    units = ", ".join(f"Unit({a}, {b}, {random.choice([1, 2])})" for a, b in switches)
    body = "\n".join(lines)
    return f"""
block Gated(gate = none):
    input x: [C, H, W]
    y = x -> lin: Conv(C)
    if gate != none:
        y = y * gate
    return y -> ReLU -> out: Conv(C)

block Unit(a: bool, b: bool, k: int):
    input x: [C, H, W]
    gate = none
    y = x
{body}
    return y + x -> last: Conv(C)

model Net:
    input x: [3, 6, 5]
    return x -> units: [{units}]
"""


@pytest.mark.parametrize(
    "seed", [*range(30), *(pytest.param(n, marks=pytest.mark.slow) for n in range(30, 300))]
)
def test_whatever_some_instances_leave_out_the_values_are_the_same(seed: int) -> None:
    graph = archspec.read_text(unit(Random(seed)))
    require_same(graph, batch_of(graph, 2), train=True)
    text = python_source(graph)
    assert formatted(text) == text


def test_most_such_blocks_are_one_class() -> None:
    texts = [python_source(archspec.read_text(unit(Random(seed)))) for seed in range(30)]
    assert sum("class Unit2" not in text and "if self." in text for text in texts) > 15
