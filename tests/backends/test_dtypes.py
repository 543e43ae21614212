"""What dtype values have: as inferred, and when a module's weights are cast or it runs under autocast."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from examples import EXAMPLES
from nets import batch_of, outputs, randomised, small
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import archspec
from archspec.api import torch_dtype
from archspec.api.artifact import save_artifact
from archspec.backends.torch_fx import lower
from archspec.backends.torch_weights import empty
from archspec.ground.errors import Mistake, SpecError
from archspec.ground.tensor import DType, TensorType, torch_name
from archspec.op import Op
from archspec.testing import graph_of, layer

DTYPES = get_args(DType)
REAL = ("f16", "bf16", "f32", "f64")
HALF = ("f16", "bf16")


def like(type_: TensorType) -> torch.Tensor:
    shape = (2,) * type_.batched + tuple(2 if str(size) == "batch" else size for size in type_.shape)
    return torch.ones(shape, dtype=getattr(torch, torch_name(type_.dtype)))  # type: ignore[arg-type]


def described(tensors: object) -> list[tuple[torch.dtype, tuple[int, ...]]]:
    return [(x.dtype, tuple(x.shape)) for x in outputs(tensors)]


def expected(types: TensorType | tuple[TensorType, ...]) -> list[tuple[torch.dtype, tuple[int, ...]]]:
    return described([like(x) for x in (types if isinstance(types, tuple) else (types,))])


def allowed(op: Op, *inputs: TensorType, **options: TensorType) -> Any:
    try:
        return op.infer(*inputs, **options)
    except Mistake:
        return None


# ---------------------------------------------------------------- what is inferred is what PyTorch gives

PAIRWISE = ("Add", "Sub", "Mul", "Div", "Maximum", "Minimum", "Equal", "MatMul")


@pytest.mark.parametrize("name", PAIRWISE)
def test_two_tensors_of_any_dtypes_combine_as_inferred(name: str) -> None:
    op = Op.find(name)()
    ranks = [(3, 3)] if name == "MatMul" else [(), (3, 3)]
    ran = 0
    for a, b, left, right, *batched in product(DTYPES, DTYPES, ranks, ranks, (True, False), (True, False)):
        types = TensorType(left, a, batched[0]), TensorType(right, b, batched[1])
        out = allowed(op, *types)
        if out is not None:
            ran += 1
            assert described(op.lower(*types)(*map(like, types))) == expected(out), types
    assert ran >= 36


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_ops_run_in_every_dtype_that_they_take(name: str, example: str) -> None:
    graph, _ = graph_of(example)
    node = layer(graph)
    given, named = graph.input_types(node), graph.option_types(node)
    count = len(given) + len(named)
    mixes = list(product(DTYPES, repeat=count)) if count < 3 else [(dtype,) * count for dtype in DTYPES]
    for dtypes, batched in product(mixes, (True, False) if node.op.without_batch else (True,)):
        types = [
            replace(x, dtype=dtype, batched=batched)
            for x, dtype in zip((*given, *named.values()), dtypes, strict=True)
        ]
        inputs, options = types[: len(given)], dict(zip(named, types[len(given) :], strict=True))
        out = allowed(node.op, *inputs, **options)
        if out is None:
            continue
        lowered = node.op.lower(*inputs, **options)
        if isinstance(lowered, nn.Module):
            lowered.to_empty(device="cpu").eval()
            for key, weight in node.op.weights(*inputs, **options).items():
                held = lowered.get_parameter(key) if weight.trainable else lowered.get_buffer(key)
                held.data = torch.ones(weight.shape, dtype=getattr(torch, torch_name(weight.dtype)))
        with torch.no_grad():
            result = lowered(*map(like, inputs), **{key: like(x) for key, x in options.items()})
        assert described(result) == expected(out), types


# ---------------------------------------------------------------- positions, angles, constants

NET = archspec.read_text("""
block Angles:
    input x: [N, D]
    constant rates: [D // 2] = [10000.0 ** (-2 * i / D) for i in range(D // 2)]
    angles = (x -> Positions -> Reshape([-1, 1])) * rates
    return (angles -> Sin, angles -> Cos) -> Stack(axis=2) -> Flatten(start=1)

model Net(d: int = 8):
    input x: [free N, d]
    input ok: bool[free N]
    constant third: [] = 0.3333333333333333333
    table = x -> table: Angles
    places = x -> Positions
    y = x * third + table -> fc: Linear(d)
    z = table -> projection: Linear(4)
    return y=y, z=z, table=table, mask=ok * 1.0, root=places -> Sqrt, ratio=places / (places + 1), joined=concat(x, table)
""")
INPUTS = torch.randn(2, 2000, 8, dtype=torch.float64), torch.rand(2, 2000) > 0.5


def run(net: nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        found: dict[str, torch.Tensor] = net(INPUTS[0].to(dtype), INPUTS[1])
    return found


def wanted(state: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The same in double precision, written by hand, of inputs and weights that are rounded already."""
    x = INPUTS[0].to(dtype).double()
    weight = {name: value.double() for name, value in state.items()}
    places = torch.arange(2000, dtype=torch.float64)
    angles = places[:, None] * 10000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    table = torch.stack((angles.sin(), angles.cos()), -1).flatten(1).expand(2, -1, -1)
    return {
        "y": nn.functional.linear(x / 3 + table, weight["fc.weight"], weight["fc.bias"]),
        "z": nn.functional.linear(table, weight["projection.weight"], weight["projection.bias"]),
        "table": table,
        "mask": INPUTS[1].double(),
        "root": places.sqrt().expand(2, -1),
        "ratio": (places / (places + 1)).expand(2, -1),
        "joined": torch.cat((x, table), 1),
    }


def require_exact(net: nn.Module, dtype: torch.dtype, state: dict[str, torch.Tensor] | None = None) -> None:
    """The outputs have the dtype, and are right to its precision, those of positions to their last bit but one."""
    found, truth = run(net, dtype), wanted(state or net.state_dict(), dtype)
    precision = max(torch.finfo(dtype).eps, 1e-13)
    if dtype == torch.float32:
        precision = 2e-5  # angles up to 2000 have no more
    for name, value in truth.items():
        assert found[name].dtype == dtype, name
        loose = 4 if name in ("y", "z") else 1
        torch.testing.assert_close(
            found[name].double(), value, rtol=loose * precision, atol=loose * precision
        )


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", REAL)
def test_positions_are_exact_in_every_dtype(name: str, flat: bool) -> None:
    require_exact(archspec.load(NET, seed=0, dtype=name, flat=flat), torch_dtype(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_positions_are_exact_when_optimised_compiled_and_exported(name: str) -> None:
    dtype = torch_dtype(name)
    net = archspec.load(NET, seed=0, dtype=name).eval()
    state = net.state_dict()
    require_exact(archspec.load(NET, seed=0, dtype=name, optimize="inference"), dtype, state)
    given = (INPUTS[0].to(dtype), INPUTS[1])
    exported = torch.export.export(net, given).module()
    compiled = torch.compile(net, backend="aot_eager")
    plain = run(net, dtype)
    for other in (exported, compiled):
        for key, value in run(other, dtype).items():
            assert value.dtype == dtype
            torch.testing.assert_close(value, plain[key])
    assert (
        net.state_dict().keys()
        == state.keys()
        == {"fc.weight", "fc.bias", "projection.weight", "projection.bias"}
    )


CASTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "half": lambda net: net.half(),
    "bfloat16 and back": lambda net: net.bfloat16().float(),
    "double": lambda net: net.double(),
    "half, then double": lambda net: net.half().double(),
    "double, then bfloat16": lambda net: net.double().to(torch.bfloat16),
    "in a module": lambda net: next(nn.Sequential(net).bfloat16().children()),
    "a copy": lambda net: copy.deepcopy(net).double(),
    "copied when cast": lambda net: copy.deepcopy(net.half()),
    "meta and back": lambda net: net.to("meta").to_empty(device="cpu").double(),
}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_constants_stay_exact_through_casts(cast: Callable[[nn.Module], nn.Module], flat: bool) -> None:
    net = archspec.load(NET, seed=0, flat=flat)
    state = net.state_dict()
    net = cast(net)
    dtype = next(net.parameters()).dtype
    net.load_state_dict(state)
    require_exact(net, dtype)


def test_a_block_that_is_cast_alone_keeps_its_constants() -> None:
    net = archspec.load(NET, seed=0)
    rates = net.table.rates.value.clone()
    assert torch.equal(net.table.bfloat16().rates.value, rates)
    exact = 10000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    torch.testing.assert_close(net.table.double().rates.value, exact, rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("told", [True, False])
def test_built_modules_keep_what_is_exact(name: str, told: bool, tmp_path: Path) -> None:
    net, path = archspec.load(NET, seed=0, dtype=name), tmp_path / "net.archmod"
    save_artifact(net, path, dtype=name) if told else save_artifact(net, path)
    loaded, dtype = archspec.load(path), torch_dtype(name)
    require_exact(loaded, dtype)
    for key, value in run(net, dtype).items():
        assert torch.equal(run(loaded, dtype)[key], value)
    require_exact(archspec.load(path, dtype="f64"), torch.float64)


def test_a_random_constant_is_the_same_in_a_built_module(tmp_path: Path) -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [4]\n    constant noise: [4] = normal\n    return x + noise\n"
    )
    net, path = archspec.load(graph, seed=5), tmp_path / "net.archmod"
    save_artifact(net, path, seed=5)
    x = torch.zeros(1, 4)
    assert torch.equal(archspec.load(path)(x), net(x))
    assert torch.equal(archspec.load(graph, seed=6)(x), net(x))


def test_autocast_leaves_angles_alone() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [600, 4]
    constant rates: [1, 2] = [[1.0, 0.7]]
    angles = (x -> Positions -> Reshape([-1, 1])) * 1.0 @ rates
    return angles -> Sin
""")
    x = torch.zeros(2, 600, 4)
    angles = torch.arange(600, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.7], dtype=torch.float64)
    for net in (archspec.load(graph), archspec.load(graph, flat=True)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = net(x)
        torch.testing.assert_close(out[0].double(), angles.sin(), rtol=0, atol=1e-4)


def test_what_the_spec_writes_wider_stays_wider_until_the_module_is_cast() -> None:
    graph = archspec.read_text("""
model Net:
    input x: [2]
    constant fine: f64[2] = [0.1, 0.2]
    return x + fine -> fc: Linear(2)
""")
    net, x = archspec.load(graph, seed=0), torch.zeros(1, 2)
    assert net(x).dtype == torch.float64  # as inferred: f64 is the wider
    for dtype in (torch.float32, torch.bfloat16):
        assert net.to(dtype)(x.to(dtype)).dtype == dtype


def test_a_bool_is_not_subtracted() -> None:
    for line in ("x - m", "m - x", "m - m"):
        with pytest.raises(SpecError, match="Sub takes numbers, not bool"):
            archspec.read_text(f"model Net:\n    input x: [2]\n    input m: bool[2]\n    return {line}\n")


# ---------------------------------------------------------------- ops that PyTorch has for single precision only


@pytest.mark.parametrize("name", HALF)
@pytest.mark.parametrize("layer", ["LocalResponseNorm(5, k=2.0, alpha=1e-2)", "AvgPool(3, stride=1)"])
@pytest.mark.parametrize("shape", ["8, 6, 6", "8, 5, 6, 6"])
def test_ops_agree_with_double_precision_in_half(layer: str, shape: str, name: str) -> None:
    graph = archspec.read_text(f"model Net:\n    input x: [{shape}]\n    return x -> {layer}\n")
    x = (400 * torch.randn(2, *map(int, shape.split(",")))).to(torch_dtype(name))  # its squares are no f16
    found = archspec.load(graph, dtype=name)(x)
    truth = archspec.load(graph, dtype="f64")(x.double())
    assert found.dtype == x.dtype
    eps = torch.finfo(x.dtype).eps
    torch.testing.assert_close(found.double(), truth, rtol=eps, atol=eps * truth.abs().max().item())


@pytest.mark.parametrize("name", REAL)
def test_padding_beyond_what_a_dtype_holds_is_its_largest_number(name: str) -> None:
    graph = archspec.read_text(
        "model Net:\n    input x: [3, 4]\n    return x -> Pad([1], value=-1e38) -> MaxPool(2, stride=2)\n"
    )
    dtype = torch_dtype(name)
    x = torch.randn(2, 3, 4).to(dtype)
    found = archspec.load(graph, dtype=name)(x)
    assert torch.equal(found, nn.functional.max_pool1d(x, 2, 2, padding=1))


# ---------------------------------------------------------------- the shipped networks


class Made(TorchDispatchMode):
    """Which dtypes of real numbers the ops of PyTorch give."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                self.dtypes.add(x.dtype)
        return out


FAMILIES = (
    "alexnet", "cbam_resnet18", "densenet121", "efficientnet_b0", "googlenet_2014", "halonet_h1", "lenet5", "mixer_s16",
    "nfnet_f0", "pit_ti", "resnet50_mdconv", "shake_shake26_2x32d_cifar", "swin_t", "t2t_vit_14", "transformer_base",
    "vit_ti16",
)  # fmt: skip


def cast(batch: list[torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
    return [x.to(dtype) if x.is_floating_point() else x for x in batch]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_shipped_networks_give_their_dtype_and_compute_in_nothing_narrower(name: str) -> None:
    graph = small(name)
    net = lower(graph, lambda g: empty(g, "meta")).eval()
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        net, given = net.to(dtype), cast(batch_of(graph, 2, "meta"), dtype)
        with Made() as made, torch.no_grad():
            out = net(*given)
        assert {x.dtype for x in outputs(out)} == {dtype}
        # Half precision may have sums, positions and statistics in single; double has nothing else.
        assert made.dtypes <= ({dtype} if dtype == torch.float64 else {dtype, torch.float32})


SMALL = ("lenet5", "transformer", "swin", "densenet40_k12_cifar")


def shrunk(name: str) -> archspec.Graph:
    if name == "transformer":
        text = "from families.transformer import Transformer\nmodel Net = Transformer(dim=32, words=50, heads=4, hidden=64, layers=2, length=12)\n"
        return archspec.read_text(text)
    if name == "swin":
        return archspec.read("swin_t", dim=24, layers=[2, 2], heads=[3, 6], resolution=64, classes=10)
    return small(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_shipped_networks_compute_the_same_in_every_dtype(name: str, tmp_path: Path) -> None:
    graph = shrunk(name)
    net = randomised(archspec.load(graph, seed=0)).eval()
    precise = archspec.load(graph, seed=0, dtype="f64").eval()
    precise.load_state_dict(net.state_dict())
    given = batch_of(graph, 2)
    doubled = copy.deepcopy(net).double()
    with torch.no_grad():
        truth = outputs(precise(*cast(given, torch.float64)))
        require_close(outputs(doubled(*cast(given, torch.float64))), truth, 1e-12)
        require_close(outputs(net(*given)), truth, 1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            require_close(outputs(net(*given)), truth, 0.05)
        for dtype, precision in ((torch.float16, 5e-3), (torch.bfloat16, 4e-2)):
            halved = copy.deepcopy(net).to(dtype)
            out = outputs(halved(*cast(given, dtype)))
            assert {x.dtype for x in out} == {dtype}
            require_close(out, truth, precision)
            save_artifact(halved, tmp_path / "net.archmod")
            again = outputs(archspec.load(tmp_path / "net.archmod").eval()(*cast(given, dtype)))
            assert all(torch.equal(x, y) for x, y in zip(again, out, strict=True))


def require_close(found: list[torch.Tensor], truth: list[torch.Tensor], precision: float) -> None:
    for x, y in zip(found, truth, strict=True):
        error = (x.double() - y).abs().max() / y.abs().max()
        assert math.isfinite(error) and error <= precision


# ---------------------------------------------------------------- numbers that a dtype does not hold

CANNOT = "has a number that {} cannot hold in `{}` (spec.arch:{})"


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        ("weight w: [4] = 1e10\n    return x * w", "f16", CANNOT.format("float16", "w", "3:5")),
        ("weight w: [4] = uniform(0, 1e6)\n    return x * w", "f16", CANNOT.format("float16", "w", "3:5")),
        ("weight w: [4] = 3.4e38\n    return x * w", "bf16", CANNOT.format("bfloat16", "w", "3:5")),
        ("weight w: f64[4] = 1e300\n    return x * w", "f32", CANNOT.format("float32", "w", "3:5")),
        ("buffer b: [2, 2] = [[0, -1e9], [0, 0]]\n    return x + b[0, 1]", "f16", "`b` (spec.arch:3:5)"),
        ("return x -> fc: Linear(2, bias_init=constant(-1e9))", "f16", "`fc.bias` (spec.arch:3:"),
        ("constant c: [4] = [-1e9, 0, 0, 1]\n    return x + c", "f16", CANNOT.format("float16", "c", "3:5")),
        (
            "constant c: [1, 4] = -1e9\n    return x + (c -> Permute([1, 0]) -> Flatten(start=0))",
            "f16",
            "`c` (spec",
        ),
        ("constant c: [4] = -1e9\n    return x, c", "f16", "`c` (spec.arch:3:5)"),
        (
            "constant c: [4, 4] = -1e9\n    q = x -> Reshape([4, 1])\n    return (q, q, q) -> Attention(bias=c)",
            "f16",
            "`c` (spec.arch:3:5)",
        ),
    ],
)
def test_numbers_that_only_the_dtype_asked_for_makes_infinite_are_refused(
    body: str, name: str, said: str, tmp_path: Path
) -> None:
    graph = archspec.read_text(f"model Net:\n    input x: [4]\n    {body}\n")
    with pytest.raises(SpecError) as caught:
        archspec.load(graph, dtype=name, seed=0)
    assert said in str(caught.value)
    assert caught.value.problems[0].help
    module = archspec.load(graph, seed=0)
    save_artifact(module, tmp_path / "net.archmod")
    with pytest.raises(SpecError) as caught:
        archspec.load(tmp_path / "net.archmod", dtype=name)
    assert said in str(caught.value)
    wide = archspec.load(graph, dtype="f64", seed=0)
    assert all(tensor.isfinite().all() for tensor in wide.state_dict().values())


def test_numbers_that_no_cast_reaches_or_changes_are_taken(tmp_path: Path) -> None:
    """Constants among themselves are computed as they are written; 65 519 is rounded to 65 504; an infinity is meant."""
    graph = archspec.read_text(
        "model Net:\n    input x: [4]\n    constant c: [4] = 1e9\n    constant d: [4] = 2e9\n"
        "    weight w: [4] = 65519.0\n    return x * w + c / d\n"
    )
    module = archspec.load(graph, dtype="f16", seed=0)
    assert module(torch.zeros(1, 4, dtype=torch.float16)).tolist() == [[0.5] * 4]
    assert module.w.tolist() == [65504.0] * 4
    module = archspec.load(graph, seed=0)
    module.load_state_dict({"w": torch.tensor([-torch.inf, torch.nan, 0.0, 1.0])}, nonfinite=True)
    save_artifact(module, tmp_path / "net.archmod")
    loaded = archspec.load(tmp_path / "net.archmod", dtype="f16").w
    assert loaded[0] == -torch.inf
    assert loaded[1].isnan()
