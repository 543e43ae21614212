"""`BatchNorm = norm` in `defaults`: layers that stand for ops."""

from pathlib import Path
from random import Random
from warnings import catch_warnings, simplefilter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.api.checking import check_file
from archspec.graph import Graph
from archspec.ground.errors import SpecError


def read(text: str) -> Graph:
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        return archspec.read_text(text)


def ops(graph: Graph) -> list[str]:
    return [str(node.op) for node in graph.nodes]


# ------------------------------------------------------------------ random nets, and the ops that they come to

Level = dict[str, list[str]]


class Net:
    """Random blocks of steps, some with rules: what an op stands for is a list of ops and blocks."""

    OPS = ("ReLU", "Tanh", "GELU", "Sigmoid")

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.blocks: dict[str, tuple[Level, list[str]]] = {}
        for i in range(random.randint(1, 5)):
            rules = self.rules() if random.random() < 0.6 else {}
            steps = [self.layer() for _ in range(random.randint(1, 3))]
            self.blocks[f"B{i}"] = (rules, steps)
        self.file = self.rules() if random.random() < 0.4 else {}

    def layer(self) -> str:
        return self.random.choice([*self.OPS, *self.blocks])

    def rules(self) -> Level:
        chosen = self.random.sample(self.OPS, self.random.randint(1, 2))
        return {op: [self.layer() for _ in range(self.random.choice([0, 1, 1, 2]))] for op in chosen}

    def text(self) -> str:
        def stated(rules: Level, indent: str) -> str:
            if not rules:
                return ""
            lines = [
                f"{indent}    {op} = {layers[0] if len(layers) == 1 else '[' + ', '.join(layers) + ']'}\n"
                for op, layers in rules.items()
            ]
            return f"{indent}defaults:\n" + "".join(lines)

        text = ""
        for name, (rules, steps) in self.blocks.items():
            chain = " -> ".join(["x", *steps])
            text += f"block {name}:\n    input x: [*S]\n{stated(rules, '    ')}    return {chain}\n\n"
        last = list(self.blocks)[-1]
        return (
            text
            + stated(self.file, "")
            + f"\nmodel Net:\n    input x: [4]\n    return x -> {last} -> Identity\n"
        )

    def expanded(self) -> list[str]:
        """The ops, by a walk that knows nothing of graphs: a level of rules for each `defaults` around a place."""

        def walk(layer: str, levels: list[Level]) -> list[str]:
            if layer in self.blocks:
                rules, steps = self.blocks[layer]
                inner = [*levels, rules]
                return [op for step in steps for op in walk(step, inner)]
            for i in reversed(range(len(levels))):
                if layer in levels[i]:
                    return [op for step in levels[i][layer] for op in walk(step, levels[:i])]
            return [layer]

        return [*walk(list(self.blocks)[-1], [self.file]), "Identity"]


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0))
def test_random_nets_come_to_the_ops_of_a_walk_over_their_blocks(seed: int) -> None:
    net = Net(seed)
    graph = read(net.text())
    assert ops(graph) == net.expanded()
    assert Graph.from_json(graph.to_json()) == graph


# ------------------------------------------------------------------ what stands, and what it takes

UNIT = """
block Unit:
    input x: [C, H, W]
    return x -> conv: Conv(C, 3, bias=false) -> norm: BatchNorm(eps=1e-3, init=zeros) -> ReLU

model Net:
    input x: [8, 4, 4]
    defaults:
        {rules}
    return x -> first: Unit -> second: Unit
"""


def unit(rules: str) -> Graph:
    return read(UNIT.replace("{rules}", rules))


@pytest.mark.parametrize(
    ("layer", "written"),
    [
        ("GroupNorm(2)", "GroupNorm(2, eps=1e-3, init=zeros)"),
        ("GroupNorm(2, eps=1e-6)", "GroupNorm(2, eps=1e-6, init=zeros)"),
        ("InstanceNorm(affine=true)", "InstanceNorm(affine=true, eps=1e-3, init=zeros)"),
        ("BatchNorm(momentum=0.5)", "BatchNorm(momentum=0.5, eps=1e-3, init=zeros)"),
        ("[]", "[]"),
    ],
)
def test_it_is_as_if_the_layer_were_written_with_what_the_op_was_given(layer: str, written: str) -> None:
    text = UNIT.replace("    defaults:\n        {rules}\n", "").replace(
        "BatchNorm(eps=1e-3, init=zeros)", written
    )
    one, other = unit(f"BatchNorm = {layer}"), read(text)
    assert ops(one) == ops(other)
    assert {k: (w.shape, str(w.init)) for k, w in one.weights.items()} == {
        k: (w.shape, str(w.init)) for k, w in other.weights.items()
    }


def test_a_block_takes_the_arguments_of_the_op() -> None:
    wide = """
block Separable(out: int, kernel: int = 1, bias: bool = true):
    input x: [C, H, W]
    return x -> deep: Conv(C, kernel, groups=C, bias=false) -> point: Conv(out, bias=bias)
"""
    graph = read(wide + UNIT.replace("{rules}", "Conv = Separable"))
    assert ops(graph)[:2] == [
        "Conv(8, kernel=3, groups=8, bias=false)",
        "Conv(8, bias=false)",
    ]
    assert "first.conv.deep.weight" in graph.weights  # its own convolutions are those of torch


def test_the_choice_of_whoever_uses_a_family_wins() -> None:
    family = """
block Family(norm: layer = BatchNorm):
    input x: [C, H, W]
    defaults:
        BatchNorm = norm
    return x -> norm: BatchNorm

model Net:
    input x: [8, 4, 4]
    defaults:
        BatchNorm = GroupNorm(4)
    return x -> usual: Family -> chosen: Family(InstanceNorm) -> own: BatchNorm
"""
    assert ops(read(family)) == ["GroupNorm(4)", "InstanceNorm", "GroupNorm(4)"]


def test_a_shared_layer_is_what_stands_where_it_is_declared() -> None:
    text = """
block Use(unit: layer):
    input x: [*S]
    defaults:
        PReLU = GELU
    return x -> unit -> PReLU

model Net:
    input x: [8, 4, 4]
    defaults:
        ReLU = PReLU
    shared act = ReLU
    return (x -> act -> use: Use(act)) * act.weight[0]
"""
    graph = read(text)
    assert [type(node.op).__name__ for node in graph.nodes if "Mul" not in str(node.op)][:3] == [
        "PReLU",
        "PReLU",
        "GELU",
    ]
    assert list(graph.weights) == ["act.weight"]


def test_one_block_under_two_rules_is_two_functions() -> None:
    text = """
block Unit:
    input x: [*S]
    return x -> ReLU

block Under(act: layer):
    input x: [*S]
    defaults:
        ReLU = act
    return x -> Unit -> Unit

model Net:
    input x: [4]
    return x -> a: Under(Tanh) -> b: Under(Sigmoid) -> c: Under(ReLU) -> d: Unit
"""
    assert ops(read(text)) == ["Tanh", "Tanh", "Sigmoid", "Sigmoid", "ReLU", "ReLU", "ReLU"]


def test_steps_without_names_do_not_clash_where_a_layer_stands_that_has_weights() -> None:
    text = """
model Net:
    input x: [4]
    defaults:
        ReLU = {act}
    return x -> [Linear(4), ReLU] -> [Tanh, ReLU]
"""
    assert list(read(text.replace("{act}", "GELU")).weights) == ["0.weight", "0.bias"]
    with pytest.raises(SpecError, match="two steps are named `1`"):
        read(text.replace("{act}", "PReLU"))


def test_the_module_computes_with_it() -> None:
    graph = unit("BatchNorm = GroupNorm(2)\n        ReLU = SiLU")
    net, x = archspec.load(graph, seed=0).eval(), torch.randn(3, 8, 4, 4)
    wanted = x
    for name in ("first", "second"):
        convolved = torch.nn.functional.conv2d(wanted, net.state_dict()[f"{name}.conv.weight"], padding=1)
        weight, bias = net.state_dict()[f"{name}.norm.weight"], net.state_dict()[f"{name}.norm.bias"]
        wanted = torch.nn.functional.silu(torch.nn.functional.group_norm(convolved, 2, weight, bias, 1e-3))
    assert torch.equal(net(x), wanted)


def test_where_it_is_stated_is_in_the_graph() -> None:
    graph = unit("BatchNorm = GroupNorm(2)\n        ReLU = ReLU")
    assert {
        node.name: {name: place.line for name, place in node.defaults.items()} for node in graph.nodes
    } == {
        "first.conv": {},
        "first.norm": {"BatchNorm": 9},
        "first.relu": {},
        "second.conv": {},
        "second.norm": {"BatchNorm": 9},
        "second.relu": {},
    }


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("BatchNorm = LayerNorm(axes=[0])\n        BatchNorm = ReLU", "two layers stand for BatchNorm"),
        ("BatchNorm = 3", "expected a layer, not the number 3"),
        ("BatchNorm = x", "expected a layer, not a tensor"),
        ("Unit = ReLU", "layers can stand for an op, not for Unit"),
        ("BatchNrom = ReLU", "did you mean `BatchNorm`?"),
        ("BatchNorm = GroupNorm(3)", "8 channels are not divisible into 3 groups"),
        ("BatchNorm = GroupNorm", "GroupNorm needs `groups`"),
        ("BatchNorm = ReLU", "ReLU has no argument `eps`"),
        ("BatchNorm = [Identity, ReLU]", "the list [Identity, ReLU] has its arguments already"),
        ("Conv = Unit", "Unit has no argument `out`"),
    ],
)
def test_what_cannot_stand_is_told(rules: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        unit(rules)
    assert message in str(caught.value)
    assert all(problem.span is not None for problem in caught.value.problems)


def test_what_stands_for_nothing_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("""
block Inner(act: layer = ReLU):
    input x: [C]
    defaults:
        ReLU = act
    return x -> ReLU

model Net:
    input x: [4]
    defaults:
        ReLU6 = GELU
        ReLU = GELU
    return x -> Inner
""")
    _, (warning,) = check_file(path, 1_000_000)
    assert warning.message == "no `ReLU6` here for which `GELU` could stand"
