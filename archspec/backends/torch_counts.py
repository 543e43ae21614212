"""Second opinions: what torch's and fvcore's counters say of the ops of a network, on the meta device."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.fx import Interpreter
from torch.fx import Node as FxNode
from torch.utils.flop_counter import FlopCounterMode

from archspec.analyses.cost import Cost, node_costs
from archspec.backends.torch_fx import lower
from archspec.backends.torch_modules import Network
from archspec.backends.torch_weights import empty
from archspec.graph import Graph, Node
from archspec.ground.tensor import TensorType, torch_name
from archspec.ops.weights import Own, Tied


@dataclass
class Opinion:
    """What three counters say of all nodes of one op: ours, `torch.utils.flop_counter`, and fvcore.

    `torch_macs` are half of torch's FLOPs; fvcore counts a multiply-add as one. `left_out` are the
    operators that fvcore met and does not count.
    """

    op: str
    nodes: int = 0
    macs: int = 0
    flops: int = 0
    torch_macs: int = 0
    fvcore: int = 0
    left_out: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Comparison:
    """The opinions op by op, and two counts of the whole network: torch's MACs, and the state_dict's parameters."""

    opinions: list[Opinion]
    torch_macs: int
    torch_params: int


def compare(graph: Graph) -> Comparison:
    """Lower a network on the meta device and count it with torch and fvcore, for one sample.

    Raises Mistake when its costs depend on a free size, and RuntimeError when torch cannot run it.
    """
    costs = node_costs(graph)
    network = lower(graph, lambda g: empty(g, "meta"), flat=True).eval()
    batch = [_meta(given.type) for given in graph.inputs]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*batch)
    opinions: dict[str, Opinion] = {}
    for node, torch_macs, (fvcore, left_out) in _each(graph, network, batch):
        name = type(node.op).__name__
        opinion = opinions.setdefault(name, Opinion(name))
        cost: Cost = costs[node.name]
        opinion.nodes += 1
        opinion.macs += cost.macs
        opinion.flops += cost.flops
        opinion.torch_macs += torch_macs
        opinion.fvcore += fvcore
        opinion.left_out |= left_out
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Comparison(list(opinions.values()), counter.get_total_flops() // 2, parameters)


def _each(
    graph: Graph, network: Network, batch: list[torch.Tensor]
) -> Iterator[tuple[Node, int, tuple[int, set[str]]]]:
    """Each node of the graph with torch's and fvcore's count of it alone."""
    known: dict[Any, tuple[int, tuple[int, set[str]]]] = {}
    found: list[tuple[Node, int, tuple[int, set[str]]]] = []

    class Counting(Interpreter):
        def run_node(self, n: FxNode) -> Any:
            node: Node | None = n.meta.get("node")
            if node is None:
                return super().run_node(n)
            if isinstance(node.op, Own | Tied):
                found.append((node, 0, (0, set())))
                return super().run_node(n)
            key = (node.op, graph.input_types(node), tuple(graph.option_types(node).items()))
            if key not in known:
                arguments, keywords = self.fetch_args_kwargs_from_env(n)
                target = self.fetch_attr(n.target) if isinstance(n.target, str) else n.target
                known[key] = _counted(_Alone(target, keywords, len(arguments)), arguments, keywords)
            found.append((node, *known[key]))
            return super().run_node(n)

    with torch.no_grad():
        Counting(network).run(*batch)
    return iter(found)


class _Alone(nn.Module):
    """One op as a module in eval mode that takes tensors by position, optional ones last, as fvcore traces it."""

    def __init__(self, target: Any, keywords: dict[str, Any], required: int) -> None:
        super().__init__()
        self.eval()
        self.target = target
        self.required = required
        self.optional = [name for name, value in keywords.items() if isinstance(value, torch.Tensor)]
        self.settings = {
            name: value for name, value in keywords.items() if not isinstance(value, torch.Tensor)
        }

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Call the op."""
        optional = dict(zip(self.optional, tensors[self.required :], strict=True))
        return self.target(*tensors[: self.required], **optional, **self.settings)


def _counted(alone: _Alone, arguments: Any, keywords: dict[str, Any]) -> tuple[int, tuple[int, set[str]]]:
    from fvcore.nn import FlopCountAnalysis

    tensors = tuple(x.detach() for x in (*arguments, *(keywords[name] for name in alone.optional)))
    with FlopCounterMode(display=False) as counter:
        alone(*tensors)
    # fvcore traces with TorchScript, which cannot run convolutions on the meta device.
    real = copy.deepcopy(alone).to_empty(device="cpu")
    analysis = FlopCountAnalysis(real, tuple(torch.zeros_like(x, device="cpu") for x in tensors))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    total = analysis.total()
    return counter.get_total_flops() // 2, (int(total), set(analysis.unsupported_ops()))


def _meta(type_: TensorType) -> torch.Tensor:
    """A batch of one on the meta device."""
    shape = [1, *(int(str(size)) for size in type_.shape)]
    return torch.empty(shape, dtype=getattr(torch, torch_name(type_.dtype)), device="meta")


__all__ = ["Comparison", "Opinion", "compare"]
