"""Pack convolutions and linear layers on the CPU, each in one kernel with the activation and sum that follow it.

The kernels are those of oneDNN and MKL that TorchInductor calls; here they are called without compiling anything.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from archspec.backends.torch_modules import Network
from archspec.op import Movement
from archspec.ops.arithmetic import Add
from archspec.passes.channels_last import dominated_by_convolutions
from archspec.passes.epilogues import NOTHING, RELU, Epilogue, epilogue_of
from archspec.passes.rewriting import add_module, modules, op_of

Follower = Callable[[Tensor], Tensor] | None

LEFT = 0.5
"""How many other steps per packed layer make compiling worthwhile: ResNet-50 has 0.1 and is slower compiled, NASNet-A 0.6."""

MOST = 4  # shapes of the input for which a weight is packed


class _Packed(nn.Module):
    """A layer and what follows it, as one kernel, whose weight is packed once for each input shape.

    The best packing depends on the batch. After a few shapes, the rest share a general packing. Packed weights are
    neither in the `state_dict` nor copied: they are packed again. On another device, in another precision, or under
    `torch.compile`, the original layer runs.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, epilogue: Epilogue, follows: Follower) -> None:
        super().__init__()
        self.layer = layer
        self.epilogue = epilogue
        self.follows = follows
        self.packs: dict[torch.Size | None, tuple[Tensor, Tensor | None]] = {}
        self.suitable = _suits(layer)

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for inputs of that shape."""
        raise NotImplementedError

    def packed(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weight, packed for an input, and the bias."""
        shape = x.shape if x.shape in self.packs or len(self.packs) < MOST else None
        if shape not in self.packs:
            self.packs[shape] = self.pack(shape), self.layer.bias
        return self.packs[shape]

    def suits(self, x: Tensor) -> bool:
        """Whether the kernel can run on such an input in the current context."""
        return (
            self.suitable
            and x.is_cpu
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )

    def plain(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The same by PyTorch's own kernels."""
        made: Tensor = self.layer(x)
        if other is not None:
            made = made + other
        return made if self.follows is None else self.follows(made)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Packed:
        self.packs.clear()  # `to`, `half` ... change the weight, so it is packed again
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.suitable = _suits(self.layer)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "packs": {}}


class PackedConv(_Packed):
    """A two-dimensional convolution, with what follows it: `act(conv(x))`, or `relu(conv(x) + other)`."""

    layer: nn.Conv2d

    def __init__(self, layer: nn.Conv2d, epilogue: Epilogue, follows: Follower) -> None:
        super().__init__(layer, epilogue, follows)
        assert not isinstance(layer.padding, str)
        self.settings = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
        self.over = False  # whether the sum may overwrite the other summand

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for inputs of that shape."""
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            self.layer.weight.contiguous(), *self.settings, shape
        )
        return packed

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """[N, C, H, W] -> [N, out, H', W'], to which `other` of that shape is added."""
        if not self.suits(x) or (other is not None and other.shape[2:].numel() == 1):
            return self.plain(x, other)  # torch 2.11 adds nothing to images of one place
        epilogue = self.epilogue.arguments
        (weight, bias), kernels = self.packed(x), torch.ops.mkldnn
        result: Tensor
        if other is None:
            result = kernels._convolution_pointwise(x, weight, bias, *self.settings, *epilogue)
        else:
            follows = None if self.epilogue == NOTHING else self.epilogue.name
            how = (weight, bias, *self.settings, "add", 1.0, follows, *epilogue[1:])
            if self.over:
                result = kernels._convolution_pointwise_.binary(other, x, *how)
            else:
                result = kernels._convolution_pointwise.binary(x, other, *how)
        return result


class PackedLinear(_Packed):
    """A linear layer, with the activation that follows it."""

    layer: nn.Linear

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for the number of rows."""
        rows = None if shape is None else shape[:-1].numel()
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.layer.weight.contiguous(), rows)
        return packed

    def forward(self, x: Tensor) -> Tensor:
        """[*S, in] -> [*S, out]."""
        if not self.suits(x):
            return self.plain(x)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, *self.packed(x), *self.epilogue.arguments)
        return result


class MKLLinear(PackedLinear):
    """A linear layer without an activation, by MKL, which is faster than oneDNN on Intel's processors."""

    @staticmethod
    @cache
    def leads() -> bool:
        """Whether MKL is available, on an Intel processor."""
        described = Path("/proc/cpuinfo")
        processor = described.read_text() if described.exists() else platform.processor()
        return torch._C.has_mkl and "GenuineIntel" in processor

    def pack(self, shape: torch.Size | None) -> Tensor:
        """The weight, packed for the number of rows; for oneDNN if that is not known."""
        if shape is None:
            return super().pack(shape)
        packed: Tensor = torch.ops.mkl._mkl_reorder_linear_weight(
            self.layer.weight.contiguous(), shape[:-1].numel()
        )
        return packed

    def forward(self, x: Tensor) -> Tensor:
        """[*S, in] -> [*S, out]."""
        if not self.suits(x):
            return self.plain(x)
        weight, bias = self.packed(x)
        if x.shape not in self.packs:
            return super().forward(x)
        result: Tensor = torch.ops.mkl._mkl_linear(x, weight, self.layer.weight, bias, x.shape[:-1].numel())
        return result


def pack_layers(network: Network) -> None:
    """Pack the layers that there are kernels for: none on other devices, or in double precision."""
    if not torch._C._has_mkldnn:
        return
    places = {node: place for place, node in enumerate(network.graph.nodes)}
    for node, layer in modules(network):
        if type(layer) is nn.Conv2d and _suits(layer):
            _pack_conv(network, node, layer, places)
        elif type(layer) is nn.Linear and _suits(layer):
            epilogue, last = _following(node)
            kind = MKLLinear if last is node and MKLLinear.leads() else PackedLinear
            _put(network, node, kind(layer, epilogue, _function(network, node, last)), last, None, places)


def leaves_little(network: Network) -> bool:
    """Whether compiling a packed network would gain little, or be slower.

    Where linear layers dominate, TorchInductor's are slower than packed ones; where convolutions do, it gains by fusing the
    steps between them, if there are many.
    """
    packed = sum(isinstance(module, _Packed) for module in network.modules())
    others = sum(
        op is not None and not isinstance(op, Movement)
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
        if after == RELU:
            epilogue, last = after, end
    follows = _function(network, node if other is None else next(iter(node.users)), last)
    _put(network, node, PackedConv(layer, epilogue, follows), last, other, places)


def _added(node: Node, places: dict[Node, int]) -> Node | None:
    """The other summand of the sum that is a node's only reader, if it has the same shape and is computed before the node."""
    add = next(iter(node.users)) if len(node.users) == 1 else None
    if add is None or type(op_of(add)) is not Add or len(add.args) != 2 or len(add.all_input_nodes) != 2:
        return None
    (other,) = (value for value in add.all_input_nodes if value is not node)
    types = [value.meta.get("type") for value in (node, other)]
    return other if places[other] < places[node] and types[0] == types[1] is not None else None


def _following(node: Node) -> tuple[Epilogue, Node]:
    """The epilogue of the activation that is a node's only reader, and the activation's node; else `NOTHING` and the node."""
    if len(node.users) == 1:
        after = next(iter(node.users))
        op = op_of(after)
        epilogue = epilogue_of(op) if op is not None else None
        if epilogue is not None:
            return epilogue, after
    return NOTHING, node


def _function(network: Network, node: Node, last: Node) -> Follower:
    """The module of the activation after a node, if there is one."""
    return None if last is node else network.get_submodule(str(last.target))


def _put(
    network: Network, node: Node, packed: nn.Module, last: Node, other: Node | None, places: dict[Node, int]
) -> None:
    """Replace a layer, and everything after it up to `last`, by a packed layer."""
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
