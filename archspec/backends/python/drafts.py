"""A function of the graph as a draft of a class: its members, and what its `forward` computes, before any names are chosen."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from archspec.backends.python import expressions as py
from archspec.backends.python.functions import ATTENTION, Applied, attends, over_batch, written
from archspec.backends.python.helpers import Helpers
from archspec.backends.python.layers import constructed, conventional
from archspec.backends.python.own_weights import own_weight
from archspec.backends.torch_leaves import Leaf, Leaves, makes_real
from archspec.graph import Apply, Call, Function, Graph, Ref
from archspec.ground import codes
from archspec.ground.errors import SpecError
from archspec.ground.tensor import torch_name
from archspec.op import Weight
from archspec.op.torch_layers import Attention
from archspec.ops.rearrange import Rearrange
from archspec.ops.weights import Own, Tied


@dataclass(frozen=True)
class Statement:
    """A step of `forward`: the numbers of the values that it gives, its name in the spec, and whether it is an activation."""

    gives: tuple[int, ...]
    what: py.Expression
    name: str
    activates: bool = False
    note: str = ""
    """A comment on it."""
    instead: py.Expression | None = None
    """What it gives where it is left out: another value, or None; nothing where it is not."""
    condition: py.Expression | None = None
    """What tells whether it is left out."""

    @property
    def reads(self) -> list[py.Expression]:
        """What it is computed of, whether it is left out or not."""
        return [x for x in (self.what, self.condition, self.instead) if x is not None]


@dataclass
class Draft:
    """A function as a class to be; `members` are made by expressions, by their paths, in order."""

    index: int
    function: Function
    handed: tuple[str, ...]
    takes: int
    """How many tensors it takes."""
    members: dict[str, py.Expression] = field(default_factory=dict)
    starts: dict[str, Mapping[str, Weight]] = field(default_factory=dict)
    layers: dict[str, nn.Module] = field(default_factory=dict)
    body: list[Statement] = field(default_factory=list)
    returns: tuple[py.Expression, ...] = ()
    is_chain: bool = False
    """Whether it is its members, each applied to what the one before gives."""

    @property
    def is_identity(self) -> bool:
        """Whether it gives what it takes."""
        return not self.body and self.returns == tuple(map(py.Value, range(self.takes)))


class Drafting:
    """Drafts of all functions of a graph, callees first."""

    def __init__(self, graph: Graph, helpers: Helpers) -> None:
        self.graph = graph
        self.helpers = helpers
        self.leaves = Leaves()
        self.drafts: list[Draft] = []

    def all(self) -> list[Draft]:
        """A draft of each function."""
        for index, function in enumerate(self.graph.functions):
            self.drafts.append(_Function(self, index, function).draft())
        return self.drafts


class _Function:
    def __init__(self, drafting: Drafting, index: int, function: Function) -> None:
        self.drafting = drafting
        self.function = function
        self.made = Draft(index, function, _handed_names(function), len(function.inputs))
        self.values: dict[Ref, py.Expression] = {
            Ref(f"%{place}"): py.Value(place) for place in range(len(function.inputs))
        }
        self.count = len(function.inputs)
        self.stateless: dict[object, str] = {}

    def draft(self) -> Draft:
        made = self.made
        as_modules = self.is_chain()
        made.is_chain = as_modules
        for step in self.function.steps:
            if isinstance(step, Call):
                self.call(step)
            else:
                self.apply(step, as_module=as_modules)
        made.returns = tuple(self.values[ref] for ref in self.function.outputs)
        return made

    def is_chain(self) -> bool:
        """Whether each step is a layer that takes all that the one before it gives, and no more: then it can be a Sequential.

        Named layers of a block are written one by one all the same.
        """
        function = self.function
        stream: tuple[Ref, ...] = tuple(Ref(f"%{place}") for place in range(len(function.inputs)))
        if len(stream) != 1 or function.handed:
            return False
        for place, step in enumerate(function.steps):
            if step.is_use or step.inputs != stream or "." in step.name or len(step.types) != 1:
                return False
            if function.block and not step.name.isdecimal():
                return False
            if isinstance(step, Call):
                if step.layers:
                    return False
                stream = (Ref(step.name),)
            else:
                if (
                    step.options
                    or isinstance(step.op, Own | Tied)
                    or self.is_alone(step)
                    or makes_real(function, step)
                ):
                    return False
                stream = (Ref(step.name),)
            if step.name.isdecimal() and place == 0 and step.name != "0":
                return False
        return stream == function.outputs and bool(function.steps)

    # ---------------------------------------------------------------- steps

    def add(
        self, step: Apply | Call, what: py.Expression, name: str, *, activates: bool = False, note: str = ""
    ) -> None:
        """Write a step, whose values are known from then on by its name."""
        gives = tuple(range(self.count, self.count + len(step.types)))
        self.count += len(gives)
        self.made.body.append(Statement(gives, what, name, activates, note))
        for place, value in enumerate(gives):
            self.values[Ref(name, place)] = py.Value(value)

    def part(self, what: py.Expression, name: str) -> py.Value:
        """Write a part of a step, by itself."""
        self.made.body.append(Statement((self.count,), what, name))
        self.count += 1
        return py.Value(self.count - 1)

    def parted(self, what: py.Expression, name: str) -> py.Expression:
        """A step whose parts are written one by one, as some instances may have fewer: sums of several, biases with masks."""
        if isinstance(what, py.Operation):
            first, *others = what.operands
            if isinstance(first, py.Operation) and first.operator == what.operator:
                return py.Operation(what.operator, (self.part(self.parted(first, name), name), *others))
        if isinstance(what, py.Call) and what.what == ATTENTION:
            masked = [x.value for x in what.keywords if isinstance(x.value, py.Call)]
            known: dict[py.Expression, py.Expression] = {x: self.part(x, "bias") for x in masked}
            return py.replaced(what, known.get)
        return what

    def call(self, step: Call) -> None:
        """Call a block, or a row of them."""
        callee = self.drafting.drafts[step.function]
        inputs = tuple(self.values[ref] for ref in step.inputs)
        shared = tuple(self.layer(layer) for layer in step.layers)
        for name in step.names:
            if step.is_use:
                what = self.layer(step.layer or 0)
            else:
                self.made.members[name] = py.Instance(step.function)
                what = py.Member(name)
            if callee.is_identity and callee.takes > 1:
                self.made.members.pop(name, None)
                for place, value in enumerate(inputs):
                    self.values[Ref(name, place)] = value
                continue
            self.add(step, py.Call(what, (*inputs, *shared)), name)
            inputs = tuple(self.values[Ref(name, place)] for place in range(len(step.types)))
        for place, value in enumerate(
            inputs[: len(step.types)]
        ):  # what a row gives has the name of its first call
            self.values[Ref(step.name, place)] = value

    def apply(self, step: Apply, *, as_module: bool) -> None:
        """Apply an op: a layer that is a member, a function, or a tensor of the block's own."""
        op, function = step.op, self.function
        if isinstance(op, Tied):
            held = self.layer(step.layer or 0)
            self.values[Ref(step.name)] = _below(held, op.target)
            return
        if isinstance(op, Own):
            self.made.members[step.name] = own_weight(op.weight)
            self.made.starts[step.name] = {"": op.weight}
            self.values[Ref(step.name)] = py.Member(step.name)
            return
        leaf = self.leaf(step)
        inputs = tuple(self.values[ref] for ref in step.inputs)
        types = tuple(function.types[ref] for ref in step.inputs)
        if makes_real(function, step):
            dtype = step.types[0].dtype
            real = "torch.get_default_dtype()" if dtype == "f32" else f"torch.{torch_name(dtype)}"
            inputs = tuple(py.method(x, "to", py.Code(real)) for x in inputs)
        alone = self.is_alone(step)
        if alone:
            inputs = tuple(py.method(x, "unsqueeze", py.number(0)) for x in inputs)
        options = {name: self.values[ref] for name, ref in step.options.items()}
        what: py.Expression | None = None
        if isinstance(leaf, nn.Module):
            what = self.module(step, leaf, inputs, options, as_module=as_module)
        else:
            given = Applied(
                op,
                inputs,
                types,
                options,
                {name: function.types[ref] for name, ref in step.options.items()},
                leaf[1],
            )
            what = written(leaf[0], given)
            if what is None:
                what = self.drafting.helpers.called(leaf[0], inputs, options, leaf[1])
            if what is None:
                raise self.refused(step, f"{type(op).__name__} has no form in plain PyTorch yet")
            what = self.parted(what, step.name)
            if as_module:
                numbers = {value.number: py.Value(0) for value in inputs if isinstance(value, py.Value)}
                alike = py.renumbered(what, numbers)
                doc = inspect.getdoc(type(op)) or ""
                self.made.members[step.name] = self.drafting.helpers.of_expression(
                    type(op).__name__, doc, 1, alike
                )
                what = py.Call(py.Member(step.name), inputs)
        if alone:
            what = py.method(what, "squeeze", py.number(0))
        pattern = op.pattern if isinstance(op, Rearrange) else ""
        self.add(step, what, step.name, activates=op.activates, note=" ".join(pattern.split()))

    def module(
        self,
        step: Apply,
        leaf: nn.Module,
        inputs: tuple[py.Expression, ...],
        options: dict[str, py.Expression],
        *,
        as_module: bool,
    ) -> py.Expression:
        """A call of a layer, which becomes a member; layers without weights that are the same are one."""
        helpers = self.drafting.helpers
        if not as_module and not step.is_use:
            plain = helpers.plain(leaf, inputs, options)
            if plain is not None:
                return plain
        types = tuple(self.function.types[ref] for ref in step.inputs)
        if isinstance(leaf, Attention) and not step.is_use:
            option_types = {name: self.function.types[ref] for name, ref in step.options.items()}
            settings = {**leaf.settings, "dropout_p": leaf.dropout}
            attended = attends(Applied(step.op, inputs, types, options, option_types, settings))
            if attended is not None:
                return self.parted(attended, step.name)
        own = None if as_module or step.is_use or options else conventional(leaf)
        if own is not None and any(type_.batched for type_ in types):
            inputs = over_batch(inputs, types)
            layer, theirs = own
            self.made.members[step.name] = layer
            self.made.starts[step.name] = self.function.held.get(step.name, {})
            self.made.layers[step.name] = leaf
            return py.Item(py.Call(py.Member(step.name), inputs, theirs), (py.number(0),))
        made = self.maker(step, leaf)
        if step.is_use:
            member = self.layer(step.layer or 0)
        elif as_module or self.drafting.leaves.owned(leaf):
            self.made.members[step.name] = made
            self.made.starts[step.name] = self.function.held.get(step.name, {})
            self.made.layers[step.name] = leaf
            member = py.Member(step.name)
        else:
            member = self.stateless_member(step, made)
        keywords = tuple(py.Keyword(name, value) for name, value in options.items())
        return py.Call(member, inputs, keywords)

    def maker(self, step: Apply, leaf: nn.Module) -> py.Expression:
        """The call that makes a layer."""
        made = constructed(leaf) or self.drafting.helpers.constructed(leaf, type(step.op))
        if made is None:
            raise self.refused(
                step, f"the layer of {type(step.op).__name__} cannot be written as plain PyTorch yet"
            )
        return made

    def stateless_member(self, step: Apply, made: py.Expression) -> py.Member:
        """The member that is a layer without weights, which several steps may share."""
        key = py.key_of(made)
        if key not in self.stateless:
            name = step.name
            plain = re.sub(r"_\d+$", "", name)
            if plain != name and plain not in self.function.by_name and plain not in self.made.members:
                name = plain
            self.stateless[key] = name
            self.made.members[name] = made
        return py.Member(self.stateless[key])

    # ---------------------------------------------------------------- what steps stand for

    def leaf(self, step: Apply) -> Leaf:
        return self.drafting.leaves.of(self.function, step)

    def is_alone(self, step: Apply) -> bool:
        """Whether a step takes a weight, which has no batch, as one sample."""
        op = step.op
        read = (*step.inputs, *(ref for name, ref in step.options.items() if name not in op.sized_by))
        batched = any(self.function.types[ref].batched for ref in read)
        return type(op).one_sample and not op.without_batch and not batched

    def layer(self, layer: int) -> py.Expression:
        """A shared layer: a member where it is declared, a parameter of `forward` where it is handed in."""
        handed = self.function.handed
        if layer < handed:
            return py.Code(self.made.handed[layer])
        name = self.function.layers[layer]
        if name not in self.made.members:
            first = self.drafting.graph.first_use(self.made.index, layer)
            if first is None:  # handed on to a block that does not use it
                self.made.members[name] = py.Call(py.Code("nn.Identity"))
            else:
                function, step = first
                if isinstance(step, Call):
                    self.made.members[name] = py.Instance(step.function)
                else:
                    leaf = self.drafting.leaves.of(function, step)
                    if not isinstance(leaf, nn.Module):  # which is written where it is used
                        self.made.members[name] = py.Call(py.Code("nn.Identity"))
                        return py.Member(name)
                    self.made.members[name] = self.maker(step, leaf)
                    self.made.starts[name] = function.held.get(step.name, {})
                    self.made.layers[name] = leaf
        return py.Member(name)

    def refused(self, step: Apply | Call, why: str) -> SpecError:
        """The error of a step that has no form here."""
        return SpecError.of(
            codes.NO_EXPORT,
            f"`{step.name}` at {step.location} cannot be exported to Python: {why}",
            help="export the network as .onnx or .pt2, or write the step with other ops",
        )


def _below(held: py.Expression, path: str) -> py.Expression:
    for part in path.split("."):
        held = py.Attribute(held, part)
    return held


def _handed_names(function: Function) -> tuple[str, ...]:
    """Names for the shared layers that are handed in: those of the block's parameters where these show."""
    shown = [
        name
        for name, value in function.arguments.items()
        if isinstance(value, str) and value.startswith("shared ")
    ]
    count = function.handed
    if len(shown) == count:
        return tuple(shown)
    return tuple(f"shared_{place}" for place in range(count))


def handed_tensors(function: Function) -> list[str]:
    """Names for the tensors that are handed in as arguments: those of the block's parameters where these show."""
    shown = [name for name, value in function.arguments.items() if _is_tensor(value)]
    count = len(function.inputs) - function.given
    return shown if len(shown) == count else [f"other{place}" for place in range(count)]


def _is_tensor(value: object) -> bool:
    """Whether an argument of a block is a tensor, which is written as its type."""
    return isinstance(value, str) and re.fullmatch(r"(f|bf|i|u)\d+\[.*\]|bool\[.*\]", value) is not None
