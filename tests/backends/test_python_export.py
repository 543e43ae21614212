"""Networks as Python files: plain PyTorch that has the same keys and computes the same."""

import gc
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import EXAMPLES
from nets import batch_of, each_kind_of_network, small
from python_files import exported, formatted, module_of, require_same, require_same_shapes
from random_programs import program
from torch import Tensor

import archspec
from archspec import SpecError, testing
from archspec.backends.python import Described, python_source

pytestmark = pytest.mark.filterwarnings("ignore::archspec.SpecWarning")

LARGE = 70_000_000  # parameters, from which on only keys and shapes are compared
RANDOM = ("Dropout", "DropPath", "Shake", "Noise", "RReLU")


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Networks go away before the next one is made: classes that are generated are in circles, and a worker goes through hundreds."""
    yield
    if request.node.get_closest_marker("slow"):
        gc.collect()


@each_kind_of_network
def test_it_has_the_keys_and_the_outputs_of_the_network(name: str) -> None:
    graph = small(name)
    require_same_shapes(graph)
    if graph.parameters < LARGE:
        ops = {type(node.op).__name__ for node in graph.nodes}
        require_same(graph, batch_of(graph, 2), train=ops.isdisjoint(RANDOM))


@pytest.mark.parametrize("name", ["swin_t", "detr_resnet50", "transformer_base", "halonet_h1", "t2t_vit_14"])
def test_networks_with_tables_of_numbers_are_made_on_any_device(name: str) -> None:
    require_same_shapes(small(name))


@each_kind_of_network
def test_it_is_laid_out_as_formatters_do(name: str) -> None:
    text = python_source(small(name))
    assert formatted(text) == text


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_every_op_computes_the_same(name: str, example: str) -> None:
    graph, _ = testing.graph_of(example)
    torch.manual_seed(0)
    require_same(graph, testing.batch_of(graph, "cpu"), double=False)


@pytest.mark.parametrize(
    "seed", [*range(25), *(pytest.param(n, marks=pytest.mark.slow) for n in range(25, 150))]
)
def test_any_program_computes_the_same(seed: int) -> None:
    try:
        graph = archspec.read_text(program(random.Random(seed), 3, 8).text)
    except SpecError:  # too large, which is for others to test
        pytest.skip("not a network")
    require_same(graph, batch_of(graph, 2))
    text = python_source(graph)
    assert formatted(text) == text


@pytest.mark.parametrize("name", ["resnet18", "vit_ti16"])
def test_it_runs_without_archspec(name: str, tmp_path: Path) -> None:
    path = archspec.export(name, tmp_path / "net.py", settings={"resolution": 32})
    script = [
        "import sys",
        "sys.modules['archspec'] = None  # an import of it fails",
        "import torch, net",
        f"made = net.{archspec.read(name).name}()",
        "print(tuple(made(torch.zeros(2, 3, 32, 32)).shape))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], cwd=path.parent, capture_output=True, text=True
    )
    assert done.stdout == "(2, 1000)\n", done.stderr


# ------------------------------------------------------------------ how it reads


def test_the_bottleneck_is_what_a_person_would_have_written() -> None:
    text = python_source(archspec.read("resnet50"))
    assert len(text.splitlines()) < 120
    assert (
        """
    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
"""
        in text
    )
    assert (
        """
    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))
"""
        in text
    )
    assert "nn.Sequential(Bottleneck(64, 64), *[Bottleneck(256, 64) for _ in range(2)])" in text


def test_what_the_docs_show_is_what_is_written() -> None:
    def plain(text: str) -> str:  # a graph has no docstrings of blocks
        return "\n".join(line for line in text.splitlines() if line.strip() and '"""' not in line)

    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
    shown = [block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "self." in block]
    for block, name in zip(shown, ["resnet50", "repvgg_a0"], strict=True):
        assert plain(block) in plain(python_source(archspec.read(name)))


def test_a_vision_transformer_is_short() -> None:
    text = python_source(archspec.read("vit_b16"))
    assert len(text.splitlines()) < 100
    assert "self.blocks = nn.Sequential(*[Encoder(768, 12, hidden=3072) for _ in range(12)])" in text


def test_blocks_have_the_docstrings_and_the_inputs_of_the_spec(tmp_path: Path) -> None:
    text = archspec.export("swin_t", tmp_path / "swin.py").read_text()
    assert '"""Windowed attention, shifted or not, then an MLP (Figure 3b, Equation 3)."""' in text
    assert "def forward(self, qkv: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:" in text
    assert "SwinBlock(96, 3, h=8, shifted=True)" in text and "class SwinBlock2" not in text
    assert "# (h p) (w q) c -> (h w) (p q) c" in text


def test_layers_of_a_list_that_take_more_than_one_tensor_are_a_loop() -> None:
    text = python_source(archspec.read("transformer_base"))
    assert (
        """
        for layer in self.core["decoder"]["layers"]:
            y = layer(y, x)
        return y @ self.embed.weight.transpose(0, 1)
"""
        in text
    )


# ------------------------------------------------------------------ first values


@pytest.mark.parametrize("name", ["resnet18", "vit_ti16", "lenet5"])
def test_weights_start_from_the_same_distributions(name: str) -> None:
    graph = small(name)
    torch.manual_seed(0)
    ours = exported(graph).state_dict()
    for key, weight in graph.weights.items():
        if not weight.saved or weight.size < 500:
            continue
        expected = weight.init.spread(weight.shape)
        values = ours[key].double()
        assert abs(values.mean().item() - expected.mean) <= 5 * expected.std / weight.size**0.5 + 1e-9, key
        if expected.std:
            assert values.std().item() == pytest.approx(expected.std, rel=6 / weight.size**0.5), key


def test_a_weight_that_alone_starts_otherwise_is_written_where_it_is_made() -> None:
    text = python_source(
        archspec.read_text(
            """
model Net:
    input x: [8]
    return x -> a: Linear(8, init=normal(0.3)) -> b: Linear(8) -> c: Linear(4, bias_init=constant(2))
"""
        )
    )
    assert "nn.init.normal_(self.a.weight, std=0.3)\n" in text
    assert "nn.init.constant_(self.c.bias, 2.0)\n" in text
    assert "self.b" not in text.partition("def forward")[0].partition("nn.init")[2]


def test_where_starts_differ_by_a_parameter_they_are_written_in_terms_of_it() -> None:
    graph = archspec.read_text(
        """
block Unit(kernel: int):
    input x: [C, H, W]
    return x -> conv: Conv(C, kernel, groups=C, init=kaiming_normal(mode="fan_out")) -> norm: BatchNorm

model Net:
    input x: [64, 8, 8]
    return x -> units: [Unit(3), Unit(5), Unit(7)]
"""
    )
    text = python_source(graph)
    assert "groups=in_channels" in text and "padding=kernel // 2" in text
    ours = exported(graph, text).state_dict()
    for key, weight in graph.weights.items():
        if key.endswith("conv.weight"):
            expected = weight.init.spread(weight.shape).std
            assert ours[key].double().std().item() == pytest.approx(expected, rel=6 / weight.size**0.5), key


# ------------------------------------------------------------------ parts of the language

NETS = {
    "shared": """
block Inner(fc):
    input x: [N, C]
    return x -> lin: Linear(8) -> fc

model Net:
    input x: i64[6]
    shared embed = Embedding(10, 8)
    shared fc = Linear(8)
    y = x -> embed -> Inner(fc) -> fc
    return y @ (embed.weight -> Permute([1, 0]))
""",
    "taps and names": """
block Body:
    input x: [C, H, W]
    return x -> one: Conv(4) -> two: [ReLU, Conv(8)] -> three: Conv(2)

model Net:
    input x: [3, 8, 8]
    body = x -> body: Body
    return logits=body, middle=body.two
""",
    "names that are no attributes": """
model Net:
    input x: [4, 8, 8]
    weight "rel.table" as table: [4, 1, 1] = normal(0.1)
    buffer "rel.scale" as scale: [4, 1, 1] = ones
    y = x -> "class": Conv(4) -> "branches.0": Conv(4) -> "branches.1": ReLU -> "branches.2": Conv(4)
    return y * table * scale -> "attn.q": Conv(4) -> 2 * [Conv(4), ReLU] -> "lambda.import.0": Conv(2)
""",
    "several inputs": """
model Net:
    input first: [4, 6]
    input second: [4, 6]
    input allowed: bool[4, 4]
    mixed = (first, second, second) -> Attention(mask=allowed)
    return mixed, (first > 0, second) -> Where(other=0)
""",
    "loops": """
block Layer:
    input x: [N, C]
    input y: [N, C]
    return x + (y -> Linear(C)) -> ReLU

model Net:
    input x: [4, 6]
    a = x -> first: Linear(6)
    b = a
    c = a
    for i in range(4):
        a = (a, c) -> "layers.{i}": Layer
        b = (b, b) -> "others.{i}": Layer
        c = (c, a) -> "mixed.{i}": Layer
    for i in range(3):
        b = (b, a) -> "more.{i}": Layer
    return a, b, c
""",
    "names that mean something in the file": """
block Unit(layer: int, torch: int, type: int):
    input self: [C, H, W]
    input float: [C, H, W]
    y = self -> layer: Conv(layer, torch) -> Rearrange("c (h p) w -> (c p) h w", p=type)
    return concat(y, y) -> isinstance: Conv(layer) -> type_: Conv(type)

model Net:
    input range: [4, 8, 8]
    nn = (range, range) -> nn: Unit(8, 3, 2) -> Conv(4)
    return (nn, nn) -> super: Unit(6, 1, 4)
""",
    "optional layers": """
block Unit(width: int, drop: float = 0.0, act: layer = ReLU):
    input x: [C, H, W]
    y = x -> conv: Conv(width) -> Dropout(drop) -> act
    return y + (x -> skip: (Conv(width) if C != width else []))

model Net:
    input x: [3, 8, 8]
    return x -> units: [Unit(8), Unit(8, drop=0.1), Unit(16, act=GELU), Unit(16, act=[])]
""",
}


@pytest.mark.parametrize("name", NETS)
def test_each_part_of_the_language_computes_the_same(name: str) -> None:
    graph = archspec.read_text(NETS[name])
    given = batch_of(graph, 2)
    given = [x > 0 if want.type.dtype == "bool" else x for x, want in zip(given, graph.inputs, strict=True)]
    require_same(graph, given)
    text = python_source(graph)
    assert formatted(text) == text


@pytest.mark.parametrize("sizes", [(32, 32), (64, 48)])
def test_free_sizes_stay_free(sizes: tuple[int, int]) -> None:
    graph = archspec.read("resnet18", free=True)
    require_same(graph, [torch.randn(2, 3, *sizes)])


def test_outputs_keep_their_names() -> None:
    graph = archspec.read_text(NETS["taps and names"])
    assert list(exported(graph)(torch.zeros(1, 3, 8, 8))) == ["logits", "middle"]


# ------------------------------------------------------------------ bad input


HOSTILE = ['"""', "\\", '\\"""', "'''\nimport os", "\x00\x1b[2J", "{x!r}", "é\u2028", '"', "a\\"]


@pytest.mark.parametrize("doc", HOSTILE)
def test_no_docstring_becomes_code(doc: str) -> None:
    graph = archspec.read_text(NETS["shared"]).model_copy(update={"doc": f"{doc}\n\nprint(1) {doc}"})
    blocks = {"Inner": Described(doc, ("x",)), "Net": Described(f"x {doc}", ("import", "x y", "self")[:1])}
    text = python_source(graph, blocks)
    assert "import os" not in [line.strip() for line in text.splitlines()]
    compile(text, "exported.py", "exec")
    require_same(graph, batch_of(graph, 2))


def test_names_of_blocks_and_inputs_are_no_others() -> None:
    graph = archspec.read_text(
        """
block nn(self: int):
    input torch: [C, H, W]
    return torch -> functional: Conv(self) -> super_: Conv(self)

block Tensor(out: int):
    input None_: [C, H, W]
    return None_ -> nn(out) -> nn(2 * out)

model OrderedDict:
    input self: [3, 8, 8]
    return self -> x: Tensor(4) -> range: Tensor(8)
"""
    )
    text = python_source(graph)
    module = module_of(text)
    (made,) = [
        value
        for name, value in vars(module).items()
        if name.startswith("OrderedDict") and isinstance(value, type)
    ]
    assert made().state_dict().keys() == archspec.load(graph).state_dict().keys()
    assert made()(torch.zeros(1, 3, 8, 8)).shape == (1, 16, 8, 8)


def twice(x: Tensor) -> Tensor:
    return x + x


def test_an_op_of_ones_own_is_refused_with_its_place(tmp_path: Path) -> None:
    class Doubling(archspec.Op):
        without_batch = True

        def infer(self, x: Any) -> Any:
            return x

        def flops(self, x: Any) -> int:
            return int(x.values)

        def lower(self, x: Any) -> Any:
            return twice

    try:
        graph = archspec.read_text("model Net:\n    input x: [3]\n    return x -> twice: Doubling\n")
        with pytest.raises(SpecError, match=r"E1208.*`twice` at spec.arch:3:24"):
            archspec.export(graph, tmp_path / "net.py")
    finally:
        archspec.Op.known.pop("Doubling")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "more", "said"),
    [
        ("net.txt", {}, "no suffix that says a format"),
        ("net.py", {"format": "pyhton"}, "there is no format `pyhton`"),
        ("net.py", {"model": "Net"}, "is a graph already"),
    ],
)
def test_wrong_usage_is_told(path: str, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    graph = archspec.read_text(NETS["shared"])
    with pytest.raises(SpecError, match=said):
        archspec.export(graph, tmp_path / path, **more)
