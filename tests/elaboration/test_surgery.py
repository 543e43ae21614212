"""`"layer4.*.relu" = GELU` in `defaults`: steps replaced, inserted and removed by their path."""

from warnings import catch_warnings, simplefilter

import pytest
import torch
from torch import nn

import archspec
from archspec.graph import Call, Graph
from archspec.ground.errors import SpecError


def read(text: str, model: str | None = None) -> Graph:
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        return archspec.read_text(text, model=model)


def steps(graph: Graph) -> list[str]:
    return [f"{node.name}: {node.op}" for node in graph.nodes]


def problem(text: str, model: str | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        read(text, model)
    return str(caught.value)


# ------------------------------------------------------------------ rows, names and levels

ROW = """
block Unit(width: int):
    input x: [C]
    y = x -> fc: Linear(width, bias=false) -> ReLU -> out: Linear(width) -> ReLU
    return x + y

model Net:
    defaults:
        {rules}
    input x: [4]
    return x -> units: 5 * [Unit(4)] -> head: Linear(3)
"""


def row(*rules: str) -> Graph:
    return read(ROW.replace("{rules}", "\n        ".join(rules)))


def rows(graph: Graph) -> list[tuple[str, int]]:
    """The calls in the list, each with how many it stands for."""
    found = (f.steps for f in graph.functions if f.steps and f.steps[0].name.isdigit())
    return [(s.name, s.times) for calls in found for s in calls if isinstance(s, Call)]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ('"units.*.out" -> drop: Dropout(0.1)', [("0", 5)]),
        ('"units.*.relu*" = GELU', [("0", 5)]),
        ('"units.3" = []', [("0", 3), ("4", 1)]),
        ('"units.0" = []', [("1", 4)]),
        ('"units.2.relu_1" = GELU', [("0", 2), ("2", 1), ("3", 2)]),
        ('"units.1" -> drop: Dropout(0.1)', [("0", 1), ("1", 1), ("2", 3)]),
        ('drop: Dropout(0.1) -> "units.1"', [("0", 1), ("1", 4)]),
        ('"units.*" = Unit(4)', [("0", 5)]),
    ],
)
def test_a_row_stays_one_step_as_far_as_it_is_edited_alike(rule: str, kept: list[tuple[str, int]]) -> None:
    graph = row(rule)
    assert rows(graph) == kept
    assert Graph.from_json(graph.to_json()) == graph


def test_a_step_keeps_its_name_whatever_stands_there() -> None:
    graph = row('"units.0.relu" = []', '"units.0.relu_1" = Tanh', '"head" = [a: Linear(3), Linear(2)]')
    assert steps(graph)[:4] == [
        "units.0.fc: Linear(4, bias=false)",
        "units.0.out: Linear(4)",
        "units.0.relu_1: Tanh",
        "units.0.add: Add",
    ]
    assert steps(graph)[-2:] == ["head.a: Linear(3)", "head.1: Linear(2)"]


def test_an_operator_has_a_name_too() -> None:
    assert "units.0.norm: LayerNorm" in steps(row('"units.*.add" -> norm: LayerNorm'))
    assert "units.0.add: Mul" in steps(row('"units.*.add" = Mul'))
    assert "must give one tensor, not 2" in problem(ROW.replace("{rules}", '"units.*.add" = []'))


LEVELS = """
block Unit:
    defaults:
        ReLU = SiLU
        "fc" = Linear(5)
        "fc" -> inner: ReLU
        "fc" -> second: ReLU
        first: ReLU -> "fc"
    input x: [4]
    return x -> fc: Linear(4) -> end: Linear(2)

model Net:
    defaults:
        {rules}
    input x: [4]
    return x -> u: Unit
"""


@pytest.mark.parametrize(
    ("rules", "made"),
    [
        ([], ["first: ReLU", "fc: Linear(5)", "inner: ReLU", "second: ReLU"]),
        (
            ['"u.fc" = Linear(6)', '"u.fc" -> outer: Tanh', 'zeroth: Tanh -> "u.fc"'],
            ["zeroth: Tanh", "first: ReLU", "fc: Linear(6)", "inner: ReLU", "second: ReLU", "outer: Tanh"],
        ),
        (
            ['"u.*" = Linear(7)', '"u.fc" = ReLU', '"u.inner" = []'],
            ["first: Linear(7)", "fc: ReLU", "second: Linear(7)"],
        ),
        (
            ["ReLU = GELU", '"u.second" = ReLU'],
            ["first: GELU", "fc: Linear(5)", "inner: GELU", "second: ReLU"],
        ),
        (
            ['"u.fc" = Unit'],
            [
                "first: ReLU",
                *(
                    "fc.first: ReLU",
                    "fc.fc: Linear(5)",
                    "fc.inner: ReLU",
                    "fc.second: ReLU",
                    "fc.end: Linear(2)",
                ),
                *("inner: ReLU", "second: ReLU"),
            ],
        ),
    ],
)
def test_the_rule_stated_furthest_out_replaces_and_all_insert(rules: list[str], made: list[str]) -> None:
    text = LEVELS.replace("{rules}", "\n        ".join(rules) or "Linear(bias=true)")
    assert [step.removeprefix("u.") for step in steps(read(text))][: len(made)] == made


def test_of_rules_in_one_place_the_last_replaces() -> None:
    graph = row('"units.*.relu*" = GELU', '"units.*.relu_1" = Tanh')
    assert steps(graph)[1:4] == ["units.0.relu: GELU", "units.0.out: Linear(4)", "units.0.relu_1: Tanh"]
    text = ROW.replace("{rules}", '"head" = Linear(6)\n        "*ead" = Linear(7)')
    assert 'a rule further down says what stands in the place of each "head"' in problem(text)


def test_what_an_inner_place_says_of_what_an_outer_one_removes_is_no_mistake() -> None:
    text = ROW.replace("{rules}", '"units.3" = []') + (
        '\nmodel Outer:\n    defaults:\n        "net.units" = []\n    input x: [4]\n    return x -> net: Net\n'
    )
    assert steps(read(text, "Outer")) == ["net.head: Linear(3)"]


FILE = """
defaults:
    "a" = GELU

block Unit:
    input x: [4]
    return x -> a: ReLU -> b: ReLU

model Inner:
    input x: [4]
    return x -> a: ReLU -> unit: Unit

model Same = Inner

model Outer:
    input x: [4]
    return x -> inner: Inner -> a: ReLU

model Other:
    input x: [4]
    return x -> unit: Unit
"""


def test_what_a_file_states_is_of_its_models() -> None:
    inner = ["a: GELU", "unit.a: ReLU", "unit.b: ReLU"]
    assert steps(read(FILE, "Inner")) == steps(read(FILE, "Same")) == inner
    assert steps(read(FILE, "Outer")) == [*(f"inner.{step}" for step in inner), "a: GELU"]
    assert 'no step "a" in Other' in problem(FILE, "Other")


def test_a_rule_of_a_file_inserts_once_in_a_model_of_a_model() -> None:
    text = FILE.replace('"a" = GELU', '"*b" -> new: Tanh')
    assert [step for step in steps(read(text, "Outer")) if "new" in step] == ["inner.unit.new: Tanh"]


# ------------------------------------------------------------------ shared layers, several outputs

SHARED = """
block Use(mlp: layer):
    input x: [4]
    return x -> mlp -> mlp -> post: ReLU

model Net:
    defaults:
        {rules}
    input x: [4]
    shared mlp = [fc: Linear(4), act: ReLU]
    return x -> first: Use(mlp) -> second: Use(mlp)
"""


@pytest.mark.parametrize(
    ("rule", "keys", "uses"),
    [
        ('"mlp" = Linear(4, bias=false)', {"mlp.weight"}, {"Linear(4, bias=false)": 4}),
        (
            '"mlp.fc" -> norm: LayerNorm',
            {"mlp.fc.weight", "mlp.fc.bias", "mlp.norm.weight", "mlp.norm.bias"},
            {"LayerNorm": 4},
        ),
        ('"mlp" -> Dropout(0.1)', {"mlp.fc.weight", "mlp.fc.bias"}, {"Dropout(p=0.1)": 4}),
        ('"mlp" = []', set(), {"ReLU": 2}),
        ('"second.post" = Tanh', {"mlp.fc.weight", "mlp.fc.bias"}, {"Tanh": 1, "ReLU": 5}),
    ],
)
def test_a_shared_layer_stays_one(rule: str, keys: set[str], uses: dict[str, int]) -> None:
    graph = read(SHARED.replace("{rules}", rule))
    ops = [str(node.op) for node in graph.nodes]
    assert set(graph.weights) == keys
    assert {op: ops.count(op) for op in uses} == uses
    assert Graph.from_json(graph.to_json()) == graph


PAIR = """
block Halves:
    input x: [4]
    return x[:2], x[2:]

block Swap:
    input a: [C]
    input b: [C]
    return b -> Tanh, a

model Net:
    defaults:
        {rules}
    input x: [4]
    a, b = x -> halves: Halves
    return (a, b) -> joined: Concat
"""


@pytest.mark.parametrize(
    "rule", ['"halves" -> swap: Swap', 'swap: Swap -> "joined"', '"halves" = [Halves, Swap]']
)
def test_an_inserted_layer_takes_all_that_a_step_gives_or_takes(rule: str) -> None:
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        net = archspec.load(read(PAIR.replace("{rules}", rule)))
    x = torch.randn(3, 4)
    torch.testing.assert_close(net(x), torch.cat([x[:, 2:].tanh(), x[:, :2]], 1))


def test_a_list_in_which_nothing_is_left_passes_its_input_on() -> None:
    text = ROW.replace("{rules}", '"units.1.inner.*" = []').replace("5 * [Unit(4)]", "[Tanh, Nested]")
    nested = "block Nested:\n    input x: [C]\n    return x -> inner: 2 * [Unit(C)]\n\n"
    net = archspec.load(read(nested + text))
    x = torch.randn(3, 4)
    torch.testing.assert_close(net(x), net.head(x.tanh()))


def test_a_shape_that_does_not_fit_any_more_is_told_with_the_rule() -> None:
    told = problem(ROW.replace("{rules}", '"units.2.out" = Linear(7)'))
    assert "cannot add [4] and [7]" in told
    assert "`units.2.out` is replaced here" in told
    assert "in units.2: Unit(4)" in told


# ------------------------------------------------------------------ keys of families, and nets made by hand


class ByHand(nn.Module):
    """A residual net of two bottlenecks as a PyTorch user writes it."""

    def __init__(self, norm=nn.BatchNorm2d, act=nn.ReLU, squeeze=False, head=True) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = norm(64), act()
        self.max_pool = nn.MaxPool2d(3, 2, 1)
        width = 64
        for stage in range(1, 5):
            block = Bottleneck(width, 2 ** (stage + 5), 1 if stage == 1 else 2, norm, act, squeeze)
            self.add_module(f"layer{stage}", nn.Sequential(block))
            width = 2 ** (stage + 7)
        self.fc = nn.Linear(width, 10) if head else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.max_pool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3))) if self.fc is not None else x


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, norm, act, squeeze) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        if squeeze:
            self.se = nn.Module()
            self.se.fc1, self.se.fc2 = nn.Conv2d(width, width // 16, 1), nn.Conv2d(width // 16, width, 1)
        self.bn2 = norm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), norm(4 * width)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), norm(4 * width))
        self.act, self.squeeze = act(), squeeze

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(self.act(self.bn1(self.conv1(x))))
        if self.squeeze:
            weigh = self.se.fc2(self.se.fc1(y.mean((2, 3), keepdim=True)).relu()).sigmoid()  # type: ignore[union-attr,operator]
            y = y * weigh
        y = self.bn3(self.conv3(self.act(self.bn2(y))))
        return self.act(y + self.downsample(x))


BY_HAND = {
    "SE behind each conv2": ('"layer*.*.conv2" -> se: SqueezeExcite(16)', {"squeeze": True}),
    "another norm": (
        '"*bn*" = GroupNorm(32)\n    "*.downsample.1" = GroupNorm(32)',
        {"norm": lambda channels: nn.GroupNorm(32, channels)},
    ),
    "another activation": ('"*relu*" = GELU', {"act": nn.GELU}),
    "no head": ('"fc" = []\n    "global_avg_pool" = []', {"head": False}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_edited_family_is_the_net_made_by_hand(name: str) -> None:
    rules, arguments = BY_HAND[name]
    text = (
        "from blocks.attention import SqueezeExcite\nfrom families.resnet import Bottleneck, ResNet\n\n"
        f"defaults:\n    {rules}\n\n"
        "model Mine = ResNet(Bottleneck, [1, 1, 1, 1], resolution=64, classes=10)\n"
    )
    torch.manual_seed(0)
    theirs = ByHand(**arguments).eval()  # type: ignore[arg-type]
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.05)
    ours = archspec.load(read(text)).eval()
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
