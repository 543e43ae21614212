"""Weights from files: what `weights=` takes is what `load_state_dict` takes, in the dtype of the spec."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import archspec
from archspec.ground.errors import SpecError, SpecWarning

SPEC = """
model Net(classes: int = 4):
    input x: [3, 8, 8]
    buffer seen: i64[2] = zeros
    constant scale: [1] = [2.5]
    y = x -> c: Conv(6, 3) -> bn: BatchNorm -> ReLU -> GlobalAvgPool -> fc: Linear(classes)
    return y * scale + (seen -> Reduce("sum", 0))
"""
MIXED = """
model Net:
    input x: f16[3]
    weight w: f16[3] = ones
    weight v: f64[3] = ones
    return x * w + v
"""
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Weights that are numbers of every real dtype, none of them zero."""
    torch.manual_seed(0)
    state = archspec.load(archspec.read_text(SPEC), seed=0).state_dict()
    state = {
        name: t.bfloat16().half().to(t.dtype) + 1 if t.is_floating_point() else t for name, t in state.items()
    }
    return {
        name: t.half().bfloat16().half().float() if t.is_floating_point() else t + 3
        for name, t in state.items()
    }


def saved(state: dict[str, Tensor], path: Path) -> Path:
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("wanted", [None, *DTYPES])
@pytest.mark.parametrize("kept", DTYPES)
def test_real_numbers_become_of_the_specs_dtype(
    kept: str, wanted: str | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    """As `load_state_dict` casts them; whole numbers stay as they are."""
    path = saved(
        {n: t.to(DTYPES[kept]) if t.is_floating_point() else t for n, t in state.items()}, tmp_path / "w"
    )
    graph = archspec.read_text(SPEC)
    module = archspec.load(graph, weights=path, dtype=wanted)
    theirs = archspec.load(graph, seed=1, dtype=wanted)
    theirs.load_state_dict(state)
    for name, tensor in theirs.state_dict().items():
        mine = module.state_dict()[name]
        assert (
            mine.dtype
            == tensor.dtype
            == (DTYPES[wanted or "f32"] if tensor.is_floating_point() else torch.int64)
        )
        assert torch.equal(mine, tensor), name
    assert module(torch.ones(2, 3, 8, 8, dtype=DTYPES[wanted or "f32"])).dtype == DTYPES[wanted or "f32"]


def test_a_specs_own_dtypes_hold(tmp_path: Path) -> None:
    path = saved({"w": torch.full((3,), 0.1), "v": torch.full((3,), 0.1)}, tmp_path / "w")
    module = archspec.load(archspec.read_text(MIXED), weights=path)
    assert (module.w.dtype, module.v.dtype) == (torch.float16, torch.float64)
    assert torch.equal(module.w, torch.full((3,), 0.1).half())


@pytest.mark.slow
def test_the_shell_builds_in_the_specs_dtype(tmp_path: Path) -> None:
    (tmp_path / "net.arch").write_text(MIXED)
    saved({"w": torch.rand(3), "v": torch.rand(3).half()}, tmp_path / "w")
    for given, dtypes in (([], ("f16", "f64")), (["--dtype", "bf16"], ("bf16", "bf16"))):
        words = ["build", "net.arch", "--weights", "w", "-o", "net.archmod", *given]
        subprocess.run(
            [sys.executable, "-m", "archspec", *words], cwd=tmp_path, check=True, capture_output=True
        )
        module = archspec.load(tmp_path / "net.archmod")
        assert (module.w.dtype, module.v.dtype) == tuple(DTYPES[name] for name in dtypes)


def test_weights_of_the_right_dtype_are_mapped_and_others_are_not(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    """What is mapped from one file lies in one stretch of memory, each tensor at its place in the file."""
    path = saved(state, tmp_path / "w")
    size = path.stat().st_size

    def spread(module: torch.nn.Module) -> int:
        places = [t.data_ptr() for t in module.state_dict().values()]
        return max(places) - min(places)

    assert spread(archspec.load(archspec.read_text(SPEC), weights=path)) < size
    maps = Path("/proc/self/maps")
    if maps.exists():
        module = archspec.load(archspec.read_text(SPEC), weights=path)
        assert str(path) in maps.read_text()
        del module


@pytest.mark.parametrize("left_out", [["bn.num_batches_tracked"]])
def test_batches_need_not_have_been_counted(
    left_out: list[str], state: dict[str, Tensor], tmp_path: Path
) -> None:
    """As in files from before PyTorch 0.4.1, which `load_state_dict(strict=True)` takes."""
    older = {name: tensor for name, tensor in state.items() if name not in left_out}
    theirs = archspec.load(archspec.read_text(SPEC), seed=1)
    theirs.load_state_dict(older, strict=True)
    module = archspec.load(archspec.read_text(SPEC), weights=saved(older, tmp_path / "w"))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor), name
        assert module.state_dict()[name].dtype == tensor.dtype


def test_a_buffer_of_that_name_elsewhere_is_asked_for(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [3]\n    buffer num_batches_tracked: i64[] = zeros\n    return x + num_batches_tracked\n"
    path = saved({"other": torch.zeros(1)}, tmp_path / "w")
    with pytest.raises(SpecError, match="lacks `num_batches_tracked`"):
        archspec.load(archspec.read_text(spec), weights=path)


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("fc.weight", torch.zeros(4, 6, dtype=torch.int8), "has `fc.weight` as int8, not f32"),
        ("fc.weight", torch.zeros(4, 6, dtype=torch.bool), "has `fc.weight` as bool, not f32"),
        ("fc.weight", torch.zeros(4, 6, dtype=torch.complex64), "has `fc.weight` as complex64, not f32"),
        ("fc.weight", torch.zeros(4, 6).to(torch.float8_e4m3fn), "has `fc.weight` as float8_e4m3fn, not f32"),
        ("seen", torch.zeros(2), "has `seen` as float32, not i64"),
        ("seen", torch.zeros(2, dtype=torch.bool), "has `seen` as bool, not i64"),
        (
            "fc.weight",
            torch.full((4, 6), 1e300, dtype=torch.float64),
            "a number in `fc.weight` that float32 cannot",
        ),
    ],
)
def test_other_kinds_of_numbers_are_refused(
    name: str, tensor: Tensor, said: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        archspec.load(archspec.read_text(SPEC), weights=saved({**state, name: tensor}, tmp_path / "w"))
    assert said in str(caught.value)
    assert caught.value.problems[0].help


def test_whole_numbers_of_another_width_are_taken_where_they_fit(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    narrow = {**state, "seen": torch.tensor([3, -4], dtype=torch.int16)}
    assert archspec.load(archspec.read_text(SPEC), weights=saved(narrow, tmp_path / "w")).seen.tolist() == [
        3,
        -4,
    ]
    small = SPEC.replace("i64[2]", "i8[2]")
    wide = {**state, "seen": torch.tensor([3, 300])}
    with pytest.raises(SpecError, match="a number in `seen` that int8 cannot hold"):
        archspec.load(archspec.read_text(small), weights=saved(wide, tmp_path / "w"))


def test_numbers_that_were_infinite_stay_so_where_they_are_let_in(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    """What only the narrower dtype makes infinite is refused all the same."""
    state["fc.weight"][0, 0], state["fc.weight"][0, 1] = -torch.inf, torch.nan
    graph, path = archspec.read_text(SPEC), saved(state, tmp_path / "w")
    with pytest.raises(SpecError, match=r"has NaN in `fc.weight`"):
        archspec.load(graph, weights=path, dtype="f16")
    module = archspec.load(graph, weights=path, dtype="f16", nonfinite=True)
    assert module.fc.weight[0, 0] == -torch.inf
    assert module.fc.weight[0, 1].isnan()
    state["fc.weight"][0, 0] = 70_000.0
    with pytest.raises(SpecError, match="float16 cannot hold"):
        archspec.load(graph, weights=saved(state, tmp_path / "v"), dtype="f16", nonfinite=True)


def test_a_buffer_may_be_a_mask_of_minus_infinity(tmp_path: Path) -> None:
    spec = "model Net:\n    input x: [2]\n    buffer mask: [2] = zeros\n    return x + mask\n"
    path = saved({"mask": torch.tensor([0, -torch.inf])}, tmp_path / "w")
    assert archspec.load(archspec.read_text(spec), weights=path).mask[1] == -torch.inf
    with pytest.raises(SpecError, match=r"has NaN in `mask`"):
        archspec.load(
            archspec.read_text(spec), weights=saved({"mask": torch.tensor([0, torch.nan])}, tmp_path / "v")
        )


def test_what_the_help_says_is_true(state: dict[str, Tensor], tmp_path: Path) -> None:
    graph = archspec.read_text(SPEC)
    partly = {name: tensor for name, tensor in state.items() if name != "fc.bias"} | {"other": torch.zeros(1)}
    with pytest.raises(
        SpecError, match=r"it lacks `fc.bias`, has `other`(.|\n)*strict=False` takes what both have"
    ):
        archspec.load(graph, weights=saved(partly, tmp_path / "w"))
    with pytest.warns(
        SpecWarning, match=r"stays new: `fc.bias`; 1 tensor of `w` is unused: `other`"
    ) as caught:
        module = archspec.load(graph, weights=tmp_path / "w", strict=False, seed=5)
    (warned,) = (w.message for w in caught if "stays new" in str(w.message))
    assert isinstance(warned, SpecWarning) and warned.problem.kind == "partial-weights"
    drawn = archspec.load(graph, seed=5).state_dict()["fc.bias"]
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, drawn if name == "fc.bias" else state[name]), name
    reshaped = {**state, "c.bias": torch.zeros(9)}
    with pytest.raises(SpecError, match="not even with `strict=False`"):
        archspec.load(graph, weights=saved(reshaped, tmp_path / "w"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        archspec.load(graph).load_state_dict(reshaped, strict=False)


def test_a_pipe_is_no_file_of_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(SpecError, match="not a regular file"):
            archspec.load(archspec.read_text(SPEC), weights=path)


@pytest.mark.parametrize("flat", [False, True])
def test_weights_with_dotted_keys_and_weights_further_down_are_read_where_they_are(flat: bool) -> None:
    graph = archspec.read_text(
        """
block Mlp:
    input x: [N, D]
    return x -> fc1: Linear(12) -> ReLU -> fc2: Linear(D)

model Net:
    input x: [5, 8]
    weight "rel.table" as table: [5, 8] = normal(1.0)
    shared "head.mlp" as mlp = Mlp
    y = (x + table) -> mlp -> mlp
    return y @ (mlp.fc1.weight -> Permute([1, 0])) + mlp.fc1.bias
"""
    )
    net, x = archspec.load(graph, seed=0, flat=flat), torch.randn(3, 5, 8)
    state = net.state_dict()
    one = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.ReLU(), torch.nn.Linear(12, 8))
    one.load_state_dict(
        {f"{i}.{k}": state[f"head.mlp.fc{j}.{k}"] for i, j in ((0, 1), (2, 2)) for k in ("weight", "bias")}
    )
    wanted = torch.nn.functional.linear(one(one(x + state["rel.table"])), one[0].weight, one[0].bias)
    assert set(state) == {"rel.table", *(f"head.mlp.fc{j}.{k}" for j in (1, 2) for k in ("weight", "bias"))}
    assert torch.allclose(net(x), wanted, atol=1e-5)
    net(x).sum().backward()
    assert net.get_parameter("rel.table").grad is not None


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("optimize", [None, "inference"])
def test_blocks_without_inputs_give_their_weights(flat: bool, optimize: str | None) -> None:
    graph = archspec.read_text(
        """
block Table(n: int):
    weight table: [n, 8] = normal(1.0)
    return table

block Two:
    return () -> Table(5) -> Tanh, () -> second: [Table(5), ReLU]

model Net:
    input x: [5, 8]
    shared t = Table(5)
    a, b = () -> two: Two
    return x * (() -> t) + a * b + (() -> t)
"""
    )
    net, x = archspec.load(graph, seed=0, flat=flat, optimize=optimize), torch.randn(3, 5, 8)
    state = archspec.load(graph, seed=0).state_dict()
    assert set(state) == {"t.table", "two.table.table", "two.second.0.table"}
    t, a, b = state["t.table"], state["two.table.table"].tanh(), state["two.second.0.table"].relu()
    assert torch.allclose(net(x), x * t + a * b + t, atol=1e-5)
