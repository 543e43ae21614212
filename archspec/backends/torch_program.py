"""Programs: what a block or a network runs, line by line, before torch.fx writes it as code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from keyword import iskeyword
from operator import getitem
from typing import Any

from torch import nn
from torch.fx import Graph as FxGraph
from torch.fx import Node as FxNode

from archspec.backends.torch_modules import target
from archspec.graph import Node, Ref
from archspec.ground.source import Location


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a program. Values are numbered in the order in which they come to be."""

    kind: str  # "call_module", "call_function" or "get_attr"
    target: Any
    arguments: tuple[int, ...]
    location: Location
    name: str
    within: str
    options: tuple[tuple[str, int], ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    as_one: bool = False  # whether it takes its arguments as one tuple


@dataclass(slots=True)
class Program:
    """A module being written: what it takes, its instructions, and where its submodules go."""

    base: str  # name of the module, with a dot behind it; empty for the network
    module: nn.Module
    numbers: dict[Ref, int] = field(default_factory=dict)
    placeholders: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    sources: dict[int, Node] = field(default_factory=dict)  # of the values that one node makes
    exact: set[int] = field(default_factory=set)  # the numbers of what is not rounded to the weights' dtype
    count: int = 0
    is_shared: bool = False  # whether it is called more than once, so that nothing in it may be written over
    is_chain: bool = (
        False  # whether each step takes just what the one before it gives, and so must be a module
    )

    def take(self, ref: Ref, name: str = "") -> None:
        """Make a value from outside a parameter of the module, named `x`, `x1` ... unless given a name.

        Names of producers would tell apart blocks that run the same program.
        """
        self.numbers[ref] = self.count
        self.placeholders.append(name or f"x{self.count or ''}")
        self.count += 1

    def convert(self, instruction: Instruction) -> int:
        """Append an instruction whose one result stands for no value of the spec; the number of that."""
        self.instructions.append(instruction)
        self.count += 1
        return self.count - 1

    def add(self, instruction: Instruction, gives: Iterable[Ref]) -> None:
        """Append an instruction; several values that it gives are taken out of its tuple one by one."""
        self.instructions.append(instruction)
        result, self.count = self.count, self.count + 1
        refs = list(gives)
        if len(refs) == 1:
            self.numbers[refs[0]] = result
            return
        for index, ref in enumerate(refs):
            i = instruction
            part = (("index", index),)
            self.instructions.append(
                Instruction(
                    "call_function",
                    getitem,
                    (result,),
                    i.location,
                    f"{i.name}_{index}",
                    i.within,
                    settings=part,
                )
            )
            self.numbers[ref] = self.count
            self.count += 1


def fx_graph(program: Program, module: nn.Module) -> FxGraph:
    """A program as an fx graph without its output; the fx nodes stand in the order of the values.

    `module` is what it will run in.
    """
    fx = FxGraph()
    values: list[FxNode] = [_placeholder(fx, name) for name in program.placeholders]
    for i in program.instructions:
        arguments: tuple[Any, ...] = tuple(values[number] for number in i.arguments)
        settings = dict(i.settings)
        if i.target is getitem:
            arguments, settings = (*arguments, settings.pop("index")), {}
        if i.as_one:
            arguments = (arguments,)
        keywords = {**{name: values[number] for name, number in i.options}, **settings}
        called = target(module, i.target) if isinstance(i.target, str) else i.target
        node = fx.create_node(i.kind, called, arguments, keywords, name=_variable(i.name))
        node.meta["location"] = i.location
        node.stack_trace = (
            f'File "{i.location.file}", line {i.location.line}, in {i.within or "the model"}\n    {i.name}\n'
        )
        values.append(node)
    return fx


def _placeholder(fx: FxGraph, name: str) -> FxNode:
    """A parameter of `forward`. One with a name that Python or generated code needs, as `class`, gets another: `class_`."""
    wanted = f"{name}_" if _is_needed(name) else _variable(name)
    node = fx.create_node("placeholder", wanted, name=wanted)
    node.target = node.name
    return node


@cache
def _is_needed(name: str) -> bool:
    return FxGraph().create_node("placeholder", name, name=name).name != name


def _variable(name: str) -> str:
    """A name for a variable of generated code, in which `self` is the module."""
    return f"{name}_" if iskeyword(name) or name == "self" else name
