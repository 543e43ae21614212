"""Repeated units: sharing what is compiled, recomputing, and wrapping them for several processes."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from nets import outputs, sized
from torch import nn
from torch._inductor.utils import run_and_get_code
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import archspec
from archspec.api import torch_dtype
from archspec.backends.torch_blocks import lone, own_code
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.ground.errors import SpecError
from archspec.passes.compile_blocks import plan_of

VIT: dict[str, Any] = {"layers": 4, "dim": 32, "heads": 2, "resolution": 32, "classes": 5}
SWIN: dict[str, Any] = {"dim": 24, "layers": [4], "heads": [3], "resolution": 56, "classes": 5}
RESNET: dict[str, Any] = {"depths": [1, 1, 9, 1], "width": 0.125, "resolution": 64, "classes": 5}
# By regions: the 19 blocks of its third stage that are alike, and the one of its first.
DEEP = RESNET | {"depths": [1, 1, 20, 1]}


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("resnet50", {"Bottleneck": 16}),
        ("cbam_resnet50", {"Bottleneck": 16}),
        ("vit_b16", {"Encoder": 12}),
        ("googlenet", {"Inception": 9, "ConvBN": 3}),
        ("nasnet_a_large", {"Cell": 22}),
        ("efficientnet_b0", {"MBConv": 16}),
        ("mixer_b16", {"Mixer": 12}),
    ],
)
def test_blocks_are_what_repeats(name: str, units: dict[str, int]) -> None:
    module = lower(sized(name), lambda g: empty(g, "meta"))
    found = [type(block).__name__ for block in archspec.repeated_blocks(module).values()]
    assert {name: found.count(name) for name in found} == units
    for path, block in archspec.repeated_blocks(module).items():
        assert module.get_submodule(path) is block


def test_blocks_of_another_module_are_refused() -> None:
    with pytest.raises(TypeError, match="was not loaded by archspec"):
        archspec.repeated_blocks(nn.Linear(2, 2))


# ---------------------------------------------------------------- compiling


@pytest.mark.parametrize(
    ("name", "kinds", "lone", "pays"),
    [
        ("vit_b16", [12], [], True),
        # The first blocks of its stages compute 7.6, 4.9, 2.5 and 1.2 % of its values; the others of its last, 1.4 %.
        ("resnet152", [2, 7, 35], ["layer1.0", "layer2.0"], True),
        # 17 % of its steps repeat: no room for the cells of its stem.
        ("nasnet_a_large", [4, 6, 4, 7, 4, 4], [], True),
        ("mixer_b16", [12], [], True),
        ("transformer_base", [6, 6], [], True),
        ("resnet18", [], [], False),  # no two blocks of a stage but the second of the first are alike
        ("alexnet", [], [], False),
        ("densenet121", [], [], False),
    ],
)
def test_regions_are_chosen_where_nearly_all_is_alike(
    name: str, kinds: list[int], lone: list[str], pays: bool
) -> None:
    plan = plan_of(lower(sized(name), lambda g: empty(g, "meta")))
    if plan.pays:
        assert [len(paths) for paths in plan.kinds] == kinds
        assert list(plan.lone) == lone
    assert plan.pays == pays


def test_blocks_of_their_own_are_chosen_by_nothing_where_sizes_are_free() -> None:
    plan = plan_of(lower(archspec.read("transformer_base"), lambda g: empty(g, "meta")))
    assert plan.pays and not plan.lone


def test_blocks_of_their_own_neither_hold_nor_stand_in_compiled_ones() -> None:
    network = lower(archspec.read("resnet50"), lambda g: empty(g, "meta"))
    every = set(dict(network.named_modules()))
    assert lone(network, every, {"layer1.1", "layer1.2"}) == [
        "layer1.0",
        *(f"layer{stage}.{i}" for stage, many in ((2, 4), (3, 6), (4, 3)) for i in range(many)),
    ]
    assert lone(network, {"layer1", "layer1.0"}, set()) == ["layer1.0"]  # `layer1` is a list
    assert lone(network, every, {"layer1.0.downsample"})[:2] == ["layer1.1", "layer1.2"]


def step(module: nn.Module, batch: torch.Tensor) -> list[torch.Tensor]:
    """What a training step gives: the result, the gradient of the input and of each weight, and the statistics."""
    x = batch.clone().requires_grad_()
    out = outputs(module(x))
    sum(o.square().sum() for o in out).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    gradients = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None for gradient in gradients)
    return [*out, x.grad, *gradients, *(b.clone().double() for b in module.buffers())]  # type: ignore[list-item]


def images(settings: dict[str, Any], dtype: str) -> torch.Tensor:
    size = settings["resolution"]
    return torch.randn(3, 3, size, size, dtype=torch_dtype(dtype))


def assert_close(a: list[torch.Tensor], b: list[torch.Tensor], tolerance: float) -> None:
    for x, y in zip(a, b, strict=True):
        assert (x - y).abs().max() <= tolerance * (1 + x.abs().max())


# Convolutional nets in double precision: in single, rounding moves values over the edges of ReLUs and poolings.
# Torch 2.11 compiles no backward pass of attention in double.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "how", "dtype", "tolerance"),
    [
        ("vit_ti16", VIT, True, "f32", 1e-4),
        ("resnet50", DEEP, True, "f64", 1e-9),
        ("resnet18", RESNET | {"depths": [1, 1, 1, 1]}, "whole", "f64", 1e-9),
    ],
)
def test_compiled_networks_compute_the_same(
    name: str, settings: dict[str, Any], how: bool | str, dtype: str, tolerance: float
) -> None:
    torch._dynamo.reset()
    plain = archspec.load(name, seed=0, dtype=dtype, **settings)
    compiled = archspec.load(name, seed=0, dtype=dtype, compile=how, **settings)
    assert list(plain.state_dict()) == list(compiled.state_dict())
    batch = images(settings, dtype)
    assert_close(step(plain, batch), step(compiled, batch), tolerance)
    with torch.no_grad():
        assert_close([plain.eval()(batch)], [compiled.eval()(batch)], tolerance)
        other = batch[:1]
        assert_close([plain(other)], [compiled(other)], tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings", "graphs"), [("vit_ti16", VIT, 1), ("resnet50", DEEP, 2)])
def test_one_code_is_compiled_for_all_blocks_that_are_alike(
    name: str, settings: dict[str, Any], graphs: int
) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    module = archspec.load(name, seed=0, compile="regions", **settings).eval()
    with torch.no_grad():
        module(images(settings, "f32"))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


@pytest.mark.slow
def test_blocks_that_are_alike_but_for_their_sizes_are_each_compiled_for_fixed_ones() -> None:
    """`torch.compile` takes them for one function that meets sizes that vary, and the second would compute its indices."""
    torch._dynamo.reset()
    fixed: list[bool] = []

    def backend(graph: Any, inputs: list[Any]) -> Any:
        fixed.append(all(isinstance(x, torch.Tensor) for x in inputs))
        return graph.forward

    module = archspec.load("swin_t", **SWIN).get_submodule("layers.0.blocks.0.mlp")
    for size in (8, 16):
        forward = torch.compile(own_code(type(module).forward), backend=backend, fullgraph=True)
        forward(module, torch.randn(1, size, size, 24))
    assert fixed == [True, True]


JOINED = """
model Joined:
    input image: [3, 16, 16]
    x = image -> stem: Conv(16, 3) -> norm: BatchNorm
    y = x -> ReLU -> conv: Conv(16, 3)
    return concat(x, y + (x -> AvgPool(3, stride=1)), y + (x -> MaxPool(3, stride=1)))
"""


@pytest.mark.slow
def test_compiled_networks_join_images_channels_last() -> None:
    """What is joined is laid out so, and so is the result: TorchInductor is not to lay it out otherwise in between."""
    torch._dynamo.reset()
    graph = archspec.read_text(JOINED)
    plain = archspec.load(graph, seed=0, dtype="f64")
    compiled = archspec.load(graph, seed=0, dtype="f64", compile="whole")
    batch = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert_close(step(plain, batch), step(compiled, batch), 1e-9)
    with torch.no_grad():
        made, (code,) = run_and_get_code(compiled.eval(), batch)
    assert_close([plain.eval()(batch)], [made], 1e-9)
    assert made.is_contiguous(memory_format=torch.channels_last)
    joined = re.findall(r"empty_strided_cpu\(\(2, (?:48, 16, 16|16, 16, 48)\)", code)
    assert len(joined) == 1


def test_unknown_ways_to_compile_are_refused() -> None:
    with pytest.raises(SpecError, match="`compile` is true or one of regions, whole, default"):
        archspec.load("resnet18", compile="fast")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("lenet5", {}), ("vit_ti16", {"flat": True}), ("vit_ti16", {"optimize": "inference"})],
)
def test_regions_are_refused_where_there_are_none(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="has no blocks that are alike"):
        archspec.load(name, compile="regions", **settings)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_compiled_and_optimised(dtype: str) -> None:
    torch._dynamo.reset()
    settings: dict[str, Any] = {"seed": 0, "resolution": 64, "dtype": dtype, "depths": [1, 1, 1, 1]}
    plain = archspec.load("resnet18", **settings).eval()
    module = archspec.load("resnet18", optimize="inference", compile="whole", **settings)
    x = images(settings, dtype)
    assert_close([plain(x)], [module(x)], 1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not torch._C._has_mkldnn, reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize(
    ("name", "compiled"), [("resnet50", False), ("vit_ti16", False), ("nasnet_a_mobile", True)]
)
def test_packed_networks_are_compiled_where_that_gains_more(name: str, compiled: bool) -> None:
    module = archspec.load(name, seed=0, optimize="inference", compile=True)
    assert (module._compiled_call_impl is not None) == compiled


@pytest.mark.slow
def test_modes_of_torch_compile_take_half_precision() -> None:
    torch._dynamo.reset()
    plain = archspec.load("resnet18", seed=0, resolution=32).eval()
    module = archspec.load("resnet18", seed=0, resolution=32, compile="reduce-overhead", device="cpu").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out = module(x)
    assert_close([plain(x)], [out.float()], 0.1)


# ---------------------------------------------------------------- recomputing


def kept(module: nn.Module, batch: torch.Tensor) -> int:
    """The bytes that autograd keeps of a forward pass, besides weights."""
    weights = {parameter.data_ptr() for parameter in module.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(batch)
    del out
    return sum(seen.values())


@pytest.mark.parametrize(
    ("name", "settings", "share"),
    [
        ("vit_ti16", VIT, 0.5),
        ("resnet50", RESNET, 0.75),
    ],  # the ResNet's stem, which no unit holds, keeps half
)
def test_recomputing_saves_memory_and_changes_nothing(
    name: str, settings: dict[str, Any], share: float
) -> None:
    plain = archspec.load(name, seed=0, **settings)
    saving = archspec.load(name, seed=0, recompute=True, **settings)
    batch = torch.randn(2, 3, settings["resolution"], settings["resolution"])
    assert kept(saving, batch) < share * kept(plain, batch)
    plain, saving = (archspec.load(name, seed=0, recompute=r, **settings) for r in (False, True))
    # The statistics of batch norms are among what is compared: they count each batch once.
    for a, b in zip(step(plain, batch), step(saving, batch), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "dtype", "tolerance"),
    [
        ("vit_ti16", VIT, "f32", 1e-4),
        ("resnet18", RESNET | {"depths": [3, 1, 1, 1]}, "f64", 1e-9),
    ],
)
def test_compiled_networks_recompute(
    name: str, settings: dict[str, Any], dtype: str, tolerance: float
) -> None:
    torch._dynamo.reset()
    settings = {"seed": 0, "dtype": dtype, **settings}
    plain = archspec.load(name, **settings)
    compiled = archspec.load(name, compile="regions", **settings)
    saving = archspec.load(name, compile="regions", recompute=True, **settings)
    batch = images(settings, dtype)
    assert_close(step(plain, batch), step(saving, batch), tolerance)
    assert kept(saving, batch) < 0.9 * kept(compiled, batch)


def test_recomputing_draws_the_same_random_numbers_again() -> None:
    plain, saving = (
        archspec.load("vit_ti16", seed=0, drop_path=0.5, dropout=0.3, recompute=r, **VIT)
        for r in (False, True)
    )
    batch = torch.randn(4, 3, 32, 32)
    torch.manual_seed(1)
    expected = step(plain, batch)
    torch.manual_seed(1)
    for a, b in zip(expected, step(saving, batch), strict=True):
        assert torch.equal(a, b)


# ---------------------------------------------------------------- several processes


def data(rank: int) -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(rank))


def load(seed: int = 0, **settings: Any) -> nn.Module:
    return archspec.load("vit_ti16", seed=seed, **VIT, **settings)


def expected_gradients() -> dict[str, torch.Tensor]:
    """The gradients of the mean loss of both processes."""
    module = load()
    loss = sum(module(data(rank)).square().mean() for rank in range(2)) / 2
    loss.backward()  # type: ignore[union-attr]
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def distributed(rank: int, folder: str) -> None:
    module = DistributedDataParallel(
        load(seed=rank)
    )  # the weights of the first process are sent to the others
    module(data(rank)).square().mean().backward()
    for name, parameter in module.module.named_parameters():
        torch.testing.assert_close(parameter.grad, expected_gradients()[name])


def sharded(rank: int, folder: str, **settings: Any) -> None:
    mesh = init_device_mesh("cpu", (2,))
    module = load(**settings)
    blocks = archspec.repeated_blocks(module)
    for block in blocks.values():
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    out = module(data(rank))
    torch.testing.assert_close(out, load()(data(rank)))
    out.square().mean().backward()
    expected = expected_gradients()
    for name, parameter in module.named_parameters():
        gradient = parameter.grad.full_tensor()  # type: ignore[union-attr]
        torch.testing.assert_close(gradient, expected[name])
        assert parameter.to_local().numel() <= -(-parameter.numel() // 2) + parameter[0].numel()  # type: ignore[attr-defined]
    assert len(blocks) == 4


def process(rank: int, work: Callable[[int, str], None], folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        work(rank, folder)
    finally:
        dist.destroy_process_group()


sharded_and_compiled = partial(sharded, compile="regions", recompute=True)


@pytest.mark.slow
@pytest.mark.parametrize("work", [distributed, sharded, sharded_and_compiled])
def test_two_processes_train_as_one(work: Callable[[int, str], None], tmp_path: Path) -> None:
    torch.multiprocessing.spawn(process, (work, str(tmp_path)), nprocs=2)
