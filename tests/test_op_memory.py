"""Every op against autograd: what it keeps for the backward pass, what is a view, what can be written over."""

import pytest
import torch
from test_ops import EXAMPLES, batch_of, graph_of, layer
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.dropout import _DropoutNd

from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import draw
from archspec.graph import Graph, Ref
from archspec.op import Op
from archspec.tensor import TensorType

BATCH = 2

# What no example of an op shows: other kernels, other arguments.
OTHERS = (
    "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 8]) -> Attention(causal=true) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(mask=bool[5, 5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(causal=true, mask=bool[5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(bias=f32[5, 5], mask=bool[2, 5, 5])"
    " -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention(causal=true, bias=f32[5, 5]) -> f32[2, 5, 8]",
    "(f32[2, 5, 8], f32[2, 7, 8], f32[2, 7, 4]) -> Attention(dropout=0.1, causal=true) -> f32[2, 5, 4]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention -> f32[3, 2, 5, 8]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention(mask=bool[2, 5, 5]) -> f32[3, 2, 5, 8]",
    "(f32[3, 2, 5, 8], f32[3, 2, 5, 8], f32[3, 2, 5, 8]) -> Attention(causal=true, mask=bool[3, 1, 1, 5])"
    " -> f32[3, 2, 5, 8]",
    "(f32[5, 3, 4, 8], f32[1, 3, 8, 2]) -> MatMul -> f32[5, 3, 4, 2]",
    "f16[4, 8] -> LayerNorm -> f16[4, 8]",
    "f16[8, 4] -> BatchNorm -> f16[8, 4]",
    "f32[8, 4, 4] -> AdaptiveAvgPool(1) -> f32[8, 1, 1]",
    "f32[8, 4] -> AdaptiveAvgPool(1) -> f32[8, 1]",
    "f32[8, 2, 3, 4] -> AdaptiveAvgPool(1) -> f32[8, 1, 1, 1]",
    "f32[8, 4] -> Dropout(0.0) -> f32[8, 4]",
    "f32[8, 4] -> ChannelDropout(0.0) -> f32[8, 4]",
    'f32[8, 4, 4] -> Upsample(2, mode="bilinear") -> f32[8, 8, 8]',
    "f32[4, 8] -> Power(0) -> f32[4, 8]",
    'f32[8, 4] -> Reduce("min", [0, 1]) -> f32[]',
)


def bytes_claimed(graph: Graph) -> int:
    """What the graph's one layer says that it keeps for the backward pass, for a batch of two."""
    node = layer(graph)
    inputs, options = graph.input_types(node), graph.option_types(node)
    learns = any(weight.trainable for weight in graph.weights.values())
    real = learns or any(type_.floating for type_ in (*inputs, *options.values()))
    if not (real and any(type_.floating for type_ in node.types)):
        return 0  # nothing to be learned: there is no backward pass
    named = dict(zip(node.op.signature().required, node.inputs, strict=False)) | dict(node.options)
    refs: set[Ref] = set()
    types: list[TensorType] = []
    for kept in node.op.saved(*inputs, **options):
        match kept:
            case TensorType():
                types.append(kept)
            case "inputs":
                refs.update(node.operands)
            case "outputs":
                refs.update(Ref(node.name, index) for index in range(len(node.types)))
            case name:
                refs.add(named[name])
    types += [graph.types[ref] for ref in refs]
    return sum(type_.bytes * (BATCH if type_.batched else 1) for type_ in types)


def bytes_kept(graph: Graph) -> int:
    """What autograd keeps of the layer in training, each memory once, weights and buffers left out."""
    module = lower(graph, lambda g: draw(g, 0), flat=True)
    # Copies, since a leaf would be kept by whoever holds it.
    batch = [
        x.requires_grad_().clone() if x.is_floating_point() else x for x in batch_of(graph, "cpu", BATCH)
    ]
    kept: list[torch.Tensor] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        out = module(*batch)
    del out
    own = {id_of(tensor) for tensor in (*module.parameters(), *module.buffers())}
    memories = {id_of(tensor): tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for memory, size in memories.items() if memory not in own)


def id_of(tensor: torch.Tensor) -> int:
    """Where a tensor's memory lies."""
    return tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("example", [*(example for _, example in EXAMPLES), *OTHERS])
def test_the_backward_pass_needs_what_the_op_says(example: str) -> None:
    graph, expected = graph_of(example)
    assert list(layer(graph).types) == expected
    assert bytes_claimed(graph) == bytes_kept(graph)


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES])
def test_a_view_is_what_shares_its_inputs_memory(example: str) -> None:
    graph, _ = graph_of(example)
    module = lower(graph, lambda g: draw(g, 0)).eval()
    batch = batch_of(graph, "cpu", BATCH)
    with torch.no_grad():
        out = module(*batch)
    outs = [out] if isinstance(out, torch.Tensor) else list(out)
    shared = {id_of(x) for x in batch} & {id_of(x) for x in outs}
    assert bool(shared) == layer(graph).op.view


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES])
def test_an_op_overwrites_its_input_if_its_module_can(example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    lowered = node.op.lower(*graph.input_types(node), **graph.option_types(node))
    noise = isinstance(lowered, _DropoutNd)  # has nothing to do at inference
    assert node.op.overwrites == (hasattr(lowered, "inplace") and not noise)


def test_what_an_op_says_of_its_tensors_are_their_names() -> None:
    graph, _ = graph_of("(f32[2, 5, 8], f32[2, 5, 8], f32[2, 5, 8]) -> Attention -> f32[2, 5, 8]")
    node = layer(graph)
    assert node.op.saved(*graph.input_types(node)) == ("q", "k", "v", "outputs", TensorType((2, 5), "f32"))


def test_every_op_says_whether_it_is_a_view() -> None:
    assert {name for name in Op.names() if Op.known[name].view} == {
        *("Flatten", "Reshape", "Permute", "Index", "Crop", "Split", "Identity"),
        *("Dropout", "ChannelDropout", "DropPath"),  # at inference
    }
