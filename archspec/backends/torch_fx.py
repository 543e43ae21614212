"""Lowering to torch.fx: a GraphModule whose submodules are named as the steps of the spec are.

Each call of a block becomes a module. The program of a function is written once, and copied for its other calls; functions
that are alike but for their widths share one generated class, so that `torch.compile` meets one piece of code where the spec
has one block.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import getitem
from typing import Any, NamedTuple

import torch
from torch import nn

from archspec.backends.torch_inputs import check_inputs
from archspec.backends.torch_interfaces import Interface, bound, interfaces
from archspec.backends.torch_leaves import clone
from archspec.backends.torch_modules import (
    Block,
    Chain,
    ChainOfSeveral,
    Network,
    Recipe,
    Writer,
    target,
)
from archspec.backends.torch_precision import Exact, Rounded
from archspec.backends.torch_program import Instruction, Program, fx_graph
from archspec.backends.torch_steps import Steps, is_alone, within_missing_layer
from archspec.backends.torch_weights import constant_values
from archspec.graph import Graph, Node, Output, Ref
from archspec.ground.collection import uncollected
from archspec.ground.names import first_use
from archspec.ops.weights import Own, Tied

DEEPEST = 30  # modules within modules; what is deeper is inlined, since fx recurses over them

LIST = "Sequential"  # the class of a list of layers


class Situation(NamedTuple):
    """What a function's program depends on beside the function: how one of its calls stands in the network.

    Values that come in may be one and the same, and exact; of the outputs that it reads itself, which no other step reads may
    be written over, unless the block is shared; and blocks in it are modules only so deep.
    """

    takes: tuple[int, ...]
    exact: tuple[bool, ...]
    held: tuple[bool, ...]
    read_once: tuple[bool, ...]
    is_shared: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Written:
    """A function's program, written for a call: the call's name, its module, and what is registered under that name.

    `weights` are the full names of its weights, `conversions` those of its modules that change dtypes.
    """

    name: str
    module: nn.Module
    weights: tuple[str, ...]
    conversions: tuple[str, ...]


@uncollected()
@torch.inference_mode(False)  # weights made within it could never be trained
def lower(
    graph: Graph,
    tensors: Callable[[Graph], Mapping[str, torch.Tensor]],
    *,
    flat: bool = False,
    checked: bool = True,
) -> Network:
    """The network as a GraphModule, in training mode, with the weights that `tensors` gives by name.

    With `flat`, one fx graph holds every op; otherwise each block is a module of its own. Unless it is `checked`, it takes its
    inputs as they are. Raises SpecError when the graph is not valid: its names become a part of code.
    """
    return _Lowering(graph.validated(), flat, checked).network(tensors)


class _Lowering(Steps):
    def __init__(self, graph: Graph, flat: bool, checked: bool) -> None:
        super().__init__(graph, flat)
        self.flat = flat
        self.checked = checked
        self.recipe = Recipe(graph, {"flat": flat, "checked": checked})
        self.writer = Writer()
        self.classes: dict[tuple[int, int, Situation], type[Block]] = {}
        self.written: dict[tuple[int, Situation], Written] = {}
        self.shared: dict[str, tuple[int, Situation]] = {}  # the modules of shared blocks, by name
        self.readers = Counter([ref for node in graph.nodes for ref in node.operands])
        self.readers.update([output.value for output in graph.outputs])
        self.calls = Counter([first_use(scope.name) for scope in graph.scopes])
        self.interfaces = [] if flat else interfaces(graph)
        self.bound = [] if flat else bound(graph)

    @cached_property
    def code(self) -> list[tuple[int, int]]:
        """For each function what tells it apart from those that run the same code, each on weights of its own."""
        places = (interface.places for interface in self.interfaces)
        return list(zip(self.graph.alike(self.leaves.by_code), places, strict=True))

    @cached_property
    def modules(self) -> tuple[int, ...]:
        """For each function the first one whose module computes the same, given the same weights."""
        return self.graph.alike(self.leaves.by_module)

    def network(self, tensors: Callable[[Graph], Mapping[str, torch.Tensor]]) -> Network:
        graph = self.graph
        program = Program("", nn.Module())
        for given in graph.inputs:
            program.take(Ref(given.name), given.name)
        self.write(0, program, 0)
        given_out = [self.output(output, program) for output in graph.outputs]
        self.add_empty_lists(program)
        self.fill(tensors(graph))
        network = Network.around(program.module, self.recipe)
        fx = fx_graph(program, network)
        values = list(fx.nodes)
        for given, value in zip(graph.inputs, values, strict=False):
            value.meta["type"] = given.type
        for number, source in program.sources.items():
            values[number].meta.update(node=source, type=source.types[0])
        for number in program.exact:
            values[number].meta["exact"] = True
        results: list[Any] = [values[number] for number in given_out]
        named = any(output.name for output in graph.outputs)
        if named:
            fx.output({output.name: value for output, value in zip(graph.outputs, results, strict=True)})
        else:
            fx.output(results[0] if len(results) == 1 else tuple(results))
        if self.checked:
            check_inputs(fx, graph)
        network.run(fx)
        self.recipe.code = network.code
        return network

    def fill(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Give every weight its tensor."""
        for name, weight in self.graph.weights.items():
            module, key = self.owners[name]
            if weight.trainable:
                module._parameters[key] = nn.Parameter(tensors[name])
            else:
                module._buffers[key] = tensors[name]

    # -------------------------------------------------------------- programs

    def write(self, scope: int, program: Program, depth: int) -> None:
        """Write the nodes of a scope into a program; blocks in it become modules where they can."""
        for member in self.graph.members[scope]:
            if isinstance(member, Node):
                self.node(member, program)
            elif self.stands_alone(member, program, depth):
                self.block(member, program, depth + 1)
            elif not self.again(member, program):
                self.write(member, program, depth)
                if self.flat:
                    self.mark(member, program)

    def mark(self, scope: int, program: Program) -> None:
        """In a flat network, call the module of a block's name, an identity, with what the block gives.

        So there is a place for hooks, and whoever picks values by the names of modules finds it.
        """
        record = self.graph.scopes[scope]
        nodes = list(self.graph.inside(scope))
        made = {node.name for node in nodes}
        inside = Counter(ref for node in nodes for ref in node.operands)
        # What nobody reads behind the block would be kept in memory up to its end.
        read = (ref for ref in record.outputs if ref.producer in made and self.readers[ref] > inside[ref])
        gives = list(dict.fromkeys(read))
        if "@" in record.name or not gives:
            return
        owner, key = self.home(program, record.name, record.location)
        holder = owner._modules.setdefault(key, nn.Identity())
        if type(holder) is nn.Module:
            holder.__class__ = nn.Identity
        self.call(program, scope, gives, gives, as_one=len(gives) > 1)

    def add_empty_lists(self, program: Program) -> None:
        """A list of no layers is a module as well, which nothing has to call."""
        filled = {scope.name for i, scope in enumerate(self.graph.scopes) if self.graph.members[i]}
        for scope in self.graph.scopes[1:]:
            is_empty = not scope.block and scope.name not in filled and "@" not in scope.name
            if is_empty and not within_missing_layer(program.module, scope.name):
                owner, key = self.home(program, scope.name, scope.location)
                owner._modules[key] = nn.Sequential()

    def call(
        self,
        program: Program,
        scope: int,
        takes: Iterable[Ref],
        gives: list[Ref],
        *,
        as_one: bool = False,
    ) -> None:
        """Call the module of a block."""
        record = self.graph.scopes[scope]
        short = first_use(record.name).removeprefix(program.base)
        program.add(
            Instruction(
                "call_module",
                short,
                tuple(program.numbers[ref] for ref in takes),
                record.location,
                re.sub(r"\W", "_", record.name.removeprefix(program.base)),
                self.graph.scopes[record.parent or 0].block,
                as_one=as_one,
            ),
            gives,
        )
        program.exact.update(program.numbers[ref] for ref in gives if self.keeps(ref))

    def output(self, output: Output, program: Program) -> int:
        """The number of what the network gives, in the dtype of a weight."""
        number = program.numbers[output.value]
        if output.value not in self.exact or output.value in self.asked:
            return number
        return self.converted(Rounded, number, output.type.dtype, self.graph.scopes[0], program)

    # -------------------------------------------------------------- blocks

    def stands_alone(self, scope: int, program: Program, depth: int) -> bool:
        """Whether a scope can be a module: all its weights are below its name, and nobody else's."""
        name = self.graph.scopes[scope].name
        if self.flat or depth >= DEEPEST or not name.startswith(program.base) or "@" in name:
            return False
        return self.interface(scope).closed

    def interface(self, scope: int) -> Interface:
        """What a scope has in common with all calls of its function."""
        return self.interfaces[self.graph.scopes[scope].function]

    def takes(self, scope: int) -> list[Ref]:
        """The values from outside that the nodes of a scope read, those that are inputs of the block first."""
        return list(dict.fromkeys(self.bound[scope][i] for i in self.interface(scope).read))

    def gives(self, scope: int) -> list[Ref]:
        """The values that a scope gives and its nodes make."""
        given = zip(self.graph.scopes[scope].outputs, self.interface(scope).passed, strict=True)
        return list(dict.fromkeys([ref for ref, source in given if source is None]))

    def situation(self, scope: int, outer: Program, depth: int) -> Situation:
        """How a scope stands in the network, as far as that tells in its program."""
        interface, takes = self.interface(scope), self.takes(scope)
        outputs = self.graph.scopes[scope].outputs
        reread = [ref for ref, within in zip(outputs, interface.reread, strict=True) if within]
        is_shared = outer.is_shared or self.calls[first_use(self.graph.scopes[scope].name)] > 1
        return Situation(
            takes=tuple([takes.index(self.bound[scope][i]) for i in interface.read]),
            exact=tuple([ref in self.exact for ref in takes]),
            held=tuple([ref in self.held for ref in takes]),
            read_once=tuple([not is_shared and self.readers[ref] == 1 for ref in reread]),
            is_shared=is_shared,
            depth=depth if depth + interface.height > DEEPEST else 0,
        )

    def block(self, scope: int, outer: Program, depth: int) -> None:
        """Make a scope a module of the program around it, and call it there."""
        record = self.graph.scopes[scope]
        situation = self.situation(scope, outer, depth)
        written = self.written.get((record.function, situation))
        # Later uses of a shared block look up what its first use is made of, by name: that one is written itself.
        if written is None or situation.is_shared or self.is_taken(written, record.name):
            written = self.first(scope, situation, depth)
            self.written.setdefault((record.function, situation), written)
            module = written.module
        else:
            module = self.copied(written, record.name)
        owner, key = self.home(outer, record.name.removeprefix(outer.base), record.location)
        owner._modules[key] = module
        if situation.is_shared:
            self.shared[record.name] = record.function, situation
        if gives := self.gives(scope):
            self.call(outer, scope, self.takes(scope), gives)

    def first(self, scope: int, situation: Situation, depth: int) -> Written:
        """A scope as a module, its program written node by node."""
        record = self.graph.scopes[scope]
        weights, conversions = len(self.weights), len(self.conversions)
        program = Program(record.name + ".", nn.Module(), is_shared=situation.is_shared)
        program.is_chain = self.is_chain(scope, program, depth)
        for ref in self.takes(scope):
            program.take(ref)
        self.write(scope, program, depth)
        results = tuple([program.numbers[ref] for ref in self.gives(scope)])
        self.class_of(scope, situation, program, results)
        return Written(
            record.name,
            program.module,
            tuple(self.weights[weights:]),
            tuple(self.conversions[conversions:]),
        )

    def is_taken(self, written: Written, name: str) -> bool:
        """Whether a copy under another name would have a module of its own where the spec names something else."""
        return any(name + full.removeprefix(written.name) in self.taken for full in written.conversions)

    def copied(self, written: Written, name: str) -> nn.Module:
        """The module of a function that was written before, for a call of another name."""
        copies: dict[nn.Module, nn.Module] = {}
        module = clone(written.module, copies)
        for full in written.weights:
            renamed = name + full.removeprefix(written.name)
            owner, key = self.owners[full]
            owner = copies[owner]
            if isinstance(owner, Exact):
                owner.values = functools.partial(constant_values, renamed, self.graph.weights[renamed])
            self.give(renamed, owner, key)
        for full in written.conversions:
            self.conversions.append(name + full.removeprefix(written.name))
            self.taken.add(self.conversions[-1])
        return module

    def again(self, scope: int, outer: Program) -> bool:
        """Call the module of a shared block's first use once more, if this use runs the same program."""
        record = self.graph.scopes[scope]
        name = first_use(record.name)
        if self.flat or name == record.name or name not in self.shared or not name.startswith(outer.base):
            return False
        function, situation = self.shared[name]
        same = (
            self.interface(scope).closed
            and self.modules[function] == self.modules[record.function]
            and self.situation(scope, outer, situation.depth) == situation
        )
        if same and (gives := self.gives(scope)):
            self.call(outer, scope, self.takes(scope), gives)
        return same

    def is_chain(self, scope: int, program: Program, depth: int) -> bool:
        """Whether a scope is a list of layers, or a block that is one: each takes all that the one before it gives, no more.

        A block is one only if it has no steps that are functions; those of a list become modules.
        """
        record = self.graph.scopes[scope]
        stream = record.inputs
        if not stream:
            return False
        for member in self.graph.members[scope]:
            if isinstance(member, Node):
                name, takes, gives = (
                    member.name,
                    member.inputs,
                    [Ref(member.name, i) for i in range(len(member.types))],
                )
                is_layer = not (
                    isinstance(member.op, Own | Tied)
                    or member.options
                    or member.shares
                    or is_alone(self.graph, member)
                    or "@" in name
                    or self.converts(member)
                )
                if is_layer and record.block:
                    is_layer = isinstance(self.leaf(member), nn.Module)
            else:
                inner = self.graph.scopes[member]
                name, takes, gives = inner.name, inner.inputs, list(inner.outputs)
                is_layer = (
                    self.stands_alone(member, program, depth)
                    and tuple(self.takes(member)) == inner.inputs
                    and len(set(gives)) == len(gives)
                    and all(source is None for source in self.interface(member).passed)
                )
            if not is_layer or takes != stream or "." in name.removeprefix(program.base):
                return False
            stream = tuple(gives)
        return stream == record.outputs and len(set(record.inputs)) == len(record.inputs)

    def class_of(
        self, scope: int, situation: Situation, program: Program, results: tuple[int, ...]
    ) -> type[Block]:
        """The class of all blocks that run this program, of which the program's module becomes one."""
        record = self.graph.scopes[scope]
        several = len(program.placeholders) > 1 or any(i.target is getitem for i in program.instructions)
        key = (*self.code[record.function], situation)
        cls = self.classes.get(key)
        if cls is not None:
            program.module.__class__ = cls
            for path in (i.target for i in program.instructions if isinstance(i.target, str)):
                target(program.module, path)  # what stands in groups is reached as the class reaches it
            return cls
        base = Block if not program.is_chain else ChainOfSeveral if several else Chain
        cls = self.classes[key] = type(
            record.block or LIST,
            (base,),
            {"_origin": (self.recipe, record.name), "__module__": Block.__module__},
        )
        program.module.__class__ = cls
        if issubclass(cls, Chain):
            cls._places = {i.target: i.location for i in program.instructions if i.kind == "call_module"}
            return cls
        fx = fx_graph(program, program.module)
        values = list(fx.nodes)
        chosen = tuple(values[number] for number in results)
        fx.output(chosen[0] if len(chosen) == 1 else chosen)
        cls._program, cls.forward = fx, self.writer.forward_of(fx)
        return cls
