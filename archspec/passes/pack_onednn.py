"""Pack convolutions and linear layers for oneDNN on the CPU, each in one kernel with the activation and sum that follow it.

The kernels are those that TorchInductor calls; here they are called without compiling anything.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from archspec.backends.torch_fx import Network
from archspec.ops.arithmetic import Add
from archspec.ops.movement import _Movement
from archspec.passes.channels_last import dominated_by_convolutions
from archspec.passes.rewriting import add_module, modules, op_of

Epilogue = tuple[str, list[float], str]
NOTHING: Epilogue = ("none", [], "")


LEFT = 0.5
"""How many other steps to a packed layer make compiling worth it: ResNet-50 has 0.1 and is slower compiled, NASNet-A 0.6."""

MOST = 4  # shapes of the input for which a weight is packed


class _Packed(nn.Module):
    """A layer whose weight is packed for each shape of input that it meets: the best packing depends on the batch.

    Of more shapes than a few, the further ones share one that suits none in particular. No `state_dict` holds a packed
    weight, and no copy: it is packed anew.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, epilogue: Epilogue) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().contiguous())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())
        self.epilogue = epilogue
        self.packs: dict[torch.Size | None, Tensor] = {}

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for inputs of that shape."""
        raise NotImplementedError

    def packed(self, x: Tensor) -> Tensor:
        """The weight, packed for an input."""
        shape = x.shape if x.shape in self.packs or len(self.packs) < MOST else None
        if shape not in self.packs:
            self.packs[shape] = self.pack(shape)
        return self.packs[shape]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packs": {}}


class PackedConv(_Packed):
    """A two-dimensional convolution, with what follows it: `act(conv(x))`, or `relu(conv(x) + other)`."""

    def __init__(self, conv: nn.Conv2d, epilogue: Epilogue, adds: bool) -> None:
        super().__init__(conv, epilogue)
        assert not isinstance(conv.padding, str)
        self.settings = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.adds = adds

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for inputs of that shape."""
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.settings, shape)
        return packed

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """[N, C, H, W] -> [N, out, H', W'], to which `other` of that shape is added."""
        name, numbers, algorithm = self.epilogue
        weight, kernel = self.packed(x), torch.ops.mkldnn._convolution_pointwise
        result: Tensor
        if self.adds:
            follows = None if name == "none" else name
            result = kernel.binary(
                x, other, weight, self.bias, *self.settings, "add", 1.0, follows, numbers, algorithm
            )
        else:
            result = kernel(x, weight, self.bias, *self.settings, name, numbers, algorithm)
        return result


class PackedLinear(_Packed):
    """A linear layer, with the activation that follows it."""

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for so many rows."""
        rows = None if shape is None else shape[:-1].numel()
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows)
        return packed

    def forward(self, x: Tensor) -> Tensor:
        """[*S, in] -> [*S, out]."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed(x), self.bias, *self.epilogue)
        return result


def pack_onednn(network: Network) -> None:
    """Pack what oneDNN has kernels for; nothing on another device, or in double precision."""
    if not torch._C._has_mkldnn:
        return
    places = {node: place for place, node in enumerate(network.graph.nodes)}
    for node, layer in modules(network):
        if type(layer) is nn.Conv2d and _suits(layer):
            _pack_conv(network, node, layer, places)
        elif type(layer) is nn.Linear and _suits(layer):
            epilogue, last = _following(node)
            _put(network, node, PackedLinear(layer, epilogue), last, None, places)


def leaves_little(network: Network) -> bool:
    """Whether packing left little of a network for a compiler to gain by, or lost what a compiler would not have.

    Where linear layers dominate, TorchInductor's are slower than packed ones; where convolutions do, it gains by the steps
    between them, if these are many.
    """
    packed = sum(isinstance(module, _Packed) for module in network.modules())
    others = sum(
        op is not None and not isinstance(op, _Movement)
        for node in network.graph.nodes
        if node.op == "call_function" or not _calls_packed(network, node)
        for op in [op_of(node)]
    )
    dominated = dominated_by_convolutions(network.meta["archspec"])
    return packed > 0 and not (dominated and others > LEFT * packed)


def _calls_packed(network: Network, node: Node) -> bool:
    return node.op == "call_module" and isinstance(network.get_submodule(str(node.target)), _Packed)


def _suits(layer: nn.Conv2d | nn.Linear) -> bool:
    weight = layer.weight
    if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return False
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _pack_conv(network: Network, node: Node, layer: nn.Conv2d, places: dict[Node, int]) -> None:
    epilogue, last = _following(node)
    other = _added(node, places) if last is node else None
    if other is not None:
        last = next(iter(node.users))
        after, end = _following(last)
        if after[0] == "relu":
            epilogue, last = after, end
    _put(network, node, PackedConv(layer, epilogue, other is not None), last, other, places)


def _added(node: Node, places: dict[Node, int]) -> Node | None:
    """What the sum that alone reads a node adds to it, when it is of the same shape and there before the node."""
    add = next(iter(node.users)) if len(node.users) == 1 else None
    if add is None or type(op_of(add)) is not Add or len(add.all_input_nodes) != 2:
        return None
    (other,) = (value for value in add.all_input_nodes if value is not node)
    types = [value.meta.get("type") for value in (node, other)]
    return other if places[other] < places[node] and types[0] == types[1] is not None else None


def _following(node: Node) -> tuple[Epilogue, Node]:
    """The activation that alone reads a node, as oneDNN has it, and its node; nothing and the node itself otherwise."""
    if len(node.users) == 1:
        after = next(iter(node.users))
        op = op_of(after)
        epilogue = op.epilogue() if op is not None else None
        if epilogue is not None:
            return epilogue, after
    return NOTHING, node


def _put(
    network: Network, node: Node, packed: nn.Module, last: Node, other: Node | None, places: dict[Node, int]
) -> None:
    """Put a packed layer in the place of a layer and of all that follows it up to `last`."""
    name = add_module(network, f"{node.name}_packed", packed)
    with network.graph.inserting_before(last):
        made = network.graph.call_module(name, (node.args[0],) if other is None else (node.args[0], other))
    made.meta, places[made] = dict(last.meta), places[last]
    last.replace_all_uses_with(made)
    while last is not node:  # a sum has two inputs, of which one leads to the layer
        before = next(value for value in last.all_input_nodes if value is not other)
        network.graph.erase_node(last)
        last = before
    network.graph.erase_node(node)
