"""Specs made at random of any ops: what is tried and refused by archspec is left out, and the rest is a spec that builds.

Unlike `random_programs`, nothing here knows what a spec means; a test asks PyTorch what it makes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from examples import EXAMPLES

import archspec
from archspec import Graph, SpecError
from archspec.ground.size import Free
from archspec.ground.tensor import TensorType

MOST_NUMBERS = 1 << 16  # of a tensor
MOST_WEIGHTS = 1 << 20


def _layers() -> dict[int, list[str]]:
    """Ops with arguments, as their examples have them, by how many tensors they take."""
    found: dict[int, set[str]] = defaultdict(set)
    for _, example in EXAMPLES:
        parts = re.split(r" -> (?![^(\[]*[)\]])", example)
        if len(parts) == 3 and "free" not in example:
            found[len(re.findall(r"\w+\[", parts[0]))].add(parts[1])
    return {count: sorted(layers) for count, layers in found.items()}


LAYERS = _layers()
INPUTS = (
    "[3, 16, 16]", "[8, 8, 8]", "[4, 12, 8]", "[2, 8, 8, 8]", "[10, 16]", "[8, 8]", "[16, 12]", "[5, 1]", "[24]", "[8]", "[]",
    "i64[12]", "i64[3, 4]", "bool[8, 8]", "f16[4, 8]", "[free S, 8]", "[8, free H, free W]", "i64[free S]",
)  # fmt: skip
BINARY = ["+", "-", "*", "/", "@", "==", "<", ">="]
INDICES = ["[0]", "[-1]", "[1:]", "[:, 1:]", "[::2]", "[:-1]", "[..., 0]", "[:, ::-1]", "[2:6]", "[:1]"]


class Spec:
    """A spec that grows: each statement stays if archspec takes it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.blocks: list[str] = []
        self.lines: list[str] = []
        self.names: list[str] = []
        self.count = 0
        self.tried = 0
        for _ in range(random.randint(1, 3)):
            name = self.fresh("x")
            self.names.append(name)
            self.lines.append(f"input {name}: {random.choice(INPUTS)}")
        self.graph = archspec.read_text(self.text())
        for _ in range(random.randint(4, 10)):
            self.grow()

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def text(self) -> str:
        """The whole spec; every value is one of its outputs."""
        body = "".join(f"    {line}\n" for line in [*self.lines, f"return {', '.join(self.names)}"])
        return "\n".join([*self.blocks, f"model M:\n{body}"])

    def grow(self) -> None:
        """Add a statement that archspec takes, if one is found soon."""
        for _ in range(12):
            self.tried += 1
            blocks, lines, names = self.blocks[:], self.lines[:], self.names[:]
            self.statement()
            try:
                graph = archspec.read_text(self.text(), budget=300)
            except SpecError:
                graph = None
            if graph is not None and _is_small(graph):
                self.graph = graph
                return
            self.blocks, self.lines, self.names = blocks, lines, names

    def value(self) -> str:
        return self.random.choice(self.names[-4:] if self.random.random() < 0.7 else self.names)

    def layer(self, depth: int = 1) -> str:
        """A layer from one tensor to one or more."""
        draw = self.random
        match draw.randrange(8) if depth else 0:
            case 1:
                return f"[{', '.join(self.layer(depth - 1) for _ in range(draw.randint(1, 3)))}]"
            case 2:
                return f"{draw.randint(2, 3)} * [{self.layer(depth - 1)}]"
            case 3:
                return f"[{self.layer(depth - 1)} for _ in range({draw.randint(1, 3)})]"
            case 4 if self.blocks:
                name, takes = re.findall(r"^block (\w+)(\(width)?", draw.choice(self.blocks))[0]
                return f"{name}({draw.choice([4, 8])})" if takes else name
            case _:
                return draw.choice(LAYERS[1])

    def statement(self) -> None:
        draw = self.random
        name, value = self.fresh("y"), self.value()
        match draw.randrange(10):
            case 0 | 1 | 2 | 3:
                self.lines.append(f"{name} = {value} -> {self.layer()}")
            case 4:
                self.lines.append(
                    f"{name} = {value} {draw.choice(BINARY)} {draw.choice([self.value(), '2', '0.5'])}"
                )
            case 5:
                self.lines.append(f"{name} = {value}{draw.choice(INDICES)}")
            case 6:
                count = draw.choice([count for count in LAYERS if count > 1])
                taken = [self.value() if draw.random() < 0.5 else value for _ in range(count)]
                self.lines.append(f"{name} = ({', '.join(taken)}) -> {draw.choice(LAYERS[count])}")
            case 7:
                other = self.fresh("y")
                self.lines.append(f"({name}, {other}) = {value} -> {self.layer(0)}")
                self.names.append(other)
            case 8:
                self.lines += [f"shared {name}l = {self.layer()}", f"{name} = {value} -> {name}l -> {name}l"]
            case _:
                self.lines.append(f"{name} = {value} -> {self.block()}")
        self.names.append(name)

    def block(self) -> str:
        """The name of a new block of one input, whose sizes it does not know."""
        draw = self.random
        layers = " -> ".join(self.layer(0) for _ in range(draw.randint(1, 3)))
        takes, width = draw.choice([("", ""), ("(width: int = 8)", " -> Linear(width)")])
        residual = draw.choice(["y", "y", "x + y", "concat(x, y)"])
        name = self.fresh("B")
        self.blocks.append(
            f"block {name}{takes}:\n    input x: [*S]\n    y = x -> {layers}{width}\n    return {residual}\n"
        )
        return name


def _is_small(graph: Graph) -> bool:
    weights = sum(weight.size for weight in graph.weights.values())
    return weights <= MOST_WEIGHTS and all(
        _numbers(type_) <= MOST_NUMBERS for node in graph.nodes for type_ in node.types
    )


def _numbers(type_: TensorType) -> int:
    found = 1
    for size in sized(type_, 16).shape:
        assert isinstance(size, int)
        found *= size
    return found


def sized(type_: TensorType, free: int, names: Iterable[str] = "SHW", batch: int = 2) -> TensorType:
    """The type with a number for its free sizes, and for the batch where that is an axis."""
    values = {**dict.fromkeys(names, free), "batch": batch}
    return type_.with_shape([s.substitute(values) if isinstance(s, Free) else s for s in type_.shape])
