"""Edits keep names: whatever is inserted, removed or replaced, every other key stays, and the net is the one made by hand."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from warnings import catch_warnings, simplefilter

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nets import FEW, shipped
from torch import nn

import archspec
from archspec.graph import Graph
from archspec.ground.errors import SpecError

ADD = "add"  # the step that adds its input to what a block gives
LAYERS = ("ReLU", "Tanh", "Linear(4)", "Linear(4, bias=false)")


def read(text: str) -> Graph:
    with catch_warnings():
        simplefilter("ignore", archspec.SpecWarning)
        return archspec.read_text(text)


# ------------------------------------------------------------------ nets as trees, and rules


@dataclass
class Rule:
    """What is done to the steps of a path; a new step has a name, or is numbered."""

    path: str
    place: str
    layer: Layer
    name: str = ""

    def __str__(self) -> str:
        new = f"{self.name}: {written(self.layer)}" if self.name else written(self.layer)
        match self.place:
            case "instead":
                return f'"{self.path}" = {written(self.layer)}'
            case "behind":
                return f'"{self.path}" -> {new}'
        return f'{new} -> "{self.path}"'

    def fits(self, path: str) -> bool:
        return re.fullmatch(re.escape(self.path).replace(r"\*", ".*"), path) is not None


@dataclass
class Block:
    """A definition: its steps with the names that they are given, if any, and the rules that it states."""

    name: str
    steps: list[tuple[str, Layer]]
    adds: bool
    rules: list[Rule] = field(default_factory=list)


Layer = str | Block | list["Layer"]
"""An op as it is written, a block, or a list of layers."""


def written(layer: Layer) -> str:
    if isinstance(layer, list):
        return f"[{', '.join(map(written, layer))}]"
    return layer.name if isinstance(layer, Block) else layer


class Net:
    """Random blocks within blocks and lists, with rules at any of them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.blocks: list[Block] = []
        for i in range(self.random.randint(1, 4)):
            steps = [(self.name(j), self.layer()) for j in range(self.random.randint(1, 4))]
            if not any(isinstance(layer, list) for name, layer in steps if not name):
                self.blocks.append(Block(f"B{i}", steps, self.random.random() < 0.4))
        steps = [("abcd"[j], self.layer()) for j in range(self.random.randint(1, 4))]
        self.model = Block("Net", [*steps, ("end", "Linear(4)")], False)
        self.file: list[Rule] = []
        self.fresh = 0
        self.model.rules = self.rules(self.model)
        if self.random.random() < 0.3:
            self.file = self.rules(self.model)
        every = self.blocks
        for i, block in enumerate(every):
            if self.random.random() < 0.3:
                self.blocks = every[:i]  # or else it would be within itself
                block.rules = self.rules(block)
        self.blocks = every

    def name(self, place: int) -> str:
        return "abcd"[place] if self.random.random() < 0.5 else ""

    def layer(self) -> Layer:
        chance = self.random.random()
        if chance < 0.5 or not self.blocks:
            return self.random.choice(LAYERS)
        if chance < 0.75:
            return self.random.choice(self.blocks)
        if chance < 0.9:
            return self.random.randint(1, 4) * [self.random.choice(self.blocks)]
        return [self.random.choice((*LAYERS, *self.blocks)) for _ in range(self.random.randint(1, 3))]

    def rules(self, block: Block) -> list[Rule]:
        paths = [path for path, _ in Edited(block, [], plain=True).flat()]
        return (
            [self.rule(self.random.choice(paths)) for _ in range(self.random.randint(1, 2))] if paths else []
        )

    def rule(self, path: str) -> Rule:
        parts = path.split(".")
        parts = parts[: self.random.randint(1, len(parts))]
        for i in range(len(parts)):
            if self.random.random() < 0.25:
                parts[i] = self.random.choice(["*", parts[i][0] + "*", "*" + parts[i][-1]])
        path = ".".join(parts)
        place = self.random.choice(["instead", "instead", "behind", "before"])
        if place == "instead":
            return Rule(path, place, [] if self.random.random() < 0.4 else self.layer())
        self.fresh += 1
        named = "*" not in path and self.random.random() < 0.7
        return Rule(
            path,
            place,
            self.random.choice([*LAYERS[2:], *self.blocks]) if named else "Sigmoid",
            f"n{self.fresh}" * named,
        )

    def text(self, *, rules: bool) -> str:
        def body(block: Block) -> str:
            chain = " -> ".join(
                [
                    "x",
                    *(f"{name}: {written(layer)}" if name else written(layer) for name, layer in block.steps),
                ]
            )
            stated = "".join(f"        {rule}\n" for rule in block.rules if rules)
            stated = stated and f"    defaults:\n{stated}"
            return (
                f"{stated}    input x: [4]\n    y = {chain}\n    return {'x + y' if block.adds else 'y'}\n\n"
            )

        top = "".join(f"    {rule}\n" for rule in self.file if rules)
        blocks = "".join(f"block {block.name}:\n{body(block)}" for block in self.blocks)
        return blocks + (top and f"defaults:\n{top}\n") + f"model Net:\n{body(self.model)}"


# ------------------------------------------------------------------ what the rules mean, by a walk over the tree


class Unclear(Exception):  # noqa: N818
    """Rules that put something in front of a sum, or in its place, which need not fit."""


Level = tuple[str, list[Rule]]
"""The path from the block that states rules, with a dot, and the rules."""


class Edited(nn.Module):
    """A block or a list as its rules and those around it would have it, as a module whose children are its steps."""

    def __init__(self, layer: Block | list[Layer], levels: list[Level], *, plain: bool = False) -> None:
        super().__init__()
        self.steps: list[tuple[str, nn.Module | None]] = []
        self.ops: dict[str, str] = {}
        self.replaced: list[str] = []
        self.met: list[Rule] = []
        self.plain = plain
        self.counts: Counter[str] = Counter()
        if isinstance(layer, Block):
            levels = levels if plain else [*levels, ("", layer.rules)]
            for name, step in layer.steps:
                self.put(name, step, levels, "bare")
            if layer.adds:
                self.put(ADD, ADD, levels, "bare")
        else:
            for number, step in enumerate(layer):
                self.put(str(number), step, levels, "bare")

    def put(self, name: str, layer: Layer, levels: list[Level], sort: str) -> None:
        if not name:
            op = re.sub(r"\(.*", "", written(layer)).lower()
            count = self.counts[op]
            self.counts[op] += 1
            name = f"{op}_{count}" if count else op
        fitting = [
            (depth, rule)
            for depth, (path, rules) in enumerate(levels)
            for rule in rules
            if rule.fits(path + name)
        ]
        if layer == ADD and any(rule.place != "behind" for _, rule in fitting):
            raise Unclear
        for depth, rule in fitting:
            if rule.place == "before":
                self.insert(rule, levels[:depth])
        instead = [(depth, rule) for depth, rule in fitting if rule.place == "instead"]
        inside = levels
        if instead:
            outermost = instead[0][0]
            layer = [rule for depth, rule in instead if depth == outermost][-1].layer
            self.replaced.append(name)
            inside = levels[:outermost]
        if layer != [] or not instead:
            self.make(name, layer, [(f"{path}{name}.", rules) for path, rules in inside])
        behind = [(depth, rule) for depth, rule in fitting if rule.place == "behind"]
        for depth, rule in sorted(behind, key=lambda found: -found[0]):
            self.insert(rule, levels[:depth])
        self.met += [rule for _, rule in fitting]

    def insert(self, rule: Rule, levels: list[Level]) -> None:
        self.put(rule.name, rule.layer, levels, "new")

    def make(self, name: str, layer: Layer, levels: list[Level]) -> None:
        module: nn.Module | None
        match layer:
            case Block() | list():
                module = Edited(layer, levels, plain=self.plain)
                self.replaced += [f"{name}.{path}" for path in module.replaced]
                self.met += module.met
            case "ReLU":
                module = nn.ReLU()
            case "Tanh":
                module = nn.Tanh()
            case "Sigmoid":
                module = nn.Sigmoid()
            case _ if layer == ADD:
                module = None
            case _:
                module = nn.Linear(4, 4, bias="false" not in layer)
        self.steps.append((name, module))
        self.ops[name] = "Add" if module is None else str(layer)
        if module is not None:
            self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for _, module in self.steps:
            y = x + y if module is None else module(y)
        return y

    def flat(self) -> list[tuple[str, str]]:
        """The steps that are no blocks, and what they are."""
        found = []
        for name, module in self.steps:
            if isinstance(module, Edited):
                found += [(f"{name}.{path}", op) for path, op in module.flat()]
            else:
                found.append((name, self.ops[name]))
        return found

    def text(self, made: list[str]) -> str:
        """The name of a block that says the same step by step, each with its name; adds its text to those made."""
        lines = []
        for name, module in self.steps:
            if module is None:
                lines.append("    y = x + y\n")
            else:
                layer = module.text(made) if isinstance(module, Edited) else self.ops[name]
                lines.append(f'    y = y -> "{name}": {layer}\n')
        made.append(f"    input x: [4]\n    y = x\n{''.join(lines)}    return y\n\n")
        return f"Made{len(made) - 1}"


# ------------------------------------------------------------------ the two compared


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0))
@example(3441)  # all of a list in a list is removed
def test_random_edits_make_the_net_made_by_hand_and_rename_nothing(seed: int) -> None:
    net = Net(seed)
    text = net.text(rules=True)
    try:
        theirs = Edited(net.model, [("", net.file)])
    except Unclear:
        return
    try:
        graph = read(text)
    except SpecError as error:
        told = {problem.code for problem in error.problems}
        assert told == {"E0212"}, text
        # A path may well meet no step: in a block that nothing applies any more, or where all else is replaced.
        every = [*net.file, *net.model.rules, *(rule for block in net.blocks for rule in block.rules)]
        assert any(theirs.met.count(rule) == 0 for rule in every) or theirs.replaced, text
        return
    assert [(node.name, str(node.op)) for node in graph.nodes] == theirs.flat(), text

    # As PyTorch computes it.
    ours = archspec.load(graph)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 4)
    torch.testing.assert_close(ours(x), theirs(x))

    # Every key is there that is not of a step that was replaced.
    before, after = read(net.text(rules=False)).weights, graph.weights
    for key, weight in before.items():
        if not any(key.startswith(f"{path}.") for path in theirs.replaced):
            assert after[key].shape == weight.shape, (key, text)

    # As if the text had been edited.
    made: list[str] = []
    theirs.text(made)
    blocks = "".join(f"block Made{i}:\n{body}" for i, body in enumerate(made[:-1]))
    edited = read(f"{blocks}model Net:\n{made[-1]}")
    assert [(node.name, node.op) for node in edited.nodes] == [(node.name, node.op) for node in graph.nodes]


@pytest.mark.parametrize("name", FEW)
def test_edits_of_families_leave_all_other_keys(name: str) -> None:
    before, random = shipped(name), Random(0)
    keys = {key: weight.shape for key, weight in before.weights.items()}
    # Layers that give what they take in shape, so that each can go.
    like = [node for node in before.nodes if before.input_types(node) == node.types and not node.options]
    for node in random.sample(like, min(6, len(like))):
        path = node.name
        left = {key: shape for key, shape in keys.items() if not key.startswith(f"{path}.")}
        for rule, other, more in (
            (f'"{path}" -> inserted: Dropout(0.1)', keys, 1),
            (f'inserted: Dropout(0.1) -> "{path}"', keys, 1),
            (f'"{path}" = Tanh', left, 0),
            (f'"{path}" = []', left, -1),
        ):
            model = f"model Mine = {before.name}\n"
            after = read(f"from {name} import {before.name}\n\ndefaults:\n    {rule}\n\n{model}")
            assert {key: weight.shape for key, weight in after.weights.items()} == other
            names = [step.name for step in after.nodes if step.name.rpartition(".")[2] != "inserted"]
            assert names == [step.name for step in before.nodes if more >= 0 or step.name != path]
            assert len(after.nodes) == len(before.nodes) + more
