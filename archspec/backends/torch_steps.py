"""Writing single steps into programs: their modules and functions, and the conversions of dtypes between them."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from archspec.analyses.memory import written_over
from archspec.analyses.precision import asked_values, exact_values, held_values, owns_weights
from archspec.backends.torch_leaves import Leaf, Leaves, alike, clone, makes_real
from archspec.backends.torch_modules import Step
from archspec.backends.torch_precision import Exact, Real, Rounded, Unnarrowed, rounded
from archspec.backends.torch_program import Instruction, Program
from archspec.backends.torch_weights import constant_values, dtype_of
from archspec.graph import Apply, Function, Graph, Node, Ref, Scope
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.names import first_use
from archspec.ground.source import Location
from archspec.ground.tensor import DType, promote, torch_name
from archspec.op.torch_layers import one_step
from archspec.ops.casting import Cast
from archspec.ops.weights import Own, Tied


class Steps:
    """Writes the nodes of a graph into programs.

    `owners` are the modules that hold its weights, each with the weight's key there; `weights` the names of these weights, and
    `conversions` those of modules that change dtypes, in the order in which they were written.
    """

    def __init__(self, graph: Graph, flat: bool) -> None:
        self.graph = graph
        self.leaves = Leaves()
        self.owners: dict[str, tuple[nn.Module, str]] = {}
        self.weights: list[str] = []
        self.conversions: list[str] = []
        # One flat graph is for passes over it, to which its ops are to be pure functions.
        self.written_over: set[str] = set() if flat else written_over(graph)
        # By name without `@`: what was copied, and where to.
        self.first_uses: dict[str, tuple[nn.Module, str]] = {}
        self.uses = Counter([first_use(node.name) for node in graph.nodes])
        self.exact = exact_values(graph)
        self.held = held_values(graph, self.exact)
        self.asked = asked_values(graph, self.exact, self.held)
        self.taken = {node.name for node in graph.nodes} | {scope.name for scope in graph.scopes}

    def node(self, node: Node, program: Program) -> None:
        """Write a node into a program, and what it owns into the program's module."""
        is_real = makes_real(*self.step(node))
        arguments = tuple([self.operand(ref, node, is_real, program) for ref in node.inputs])
        options = tuple(
            [
                (
                    name,
                    program.numbers[ref]
                    if name in node.op.sized_by
                    else self.operand(ref, node, is_real, program),
                )
                for name, ref in node.options.items()
            ]
        )
        refs = [Ref(node.name, index) for index in range(len(node.types))]
        alone = is_alone(self.graph, node)
        if alone:
            arguments = tuple([self.one_sample(number, node, program) for number in arguments])
        program.sources[program.count] = node
        full = first_use(node.name)
        short = full.removeprefix(program.base)

        def add(kind: str, target: Any, settings: Mapping[str, Any]) -> None:
            instruction = Instruction(
                kind,
                target,
                arguments,
                node.location,
                re.sub(r"\W", "_", node.name.removeprefix(program.base)),
                self.graph.scopes[node.scope].block,
                options,
                tuple(settings.items()),
            )
            if alone:
                made = program.convert(instruction)
                program.add(self.change_of_batch(torch.squeeze, made, node), refs)
            else:
                program.add(instruction, refs)
            program.exact.update(program.numbers[ref] for ref in refs if self.keeps(ref))

        if isinstance(node.op, Tied):
            add("get_attr", node.op.target.removeprefix(program.base), {})
            return
        if isinstance(node.op, Own):
            if not node.shares:
                self.own(*self.home(program, short, node.location), full)
            add("call_module" if refs[0] in self.exact else "get_attr", short, {})
            return
        leaf = self.leaf(node)
        overwrites = node.name in self.written_over and self.uses[full] == 1 and not program.is_shared
        if not isinstance(leaf, nn.Module):
            function, settings = leaf
            unnarrowed = node.op.autocasts and self.keeps(refs[0])
            if not (program.is_chain or unnarrowed):
                add("call_function", function, {**settings, "inplace": True} if overwrites else settings)
                return
            leaf = Step(function, settings)
            if unnarrowed:
                leaf = Unnarrowed(functools.partial(function, **settings))
        owned = self.leaves.owned(leaf)
        first, home = self.first_uses.get(full, (None, node.name))
        if first is None or not alike(leaf, first):
            if first is not None and owned:
                raise SpecError.of(
                    codes.SHARED_DIFFERS,
                    f"the shared `{full}` is {first} at its first use, and {leaf} at `{node.name}` ({node.location})",
                    help="a shared layer is one module: give it tensors of as many axes in each use",
                )
            home = node.name  # a module of its own, as its arguments are
            owner, key = self.home(program, home.removeprefix(program.base), node.location)
            module = owner._modules[key] = clone(leaf)
            self.first_uses.setdefault(full, (leaf, home))
            if overwrites:
                module.inplace = True  # type: ignore[assignment]
            for path in owned:
                self.give(f"{full}.{path}", *container(module, path))
        add("call_module", home.removeprefix(program.base), {})

    def one_sample(self, number: int, node: Node, program: Program) -> int:
        """The number of a weight as a batch of one sample."""
        made = program.convert(self.change_of_batch(torch.unsqueeze, number, node))
        if number in program.exact:
            program.exact.add(made)
        return made

    def change_of_batch(self, function: Callable[..., Any], number: int, node: Node) -> Instruction:
        """The instruction that adds the axis of the batch, or takes it away."""
        named = re.sub(r"\W", "_", f"{node.name}_{function.__name__}")
        within = self.graph.scopes[node.scope].block
        return Instruction(
            "call_function", function, (number,), node.location, named, within, settings=(("dim", 0),)
        )

    # ---------------------------------------------------------------- dtypes

    def operand(self, ref: Ref, node: Node, is_real: bool, program: Program) -> int:
        """The number of what a node takes for a value, brought to another dtype first where that does not happen by itself.

        Whole numbers are made real where the node `is_real`; exact values and those held by a Cast are rounded where they meet
        weights. Where exact values meet others, they are rounded to their dtype; where held values do, the others are brought
        to theirs.
        """
        number = program.numbers[ref]
        if is_real:
            return self.converted(Real, number, node.types[0].dtype, node, program)
        type_ = self.graph.types[ref]
        if isinstance(node.op, Cast) or not type_.floating:
            return number
        if owns_weights(self.graph, node):
            if self.keeps(ref):
                return self.converted(Rounded, number, type_.dtype, node, program)
            return number
        held = [x for x in node.read if x in self.held]
        if ref in self.held or not (held or ref in self.exact):
            return number
        others = held or [x for x in node.read if self.graph.types[x].floating and not self.keeps(x)]
        if not others:
            return number
        for other in others:
            wanted = self.graph.types[other]
            if promote(wanted, type_) == wanted.dtype and (not held or wanted.dtype == type_.dtype):
                call = Instruction(
                    "call_function",
                    one_step(rounded),
                    (number, program.numbers[other]),
                    node.location,
                    "rounded",
                    self.graph.scopes[node.scope].block,
                )
                return program.convert(call)
        if held:
            return number  # of another dtype in the spec too, which the op takes
        return self.converted(Rounded, number, type_.dtype, node, program)

    def keeps(self, ref: Ref) -> bool:
        """Whether a value does not follow the dtype of the weights."""
        return ref in self.exact or ref in self.held

    def converts(self, node: Node) -> bool:
        """Whether a value is brought to another dtype before a node takes it."""
        reals = [ref for ref in node.read if self.graph.types[ref].floating]
        kinds = {(ref in self.exact, ref in self.held) for ref in reals}
        mixed = len(kinds) > 1 and not isinstance(node.op, Cast)
        kept = any(map(self.keeps, reals)) and owns_weights(self.graph, node)
        return mixed or kept or makes_real(*self.step(node))

    def converted(
        self,
        kind: type[Real | Rounded],
        number: int,
        written: DType,
        at: Node | Scope,
        program: Program,
    ) -> int:
        """The number of a value in another dtype, which a module makes that knows the network's."""
        name = f"{first_use(at.name)}_{kind.__name__.lower()}".lstrip("_")
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        self.conversions.append(name)
        short = name.removeprefix(program.base)
        owner, key = self.home(program, short, at.location)
        owner._modules[key] = kind(getattr(torch, torch_name(written)))
        within = at.block if isinstance(at, Scope) else self.graph.scopes[at.scope].block
        named = re.sub(r"\W", "_", short)
        made = program.convert(Instruction("call_module", short, (number,), at.location, named, within))
        if kind is Real:
            program.exact.add(made)
        return made

    def home(self, program: Program, path: str, location: Location) -> tuple[nn.Module, str]:
        """The module that holds `path`, and its key there. SpecError when PyTorch needs that name itself."""
        for part in path.split("."):
            if _is_reserved(part):
                raise SpecError.of(
                    codes.NOT_A_NAME,
                    f"no module of PyTorch can have a part named `{part}`, as the step at {location} has",
                    help="every torch.nn.Module has that name for something else; name the step otherwise",
                )
        return container(program.module, path)

    def own(self, owner: nn.Module, key: str, full: str) -> None:
        """Declare a block's own weight on the module that holds it; a real constant is a module of its own."""
        weight = self.graph.weights[full]
        if Ref(full) in self.exact:
            held = Exact(dtype_of(weight), functools.partial(constant_values, full, weight))
            owner._modules[key] = held
            self.give(full, held, "value")
            return
        empty = torch.empty(weight.shape, dtype=dtype_of(weight), device="meta")
        if weight.trainable:
            owner.register_parameter(key, nn.Parameter(empty))
        else:
            owner.register_buffer(key, empty, persistent=weight.saved)
        self.give(full, owner, key)

    def give(self, full: str, owner: nn.Module, key: str) -> None:
        """Note which module holds a weight, and as what."""
        self.owners[full] = owner, key
        self.weights.append(full)

    def step(self, node: Node) -> tuple[Function, Apply]:
        """The step that a node is, and the function that it stands in."""
        function = self.graph.functions[self.graph.scopes[node.scope].function]
        step = function.by_name[node.step]
        assert isinstance(step, Apply)
        return function, step

    def leaf(self, node: Node) -> Leaf:
        """What a node lowers to: a module to copy, or a function and its settings."""
        return self.leaves.of(*self.step(node), node.name)


def is_alone(graph: Graph, node: Node) -> bool:
    """Whether a node takes a weight, which has no batch, as one sample."""
    return (
        type(node.op).one_sample
        and not node.op.without_batch
        and not any(graph.types[ref].batched for ref in node.read)
    )


@functools.cache
def _is_reserved(name: str) -> bool:
    return hasattr(nn.Module(), name)


def within_missing_layer(module: nn.Module, path: str) -> bool:
    """Whether a path leads through a layer of a chain that is not there, as it does nothing: the chain would call what is made there."""
    for part in path.split(".")[:-1]:
        if part not in module._modules:
            return isinstance(module, nn.Sequential)
        module = module._modules[part]  # type: ignore[assignment]
    return False


def container(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that holds `path`, made where it is missing, and the last part of the path."""
    *parents, last = path.split(".")
    for part in parents:
        if part not in module._modules:
            module._modules[part] = nn.Module()
        module = module._modules[part]  # type: ignore[assignment]
    return module, last
