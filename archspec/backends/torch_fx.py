"""Lowering to torch.fx: a GraphModule whose submodules are named as the steps of the spec are.

Each block of the spec becomes a module. Blocks whose programs are alike share one generated class,
so that `torch.compile` meets one piece of code where the spec has one block.
"""

from __future__ import annotations

import copy
import functools
import linecache
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from operator import getitem
from types import TracebackType
from typing import Any, ClassVar, cast

import torch
from torch import nn
from torch.fx import Graph as FxGraph
from torch.fx import GraphModule
from torch.fx import Node as FxNode

from archspec.analyses.memory import written_over
from archspec.backends.torch_conformance import lowered
from archspec.errors import Mistake, SpecError
from archspec.garbage import uncollected
from archspec.graph import Graph, Node, Ref
from archspec.guarding import at_step
from archspec.op import Op
from archspec.ops.weights import Own, Tied
from archspec.source import Location
from archspec.tensor import TensorType, torch_name

DEEPEST = 30  # modules within modules; what is deeper is inlined, since fx recurses over them

LIST = "Sequence"  # the class of a list of layers

Leaf = nn.Module | tuple[Callable[..., Any], Mapping[str, Any]]


class Block(nn.Module):
    """A block of the spec. All blocks with the same program are of one generated subclass.

    `graph` is the program that `forward` runs, as torch.fx holds it.
    """

    graph: ClassVar[FxGraph]


class Network(GraphModule):
    """A whole network from a spec: a `torch.fx.GraphModule` that holds a `Block` for each of its blocks.

    When a step fails at run time, the error says where in the spec the step stands. `meta["archspec"]`
    is the graph that it was lowered from, and the `meta` of an fx node has its `node` there and
    the `type` of what it gives.
    """

    def _repr_svg_(self) -> str | None:
        """The overview of its graph, for notebooks."""
        graph: Graph = self.meta["archspec"]
        return graph._repr_svg_()

    def __deepcopy__(self, memo: Any) -> Network:
        copied = cast(Network, super().__deepcopy__(memo))
        copied.leave_out_constants()
        return copied

    def leave_out_constants(self) -> None:
        """Keep constants out of the `state_dict`: fx makes buffers of them that are saved."""
        graph: Graph = self.meta["archspec"]
        for name, weight in graph.weights.items():
            if not weight.saved:
                path, _, key = name.rpartition(".")
                self.get_submodule(path)._non_persistent_buffers_set.add(key)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network on a batch of each of its inputs."""
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            _note_place(error, error.__traceback__)
            raise


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a program. Values are numbered in the order in which they come to be."""

    kind: str  # "call_module", "call_function" or "get_attr"
    target: Any
    arguments: tuple[int, ...]
    options: tuple[tuple[str, int], ...]
    settings: tuple[tuple[str, Any], ...]
    name: str
    location: Location
    within: str


@dataclass(slots=True)
class Program:
    """A module being written: what it takes, its instructions, and where its submodules go."""

    base: str  # name of the module, with a dot behind it; empty for the network
    module: nn.Module
    numbers: dict[Ref, int] = field(default_factory=dict)
    placeholders: list[str] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    sources: dict[int, Node] = field(default_factory=dict)  # of the values that one node makes
    count: int = 0

    def take(self, ref: Ref, name: str = "") -> None:
        """Make a value from outside a parameter of the module, named `x`, `x1` ... unless given a name.

        Names of producers would tell apart blocks that run the same program.
        """
        self.numbers[ref] = self.count
        self.placeholders.append(name or f"x{self.count or ''}")
        self.count += 1

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
            self.instructions.append(
                Instruction(
                    "call_function",
                    getitem,
                    (result,),
                    (),
                    (("index", index),),
                    f"{i.name}_{index}",
                    i.location,
                    i.within,
                )
            )
            self.numbers[ref] = self.count
            self.count += 1


@uncollected()
@torch.inference_mode(False)  # weights made within it could never be trained
def lower(
    graph: Graph, tensors: Callable[[Graph], Mapping[str, torch.Tensor]], *, flat: bool = False
) -> Network:
    """The network as a GraphModule, in training mode, with the weights that `tensors` gives by name.

    With `flat`, one fx graph holds every op; otherwise each block is a module of its own. Raises SpecError when the graph
    is not valid: its names become a part of code.
    """
    return _Lowering(graph.validated(), flat).network(tensors)


class _Lowering:
    def __init__(self, graph: Graph, flat: bool) -> None:
        self.graph = graph
        self.flat = flat
        self.classes: dict[Any, type[Block]] = {}
        self.owners: dict[str, tuple[nn.Module, str]] = {}
        # One flat graph is for passes over it, to which its ops are to be pure functions.
        self.written_over: set[str] = set() if flat else written_over(graph)

    def network(self, tensors: Callable[[Graph], Mapping[str, torch.Tensor]]) -> Network:
        graph = self.graph
        program = Program("", nn.Module())
        for given in graph.inputs:
            program.take(Ref(given.name), given.name)
        self.write(0, program, 0)
        self.fill(tensors(graph))
        fx = _fx_graph(program.placeholders, program.instructions)
        values = list(fx.nodes)
        for given, value in zip(graph.inputs, values, strict=False):
            value.meta["type"] = given.type
        for number, source in program.sources.items():
            values[number].meta.update(node=source, type=source.types[0])
        results: list[Any] = [values[program.numbers[output.value]] for output in graph.outputs]
        named = any(output.name for output in graph.outputs)
        if named:
            fx.output({output.name: value for output, value in zip(graph.outputs, results, strict=True)})
        else:
            fx.output(results[0] if len(results) == 1 else tuple(results))
        network = Network(program.module, fx, class_name=graph.name)
        network.meta["archspec"] = graph
        network.leave_out_constants()
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
            else:
                self.write(member, program, depth)

    def node(self, node: Node, program: Program) -> None:
        within = self.graph.scopes[node.scope].block
        arguments = tuple(program.numbers[ref] for ref in node.inputs)
        options = tuple((name, program.numbers[ref]) for name, ref in node.options.items())
        refs = [Ref(node.name, index) for index in range(len(node.types))]
        program.sources[program.count] = node
        full = _first_use(node.name)
        short = full.removeprefix(program.base)

        def add(kind: str, target: Any, settings: Mapping[str, Any]) -> None:
            named = re.sub(r"\W", "_", node.name.removeprefix(program.base))
            program.add(
                Instruction(
                    kind, target, arguments, options, tuple(settings.items()), named, node.location, within
                ),
                refs,
            )

        if isinstance(node.op, Tied):
            add("get_attr", node.op.target.removeprefix(program.base), {})
        elif isinstance(node.op, Own):
            if not node.shares:
                self.own(*self.home(program, short, node.location), full)
            add("get_attr", short, {})
        else:
            leaf = self.leaf(node)
            if isinstance(leaf, nn.Module):
                if full == node.name:
                    owner, key = self.home(program, short, node.location)
                    module = _clone(leaf)
                    owner.add_module(key, module)
                    for path, _ in leaf.state_dict(keep_vars=True).items():
                        self.owners[f"{full}.{path}"] = _container(module, path)
                add("call_module", short, {})
            else:
                function, settings = leaf
                if node.name in self.written_over:
                    settings = {**settings, "inplace": True}
                add("call_function", function, settings)

    def home(self, program: Program, path: str, location: Location) -> tuple[nn.Module, str]:
        """The module that holds `path`, and its key there. SpecError when PyTorch needs that name itself."""
        for part in path.split("."):
            if (
                iskeyword(part)
                or part == "self"
                or any(hasattr(taken, part) for taken in (Network, Block, nn.Module()))
            ):
                raise SpecError.of(
                    "name",
                    f"no module of PyTorch can have a part named `{part}`, as the step at {location} has",
                    help="Python, or every torch.nn.Module, has that name for something else; name the step otherwise",
                )
        return _container(program.module, path)

    def own(self, owner: nn.Module, key: str, full: str) -> None:
        """Declare a block's own weight on the module that holds it."""
        weight = self.graph.weights[full]
        empty = torch.empty(weight.shape, dtype=getattr(torch, torch_name(weight.dtype)), device="meta")
        if weight.trainable:
            owner.register_parameter(key, nn.Parameter(empty))
        else:
            owner.register_buffer(key, empty, persistent=weight.saved)
        self.owners[full] = owner, key

    def leaf(self, node: Node) -> Leaf:
        """What an op lowers to: a module to copy, or a function and its settings."""
        try:
            return _leaf(node.op, self.graph.input_types(node), tuple(self.graph.option_types(node).items()))
        except Mistake as mistake:
            raise at_step(mistake, node.name, node.location).at(None) from mistake.__cause__

    # -------------------------------------------------------------- blocks

    def stands_alone(self, scope: int, program: Program, depth: int) -> bool:
        """Whether a scope can be a module: all its weights are below its name, and nobody else's."""
        record = self.graph.scopes[scope]
        base = record.name + "."
        if self.flat or depth >= DEEPEST or not record.name.startswith(program.base) or "@" in record.name:
            return False
        nodes = list(self.graph.inside(scope))
        names = {node.name for node in nodes}
        for node in nodes:
            if not node.name.startswith(base) or (node.shares and node.shares not in names):
                return False
            if isinstance(node.op, Tied) and not node.op.target.startswith(base):
                return False
        return True

    def block(self, scope: int, outer: Program, depth: int) -> None:
        """Make a scope a module of the program around it, and call it there."""
        record = self.graph.scopes[scope]
        nodes = list(self.graph.inside(scope))
        made = {node.name for node in nodes}
        needed = [ref for node in nodes for ref in node.operands if ref.producer not in made]
        takes = list(dict.fromkeys([ref for ref in record.inputs if ref in set(needed)] + needed))
        gives = list(dict.fromkeys(ref for ref in record.outputs if ref.producer in made))
        program = Program(record.name + ".", nn.Module())
        for ref in takes:
            program.take(ref)
        self.write(scope, program, depth)
        results = tuple(program.numbers[ref] for ref in gives)
        _become(program.module, self.class_of(record.block or LIST, program, results))
        owner, key = self.home(outer, record.name.removeprefix(outer.base), record.location)
        owner.add_module(key, program.module)
        outer.add(
            Instruction(
                "call_module",
                record.name.removeprefix(outer.base),
                tuple(outer.numbers[ref] for ref in takes),
                (),
                (),
                re.sub(r"\W", "_", record.name.removeprefix(outer.base)),
                record.location,
                self.graph.scopes[record.parent or 0].block,
            ),
            gives,
        )

    def class_of(self, name: str, program: Program, results: tuple[int, ...]) -> type[Block]:
        """The class of all blocks that run this program."""
        # As text, settings that are equal but not the same stay apart: 2, 2.0 and true.
        settings = tuple(repr(instruction.settings) for instruction in program.instructions)
        key = (name, tuple(program.placeholders), tuple(program.instructions), settings, results)
        if key not in self.classes:
            fx = _fx_graph(program.placeholders, program.instructions)
            values = list(fx.nodes)
            chosen = tuple(values[number] for number in results)
            fx.output(chosen[0] if len(chosen) == 1 else chosen)
            # fx writes the code of `forward`; a GraphModule of its own for each instance would write
            # and compile it anew for each.
            written = GraphModule(program.module, fx, class_name=name)
            self.classes[key] = type(
                name, (Block,), {"graph": fx, "forward": type(written).forward, "__module__": __name__}
            )
            fx.owning_module = None
        return self.classes[key]


def _fx_graph(placeholders: list[str], instructions: list[Instruction]) -> FxGraph:
    """A program as an fx graph without its output; the fx nodes stand in the order of the values."""
    fx = FxGraph()
    values: list[FxNode] = [fx.placeholder(name) for name in placeholders]
    for i in instructions:
        arguments: tuple[Any, ...] = tuple(values[number] for number in i.arguments)
        settings = dict(i.settings)
        if i.target is getitem:
            arguments, settings = (*arguments, settings.pop("index")), {}
        keywords = {**{name: values[number] for name, number in i.options}, **settings}
        node = fx.create_node(i.kind, i.target, arguments, keywords, name=i.name)
        node.meta["location"] = i.location
        node.stack_trace = (
            f'File "{i.location.file}", line {i.location.line}, in {i.within or "the model"}\n    {i.name}\n'
        )
        values.append(node)
    return fx


@functools.lru_cache(maxsize=10_000)
def _leaf(op: Op, types: tuple[TensorType, ...], options: tuple[tuple[str, TensorType], ...]) -> Leaf:
    """What an op lowers to. It is never run itself, only copied, so all networks can have the same."""
    found = lowered(op, types, dict(options))
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, functools.partial):
        return found.func, found.keywords
    return found, {}


def _first_use(name: str) -> str:
    """The name under which a shared layer stands in the state_dict: that of its first use."""
    return re.sub(r"@\d+", "", name)


def _container(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that holds `path`, made where it is missing, and the last part of the path."""
    *parents, last = path.split(".")
    for part in parents:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module._modules[part]  # type: ignore[assignment]
    return module, last


def _clone(module: nn.Module) -> nn.Module:
    """Another module like it, sharing no dict with it: far faster than to construct one."""
    clone = copy.copy(module)
    for name in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
        clone.__dict__[name] = copy.copy(module.__dict__[name])
    for name, child in module._modules.items():
        if child is not None:
            clone._modules[name] = _clone(child)
    return clone


def _become(module: nn.Module, cls: type[Block]) -> None:
    """Make a plain container of submodules an instance of a block's class."""
    module.__class__ = cls


def _note_place(error: BaseException, traceback: TracebackType | None) -> None:
    """Add to an error the lines of the spec whose code it passed through, innermost last."""
    if any("in the spec" in note for note in getattr(error, "__notes__", ())):
        return
    while traceback is not None:
        frame, line = (
            traceback.tb_frame,
            linecache.getline(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno),
        )
        module, match = frame.f_locals.get("self"), re.match(r"\s*(\w+) = ", line)
        if isinstance(module, Block | Network) and match and frame.f_code.co_name == "forward":
            node = next((n for n in module.graph.nodes if n.name == match.group(1)), None)
            if node is not None and "location" in node.meta:
                error.add_note(
                    f"in the spec: {node.meta['location']}, at {node.target if node.op == 'call_module' else node.name}"
                )
        traceback = traceback.tb_next
