"""Memory, against what torch allocates and keeps on the meta device."""

import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import archspec
from archspec.analyses import memory
from archspec.analyses.memory import peak_memory, saved_memory, written_over
from archspec.analyses.rows import whole
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.graph import Graph
from archspec.ground.tensor import torch_name

BATCH = 2


class Allocations(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, and the most there were; ops' own scratch space is not seen."""

    def __init__(self, given: list[torch.Tensor], weights: list[torch.Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in weights}
        self.alive = self.peak = 0
        for tensor in given:
            self.track(tensor)

    def track(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        size = storage.nbytes()
        self.alive += size
        weakref.finalize(storage, self.free, size, storage._cdata)

    def free(self, size: int, key: int) -> None:
        self.alive -= size
        self.known.discard(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self.track(tensor)
        self.peak = max(self.peak, self.alive)
        return result


def network_of(graph: Graph, device: str = "meta") -> tuple[Any, list[torch.Tensor]]:
    network = lower(graph, lambda g: empty(g, device), flat=True)
    batch = [
        torch.zeros(
            (BATCH, *given.type.shape), dtype=getattr(torch, torch_name(given.type.dtype)), device=device
        )
        for given in graph.inputs
    ]
    return network, batch


def measured_peak(graph: Graph) -> int:
    network, batch = network_of(graph)
    network.eval()
    with torch.no_grad(), Allocations(batch, [*network.parameters(), *network.buffers()]) as counted:
        network(*batch)
    return counted.peak


def measured_saved(graph: Graph, device: str = "meta") -> int:
    network, batch = network_of(graph, device)
    weights = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.train()(*batch)
    return sum(storage.nbytes() for storage in kept.values())


CONVOLUTIONAL = (
    "resnet18",
    "resnet50",
    "googlenet",
    "densenet121",
    "efficientnet_b3",
    "deeplabv3_resnet50",
    "mixer_b16",
)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_peak_memory_is_what_torch_allocates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The flat network that is run is one of pure functions, which write over nothing.
    monkeypatch.setattr("archspec.analyses.memory.written_over", lambda graph: set())
    graph = archspec.read(name)
    # Each allocation of torch is rounded up to no more than 512 bytes, and a step has few of them.
    assert abs(peak_memory(graph, batch=BATCH).bytes - measured_peak(graph)) <= 20_000


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "swin_t"])
def test_what_is_kept_for_the_backward_pass_is_what_autograd_keeps(name: str) -> None:
    graph = archspec.read(name)
    assert saved_memory(graph, batch=BATCH) == measured_saved(graph)


def test_attention_without_a_bias_keeps_what_the_kernel_of_the_cpu_does() -> None:
    graph = archspec.read("vit_b16")
    # The kernel lays its output so that the permutation after it needs no copy: one tensor in each of 12 blocks.
    spared = 12 * BATCH * 197 * 768 * 4
    assert saved_memory(graph, batch=BATCH) - measured_saved(graph, "cpu") == spared


def test_writing_over_saves_memory_and_says_where() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [1, 8, 8]
    y = x -> Conv(4, 3) -> ReLU
    z = x -> Conv(4, 3)
    return (z -> ReLU) + z + y
""")
    assert written_over(graph) == {"relu"}
    # 256 bytes of input; y, z, relu(z) and their sum are 1 KiB each.
    assert peak_memory(graph).bytes == 256 + 4 * 1024
    assert peak_memory(graph).node == "add"


def test_views_take_no_memory_until_they_must_be_copied() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [4, 8, 8]
    y = x -> Permute([1, 2, 0])
    return y -> Reshape([64, 4])
""")
    assert peak_memory(graph).bytes == 2 * 1024  # the input, and the copy that the Reshape makes


def test_memory_grows_with_the_batch_and_halves_with_the_dtype() -> None:
    graph = archspec.read("resnet18")
    once = peak_memory(graph).bytes
    assert peak_memory(graph, batch=8).bytes == 8 * once
    assert peak_memory(graph, dtype="bf16").bytes * 2 == once


# ---------------------------------------------------------------- rows of calls

LAYERS = [
    "Linear(6)",
    "ReLU",
    "LayerNorm",
    "Dropout(0.5)",
    "Permute([1, 0]) -> Permute([1, 0])",
    "Permute([1, 0]) -> Reshape([4, 6])",
    "Reshape([24]) -> Reshape([4, 6])",
    "Linear(12) -> GELU -> Linear(6)",
    "Half",
]
bodies = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=3).map(" -> ".join)
values = st.tuples(bodies, st.booleans()).map(
    lambda body: f"x + (x -> {body[0]})" if body[1] else f"x -> {body[0]}"
)


@given(values, values, values, st.integers(1, 7), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_long_rows_take_what_all_their_calls_do(
    inner: str, outer: str, first: str, few: int, many: int
) -> None:
    """Rows in rows, of views, copies, steps in place and steps without weights, against each call by itself."""
    graph = archspec.read_text(f"""
block Half:
    input x: [4, 6]
    y = x -> Linear(12)
    return y[:, :6]

block Inner:
    input x: [4, 6]
    return {inner}

block Outer:
    input x: [4, 6]
    y = x -> {few} * [Inner]
    return y + ({outer})

model Net:
    input x: [4, 6]
    y = {first}
    return y -> {many} * [Outer] -> ReLU
""")
    found = peak_memory(graph), saved_memory(graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "shortened", whole)
        assert found == (peak_memory(graph), saved_memory(graph))


def test_a_network_too_long_to_list_takes_what_four_of_its_blocks_do() -> None:
    text = """
block Residual:
    input x: [C]
    return x + (x -> Linear(C) -> GELU)

model Net(blocks: int):
    input x: [8]
    return x -> blocks * [Residual]
"""
    few, many = (archspec.read_text(text, blocks=blocks) for blocks in (4, 900_000))
    assert peak_memory(few) == peak_memory(many)
    assert saved_memory(many) == saved_memory(few) + (900_000 - 4) * 64  # the inputs of Linear and GELU
