"""A draft: the captured program as steps of our ops, each in the call of the module that made it.

Shapes here leave out the batch. Where a tensor of PyTorch has it merged with another axis, as windows often are, that axis
stands alone: [batch * windows, tokens, width] is [windows, tokens, width].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.tensor import TensorType
from archspec.importing.capture import Capture, modules_around, source
from archspec.importing.constants import is_table, is_writable
from archspec.importing.mutation import base, writes, written_into
from archspec.importing.nodes import HANDS_ON, MOVES, dtype, here, identity, name_of, short_name, tensors_of
from archspec.importing.values import Gap, Layout, Own, Region, Step, Value, kind_of, whole
from archspec.op import Op

Converted = Value | list[Value] | None
Converter = Callable[..., Any]
converters: dict[str, Converter] = {}


def converts(*targets: str) -> Callable[[Converter], Converter]:
    """Register how operators are converted: a function of the draft, the node and the operator's arguments."""

    def register(function: Converter) -> Converter:
        for target in targets:
            converters[target] = function
        return function

    return register


whole_calls: dict[str, Converter] = {}


def converts_calls(kind: str) -> Callable[[Converter], Converter]:
    """Register how calls of a class of modules are converted: a function of the draft, the module, its path and its nodes."""

    def register(function: Converter) -> Converter:
        whole_calls[kind] = function
        return function

    return register


def _call(
    convert: Converter, module: nn.Module, path: str, inside: list[Node], draft: Draft, node: Node
) -> None:
    convert(draft, module, path, inside)


def _nothing(draft: Draft, node: Node) -> None:
    """A node of a call that is converted as a whole."""


class Draft:
    """Converts a capture, node by node."""

    def __init__(
        self,
        capture: Capture,
        table: Callable[[Draft, str, Tensor], Value | None],
        *,
        partial_: bool = False,
        free: bool = False,
    ) -> None:
        """`table` writes a large constant as steps, where it can. Where it may be `partial_`, what has no form is a gap.

        Where sizes are to be `free`, what is resized is of the size of a tensor, not of a number.
        """
        self.capture = capture
        self.free = free
        self.gaps: dict[str, str] | None = {} if partial_ else None
        self.table = partial(table, self)
        self.root = Region("", None, capture.module, type(capture.module).__name__)
        self.values: dict[Node, Any] = {}
        self.constants: dict[Node, Tensor] = {}
        self.node: Node | None = None
        self._region = self._now = self.root
        self._homes: dict[Node, Region] = {}
        self._open: list[tuple[str, Region]] = []
        self.owned: dict[str, Step] = {}
        self.aliases: dict[Value, Value] = {}
        self._fresh: set[Value] = set()
        self._tables: dict[str, Value | None] = {}
        self._done: set[str] = set()
        self._held: dict[tuple[Any, ...], Step] = {}
        self._labels: Counter[tuple[str, str]] = Counter()
        self._constants: dict[tuple[Any, ...], str] = {}
        self.written: set[Node] = set()  # what was written into, and no longer is what it was made of
        self._versions: dict[Node, int] = {}  # how often a constant was written into
        self.deferred: set[Node] = set()  # what is no tensor of a spec by itself, but a part of what uses it
        self.inputs: list[Value] = []

    # -------------------------------------------------------------- the whole

    def convert(self) -> None:
        """Convert all nodes. SpecError at the first that there is no op for, with its module and its line."""
        for node in self.capture.inputs:
            name = "x" if node.name.startswith(("args_", "arg")) else node.name
            value = Value(self.type_of(node), self.layout(node.meta["val"].shape), (name,))
            self.values[node] = value
            self.inputs.append(value)
        for node in self.capture.nodes:
            self._enter(node)
            self.node = node
            try:
                if (whole_call := self._whole_call(node)) is not None:
                    whole_call(self, node)
                else:
                    self._convert(node)
            except Mistake as mistake:
                self._gap(node, self._refused(node, mistake), mistake)
            except ValueError as error:  # an argument that the op does not take
                lines = [line.strip() for line in str(error).splitlines()]
                said = [line for line in lines if line and not line.startswith("For further information")]
                reason = said[-1].partition(" [type=")[0].removeprefix("Value error, ")
                self._gap(node, self._refused(node, Mistake(reason, codes.NOT_IMPORTED)), error)
            self._fresh.clear()
        self.node = None

    def _whole_call(self, node: Node) -> Converter | None:
        """What converts the call that a node is in as a whole, where one op is all of it."""
        for key, path in modules_around(node):
            convert = whole_calls.get(
                self.capture.kinds.get(path) or kind_of(self.capture.module.get_submodule(path))
            )
            if convert is not None:
                if key not in self._done:
                    self._done.add(key)
                    self._region = self._now = next(region for opened, region in self._open if opened == key)
                    inside = [n for n in self.capture.nodes if any(k == key for k, _ in modules_around(n))]
                    return partial(_call, convert, self.capture.module.get_submodule(path), path, inside)
                return _nothing
        return None

    def outputs(self) -> list[Value]:
        """What the module returns."""
        return [self.value(node) for node in self.capture.outputs]

    def _convert(self, node: Node) -> None:
        name = name_of(node)
        if name == "getitem":
            source_, index = node.args
            held = self.values.get(source_)  # type: ignore[arg-type]
            self.values[node] = held[index] if isinstance(held, list) else None  # type: ignore[index]
            if isinstance(source_, Node) and source_ in self.constants:
                self.constants[node] = self.constants[source_][index]  # type: ignore[index]
            return
        if self._is_constant(node):
            self.constants[node] = self._computed(node)
            self._homes[node] = self._region
            if writes(node):
                base(self, node)
                self._renew(node)
            return
        if (
            not name.startswith("aten.conv")
            and any(given in self.deferred for given in node.all_input_nodes)
            and name != "aten.cat.default"
        ):
            self.deferred.add(node)
            return
        convert = self._converter(node)
        if convert is None:
            raise Mistake(f"archspec has no op for `{name}`", codes.NOT_IMPORTED)
        made = convert(self, node, *node.args, **node.kwargs)
        if isinstance(made, Value):
            made = self.shaped(made, self.layout(node.meta["val"].shape))
        elif isinstance(made, list):
            vals = node.meta["val"]
            made = [
                self.shaped(value, self.layout(val.shape)) if isinstance(value, Value) else value
                for value, val in zip(made, vals, strict=True)
            ]
        self.values[node] = made
        if made is None:
            self.deferred.add(node)
        if isinstance(made, Value) and writes(node):
            written_into(self, node, made)

    def convert_again(self, node: Node) -> None:
        """Convert a node whose argument has another value by now."""
        if writes(node):
            self.values[node] = self.value(node.args[0])
        else:
            self._convert(node)

    def _renew(self, node: Node) -> None:
        """Forget how constants are declared that a node has changed: those of the same memory as its own."""
        place = self.constants[node].untyped_storage().data_ptr()
        for other, tensor in self.constants.items():
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() == place:
                self._versions[other] = self._versions.get(other, 0) + 1
                self.values.pop(other, None)

    def latest(self, space: tuple[int, ...]) -> Value | None:
        """The tensor made last of those with channels over a space of these sizes; the inputs count as made first."""
        steps = [output for step in self.root.steps() for output in step.outputs]
        found = (value for value in reversed([*self.inputs, *steps]) if value.type.shape[1:] == space)
        return next((value for value in found if value.type.batched and value.layout.batch == 0), None)

    def settle(self, node: Node, value: Value) -> None:
        """Let a node stand for a tensor of the draft."""
        self.values[node] = self.shaped(value, self.layout(node.meta["val"].shape))

    def shaped(self, value: Value, layout: Layout) -> Value:
        """The value as PyTorch has it. Mistake if it is of another shape: the conversion is wrong."""
        if value.type.shape != layout.ours:
            raise Mistake(
                f"it gives {list(layout.ours)}, and what was made of it {list(value.type.shape)}",
                codes.NOT_IMPORTED,
            )
        if value in self._fresh:
            value.layout = layout
        return value if value.layout == layout else self.alias(value, layout)

    def alias(self, value: Value, layout: Layout) -> Value:
        """The same tensor, which PyTorch has in another way."""
        made = Value(value.type, layout)
        self.aliases[made] = self.actual(value)
        return made

    def actual(self, value: Value) -> Value:
        """The tensor itself, of which a value may be another view."""
        return self.aliases.get(value, value)

    # -------------------------------------------------------------- values

    def value(self, node: Any) -> Value:
        """The value of a node."""
        found = self.values.get(node)
        if isinstance(found, Value):
            return found
        if node in self.constants:
            return self._constant(node)
        if node.name in self.capture.tensors:
            return self._owned(node)
        raise Mistake(f"it reads `{node}`, which is no tensor", codes.NOT_IMPORTED)

    def key(self, node: Any) -> str | None:
        """The key of a tensor of the module's own, if the node is one."""
        node = self._behind(node)
        found = self.capture.tensors.get(getattr(node, "name", ""))
        return found[0] if found else None

    def _behind(self, node: Any) -> Any:
        """The node whose tensor one hands on as it is."""
        while (
            isinstance(node, Node)
            and node.op == "call_function"
            and node not in self.written
            and name_of(node).startswith(HANDS_ON)
        ):
            given = node.args[0]
            if not isinstance(given, Node) or given.meta["val"].dtype != node.meta["val"].dtype:
                break
            node = given
        return node

    def tensor(self, node: Any) -> Tensor | None:
        """The values of a tensor of the module's own or of a constant, if the node is one."""
        if node in self.constants:
            return self.constants[node]
        node = self._behind(node)
        found = self.capture.tensors.get(getattr(node, "name", ""))
        return found[1] if found else None

    def layout(self, shape: Sequence[int]) -> Layout:
        """How PyTorch has a tensor of that shape."""
        batch = self.capture.batch
        axes = [axis for axis, size in enumerate(shape) if size and size % batch == 0]
        if not axes:
            return Layout(tuple(shape), None)
        if len(axes) > 1:
            raise Mistake("it has the batch along two axes", codes.NOT_IMPORTED)
        return Layout(tuple(shape), axes[0], shape[axes[0]] // batch)

    def type_of(self, node: Node) -> TensorType:
        """The type of a node's tensor, without the batch."""
        val = node.meta["val"]
        layout = self.layout(val.shape)
        return TensorType(layout.ours, dtype(val.dtype), layout.batch is not None)

    # -------------------------------------------------------------- steps

    def emit(
        self, op: Op, *inputs: Value, key: str | None = None, options: Mapping[str, Value] | None = None
    ) -> Any:
        """Add a step; its output, or a list of them."""
        options = dict(options or {})
        types = op.infer(*(x.type for x in inputs), **{name: x.type for name, x in options.items()})
        made = [types] if isinstance(types, TensorType) else list(types)
        outputs = [Value(type_, Layout(whole(type_), None)) for type_ in made]
        self._fresh.update(outputs)
        node = self.node
        place = source(node) if node is not None else None
        path = self._region.path
        step = Step(
            op, [self.actual(x) for x in inputs], outputs, self._region,
            {name: self.actual(x) for name, x in options.items()}, key, path, place,
        )  # fmt: skip
        self._add(step)
        return outputs[0] if isinstance(types, TensorType) else outputs

    def held(self, name: str, values: Tensor) -> Value:
        """A constant that another one is made of, by its name: one in each call of a module, however often it is asked for."""
        found = self._region.path, *identity(values)
        if found not in self._held:
            count = self._labels[self._region.path, name]
            self._labels[self._region.path, name] += 1
            label = f"{name}{count + 1 if count else ''}"
            layout = Layout(tuple(values.shape), None)
            value = Value(TensorType(layout.shape, dtype(values.dtype), batched=False), layout)
            made = Own("constant", f"{self._region.path}.{label}", values)
            self._held[found] = self.owned[f"{made.key} of {len(self._held)}"] = Step(
                made, [], [value], self._region
            )
        return self._held[found].outputs[0]

    def _owned(self, node: Node) -> Value:
        key, tensor = self.capture.tensors[node.name]
        return self._own(Own(self._kind(key, tensor), key, tensor), node)

    def _kind(self, key: str, tensor: Tensor) -> str:
        if isinstance(tensor, nn.Parameter):
            return "weight"
        return "buffer" if key in self.saved else "constant"

    @property
    def saved(self) -> set[str]:
        """The keys of the module's `state_dict`."""
        if not hasattr(self, "_saved"):
            self._saved = set(self.capture.module.state_dict())
        return self._saved

    def _constant(self, node: Node) -> Value:
        tensor = self.constants[node]
        if is_writable(tensor) or all(given.op == "placeholder" for given in node.all_input_nodes):
            return self.constant(tensor, node)
        with self._inside(self._homes.get(node, self._region)):
            key = self._key_of(tensor, node)
            if self._rule(key, tensor) is not None:
                return self.constant(tensor, node)
            convert = self._converter(node)
            if convert is None:
                return self.constant(tensor, node)
            # Too much to write down: how it is computed is said instead.
            made = convert(self, node, *node.args, **node.kwargs)
            if isinstance(made, list):
                raise Mistake("a large constant that is one of several", codes.NOT_IMPORTED)
            self.values[node] = self.shaped(made, self.layout(node.meta["val"].shape))
            return self.values[node]  # type: ignore[no-any-return]

    @contextmanager
    def _inside(self, region: Region) -> Iterator[None]:
        """Add steps to a call that may be over, or in which others are open."""
        kept, self._region = self._region, region
        try:
            yield
        finally:
            self._region = kept

    def _add(self, step: Step) -> None:
        """Put a step behind those of its call, but in front of the call within that is open."""
        items = self._region.items
        inner = next((region for _, region in self._open if region.parent is self._region), None)
        if inner is not None and self._region is not self._now:
            items.insert(items.index(inner), step)
        else:
            items.append(step)

    def _converter(self, node: Node) -> Converter | None:
        name = name_of(node)
        return converters.get(name) or converters.get(name.rpartition(".")[0])

    def constant(self, tensor: Tensor, node: Node) -> Value:
        """A tensor that a node computes from nothing."""
        return self._own(Own("constant", self._key_of(tensor, node), tensor.clone()), node)

    def _key_of(self, tensor: Tensor, node: Node) -> str:
        """What tells a constant from others: those that are equal in one call are one."""
        changed = "'" * self._versions.get(node, 0)
        found = self._region.path, *identity(tensor)
        return self._constants.setdefault(found, f"={node.name}{changed}")

    def _own(self, own: Own, node: Node) -> Value:
        layout = Layout(tuple(own.tensor.shape), None)
        if own.kind == "constant" and own.key not in self.owned and is_table(own.tensor):
            made = self._rule(own.key, own.tensor)
            if made is not None:
                return made
        found = self.owned.get(own.key)
        if found is None:
            value = Value(TensorType(layout.shape, dtype(own.tensor.dtype), batched=False), layout)
            found = Step(own, [], [value], self._region)
            self.owned[own.key] = found
        return found.outputs[0]

    def _rule(self, key: str, tensor: Tensor) -> Value | None:
        """A large constant as steps, if it follows a rule."""
        if key not in self._tables:
            self._tables[key] = self.table(key, tensor)
            self._fresh.clear()
        return self._tables[key]

    # -------------------------------------------------------------- constants

    def _is_constant(self, node: Node) -> bool:
        """Whether a node computes the same at every run, from nothing that is trained or saved."""
        if any(size and size % self.capture.batch == 0 for val in tensors_of(node) for size in val.shape):
            return False
        if not tensors_of(node) or name_of(node).startswith(("aten.rand", "aten._assert")):
            return False
        if short_name(node) in MOVES and any(given not in self.constants for given in node.all_input_nodes):
            return False  # a table as the module has it, which then is moved
        return all(
            given in self.constants
            or (
                given.name in self.capture.tensors
                and self._kind(*self.capture.tensors[given.name]) == "constant"
            )
            for given in node.all_input_nodes
        )

    def _computed(self, node: Node) -> Any:
        def real(given: Node) -> Any:
            return self.constants[given] if given in self.constants else self.capture.tensors[given.name][1]

        args = tuple(here(arg) for arg in torch.fx.map_arg(node.args, real))
        kwargs = {name: here(arg) for name, arg in torch.fx.map_arg(node.kwargs, real).items()}
        try:
            with torch.no_grad():
                made = node.target(*args, **kwargs)  # type: ignore[operator]
                return torch.zeros_like(made) if "empty" in short_name(node) else made
        except RuntimeError as error:
            raise Mistake(f"it cannot be computed beforehand: {error}", codes.NOT_IMPORTED) from error

    # -------------------------------------------------------------- calls of modules

    def _enter(self, node: Node) -> None:
        around = [(key, path) for key, path in modules_around(node) if path]
        common = 0
        while common < min(len(around), len(self._open)) and around[common][0] == self._open[common][0]:
            common += 1
        del self._open[common:]
        region = self._open[-1][1] if self._open else self.root
        for key, path in around[common:]:
            region = self._called(region, path)
            self._open.append((key, region))
        self._region = self._now = region

    def _called(self, parent: Region, path: str) -> Region:
        module = self.capture.module.get_submodule(path)
        made = Region(path, parent, module, self.capture.kinds.get(path) or kind_of(module))
        parent.items.append(made)
        return made

    def _gap(self, node: Node, refused: SpecError, cause: Exception) -> None:
        """Let a gap stand where an operator has no form. Raises the error where there may be none, or what it gives is no tensor."""
        if self.gaps is None:
            raise refused from cause
        try:
            given = [self.value(each) for each in node.all_input_nodes]
            layouts = [self.layout(val.shape) for val in tensors_of(node)]
        except Mistake:
            raise refused from cause
        reason = refused.problems[0].message
        words = name_of(node).removeprefix("aten.").split(".")[0].strip("_").split("_")
        wanted = "".join(word.capitalize() for word in words) or "Gap"
        name, count = wanted, 2
        while Op.is_known(name) or self.gaps.get(name, reason) != reason:
            name, count = f"{wanted}{count}", count + 1
        self.gaps[name] = reason
        made = [
            Value(TensorType(layout.ours, dtype(val.dtype), layout.batch is not None), layout)
            for val, layout in zip(tensors_of(node), layouts, strict=True)
        ]
        step = Step(
            Gap(name, reason), [self.actual(x) for x in given], made, self._region, place=source(node)
        )
        self._region.items.append(step)
        self.values[node] = made if isinstance(node.meta["val"], list | tuple) else made[0]

    def _refused(self, node: Node, mistake: Mistake) -> SpecError:
        around = modules_around(node)
        path = around[-1][1] if around else ""
        place = source(node)
        inside = f" in `{path}` ({type(self.capture.module.get_submodule(path)).__name__})" if path else ""
        line = f", {place[0]}:{place[1]}" if place else ""
        return SpecError.of(
            codes.NOT_IMPORTED,
            f"{name_of(node)}{inside} cannot be written as a spec: {mistake.message}{line}",
        )
