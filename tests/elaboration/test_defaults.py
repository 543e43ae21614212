"""`defaults`: arguments that ops get unless they are given others, and how weights start that are named."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from warnings import catch_warnings, simplefilter

import pytest

import archspec
from archspec.api.checking import check_file
from archspec.graph import Graph
from archspec.ground.errors import SpecError


def starts(graph: Graph) -> dict[str, str]:
    """How each weight starts, by its key."""
    return {key: str(weight.init) for key, weight in graph.weights.items()}


def read(text: str, model: str | None = None) -> Graph:
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        return archspec.read_text(text, model=model) if model else archspec.read_text(text)


# ------------------------------------------------------------------ random nets, and what their weights start as


@dataclass
class Block:
    """A block of a random net: its file, its rules, and its steps, each a layer with its own start or calls of a block."""

    name: str
    file: int
    ops: int | None = None
    names: list[tuple[str, int]] = field(default_factory=list)
    steps: list[tuple[str, "int | Block | None", int]] = field(default_factory=list)
    shared: int | str | None = ""


class Net:
    """A random net over two files, each of which may state defaults, and so may each block."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.number = 0
        self.files = [self.some(0.5), self.some(0.5)]
        self.file_names = self.patterns() if random.random() < 0.4 else []
        self.blocks: list[Block] = []
        for i in range(5):
            block = Block(f"B{i}", random.randrange(2) if i < 4 else 0)
            if block.file == 1 and any(b.file == 0 for b in self.blocks):
                block.file = 0  # the second file imports nothing
            block.ops, block.names = self.some(0.3), self.patterns() if random.random() < 0.4 else []
            for j in range(random.randint(1, 3)):
                usable = [b for b in self.blocks if b.file == block.file or block.file == 0]
                if usable and random.random() < 0.6:
                    block.steps.append((f"s{j}", random.choice(usable), random.choice([1, 1, 3])))
                else:
                    block.steps.append((f"s{j}", self.some(0.3), 1))
            block.shared = self.some(0.5) if random.random() < 0.3 else ""
            self.blocks.append(block)

    def some(self, share: float) -> int | None:
        """A number that no other place has, or none."""
        self.number += 1
        return self.number if self.random.random() < share else None

    def patterns(self) -> list[tuple[str, int]]:
        found = []
        for _ in range(self.random.randint(1, 2)):
            parts = self.random.choices(
                ["s0", "s1", "*", "0", "1", "s*", "*1", "tied"], k=self.random.randint(1, 3)
            )
            self.number += 1
            found.append((".".join([*parts, self.random.choice(["weight", "*", "bias"])]), self.number))
        return found

    def text(self, file: int) -> str:
        lines = ['"A net."']
        if file == 0 and any(b.file == 1 for b in self.blocks):
            lines.append("from lib import " + ", ".join(b.name for b in self.blocks if b.file == 1))
        lines += self.rules(self.files[file], self.file_names if file == 0 else [], "")
        for block in self.blocks:
            if block.file != file:
                continue
            last = block is self.blocks[-1]
            lines.append(f"{'model' if last else 'block'} {block.name}:")
            lines.append(f"    input x: [{'4' if last else 'C'}]")
            lines += self.rules(block.ops, block.names, "    ")
            if block.shared != "":
                lines.append(f"    shared tied = {self.layer(block.shared)}")
                lines.append("    x = x -> tied -> tied")
            for name, what, times in block.steps:
                layer = what.name if isinstance(what, Block) else self.layer(what)
                lines.append(f"    x = x -> {name}: {f'{times} * [{layer}]' if times > 1 else layer}")
            lines.append("    return x")
        return "\n".join(lines) + "\n"

    def layer(self, own: object) -> str:
        return "Linear(4)" if own is None else f"Linear(4, init=constant({own}))"

    def rules(self, ops: int | None, names: list[tuple[str, int]], margin: str) -> list[str]:
        rules = [f"Linear(init=constant({ops}))"] if ops is not None else []
        rules += [f'"{pattern}": {value}' for pattern, value in names]
        return [f"{margin}defaults:", *(f"{margin}    {rule}" for rule in rules)] if rules else []

    def expected(self) -> dict[str, int | None]:
        """The number that each weight starts as; none where nothing says so."""
        found: dict[str, int | None] = {}
        model = self.blocks[-1]
        self.walk(model, "", [("", self.file_names)], None, None, found)
        return found

    def walk(self, block: Block, path: str, named: list[tuple[str, list[tuple[str, int]]]], op: int | None,
             file: int | None, found: dict[str, int | None]) -> None:  # fmt: skip
        if block.file != file:
            op = self.files[block.file] if self.files[block.file] is not None else op
        op = block.ops if block.ops is not None else op
        named = [*named, (path, block.names)]
        steps = [*block.steps]
        if block.shared != "":
            steps.insert(0, ("tied", block.shared, 1))  # type: ignore[arg-type]
        for name, what, times in steps:
            for full in [f"{path}{name}.{i}." for i in range(times)] if times > 1 else [f"{path}{name}."]:
                if isinstance(what, Block):
                    self.walk(what, full, named, op, block.file, found)
                    continue
                for key, own in (("weight", what if what is not None else op), ("bias", None)):
                    found[full + key] = self.by_name(full + key, named, own)

    @staticmethod
    def by_name(key: str, named: list[tuple[str, list[tuple[str, int]]]], own: int | None) -> int | None:
        for prefix, rules in named:
            for pattern, value in reversed(rules):
                form = pattern.replace(".", r"\.").replace("*", ".*")
                if key.startswith(prefix) and re.fullmatch(form, key[len(prefix) :]):
                    return value
        return own


@pytest.mark.parametrize("seed", range(150))
def test_random_nets_start_as_a_walk_over_their_blocks_says(seed: int, tmp_path: Path) -> None:
    net = Net(seed)
    (tmp_path / "net.arch").write_text(net.text(0))
    (tmp_path / "lib.arch").write_text(net.text(1) + "\nblock Last:\n    input x\n    return x -> ReLU\n")
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        graph = archspec.read(tmp_path / "net.arch")
    expected = net.expected()
    found = starts(graph)
    assert found.keys() == expected.keys()
    for key, number in expected.items():
        assert found[key] == f"constant(value={number})" or (number is None and "uniform" in found[key]), key
    again = graph.with_nodes(graph.nodes)
    assert starts(again) == found
    assert starts(Graph.from_json(graph.to_json())) == found


def test_what_is_said_by_default_is_as_if_it_were_said_at_the_op() -> None:
    body = """
block Unit(out: int):
    input x: [C, H, W]
    return x -> conv: {conv} -> norm: BatchNorm({norm}) -> ReLU

model Net:
    input x: [3, 8, 8]
{rules}
    return x -> units: [Unit(8), Unit(8), Unit(8)] -> GlobalAvgPool -> Linear(2)
"""
    rules = """
    defaults:
        Conv(bias=false, kernel=3, init=kaiming_normal(mode="fan_out"))
        BatchNorm(eps=1e-3, momentum=0.01)
"""
    said = 'Conv(out, 3, bias=false, init=kaiming_normal(mode="fan_out"))'
    explicit = read(body.format(conv=said, norm="eps=1e-3, momentum=0.01", rules=""))
    default = read(body.format(conv="Conv(out)", norm="", rules=rules))
    assert [node.op for node in default.nodes] == [node.op for node in explicit.nodes]
    assert starts(default) == starts(explicit)


# ------------------------------------------------------------------ what is shared, and what is not

ROW = """
block Unit:
    input x: [C]
    return x -> fc: Linear(C)

model Net:
    input x: [4]
{rules}
    return x -> units: 50 * [Unit]
"""


def test_a_row_stays_one_step_under_defaults_that_mean_all_of_it() -> None:
    plain = read(ROW.replace("{rules}", ""))
    for rule in ("Linear(init=zeros)", '"*.fc.bias": ones', '"units.*.bias": ones'):
        graph = read(ROW.replace("{rules}", f"    defaults:\n        {rule}"))
        assert len(graph.functions) == len(plain.functions)
        assert [len(f.steps) for f in graph.functions] == [len(f.steps) for f in plain.functions]


def test_a_name_parts_one_call_of_a_row_from_the_others() -> None:
    graph = read(ROW.replace("{rules}", '    defaults:\n        "units.7.fc.bias": 3'))
    changed = [key for key, init in starts(graph).items() if init == "constant(value=3)"]
    assert changed == ["units.7.fc.bias"]


def test_an_operator_takes_no_defaults() -> None:
    graph = read("model Net:\n    input x: [4]\n    defaults:\n        Scale(offset=1)\n    return x * 2")
    assert str(graph.nodes[0].op) == "Scale(2)"


def test_a_shared_layer_starts_as_where_it_is_declared() -> None:
    text = """
block Use(layer: layer):
    input x: [C]
    defaults:
        Linear(init=ones)
    return x -> layer -> own: Linear(C)

model Net:
    input x: [4]
    defaults:
        Linear(init=zeros)
        "fc.bias": 5
    shared fc = Linear(4)
    return x -> fc -> use: Use(fc) -> fc
"""
    assert starts(read(text))["fc.weight"] == "zeros"
    assert starts(read(text))["fc.bias"] == "constant(value=5)"
    assert starts(read(text))["use.own.weight"] == "ones"


def test_own_weights_are_named_too_and_constants_are_not() -> None:
    text = """
block Own:
    input x: [C]
    weight gain: [C] = ones
    buffer shift: [C] = zeros
    constant c: [C] = 4
    return x * gain + shift + c

model Net:
    input x: [4]
    defaults:
        "own.*": trunc_normal(0.02)
    return x -> own: Own
"""
    found = starts(read(text))
    assert found["own.gain"] == found["own.shift"] == "trunc_normal(std=0.02)"
    assert found["own.c"] == "constant(value=4)"


def test_a_model_used_as_a_block_starts_as_by_itself(tmp_path: Path) -> None:
    (tmp_path / "lib.arch").write_text("""
from families.resnet import Bottleneck, ResNet

defaults:
    "*.bn3.weight": zeros
    "fc.bias": -2

model Net = ResNet(Bottleneck, [1, 1, 1, 1])
""")
    (tmp_path / "net.arch").write_text("""
from lib import Net

model Outer:
    input x: [3, 224, 224]
    return x -> body: Net
""")
    alone, inside = (starts(archspec.read(tmp_path / name)) for name in ("lib.arch", "net.arch"))
    assert {f"body.{key}": init for key, init in alone.items()} == inside
    assert alone["layer1.0.bn3.weight"] == "zeros" and alone["fc.bias"] == "constant(value=-2)"


def test_the_place_of_a_default_is_in_the_graph() -> None:
    text = 'model Net:\n    input x: [4]\n    defaults:\n        Linear(init=zeros)\n        "fc.bias": 1\n    return x -> fc: Linear(4)\n'
    (step,) = read(text).functions[-1].steps
    assert {name: place.line for name, place in step.defaults.items()} == {"init": 4, "bias_init": 5}  # type: ignore[union-attr]


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("Linear(7)", "`out` of Linear has no default"),
        ("Linear", "this gives no argument of Linear"),
        ("Linear(init=zeros)\n        Linear(init=ones)", "`init` of Linear is given twice"),
        ("3", "expected an op, not the number 3"),
        ("Unit(width=3)", "expected an op"),
        ('"fc bias": zeros', "names no weights"),
        ('"fc": Linear(init=zeros)', "weights start as an initialisation or a number"),
        ('"fc.bias": constant', "constant needs `value`"),
        ("fc: zeros", "expected the names of weights as a string"),
        ("Linear(bias=3)", "`bias` of Linear must be true or false"),
        ('"*.table": values([1, 2])', "takes 4 values, not 2"),
        ("Linear(init=identity(3))", "cannot be the identity in 3 groups"),
        ('"conv.gain": zeros', "no argument of WSConv says how its `gain` starts"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_told(rules: str, message: str) -> None:
    text = f"""
block Unit(width: int = 4):
    input x: [C]
    weight table: [C] = ones
    return x + table -> fc: Linear(width)

model Net:
    input x: [4]
    defaults:
        {rules}
    y = x -> Reshape([4, 1]) -> conv: WSConv(4, gain=true) -> Flatten
    return y -> unit: Unit
"""
    with pytest.raises(SpecError) as caught:
        archspec.read_text(text)
    assert message in str(caught.value)
    assert all(problem.span is not None for problem in caught.value.problems)


@pytest.mark.parametrize(
    "lines",
    ["    y = x -> Linear(4)\n    defaults:\n        Linear(bias=false)", "    shared fc = Linear(4)\n    defaults:\n        Linear(bias=false)",
     "    defaults:\n        Linear(bias=false)\n    defaults:\n        Conv(bias=false)"],
)  # fmt: skip
def test_defaults_stand_once_above_the_steps(lines: str) -> None:
    with pytest.raises(SpecError, match=r"states its defaults once|defaults stand above"):
        archspec.read_text(f"model Net:\n    input x: [4]\n{lines}\n    return x -> a: Linear(4)\n")


def test_a_file_states_its_defaults_once() -> None:
    rules = "defaults:\n    Linear(bias=false)\n"
    with pytest.raises(SpecError, match="a file states its defaults once"):
        archspec.read_text(rules + rules + "model Net:\n    input x: [4]\n    return x -> Linear(4)\n")


def test_functions_have_no_defaults() -> None:
    with pytest.raises(SpecError, match="`defaults` inside of a function"):
        archspec.read_text("def f(a):\n    defaults:\n        Linear(bias=false)\n    return a\n")


def test_many_rules_over_many_steps_end_with_the_budget() -> None:
    rules = "\n".join(f'        "{"*a" * 60}{i}": zeros' for i in range(1000))
    text = f"model Net:\n    input x: [4]\n    defaults:\n{rules}\n    return x -> 5000 * [Linear(4)]\n"
    with pytest.raises(SpecError, match="steps"):
        archspec.read_text(text)


# ------------------------------------------------------------------ what has no effect


def test_rules_without_effect_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("""
defaults:
    Linear(init=zeros, bias_init=ones)
    Conv(bias=false)
    "head.bais": 3

block Unit:
    input x: [C]
    defaults:
        Linear(bias=false)
        GELU(approximate="tanh")       # allow unused-default: by habit
    return x -> fc: Linear(C, init=ones)

block Idle:
    input x: [C]
    defaults:
        Conv(bias=false)
    return x -> ReLU

model Net:
    input x: [4]
    return x -> unit: Unit -> head: Linear(4, bias_init=zeros)
""")
    _, problems = check_file(str(path), 1_000_000)
    assert [(p.kind, p.span.text) for p in problems if p.span] == [
        ("unused-default", "bias_init=ones"),
        ("unused-default", "bias=false"),
        ("unused-default", '"head.bais": 3'),
    ]
