"""Steps as rows of PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.profiler import record_function

from archspec.graph import Graph


@contextmanager
def profiled(network: nn.Module, graph: Graph) -> Iterator[None]:
    """Within it, each module of the network that is a step or a block of the graph is a row `layer1.0.conv1 (resnet.arch:12)`."""
    places = {scope.name: scope.location for scope in graph.scopes}
    places |= {node.name: node.location for node in graph.nodes}
    running: list[record_function] = []

    def enter(row: str, module: nn.Module, args: Any) -> None:
        running.append(record_function(row))
        running[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        running.pop().__exit__(None, None, None)

    handles = []
    try:
        for name, module in network.named_modules():
            if name and name in places:
                file, line, _ = places[name]
                row = f"{name} ({file}:{line})"
                handles.append(module.register_forward_pre_hook(partial(enter, row)))
                # Also where the module fails, so that the rows around it end.
                handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
