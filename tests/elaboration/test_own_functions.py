"""Functions that specs define, statements at the top of a file, `+=`, and lines that go on: held to Python, which reads the same text."""

import math
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.graph import Graph

KEEP = """
block Keep(kept):
    input x: [*S]
    return x -> ReLU

model Net:
    input x: [3, 8, 8]
    return x -> Keep({kept})
"""


def kept(text: str, expression: str) -> object:
    """The value of an expression in a file with that text."""
    graph = archspec.read_text(text + KEEP.replace("{kept}", expression))
    return graph.scopes[-1].arguments["kept"]


def test_items_of_a_row_are_returned() -> None:
    """A `return` of a row gives a tuple, however long it is."""
    text = "def row(items):\n    return (*items,)\n\ndef more(items):\n    return (0, *items)\n"
    expression = "[row([1, 2]) == (1, 2), row([1]) == (1,), row([]) == (), more([1, 2]) == (0, 1, 2)]"
    assert kept(text, expression) == [True] * 4


class Lines:
    """Random lines that are a function's body in Python and here alike."""

    def __init__(self, random: Random, functions: list[str]) -> None:
        self.random = random
        self.names = ["a", "b"]
        self.functions = functions
        self.lines: list[str] = []

    def expression(self, depth: int = 2) -> str:
        draw = self.random
        if depth == 0 or draw.random() < 0.3:
            return draw.choice([*self.names, str(draw.randint(0, 9))])
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        form = draw.choice(
            ["{} + {}", "{} - {}", "{} * {}", "{} // ({} * 0 + 3)", "max({}, {})", "{} if {} > 4 else 2"]
        )
        if self.functions and draw.random() < 0.4:
            form = draw.choice(self.functions) + "({}, b={})"
        return f"({form.format(left, right)})"

    def block(self, indent: str, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            kind = self.random.choice(["bind", "add", "if", "for", "return"] if depth else ["bind", "add"])
            if kind == "bind":
                self.lines.append(
                    f"{indent}v{len(self.names)} = {self.expression()} % 1009"
                )  # far from the longest number
                if indent == "    ":
                    self.names.append(f"v{len(self.names)}")
            elif kind == "add":
                name, sign = self.random.choice(self.names), self.random.choice(["+=", "-=", "*="])
                self.lines.append(f"{indent}{name} {sign} {self.expression()}")
                self.lines.append(f"{indent}{name} %= 1009")
            elif kind == "return":
                self.lines.append(f"{indent}if {self.expression()} > 40:")
                self.lines.append(f"{indent}    return {self.expression()} % 1009")
            else:
                test = f"if {self.expression()} > 7" if kind == "if" else f"for i{depth} in range(3)"
                self.lines.append(f"{indent}{test}:")
                if kind == "for":
                    self.lines.append(f"{indent}    a += i{depth}")
                self.block(indent + "    ", depth - 1)
                if kind == "if":
                    self.lines.append(f"{indent}else:")
                    self.block(indent + "    ", depth - 1)

    def function(self, name: str) -> str:
        self.block("    ", 2)
        return (
            "\n".join([f"def {name}(a, b=3):", *self.lines, f"    return {self.expression()} % 1009"])
            + "\n\n"
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0))
def test_random_functions_give_what_python_gives(seed: int) -> None:
    random = Random(seed)
    text, functions = "", []
    for name in ("f", "g", "h"):
        text += Lines(random, functions[-1:]).function(name)
        functions.append(name)
    python: dict[str, object] = {}
    exec(text, python)
    call = f"[f({random.randint(0, 20)}), g(5, {random.randint(0, 20)}), h(b=2, a={random.randint(0, 20)})]"
    assert kept(text, call) == eval(call, python)


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0))
def test_a_line_that_starts_with_an_operator_goes_on_from_the_one_above(seed: int) -> None:
    random = Random(seed)
    signs = [
        random.choice(
            ["+", "-", "*", "//", "%", "/", "<", "!=", "==", ">=", "and", "or"][: random.choice([6, 12])]
        )
        for _ in range(6)
    ]
    terms = [str(random.randint(1, 9)) for _ in signs]
    if any(sign in ("and", "or") for sign in signs):  # of comparisons only
        signs = [random.choice(["and", "or"]) for _ in signs]
        terms = [f"{term} > {random.randint(1, 9)}" for term in terms]
    else:
        first = next((i for i, sign in enumerate(signs) if sign in ("<", "!=", "==", ">=")), None)
        signs = [
            sign if i == first or sign not in ("<", "!=", "==", ">=") else "+" for i, sign in enumerate(signs)
        ]
    line = "".join(f" {sign} {term}" for sign, term in zip(signs, terms, strict=True))
    lines = "".join(
        random.choice(["\n    ", "\n", "  # why\n\n  # more\n  ", " "]) + f"{sign} {term}"
        for sign, term in zip(signs, terms, strict=True)
    )
    assert kept(f"v = 8 > 1{lines}\n" if "and" in line or "or" in line else f"v = 8{lines}\n", "v") == (
        eval(f"8 > 1{line}" if "and" in line or "or" in line else f"8{line}")
    )


def test_make_divisible_as_torchvision_has_it() -> None:
    text = """
def make_divisible(v: float, divisor: int = 8, least = none):
    "The nearest multiple, not 10% below."
    if least == none:
        least = divisor
    new = max(least, int(v + divisor / 2) // divisor * divisor)
    if new < 0.9 * v:
        new += divisor
    return new
"""
    assert kept(text, "[make_divisible(v) for v in [3, 12, 20, 50.4, 91]]") == [8, 16, 24, 48, 88]
    assert kept(text, "[make_divisible(3, least=1), make_divisible(30, divisor=32)]") == [9, 32]


def test_several_values_are_a_tuple() -> None:
    assert kept("def both(n):\n    return n, -n\n\na, b = both(3)\n", "[a, b, both(1)[1]]") == [3, -3, -1]


def test_a_function_may_give_layers(tmp_path: Path) -> None:
    text = "def stage(width, depth):\n    return [Conv(width, 3)] + depth * [[ReLU, Conv(width)]]\n"
    graph = archspec.read_text(
        text + "model Net:\n    input x: [3, 8, 8]\n    return x -> stem: stage(4, 2)\n"
    )
    assert [node.name for node in graph.nodes] == ["stem.0", "stem.1.0", "stem.1.1", "stem.2.0", "stem.2.1"]


def test_functions_are_imported_and_see_the_names_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "rounding.arch").write_text("unit = 4\n\ndef up(n):\n    return -(-n // unit) * unit\n")
    main = "from rounding import up as ceiling\n\nunit = 100\n" + KEEP.replace("{kept}", "ceiling(9)")
    (tmp_path / "main.arch").write_text(main)
    assert archspec.read(tmp_path / "main.arch").scopes[-1].arguments["kept"] == 12


def test_a_function_is_a_value() -> None:
    text = "def twice(f, n):\n    return f(f(n))\n\ndef square(n):\n    return n * n\n"
    assert kept(text, "[twice(square, 3), twice(abs, -2)]") == [81, 2]


def test_sizes_of_inputs_stay_open_through_a_function() -> None:
    text = "def half(n):\n    return n // 2\n\nmodel Net(size: int = 8):\n    input x: [3, size, size]\n"
    graph: Graph = archspec.read_text(text + "    return x -> Upsample(size=[half(x.height), 2])\n")
    assert [use.axis for use in graph.inputs[0].uses or ()] == [1]
    graph = archspec.read_text(text + "    h = half(x.height)\n    return x -> ReLU\n")
    assert graph.inputs[0].uses == ()


def test_statements_at_the_top_of_a_file_build_tables() -> None:
    text = """
rows = []
for width in [8, 16]:
    for i in range(2):
        if i == 0:
            rows += [(width, 2)]
        else:
            rows += [(width, 1)]
require len(rows) == 4
"""
    assert kept(text, "rows") == [[8, 2], [8, 1], [16, 2], [16, 1]]


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "//", "%", "**"])
def test_every_operator_binds_anew(sign: str) -> None:
    assert kept(f"v = 7\nv {sign}= 2\n", "v") == eval(f"7 {sign} 2")


def test_a_residual_is_added_to_its_input() -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [3, 8, 8]\n    x += x -> conv: Conv(3) -> ReLU\n    return x\n"
    )
    assert [(node.name, [str(i) for i in node.inputs]) for node in graph.nodes] == [
        ("conv", ["x"]),
        ("relu", ["conv"]),
        ("add", ["x", "relu"]),
    ]


def test_matrices_are_multiplied_in_place() -> None:
    graph = archspec.read_text("model Net:\n    input x: [4, 4]\n    x @= x\n    return x\n")
    assert [str(node.op) for node in graph.nodes] == ["MatMul"]


def test_pi_is_known_unless_a_spec_binds_it() -> None:
    assert kept("", "2 * pi") == 2 * math.pi
    assert kept("pi = 3\n", "pi") == 3


def test_a_tensor_by_position_goes_to_a_parameter_without_a_type() -> None:
    block = "block Shifted(by, scale=none):\n    input x: [*S]\n    return x + by\n"
    graph = archspec.read_text(
        block + "model Net:\n    input x: [3]\n    input y: [3]\n    return x -> Shifted(y)\n"
    )
    named = archspec.read_text(
        block + "model Net:\n    input x: [3]\n    input y: [3]\n    return x -> Shifted(by=y)\n"
    )
    assert [n.inputs for n in graph.nodes] == [n.inputs for n in named.nodes]
    assert [str(i) for i in graph.nodes[0].inputs] == ["x", "y"]
