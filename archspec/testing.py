"""What ops that come with archspec are tested by, for the authors of others: `check_op(Snake)` in a test of yours.

Each check takes an example as an op has them, `"f32[3, 32, 32] -> Conv(8, 3) -> f32[8, 32, 32]"`, and raises AssertionError
with the op, the example, what was said and what is so. What the op computes is left to test by hand.
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
from archspec.backends.torch_weights import draw, empty
from archspec.graph import Graph, Node, Ref
from archspec.ground.errors import Mistake
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
PLACES = 40  # of an input, at most, that are changed to see what sees them
_TYPE = r"(\w+)\[([^\]]*)\]"


def check_op(op: type[Op], *, leave_out: Iterable[str] = ()) -> None:
    """Hold an op to what it says of itself, on each of its examples, by all CHECKS but those left out, such as "reach".

    Raises AssertionError when something is not so, or the op has no examples; SpecError when an example is no spec;
    TypeError for what is no class of ops, or no collection of names.
    """
    if not isinstance(op, type) or not issubclass(op, Op):
        known = isinstance(op, str) and op in Op.known
        hint = f": `check_op(Op.find({op!r}))`" if known else ""
        raise TypeError(f"`op` is a class of ops, a subclass of archspec.Op, not {op!r}{hint}")
    if isinstance(leave_out, str):
        raise TypeError(f"`leave_out` is a collection of names, as [{leave_out!r}], not {leave_out!r}")
    if not isinstance(leave_out, Iterable):
        raise TypeError(f"`leave_out` is a collection of names, not {leave_out!r}")
    if not op.examples:
        raise AssertionError(f"{op.__name__} has no examples, so nothing of it can be tested")
    left_out = set(leave_out)
    strange = [name for name in left_out if not isinstance(name, str)]
    if strange:
        raise TypeError(f"`leave_out` holds names of checks, not {strange[0]!r}")
    unknown = left_out - CHECKS.keys()
    if unknown:
        raise ValueError(f"there is no check {sorted(unknown)}; there are {', '.join(CHECKS)}")
    for example in op.examples:
        graph, _ = graph_of(example)
        _require(type(layer(graph).op) is op, example, f"is no example of {op.__name__}")
        for name, check in CHECKS.items():
            if name not in left_out:
                check(example)


def graph_of(example: str) -> tuple[Graph, list[TensorType]]:
    """The graph of `inputs -> layer -> outputs`, its step named `layer`; and the types of the outputs expected."""
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
    """The step that an example is about."""
    return graph.nodes[-1]


def batch_of(graph: Graph, device: str, size: int = BATCH) -> list[Tensor]:
    """A tensor for each input: of real numbers between 0.1 and 1.1, of ones where it is not f32."""
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
    """`infer` gives the types of the example, and what runs gives tensors of these: on the meta device, without numbers."""
    graph, expected = graph_of(example)
    node = layer(graph)
    _require(list(node.types) == expected, example, f"`infer` gives {', '.join(map(str, node.types))}")
    inputs, options = graph.input_types(node), graph.option_types(node)
    outputs, weights = infer(node.op, inputs, options)
    lowered = node.op.lower(*inputs, **options)
    try:
        require_callable(node.op, lowered)
        require_results(node.op, lowered, (*inputs, *options.values()), tuple(options), outputs, weights)
    except Mistake as mistake:
        _require(False, example, mistake.message)


def check_weights(example: str) -> None:
    """`weights` declares what the module owns: names, shapes and dtypes, what is trained and what is saved."""
    graph, _ = graph_of(example)
    node = layer(graph)
    inputs, options = graph.input_types(node), graph.option_types(node)
    try:
        require_weights(node.op, node.op.lower(*inputs, **options), node.op.weights(*inputs, **options))
    except Mistake as mistake:
        _require(False, example, mistake.message)


def check_counts(example: str) -> None:
    """`macs` is half of the floating-point operations that torch counts, and `flops` at least twice `macs`."""
    graph, _ = graph_of(example)
    node = layer(graph)
    inputs, options = graph.input_types(node), graph.option_types(node)
    macs, flops = node.op.macs(*inputs, **options), node.op.flops(*inputs, **options)
    module = lower(graph, lambda g: empty(g, "meta")).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        module(*batch_of(graph, "meta"))
    counted = counter.get_total_flops() // (2 * BATCH)
    _require(macs == counted, example, f"`macs` gives {macs}, and torch counts {counted}")
    _require(
        flops >= 2 * macs, example, f"`flops` gives {flops}, which is less than twice the {macs} of `macs`"
    )


def check_run(example: str) -> None:
    """It runs on the CPU, gives finite numbers, and its graph reads back from JSON as it was."""
    graph, expected = graph_of(example)
    _require(Graph.from_json(graph.to_json()) == graph, example, "its graph reads back from JSON as another")
    results = _tensors(lower(graph, lambda g: draw(g, 0))(*batch_of(graph, "cpu", 3)))
    for type_, result in zip(expected, results, strict=True):
        shape = (3, *type_.shape)
        _require(
            tuple(result.shape) == shape,
            example,
            f"a batch of 3 gives {list(result.shape)}, not {list(shape)}",
        )
        if result.is_floating_point():
            _require(bool(result.isfinite().all()), example, "it gives numbers that are not finite")


def check_saved(example: str) -> None:
    """`saved` names what autograd keeps in training, to the byte, each memory once."""
    graph, _ = graph_of(example)
    said, kept = _bytes_said(graph), _bytes_kept(graph)
    _require(
        said == kept,
        example,
        f"`saved` comes to {said} bytes for a batch of {BATCH}, and autograd keeps {kept}",
    )


def check_view(example: str) -> None:
    """`view` says whether at inference it gives its input's memory."""
    graph, _ = graph_of(example)
    module = lower(graph, lambda g: draw(g, 0)).eval()
    batch = batch_of(graph, "cpu")
    with torch.no_grad():
        results = _tensors(module(*batch))
    shared = bool({_memory(x) for x in batch} & {_memory(x) for x in results})
    said = layer(graph).op.view
    _require(
        shared == said, example, f"`view` is {said}, and it gives {'its input' if shared else 'new'} memory"
    )


def check_overwritable(example: str) -> None:
    """What says `overwritable` makes a new tensor, and its backward pass is right after that is written over."""
    graph, _ = graph_of(example)
    if not layer(graph).op.overwritable:
        return
    module = lower(graph, lambda g: draw(g, 0))
    batch = batch_of(graph, "cpu", 3)
    real = [x.requires_grad_() for x in batch if x.is_floating_point()]
    out = module(*batch)
    _require(
        all(_memory(out) != _memory(x) for x in batch),
        example,
        "it says `overwritable`, and gives its input's memory",
    )
    if not out.requires_grad:
        return  # of whole numbers, or whether they are equal: without a backward pass
    expected = torch.autograd.grad(out.relu().sum(), real, retain_graph=True)
    out.relu_()
    try:
        gradients = torch.autograd.grad(out.sum(), real)
    except RuntimeError as error:
        raise AssertionError(
            f"{example}: it says `overwritable`, and its backward pass reads it: {error}"
        ) from None
    for gradient, wanted in zip(gradients, expected, strict=True):
        _require(
            torch.equal(gradient, wanted), example, "it says `overwritable`, and then has other gradients"
        )


def check_reach(example: str) -> None:
    """`reach` has an item for each tensor and axis, and no value sees more than it says: one place is changed at a time."""
    graph, _ = graph_of(example)
    node = layer(graph)
    reaches = node.op.reach(*graph.input_types(node), **graph.option_types(node))
    _require(len(reaches) == len(node.operands), example, "`reach` has not an item for each tensor")
    module = lower(graph, lambda g: draw(g, 0)).eval()
    torch.manual_seed(0)
    batch = batch_of(graph, "cpu", 1)
    by_name = {given.name: x for given, x in zip(graph.inputs, batch, strict=True)}
    before = _tensors(module(*batch))
    for operand, reach in zip(node.operands, reaches, strict=True):
        x = by_name[operand.producer]
        shape = tuple(x.shape[1:])
        _require(reach is None or len(reach) == len(shape), example, "`reach` has not an item for each axis")
        for flat in range(0, prod(shape), max(1, prod(shape) // PLACES)):
            at = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), shape)) if shape else ()
            changed = _changed(x, at)
            after = _tensors(module(*(changed if other is x else other for other in batch)))
            for was, now in zip(before, after, strict=True):
                differs = (was[0] != now[0]) & ~(was[0].isnan() & now[0].isnan())
                for place in differs.nonzero().tolist():
                    seen = _seen_at(reach, shape, tuple(place))
                    _require(bool(seen[at]), example, f"the value at {place} sees {list(at)} of `{operand}`")


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
"""The checks by name, in the order in which `check_op` makes them."""


# ---------------------------------------------------------------- how they look


def _require(holds: bool, example: str, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{example}: {otherwise}")


def _types(text: str) -> list[TensorType]:
    return [
        TensorType(tuple(int(size) for size in shape.split(",") if size.strip()), dtype(name))
        for name, shape in re.findall(_TYPE, text)
    ]


def _tensors(out: Any) -> list[Tensor]:
    return [out] if isinstance(out, Tensor) else list(out)


def _memory(tensor: Tensor) -> int:
    """Where a tensor's memory lies."""
    return tensor.untyped_storage().data_ptr()


def _changed(x: Tensor, at: tuple[int, ...]) -> Tensor:
    """The tensor with another value at one place of its first sample."""
    changed = x.clone()
    value = changed[(0, *at)]
    if x.dtype == torch.bool:
        changed[(0, *at)] = ~value
    else:
        changed[(0, *at)] = value + 3 if x.is_floating_point() else 1 - value
    return changed


def _seen_at(reach: Reach, shape: tuple[int, ...], place: tuple[int, ...]) -> Tensor:
    """Which positions of an input the op says that one place of its output may see."""
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
    """What the graph's one layer says that it keeps for the backward pass, for a batch of two."""
    node = layer(graph)
    inputs, options = graph.input_types(node), graph.option_types(node)
    learns = any(weight.trainable for weight in graph.weights.values())
    real = learns or any(type_.floating for type_ in (*inputs, *options.values()))
    if not (real and any(type_.floating for type_ in node.types)):
        return 0  # nothing to be learned: there is no backward pass
    return sum(type_.bytes * (BATCH if type_.batched else 1) for type_ in _kept(graph, node))


def _kept(graph: Graph, node: Node) -> Iterator[TensorType]:
    """The types of all that `saved` names, each tensor once."""
    named = dict(zip(node.op.signature().required, node.inputs, strict=False)) | dict(node.options)
    refs: set[Ref] = set()
    for kept in node.op.saved(*graph.input_types(node), **graph.option_types(node)):
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
    """What autograd keeps of the layer in training, each memory once, weights and buffers left out."""
    module = lower(graph, lambda g: draw(g, 0), flat=True)
    # Copies, since a leaf would be kept by whoever holds it.
    batch = [x.requires_grad_().clone() if x.is_floating_point() else x for x in batch_of(graph, "cpu")]
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        out = module(*batch)
    del out
    own = {_memory(tensor) for tensor in (*module.parameters(), *module.buffers())}
    memories = {_memory(tensor): tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for memory, size in memories.items() if memory not in own)
