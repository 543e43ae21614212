"""What a module computes, as `torch.export` captures it: a program of operators, each with the modules around it.

The batch is told from all other sizes by its number: a prime that divides no other size that the module has. A size it divides
is the batch, or holds the batch beside an axis that was merged with it. So one capture is enough, and what a module reads of
its batch, in arguments such as those of `reshape`, shows there.
"""

from __future__ import annotations

import copy
import inspect
import linecache
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from archspec.ground import codes
from archspec.ground.errors import SpecError

_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 2003, 2011, 2017)


@dataclass(frozen=True)
class Given:
    """An input of a module, without the batch."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    name: str = ""


@dataclass
class Capture:
    """A captured module: its program, the number that stands for its batch, and which of its tensors the program's inputs are."""

    module: nn.Module
    program: ExportedProgram
    batch: int
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The classes of modules by path, where the modules themselves do not say."""

    @property
    def nodes(self) -> Iterator[Node]:
        """The operators, in order."""
        return (node for node in self.program.graph.nodes if node.op == "call_function")

    @cached_property
    def tensors(self) -> Mapping[str, tuple[str, Tensor]]:
        """The module's own tensors by the name of the node: their key and their values."""
        found: dict[str, tuple[str, Tensor]] = {}
        for given in self.program.graph_signature.input_specs:
            if given.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                assert given.target is not None
                key = self._first.get(given.target, given.target)
                found[given.arg.name] = key, _tensor(self.module, key)
            elif given.kind is InputKind.CONSTANT_TENSOR:
                assert given.target is not None
                held = self.program.constants[given.target]
                assert isinstance(held, Tensor)
                found[given.arg.name] = given.target, held
        return found

    @cached_property
    def _first(self) -> Mapping[str, str]:
        """The key of each tensor with several: that of the module that uses it.

        Where several do, it is one of no block that runs, under which the tensor can be declared beside all of these; or else that of
        the first, which hands it on.
        """
        found: dict[str, str] = {}
        for keys in self._several:
            users = self._users(keys)
            free = (key for key in keys if not any(f"{key}.".startswith(f"{path}.") for path in self._blocks))
            own = [key for key in keys if _owner(key) in users]
            own.sort(key=lambda key: users.index(_owner(key)))
            chosen = next(free, None) if len(users) > 1 else None
            found.update(dict.fromkeys(keys, chosen or next(iter(own), keys[0])))
        return found

    @cached_property
    def _blocks(self) -> set[str]:
        """The paths of the modules that run, but for layers of PyTorch's own."""
        return {
            path
            for node in self.nodes
            for _, path in modules_around(node)
            if path and not type(self.module.get_submodule(path)).__module__.startswith("torch.nn.modules.")
        }

    @cached_property
    def tied(self) -> frozenset[str]:
        """The keys of tensors that modules in several places use: those of no one layer."""
        return frozenset(
            self._first[keys[0]]
            for keys in self._several
            if {*self._users(keys)} - {_owner(self._first[keys[0]])}
        )

    @cached_property
    def _several(self) -> list[list[str]]:
        """The keys of each tensor that has more than one."""
        found: dict[int, list[str]] = {}
        for named in (self.module.named_parameters, self.module.named_buffers):
            for key, tensor in named(remove_duplicate=False):
                found.setdefault(id(tensor), []).append(key)
        return [keys for keys in found.values() if len(keys) > 1]

    def _users(self, keys: Sequence[str]) -> list[str]:
        """The paths of the modules that use a tensor, in the order in which they do."""
        return list(dict.fromkeys(path for key in keys for path in self._used.get(key, ())))

    @cached_property
    def _used(self) -> Mapping[str, list[str]]:
        targets = {
            given.arg.name: given.target
            for given in self.program.graph_signature.input_specs
            if given.kind in (InputKind.PARAMETER, InputKind.BUFFER)
        }
        found: dict[str, list[str]] = {}
        for node in self.program.graph.nodes:
            if node.op == "placeholder" and node.name in targets:
                around = (modules_around(user) for user in node.users)
                found[targets[node.name] or ""] = [calls[-1][1] if calls else "" for calls in around]
        return found

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes of the inputs, in order."""
        named = {node.name: node for node in self.program.graph.nodes if node.op == "placeholder"}
        specs = self.program.graph_signature.input_specs
        return tuple(
            named[given.arg.name]
            for given in specs
            if given.kind is InputKind.USER_INPUT and given.arg.name in named
        )

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes of the outputs, in order."""
        named = {node.name: node for node in self.program.graph.nodes}
        specs = self.program.graph_signature.output_specs
        return tuple(named[made.arg.name] for made in specs if made.kind is OutputKind.USER_OUTPUT)

    @property
    def names_of_outputs(self) -> tuple[str, ...]:
        """What the module calls its outputs, where it returns a dict; else nothing."""
        spec = self.program.call_spec.out_spec
        if spec is not None and issubclass(spec.type or object, dict):
            return tuple(str(key) for key in spec.context) if isinstance(spec.context, list) else ()
        return ()


def capture(
    module: nn.Module, inputs: Sequence[Given], kinds: Mapping[str, str] = MappingProxyType({})
) -> Capture:
    """Capture a module in evaluation mode, on the meta device: nothing is computed, and nothing of it is changed.

    SpecError where PyTorch cannot capture it, such as where it branches on values.
    """
    _require_arguments(module, inputs)
    batch = _prime(module, inputs)
    with _evaluating(module):
        program = _without_values(module, inputs, batch)
        if program is None:
            try:
                program = _exported(module, inputs, batch, "cpu")
            except Exception as error:
                raise _refused(error, module, batch) from error
    _inline(program)
    return Capture(module, program, batch, kinds)


def _inline(program: ExportedProgram) -> None:
    """Put what is computed without gradients, or without autocast, in the place of its call; what gradients do not go through is detached."""
    graph = program.graph
    for node in list(graph.nodes):
        name = str(node.target)
        if "wrap_with_set_grad_enabled" in name:
            gradients, inner, given = node.args[0], node.args[1], node.args[2:]
        elif "wrap_with_autocast" in name and node.args[2] is False:
            gradients, inner, given = True, node.args[4], node.args[5:]
        else:
            continue
        body = getattr(program.graph_module, inner.target)
        places = iter(given)
        copies: dict[Node, Node] = {}
        outputs: Sequence[Node] = ()
        with graph.inserting_before(node):
            for step in body.graph.nodes:
                if step.op == "placeholder":
                    copies[step] = next(places)
                elif step.op == "output":
                    outputs = [copies[made] for made in step.args[0]]
                else:
                    copies[step] = graph.node_copy(step, copies.__getitem__)
            if not gradients:
                outputs = [_detached(graph, made) for made in outputs]
        for user in list(node.users):
            user.replace_all_uses_with(outputs[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)


def _detached(graph: torch.fx.Graph, node: Node) -> Node:
    made = graph.call_function(torch.ops.aten.detach.default, (node,))
    made.meta = dict(node.meta)
    return made


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode, then in the modes that it was in."""
    modes = [(inner, inner.training) for inner in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for inner, training in modes:
            inner.training = training


def _without_values(module: nn.Module, inputs: Sequence[Given], batch: int) -> ExportedProgram | None:
    """The program of a module whose tensors are on the meta device; None where it must be asked with their values.

    Whatever fails here is asked again with them, and is then the error that is told.
    """
    try:
        program = _exported(_on_meta(module), inputs, batch, "meta")
    except Exception:
        return None
    return None if _unknown(program) else program


def _exported(module: nn.Module, inputs: Sequence[Given], batch: int, device: str) -> ExportedProgram:
    """The program of a module. Inputs hold no values of their own: one stands for all."""
    tensors = tuple(
        torch.zeros((), dtype=given.dtype, device=device).expand(batch, *given.shape) for given in inputs
    )
    if device == "meta":
        tensors = tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors)
    with warnings.catch_warnings():  # of attributes that a module sets while it runs, which are its own
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # what PyTorch says of a failure is in its error too
        try:
            return torch.export.export(module, tensors, strict=False)
        finally:
            logging.disable(disabled)


def _unknown(program: ExportedProgram) -> bool:
    """Whether constants of a program, which the module does not hold, have no values."""
    specs = program.graph_signature.input_specs
    names = {given.target for given in specs if given.kind is InputKind.CONSTANT_TENSOR}
    return any(
        isinstance(program.constants[name], Tensor) and program.constants[name].is_meta
        for name in names
        if name
    )


def _on_meta(module: nn.Module) -> nn.Module:
    try:
        memo: dict[int, Any] = {
            id(tensor): _empty(tensor) for tensor in (*module.parameters(), *module.buffers())
        }
        return copy.deepcopy(module, memo).to("meta")
    except RuntimeError:  # a module that holds tensors which cannot be copied
        return module


def _empty(tensor: Tensor) -> Tensor:
    made = torch.empty_like(tensor, device="meta")
    return (
        nn.Parameter(made, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made
    )


def _prime(module: nn.Module, inputs: Sequence[Given]) -> int:
    sizes = {size for given in inputs for size in given.shape}
    sizes.update(size for tensor in (*module.parameters(), *module.buffers()) for size in tensor.shape)
    return next(prime for prime in _PRIMES if not any(size % prime == 0 for size in sizes if size))


def _tensor(module: nn.Module, key: str) -> Tensor:
    path, _, name = key.rpartition(".")
    found = getattr(module.get_submodule(path), name)
    assert isinstance(found, Tensor)
    return found


def _owner(key: str) -> str:
    """The path of the module that has a tensor."""
    return key.rpartition(".")[0]


def _require_arguments(module: nn.Module, inputs: Sequence[Given]) -> None:
    """SpecError where a module cannot be called with so many tensors."""
    try:
        found = inspect.signature(module.forward)
    except (TypeError, ValueError):  # it does not say
        return
    try:
        found.bind(*inputs)
    except TypeError as error:
        count = "1 input" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise SpecError.of(
            codes.NO_SOURCE,
            f"{type(module).__name__} cannot be called with {count}: {error}",
            help="its `forward` takes " + ", ".join(f"`{name}`" for name in found.parameters),
        ) from error


def _refused(error: Exception, module: nn.Module, batch: int) -> SpecError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    place = _place_of(error)
    where = f", at {place[0]}:{place[1]}" if place else ""
    return SpecError.of(
        codes.NOT_IMPORTED,
        f"PyTorch cannot capture {type(module).__name__}{where}: {said}",
        help="a spec has no control flow on the values of tensors; import the parts beside it on their own"
        if "data-dependent" in str(error).lower() or "DataDependent" in type(error).__name__
        else "does it take inputs of these sizes and dtypes? A dtype is given as in `--input i64[128]`"
        + (f"; {batch} stands for the batch" if str(batch) in said else ""),
    )


def _place_of(error: BaseException) -> tuple[str, int] | None:
    """The innermost line of the user's own code that an error went through."""
    found, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/torch/" not in file and "/archspec/" not in file and not file.startswith("<"):
            found = file, trace.tb_lineno
        trace = trace.tb_next
    return found


# ------------------------------------------------------------------ where a node comes from


def modules_around(node: Node) -> tuple[tuple[str, str], ...]:
    """The modules whose call a node is in, outermost first: a key that tells calls apart, and the path."""
    stack = node.meta.get("nn_module_stack") or {}
    return tuple((key, str(path)) for key, (path, _) in stack.items())


_FRAME = re.compile(r'File "([^"]+)", line (\d+), in \S+')
_ASSIGNED = re.compile(r"\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=[^=]")


def source(node: Node) -> tuple[str, int] | None:
    """The line of the user's code that made a node."""
    frames = [(file, int(line)) for file, line in _FRAME.findall(node.meta.get("stack_trace") or "")]
    own = [frame for frame in frames if "/torch/nn/" not in frame[0] and "/torch/_" not in frame[0]]
    return own[-1] if own else None


def assigned(place: tuple[str, int] | None) -> tuple[str, ...]:
    """The names that a line of Python assigns to."""
    found = _ASSIGNED.match(linecache.getline(*place)) if place else None
    return tuple(name.strip() for name in found[1].split(",")) if found else ()
