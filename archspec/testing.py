"""The checks that archspec's own ops are tested by, for the author of an op: call `check_op(Snake)` in a test.

Each check takes one of the op's examples, `"f32[3, 32, 32] -> Conv(8, 3) -> f32[8, 32, 32]"`, and raises AssertionError
with the example, the claim and the fact. The values that an op computes are for the author to test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from archspec.api import read_text
from archspec.backends.torch_conformance import require_callable, require_results, require_weights
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty, initial_weights
from archspec.graph import Graph, Node, Ref
from archspec.ground.errors import Mistake
from archspec.ground.size import Free, Size
from archspec.ground.tensor import BATCH as SAMPLES
from archspec.ground.tensor import TensorType, dtype, torch_name
from archspec.op import Op
from archspec.op.dependence import Reach
from archspec.op.inference import infer

__all__ = [
    "CHECKS",
    "batch_of",
    "check_counts",
    "check_op",
    "check_overwritable",
    "check_reach",
    "check_run",
    "check_saved",
    "check_types",
    "check_view",
    "check_weights",
    "graph_of",
    "layer",
]

BATCH = 2
PLACES = 40  # the most values of an input that are changed, one at a time
_TYPE = r"(\w+)\[([^\]]*)\]"


def check_op(op: type[Op], *, leave_out: Iterable[str] = ()) -> None:
    """Check the claims of an op on each of its examples, by all CHECKS except those in `leave_out`, such as "reach".

    Raises AssertionError if a claim is false, or the op has no examples; SpecError if an example does not parse;
    TypeError if an argument has the wrong type, and ValueError for the name of no check.
    """
    if not isinstance(op, type) or not issubclass(op, Op):
        known = isinstance(op, str) and op in Op.known
        hint = f": `check_op(Op.find({op!r}))`" if known else ""
        raise TypeError(f"`op` must be a subclass of archspec.Op, not {op!r}{hint}")
    if isinstance(leave_out, str):
        raise TypeError(f"`leave_out` must be a collection of names: [{leave_out!r}], not {leave_out!r}")
    if not isinstance(leave_out, Iterable):
        raise TypeError(f"`leave_out` must be a collection of names, not {leave_out!r}")
    if not op.examples:
        raise AssertionError(f"{op.__name__} has no examples to check")
    left_out = set(leave_out)
    strange = [name for name in left_out if not isinstance(name, str)]
    if strange:
        raise TypeError(f"`leave_out` must hold names of checks, not {strange[0]!r}")
    unknown = left_out - CHECKS.keys()
    if unknown:
        raise ValueError(f"there is no check {sorted(unknown)}; the checks are {', '.join(CHECKS)}")
    for example in op.examples:
        graph, _ = graph_of(example)
        _require(type(layer(graph).op) is op, example, f"is not an example of {op.__name__}")
        for name, check in CHECKS.items():
            if name not in left_out:
                check(example)


def graph_of(example: str) -> tuple[Graph, list[TensorType]]:
    """The graph of `inputs -> layer -> outputs`, whose step is named `layer`, and the expected output types."""
    given, *middle, expected = example.split(" -> ")
    inputs = [f"x{i}: {t.dtype}[{', '.join(map(str, t.shape))}]" for i, t in enumerate(_types(given))]
    names = [f"x{i}" for i in range(len(inputs))]
    call = " -> ".join(middle)

    def option(match: re.Match[str]) -> str:
        inputs.append(f"{match[1]}: {match[2]}[{match[3]}]")
        return f"{match[1]}={match[1]}"

    call = re.sub(rf"(\w+)={_TYPE}", option, call)
    lines = [f"    input {line}" for line in inputs]
    taken = f"({', '.join(names)})" if len(names) > 1 else names[0]
    text = "\n".join(["model Example:", *lines, f"    return {taken} -> layer: {call}", ""])
    return read_text(text), _types(expected)


def layer(graph: Graph) -> Node:
    """The node of the op that an example tests."""
    return graph.nodes[-1]


def batch_of(graph: Graph, device: str, size: int = BATCH) -> list[Tensor]:
    """One tensor per input: random numbers between 0.1 and 1.1 if it is f32, else ones."""
    tensors = []
    for given in graph.inputs:
        kind = getattr(torch, torch_name(given.type.dtype))
        shape = (size, *(side for side in given.type.shape if isinstance(side, int)))
        tensors.append(
            torch.ones(shape, dtype=kind, device=device)
            if kind != torch.float32
            else torch.rand(shape, device=device) + 0.1
        )
    return tensors


# ---------------------------------------------------------------- the checks


def check_types(example: str) -> None:
    """`infer` returns the types of the example, and `lower` tensors of these types, on the meta device."""
    graph, expected = graph_of(example)
    node = layer(graph)
    _require(list(node.types) == expected, example, f"`infer` returns {', '.join(map(str, node.types))}")
    inputs, options = graph.input_types(node), graph.option_types(node)
    outputs, weights = infer(node.op, inputs, options)
    lowered = node.op.lower(*inputs, **options)
    try:
        require_callable(node.op, lowered)
        require_results(node.op, lowered, (*inputs, *options.values()), tuple(options), outputs, weights)
    except Mistake as mistake:
        _require(False, example, mistake.message)


def check_weights(example: str) -> None:
    """`weights` declares the tensors of the module: names, shapes, dtypes, which are trained and which are saved."""
    graph, _ = graph_of(example)
    node = layer(graph)
    try:
        require_weights(node.op, graph.ask(node, Op.lower), graph.weights_of(node))
    except Mistake as mistake:
        _require(False, example, mistake.message)


def check_counts(example: str) -> None:
    """`macs` is half the floating-point operations that torch counts, and `flops` at least twice `macs`."""
    graph, _ = graph_of(example)
    node = layer(graph)
    macs, flops = graph.ask(node, Op.macs), graph.ask(node, Op.flops)
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        module(*batch_of(graph, "meta"))
    counted = counter.get_total_flops() // (2 * BATCH)
    _require(macs == counted, example, f"`macs` returns {macs}, but torch counts {counted}")
    _require(flops >= 2 * macs, example, f"`flops` returns {flops}, less than twice `macs` ({macs})")


def check_run(example: str) -> None:
    """It runs on the CPU, returns finite numbers, and its graph survives a round trip through JSON."""
    graph, expected = graph_of(example)
    _require(
        Graph.from_json(graph.to_json()) == graph, example, "its graph changes in a round trip through JSON"
    )
    results = _tensors(lower(graph, lambda g: initial_weights(g, 0))(*batch_of(graph, "cpu", 3)))
    for type_, result in zip(expected, results, strict=True):
        sizes = tuple(3 if isinstance(size, Free) else size for size in type_.shape)
        shape = (3, *sizes) if type_.batched else sizes
        _require(
            tuple(result.shape) == shape,
            example,
            f"a batch of 3 returns {list(result.shape)}, not {list(shape)}",
        )
        if result.is_floating_point():
            _require(bool(result.isfinite().all()), example, "it returns numbers that are not finite")


def check_saved(example: str) -> None:
    """`saved` names what autograd keeps in training, to the byte, each storage once."""
    graph, _ = graph_of(example)
    said, kept = _bytes_said(graph), _bytes_kept(graph)
    _require(
        said == kept,
        example,
        f"`saved` adds up to {said} bytes for a batch of {BATCH}, but autograd keeps {kept}",
    )


def check_view(example: str) -> None:
    """`view` says whether the output at inference shares the input's memory."""
    graph, _ = graph_of(example)
    module = lower(graph, lambda g: initial_weights(g, 0)).eval()
    batch = batch_of(graph, "cpu")
    with torch.no_grad():
        results = _tensors(module(*batch))
    shared = bool({_memory(x) for x in batch} & {_memory(x) for x in results})
    said = layer(graph).op.view
    _require(
        shared == said,
        example,
        f"`view` is {said}, but the output {'shares' if shared else 'does not share'} its input's memory",
    )


def check_overwritable(example: str) -> None:
    """The output of an `overwritable` op is a new tensor, and gradients are right after it is overwritten."""
    graph, _ = graph_of(example)
    if not layer(graph).op.overwritable:
        return
    module = lower(graph, lambda g: initial_weights(g, 0))
    batch = batch_of(graph, "cpu", 3)
    real = [x.requires_grad_() for x in batch if x.is_floating_point()]
    out = module(*batch)
    _require(
        all(_memory(out) != _memory(x) for x in batch),
        example,
        "it is `overwritable`, but its output shares its input's memory",
    )
    if not out.requires_grad:
        return  # integers or bool: no backward pass
    expected = torch.autograd.grad(out.relu().sum(), real, retain_graph=True)
    out.relu_()
    try:
        gradients = torch.autograd.grad(out.sum(), real)
    except RuntimeError as error:
        raise AssertionError(
            f"{example}: it is `overwritable`, but its backward pass reads its output: {error}"
        ) from None
    for gradient, wanted in zip(gradients, expected, strict=True):
        _require(
            torch.equal(gradient, wanted),
            example,
            "it is `overwritable`, but its gradients change when its output is overwritten",
        )


def check_reach(example: str) -> None:
    """`reach` has one item per tensor and axis, and no value depends on more: one input value is changed at a time."""
    graph, _ = graph_of(example)
    node = layer(graph)
    reaches = graph.ask(node, Op.reach)
    _require(len(reaches) == len(node.operands), example, "`reach` must have one item per tensor")
    module = lower(graph, lambda g: initial_weights(g, 0)).eval()
    torch.manual_seed(0)
    batch = batch_of(graph, "cpu", 1)
    by_name = {given.name: x for given, x in zip(graph.inputs, batch, strict=True)}
    before = _tensors(_at_random(module, batch))
    for operand, reach in zip(node.operands, reaches, strict=True):
        x = by_name[operand.producer]
        shape = tuple(x.shape[1:])
        _require(reach is None or len(reach) == len(shape), example, "`reach` must have one item per axis")
        for flat in range(0, prod(shape), max(1, prod(shape) // PLACES)):
            at = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), shape)) if shape else ()
            changed = _changed(x, at)
            after = _tensors(_at_random(module, [changed if other is x else other for other in batch]))
            for was, now in zip(before, after, strict=True):
                differs = (was[0] != now[0]) & ~(was[0].isnan() & now[0].isnan())
                for place in differs.nonzero().tolist():
                    seen = _seen_at(reach, shape, tuple(place))
                    _require(
                        bool(seen[at]),
                        example,
                        f"the output at {place} depends on {list(at)} of `{operand}`, which `reach` excludes",
                    )


CHECKS: dict[str, Callable[[str], None]] = {
    "types": check_types,
    "weights": check_weights,
    "counts": check_counts,
    "run": check_run,
    "saved": check_saved,
    "view": check_view,
    "overwritable": check_overwritable,
    "reach": check_reach,
}
"""The checks by name, in the order in which `check_op` runs them."""


# ---------------------------------------------------------------- what they measure


def _require(holds: bool, example: str, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{example}: {otherwise}")


def _types(text: str) -> list[TensorType]:
    return [
        TensorType(
            sizes := tuple(map(_size, shape.split(","))) if shape.strip() else (),
            dtype(name),
            SAMPLES not in map(str, sizes),
        )
        for name, shape in re.findall(_TYPE, text)
    ]


def _size(text: str) -> Size:
    """A number, or the number of samples, of a tensor that holds them all."""
    return Free.named(SAMPLES) if text.strip() == SAMPLES else int(text)


def _tensors(out: Any) -> list[Tensor]:
    return [out] if isinstance(out, Tensor) else list(out)


def _at_random(module: Callable[..., Any], batch: Iterable[Tensor]) -> Any:
    """What a module gives, with the same random numbers each time."""
    torch.manual_seed(0)
    return module(*batch)


def _memory(tensor: Tensor) -> int:
    """The address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()


def _changed(x: Tensor, at: tuple[int, ...]) -> Tensor:
    """The tensor with one value of its first sample changed."""
    changed = x.clone()
    value = changed[(0, *at)]
    if x.dtype == torch.bool:
        changed[(0, *at)] = ~value
    else:
        changed[(0, *at)] = value + 3 if x.is_floating_point() else 1 - value
    return changed


def _seen_at(reach: Reach, shape: tuple[int, ...], place: tuple[int, ...]) -> Tensor:
    """The positions of an input that one output value may depend on, by `reach`."""
    if reach is None:
        return torch.zeros(shape, dtype=torch.bool)
    seen = torch.ones(shape, dtype=torch.bool)
    for axis, along in enumerate(reach):
        if along.slide is None or along.mixed or not along.straight:
            continue
        position = place[along.axes[0]] if along.axes else 0
        low, high = along.slide.span(position, position)
        inside = torch.arange(shape[axis])
        within = (inside >= low) & (inside <= high)
        seen &= within.view([-1 if i == axis else 1 for i in range(len(shape))])
    return seen


def _bytes_said(graph: Graph) -> int:
    """The bytes that the layer claims to keep for the backward pass, for a batch of two."""
    node = layer(graph)
    inputs, options = graph.input_types(node), graph.option_types(node)
    learns = any(weight.trainable for weight in graph.weights.values())
    real = learns or any(type_.floating for type_ in (*inputs, *options.values()))
    if not (real and any(type_.floating for type_ in node.types)):
        return 0  # nothing to train: no backward pass
    return sum(type_.bytes * (BATCH if type_.batched else 1) for type_ in _kept(graph, node))


def _kept(graph: Graph, node: Node) -> Iterator[TensorType]:
    """The types of the tensors that `saved` names, each tensor once."""
    named = dict(zip(node.op.signature().required, node.inputs, strict=False)) | dict(node.options)
    refs: set[Ref] = set()
    for kept in graph.ask(node, Op.saved):
        match kept:
            case TensorType():
                yield kept
            case "inputs":
                refs.update(node.operands)
            case "outputs":
                refs.update(Ref(node.name, index) for index in range(len(node.types)))
            case name:
                refs.add(named[name])
    yield from (graph.types[ref] for ref in refs)


def _bytes_kept(graph: Graph) -> int:
    """The bytes that autograd keeps for the layer, each storage once, without weights and buffers."""
    module = lower(graph, lambda g: initial_weights(g, 0), flat=True)
    # Clones: a leaf would be kept anyway.
    batch = [x.requires_grad_().clone() if x.is_floating_point() else x for x in batch_of(graph, "cpu")]
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    # Not by oneDNN, whose recurrent kernels keep a workspace of a size of their own.
    (by_onednn, *_) = torch.backends.mkldnn.set_flags(_enabled=False, _fp32_precision=None)  # type: ignore[no-untyped-call]
    try:
        with saved_tensors_hooks(note, lambda tensor: tensor):
            out = module(*batch)
    finally:
        torch.backends.mkldnn.set_flags(_enabled=by_onednn, _fp32_precision=None)  # type: ignore[no-untyped-call]
    del out
    own = {_memory(tensor) for tensor in (*module.parameters(), *module.buffers())}
    memories = {_memory(tensor): tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for memory, size in memories.items() if memory not in own)
